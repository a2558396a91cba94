package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cockroachdb/pebble/v2"
)

const opCommit = "commit"

// Commit implements catalog.Catalog. An empty synced batch makes every commit
// before it durable.
func (c *Catalog) Commit(ctx context.Context, b *catalog.Batch) error {
	if err := c.gate.enter(ctx, opCommit); err != nil {
		return err
	}
	batch, err := c.apply(ctx, b)
	if err != nil {
		c.gate.leave()
		return err
	}
	if b.NoSync {
		defer c.gate.leave()
		return wrap(opCommit, batch.Close())
	}
	return c.awaitSync(ctx, batch)
}

// apply checks and applies b while it has the turn. The result is visible, and
// not yet durable.
func (c *Catalog) apply(ctx context.Context, b *catalog.Batch) (*pebble.Batch, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", opCommit, ctx.Err())
	}
	for _, cond := range b.If {
		holds, err := c.holds(cond)
		if err != nil {
			return nil, err
		}
		if !holds {
			return nil, &catalog.ConditionError{Condition: cond}
		}
	}
	t := c.begin()
	err := t.change(b)
	if err == nil {
		err = t.finish(b.Floor)
	}
	if err != nil {
		return nil, errors.Join(err, t.batch.Close())
	}
	if b.NoSync {
		err = c.db.Apply(t.batch, pebble.NoSync)
	} else {
		err = c.db.ApplyNoSyncWait(t.batch, pebble.Sync)
	}
	if err != nil {
		return nil, c.fail(err)
	}
	c.totals.Store(&t.totals)
	return t.batch, nil
}

// awaitSync waits until the applied batch is durable, and leaves the gate. The
// end of ctx ends the wait; the batch is applied all the same.
func (c *Catalog) awaitSync(ctx context.Context, batch *pebble.Batch) error {
	wait := func() error {
		defer c.gate.leave()
		if err := batch.SyncWait(); err != nil {
			return c.fail(err)
		}
		return wrap(opCommit, batch.Close())
	}
	if ctx.Done() == nil {
		return wait()
	}
	done := make(chan error, 1)
	go func() { done <- wait() }() // Close waits for it at the gate
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the commit to be durable: %w", ctx.Err())
	}
}

// fail ends the catalog after its log could not be written: what is in memory
// may now differ from what a restart will find.
func (c *Catalog) fail(err error) error {
	c.gate.shut(fmt.Errorf("an earlier write failed: %w", err))
	return cairn.NewError(opCommit, cairn.Unavailable, err).
		WithHint("the disk of the catalog failed or is full; restart the gateway when it is well")
}

// holds evaluates one condition against what is applied. Requires the turn.
func (c *Catalog) holds(cond catalog.Condition) (bool, error) {
	switch {
	case cond.BucketExists != "":
		return c.has(tableKey(tableBucket, cond.BucketExists))
	case cond.BucketAbsent != "":
		found, err := c.has(tableKey(tableBucket, cond.BucketAbsent))
		return !found, err
	case cond.BucketEmpty != "":
		found, err := c.has(tableKey(tableCounts, cond.BucketEmpty))
		return !found, err
	case cond.Newest != nil:
		return c.isNewest(*cond.Newest)
	case cond.HasVersion != nil:
		return c.has(versionKey(*cond.HasVersion))
	case cond.OpenUpload != nil:
		return c.has(uploadKey(tableUpload, *cond.OpenUpload))
	case cond.PartIs != nil:
		return c.partIs(*cond.PartIs)
	case cond.Segment != nil:
		return c.has(segmentKey(*cond.Segment))
	}
	return false, cairn.NewError(opCommit, cairn.Invalid, errors.New("a condition says nothing"))
}

func (c *Catalog) has(key []byte) (bool, error) {
	_, closer, err := c.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, wrap(opCommit, err)
	}
	return true, wrap(opCommit, closer.Close())
}

func (c *Catalog) isNewest(want catalog.VersionKey) (bool, error) {
	prefix := versionPrefix(want.Bucket, want.Key)
	var newest cairn.VersionID
	err := c.scan(context.Background(), opCommit, prefix, prefix, func(key, _ []byte) (bool, error) {
		newest = versionOf(key)
		return false, nil
	})
	return err == nil && newest == want.ID, err
}

func (c *Catalog) partIs(want catalog.PartCondition) (bool, error) {
	var object cairn.ObjectID
	if want.Number >= 0 && want.Number <= cairn.MaxPartNumber {
		v, err := c.get(opCommit, partKey(want.UploadID, want.Number))
		if err == nil {
			var e *catalog.PartEntry
			if e, err = decodePart(v); err == nil {
				object = e.Part.Object
			}
		}
		if err != nil && !errors.Is(err, cairn.NotFound) {
			return false, err
		}
	}
	return object == want.Object, nil
}
