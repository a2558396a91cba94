package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// write is one write under way. What it may leave on nodes is kept as intents
// in the catalog before any node makes it durable. It ends with commit, in one
// step with what it wrote, or with undo.
type write struct {
	e       *Engine
	bucket  string
	key     string
	intents []catalog.Intent
	left    []catalog.Location // of failed attempts; to be deleted in any case
	unsure  bool               // a commit failed, but may have taken effect
	// covered writes are done to end an intent, and done again until they
	// succeed. They need no intents of their own.
	covered bool
}

// beginWrite begins a write to a key or, if key is empty, to the bucket itself.
func (e *Engine) beginWrite(bucket, key string) *write {
	return &write{e: e, bucket: bucket, key: key}
}

// place is what the groups of a mirrored object are drawn by. All its segments
// lie on the same two groups, whatever parts they belong to, so that either
// group alone can serve the object.
func (w *write) place() cairn.SegmentID { return sha256.Sum256([]byte(w.bucket + "\x00" + w.key)) }

// plan records that segments or records of these ids may come to lie on nodes.
// It must have returned before any node commits one.
func (w *write) plan(ctx context.Context, ids ...cairn.SegmentID) error {
	return w.record(ctx, catalog.Intent{ID: w.e.clock.Next()}, ids)
}

// planVersion is plan for what makes version id of a key visible to recovery.
func (w *write) planVersion(ctx context.Context, key string, id cairn.VersionID, ids ...cairn.SegmentID) error {
	return w.record(ctx, catalog.Intent{ID: id, Key: key}, ids)
}

// planDelete is plan for the deletion of a key.
func (w *write) planDelete(ctx context.Context, key string, id cairn.VersionID, record cairn.SegmentID) error {
	return w.record(ctx, catalog.Intent{ID: id, Key: key, Delete: true}, []cairn.SegmentID{record})
}

// planBucket is plan for a record of the bucket itself: its creation, change
// or deletion.
func (w *write) planBucket(ctx context.Context, id cairn.VersionID, record cairn.SegmentID) error {
	return w.record(ctx, catalog.Intent{ID: id, Delete: true}, []cairn.SegmentID{record})
}

func (w *write) record(ctx context.Context, in catalog.Intent, ids []cairn.SegmentID) error {
	b := &catalog.Batch{Floor: in.ID.Time().UnixNano()}
	in.Bucket, in.Started = w.bucket, w.e.cfg.Now().UnixNano()
	for _, id := range ids {
		in.Places = append(in.Places, catalog.Location{Segment: id})
	}
	if !w.covered {
		w.intents = append(w.intents, in)
		b.PutIntents = []*catalog.Intent{&in}
	}
	err := w.e.catalog.Commit(context.WithoutCancel(ctx), b)
	if err != nil {
		return fmt.Errorf("record intent: %w", err)
	}
	return nil
}

// leave notes places to be deleted once the write has ended.
func (w *write) leave(places ...catalog.Location) { w.left = append(w.left, places...) }

// commit applies b together with the end of the intents. Once begun it is not
// given up: a write that is half decided would be neither there nor undone.
func (w *write) commit(ctx context.Context, b *catalog.Batch) error {
	for i := range w.intents {
		b.DropIntents = append(b.DropIntents, w.intents[i].ID)
	}
	b.AddGarbage = append(b.AddGarbage, w.left...)
	err := w.e.catalog.Commit(context.WithoutCancel(ctx), b)
	var cond *catalog.ConditionError
	if err != nil {
		w.unsure = !errors.As(err, &cond)
		return err
	}
	w.intents = nil
	if len(b.AddGarbage) > 0 || len(b.Refs) > 0 {
		w.e.wakeCollector()
	}
	return nil
}

// undo ends a write that failed; it does nothing after a commit. It does not
// wait for nodes.
func (w *write) undo() {
	for i := range w.intents {
		w.e.unfinished.add(&failedWrite{Intent: w.intents[i], unsure: w.unsure})
	}
	if len(w.intents) > 0 {
		w.e.wakeCollector()
	}
}

// failedWrite is an intent whose write has failed.
type failedWrite struct {
	catalog.Intent
	unsure bool // it may have been committed after all: then the catalog has no such intent
}

// unfinished is the writes that have failed and are to be ended. The zero value
// is ready.
type unfinished struct {
	mu     sync.Mutex // guards writes
	writes []*failedWrite
}

func (u *unfinished) add(f *failedWrite) {
	u.mu.Lock()
	u.writes = append(u.writes, f)
	u.mu.Unlock()
}

func (u *unfinished) all() []*failedWrite {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.writes)
}

// of returns the failed writes of a key that were not deletions.
func (u *unfinished) of(bucket, key string) (writes []*failedWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.writes {
		if !f.Delete && f.Bucket == bucket && f.Key == key {
			writes = append(writes, f)
		}
	}
	return writes
}

func (u *unfinished) ended(f *failedWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.writes = slices.DeleteFunc(u.writes, func(other *failedWrite) bool { return other == f })
}

func (u *unfinished) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.writes)
}

// unfinishedAgain is the pause between two tries to end failed writes: until
// they are, a recovery may bring back what was never acknowledged.
const unfinishedAgain = time.Second

// endUnfinished ends failed writes; those it cannot end yet it keeps. It does
// not try while too few nodes live to take a record. Run alone calls it.
func (e *Engine) endUnfinished(ctx context.Context) {
	if e.Ready(true) != nil {
		return
	}
	for _, f := range e.unfinished.all() {
		if err := e.endFailed(ctx, f); err != nil {
			if ctx.Err() != nil {
				return
			}
			e.log.WarnContext(ctx, "failed write not undone yet", "bucket", f.Bucket, "err", err)
		}
	}
}

// endFailed undoes a failed write, unless it took effect after all.
func (e *Engine) endFailed(ctx context.Context, f *failedWrite) error {
	if f.unsure {
		open, err := e.catalog.Intents(ctx)
		if err != nil {
			return fmt.Errorf("read intents: %w", err)
		}
		if !slices.ContainsFunc(open, func(in *catalog.Intent) bool { return in.ID == f.ID }) {
			e.unfinished.ended(f)
			e.wakeCollector()
			return nil
		}
	}
	if err := e.endIntent(ctx, &f.Intent); err != nil {
		return err
	}
	e.unfinished.ended(f)
	return nil
}

// endIntent undoes a write. Nodes that are away now may keep what it told them,
// so recovery must be told otherwise first: a version that never was gets a
// tombstone, an object that was not deleted after all gets a record newer than
// the tombstone, and a bucket a record that says again what the catalog says.
func (e *Engine) endIntent(ctx context.Context, in *catalog.Intent) error {
	b := &catalog.Batch{DropIntents: []cairn.VersionID{in.ID}, AddGarbage: in.Places}
	switch {
	case in.Key == "" && in.Delete:
		return e.restoreBucket(ctx, in, b)
	case in.Key == "":
	case in.Delete:
		if err := e.outlive(ctx, in.Bucket, in.Key, in.ID); err != nil {
			return err
		}
	default:
		t := cairn.Tombstone{Bucket: in.Bucket, Key: in.Key, ID: e.clock.Next(), Target: in.ID}
		if _, err := e.writeRecord(ctx, cairn.NewSegmentID(), cairn.KindTombstone, t.Encode(), nil); err != nil {
			return err
		}
	}
	if err := e.catalog.Commit(context.WithoutCancel(ctx), b); err != nil {
		return err
	}
	e.wakeCollector()
	return nil
}

// outlive gives the object of a key a record newer than a tombstone that may
// have reached some nodes though the deletion failed. Nothing changes for
// clients.
func (e *Engine) outlive(ctx context.Context, bucket, key string, tombstone cairn.VersionID) error {
	unlock := e.lockKey(bucket, key)
	defer unlock()
	prev, err := e.newest(ctx, bucket, key)
	if err != nil || prev == nil || prev.Version.ID.Compare(tombstone) > 0 {
		return err
	}
	e.clock.Observe(tombstone)
	w := e.beginWrite(bucket, key)
	w.covered = true
	_, err = e.rerecord(ctx, w, prev, func(*cairn.Version) {})
	return err
}
