package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// CreateBucket makes a bucket; its record is on nodes before it returns.
func (e *Engine) CreateBucket(ctx context.Context, name, region string) error {
	unlock := e.buckets.lock(name)
	defer unlock()
	switch _, err := e.catalog.Bucket(ctx, name); {
	case err == nil:
		return fmt.Errorf("%q: %w", name, ErrBucketExists)
	case !errors.Is(err, cairn.NotFound):
		return fmt.Errorf("look up bucket %q: %w", name, err)
	}
	k := cairn.Bucket{Name: name, ID: e.clock.Next(), Created: e.cfg.Now().UnixNano(), Region: region}
	w := e.beginWrite(name)
	id := cairn.NewSegmentID()
	if err := w.plan(ctx, id); err != nil {
		return err
	}
	place, err := e.writeRecord(ctx, id, cairn.KindBucket, k.Encode(), nil)
	if err != nil {
		w.undo()
		return fmt.Errorf("create bucket %q: %w", name, err)
	}
	err = w.commit(ctx, &catalog.Batch{
		If:         []catalog.Condition{{BucketAbsent: name}},
		PutBuckets: []*catalog.BucketEntry{{Bucket: k, Record: place}},
	})
	if err != nil {
		w.undo()
		var cond *catalog.ConditionError
		if errors.As(err, &cond) {
			return ErrBucketExists
		}
		return fmt.Errorf("create bucket %q: %w", name, err)
	}
	return nil
}

// HeadBucket describes a bucket.
func (e *Engine) HeadBucket(ctx context.Context, name string) (BucketInfo, error) {
	b, err := e.bucket(ctx, name)
	if err != nil {
		return BucketInfo{}, err
	}
	return bucketInfo(b), nil
}

func bucketInfo(b *catalog.BucketEntry) BucketInfo {
	return BucketInfo{Name: b.Bucket.Name, Created: time.Unix(0, b.Bucket.Created).UTC(), Region: b.Bucket.Region}
}

// ListBuckets returns one page of buckets.
func (e *Engine) ListBuckets(ctx context.Context, req ListBucketsRequest) (ListBucketsResult, error) {
	entries, err := e.catalog.Buckets(ctx, req.Prefix, req.After, req.Max+1)
	if err != nil {
		return ListBucketsResult{}, fmt.Errorf("list buckets: %w", err)
	}
	out := ListBucketsResult{Truncated: len(entries) > req.Max}
	for _, b := range entries[:min(len(entries), req.Max)] {
		out.Buckets = append(out.Buckets, bucketInfo(b))
	}
	return out, nil
}

// DeleteBucket removes an empty bucket. Uploads in progress do not keep it;
// they end with it.
func (e *Engine) DeleteBucket(ctx context.Context, name string) error {
	unlock := e.buckets.lock(name)
	defer unlock()
	b, err := e.bucket(ctx, name)
	if err != nil {
		return err
	}
	empty, err := e.isEmpty(ctx, name)
	if err != nil {
		return err
	}
	if !empty {
		return fmt.Errorf("%q: %w", name, ErrBucketNotEmpty)
	}
	if err := e.abortUploads(ctx, name); err != nil {
		return err
	}
	e.clock.Observe(b.Bucket.ID)
	k := cairn.Bucket{Name: name, ID: e.clock.Next(), Deleted: true}
	w := e.beginWrite(name)
	id := cairn.NewSegmentID()
	if err := w.planDelete(ctx, "", k.ID, id); err != nil {
		return err
	}
	if _, err := e.writeRecord(ctx, id, cairn.KindBucket, k.Encode(), nil); err != nil {
		// Some node may know of the deletion already, and the client may not
		// try again: what recovery would find must be what the catalog says.
		return errors.Join(fmt.Errorf("delete bucket %q: %w", name, err), e.restoreBucket(ctx, w, b))
	}
	batch := &catalog.Batch{
		If:         []catalog.Condition{{BucketEmpty: name}},
		PutBuckets: []*catalog.BucketEntry{{Bucket: k}},
		AddGarbage: []catalog.Location{b.Record},
	}
	if err := w.commit(ctx, batch); err != nil {
		return fmt.Errorf("delete bucket %q: %w", name, err)
	}
	return nil
}

// restoreBucket ends a deletion that failed: nothing was removed, and garbage
// collection takes back what nodes were told. What it cannot do now the next
// start completes.
func (e *Engine) restoreBucket(ctx context.Context, w *write, b *catalog.BucketEntry) error {
	ctx, cancel := detach(ctx, settleTimeout)
	defer cancel()
	e.clock.Observe(b.Bucket.ID)
	k := b.Bucket
	k.ID = e.clock.Next()
	place, err := e.writeRecord(ctx, cairn.NewSegmentID(), cairn.KindBucket, k.Encode(), nil)
	if err != nil {
		return fmt.Errorf("restore bucket: %w", err)
	}
	batch := &catalog.Batch{
		PutBuckets: []*catalog.BucketEntry{{Bucket: k, Record: place}},
		AddGarbage: []catalog.Location{b.Record},
	}
	for _, in := range w.intents {
		batch.AddGarbage = append(batch.AddGarbage, in.Places...)
	}
	return w.commit(ctx, batch)
}

// isEmpty reports whether a bucket has no versions.
func (e *Engine) isEmpty(ctx context.Context, name string) (bool, error) {
	it, err := e.catalog.Versions(ctx, name)
	if err != nil {
		return false, fmt.Errorf("look into bucket %q: %w", name, err)
	}
	defer func() { _ = it.Close() }() // its errors are Err's
	found := it.Seek("")
	if err := it.Err(); err != nil {
		return false, fmt.Errorf("look into bucket %q: %w", name, err)
	}
	return !found, nil
}

// endBucketDelete completes a deletion that an earlier process had announced
// to nodes, before anything new is stored in the bucket.
func (e *Engine) endBucketDelete(ctx context.Context, in *catalog.Intent) error {
	batch := &catalog.Batch{DropIntents: []cairn.VersionID{in.ID}}
	b, err := e.catalog.Bucket(ctx, in.Bucket)
	switch {
	case err == nil && b.Bucket.ID.Compare(in.ID) < 0:
		batch.If = []catalog.Condition{{BucketEmpty: in.Bucket}}
		batch.PutBuckets = []*catalog.BucketEntry{{Bucket: cairn.Bucket{Name: in.Bucket, ID: in.ID, Deleted: true}}}
		batch.AddGarbage = []catalog.Location{b.Record}
	case err != nil && !errors.Is(err, cairn.NotFound):
		return err
	}
	return e.catalog.Commit(ctx, batch)
}
