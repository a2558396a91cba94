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
	err := e.commitBucket(ctx, e.beginWrite(name, ""), &k, &catalog.Batch{If: []catalog.Condition{{BucketAbsent: name}}})
	if err != nil {
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
	batch := &catalog.Batch{If: []catalog.Condition{{BucketEmpty: name}}, AddGarbage: []catalog.Location{b.Record}}
	if err := e.abortUploads(ctx, name, batch); err != nil {
		return err
	}
	e.clock.Observe(b.Bucket.ID)
	k := cairn.Bucket{Name: name, ID: e.clock.Next(), Deleted: true}
	if err := e.commitBucket(ctx, e.beginWrite(name, ""), &k, batch); err != nil {
		return fmt.Errorf("delete bucket %q: %w", name, err)
	}
	return nil
}

// commitBucket makes k the state of its bucket: its record lies on nodes
// before batch is committed with it. The caller holds the bucket's lock.
//
// When it fails, some node may know of k already, and the client may not try
// again: until endIntent has told the nodes what the catalog says, a recovery
// may find k.
func (e *Engine) commitBucket(ctx context.Context, w *write, k *cairn.Bucket, batch *catalog.Batch) error {
	id := cairn.NewSegmentID()
	err := w.planBucket(ctx, k.ID, id)
	if err == nil {
		var place catalog.Location
		place, err = e.writeRecord(ctx, id, cairn.KindBucket, k.Encode(), nil)
		entry := &catalog.BucketEntry{Bucket: *k}
		if !k.Deleted { // the record of a deletion stays, so that it stays deleted
			entry.Record = place
		}
		batch.PutBuckets = []*catalog.BucketEntry{entry}
	}
	if err == nil {
		err = w.commit(ctx, batch)
	}
	if err != nil {
		w.undo()
	}
	return err
}

// restoreBucket undoes a bucket's creation, change or deletion: it gives the
// nodes a record newer than the one they may have, with what the catalog says,
// and commits it with b.
func (e *Engine) restoreBucket(ctx context.Context, in *catalog.Intent, b *catalog.Batch) error {
	unlock := e.buckets.lock(in.Bucket)
	defer unlock()
	e.clock.Observe(in.ID)
	k := cairn.Bucket{Name: in.Bucket, Deleted: true}
	switch was, err := e.catalog.Bucket(ctx, in.Bucket); {
	case err == nil && was.Bucket.ID.Compare(in.ID) > 0:
		return e.catalog.Commit(context.WithoutCancel(ctx), b)
	case err == nil:
		e.clock.Observe(was.Bucket.ID)
		k = was.Bucket
		b.AddGarbage = append(b.AddGarbage, was.Record)
	case !errors.Is(err, cairn.NotFound):
		return err
	}
	k.ID = e.clock.Next()
	w := e.beginWrite(in.Bucket, "")
	w.covered = true
	if err := e.commitBucket(ctx, w, &k, b); err != nil {
		return fmt.Errorf("record bucket %q anew: %w", in.Bucket, err)
	}
	return nil
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
