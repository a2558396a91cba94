package gateway

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// Delete removes an object. It returns once a tombstone that survives the
// promised losses and the catalog commit are both durable; deleting what is
// not there succeeds and writes nothing, unless a write that failed is still to
// be undone.
func (e *Engine) Delete(ctx context.Context, req DeleteRequest) (Deleted, error) {
	if _, err := e.bucket(ctx, req.Bucket); err != nil {
		return Deleted{}, err
	}
	unlock := e.lockKey(req.Bucket, req.Key)
	defer unlock()
	prev, err := e.newest(ctx, req.Bucket, req.Key)
	if err != nil {
		return Deleted{}, err
	}
	if err := req.If.check(prev); err != nil && !(errors.Is(err, ErrNoSuchKey) && req.If.IfMatch == "*") {
		return Deleted{}, err
	}
	if prev == nil {
		return Deleted{}, e.forgetFailed(ctx, req.Bucket, req.Key)
	}
	if !req.Version.IsZero() && prev.Version.ID != req.Version {
		return Deleted{}, nil
	}
	e.clock.Observe(prev.Version.ID)
	t := cairn.Tombstone{Bucket: req.Bucket, Key: req.Key, ID: e.clock.Next()}
	b := &catalog.Batch{Refs: map[cairn.SegmentID]int{}}
	b.If = []catalog.Condition{{Newest: &catalog.VersionKey{Bucket: req.Bucket, Key: req.Key, ID: prev.Version.ID}}}
	dropVersion(b, prev)

	w := e.beginWrite(req.Bucket, req.Key)
	record := cairn.NewSegmentID()
	if err := w.planDelete(ctx, req.Key, t.ID, record); err != nil {
		w.undo()
		return Deleted{}, err
	}
	if _, err := e.writeRecord(ctx, record, cairn.KindTombstone, t.Encode(), nil); err != nil {
		w.undo()
		return Deleted{}, fmt.Errorf("delete %q/%q: %w", req.Bucket, req.Key, err)
	}
	if err := e.commitVersion(ctx, w, b); err != nil {
		w.undo()
		return Deleted{}, fmt.Errorf("delete %q/%q: %w", req.Bucket, req.Key, err)
	}
	e.metrics.deletes.Inc()
	return Deleted{}, nil
}

// forgetFailed ends the failed writes of a key that has no object: a recovery
// must not bring back what was deleted after it failed.
func (e *Engine) forgetFailed(ctx context.Context, bucket, key string) error {
	for _, f := range e.unfinished.of(bucket, key) {
		if err := e.endFailed(ctx, f); err != nil {
			return fmt.Errorf("delete %q/%q: %w", bucket, key, err)
		}
	}
	return nil
}

// deletesAtOnce bounds the deletes of one request that run side by side; they
// share fsyncs.
const deletesAtOnce = 32

// DeleteMany removes objects and answers for each in its place.
func (e *Engine) DeleteMany(ctx context.Context, reqs []DeleteRequest) []DeleteOutcome {
	out := make([]DeleteOutcome, len(reqs))
	var g errgroup.Group
	g.SetLimit(deletesAtOnce)
	for i, req := range reqs {
		g.Go(func() error {
			out[i].Deleted, out[i].Err = e.Delete(ctx, req)
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	return out
}
