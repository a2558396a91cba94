package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/placement"
	"github.com/cairn-store/cairn/proofs"
)

// ride returns the version record to embed in the manifest of segment id.
// Nil embeds none.
type ride func(id cairn.SegmentID) []byte

func (f ride) version(id cairn.SegmentID) []byte {
	if f == nil {
		return nil
	}
	return f(id)
}

// completeSegment brings a segment some of whose shards did not reach their
// nodes to full strength before the write is answered: each missing shard is
// rebuilt onto another node, or, where no other node is left, the segment is
// written again with the scheme that the living nodes allow.
func (e *Engine) completeSegment(ctx context.Context, spec segmentSpec, entry *catalog.SegmentEntry, manifest []byte, version ride, failed []cairn.NodeID) (*catalog.SegmentEntry, []catalog.Location, error) {
	have := stored(entry)
	if have < entry.Scheme.Data {
		return nil, []catalog.Location{entry.Location}, cairn.Errorf("write segment", cairn.Unavailable,
			"only %d of %d shards reached stable storage, %d are needed to read the segment", have, len(entry.Nodes), entry.Scheme.Data)
	}
	r, err := e.newSegmentReader(entry, spec.content, spec.context(e.keys.Owner()))
	if err != nil {
		return nil, []catalog.Location{entry.Location}, err
	}
	for i := range entry.Nodes {
		if !entry.Nodes[i].IsZero() {
			continue
		}
		failed, err = e.replaceShard(ctx, spec, r, i, manifest, failed)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, []catalog.Location{entry.Location}, ctx.Err()
		}
		if e.cfg.MinDurability > 0 && stored(entry) >= e.cfg.MinDurability {
			return entry, nil, nil
		}
		e.log.InfoContext(ctx, "segment written again", "segment", entry.Segment.Short(), "err", err)
		return e.rewriteSegment(ctx, spec, r, version, failed)
	}
	return entry, nil, nil
}

// stored counts the shards that are somewhere.
func stored(entry *catalog.SegmentEntry) (n int) {
	for _, id := range entry.Nodes {
		if !id.IsZero() {
			n++
		}
	}
	return n
}

// replaceShard rebuilds shard i onto a node not in failed, trying nodes until
// one takes it. It returns failed with the nodes that did not.
func (e *Engine) replaceShard(ctx context.Context, spec segmentSpec, r *segmentReader, i int, manifest []byte, failed []cairn.NodeID) ([]cairn.NodeID, error) {
	entry := r.entry
	for {
		cands := e.cluster.Candidates()
		var survivors []placement.Candidate
		for _, c := range cands {
			for j, id := range entry.Nodes {
				if j != i && id == c.ID {
					survivors = append(survivors, c)
				}
			}
		}
		c := e.constraints(r.layout.ShardLen()+recordOverhead(r.layout), entry.Scheme, failed)
		to, err := placement.Replace(cands, survivors, cairn.NodeID{}, entry.Segment, c)
		if err != nil {
			return failed, err
		}
		n, err := e.cluster.Node(to.ID)
		if err != nil {
			return failed, err
		}
		err = e.rebuildShard(ctx, spec, r, i, n, manifest)
		if err == nil {
			entry.Nodes[i] = n.ID()
			r.nodes[i] = n
			r.forgive(i)
			e.metrics.rebuilt.Inc()
			return failed, nil
		}
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		var source *sourceError
		if errors.As(err, &source) {
			return failed, err
		}
		e.nodeFailed(ctx, "rebuild", n, err)
		failed = append(failed, n.ID())
	}
}

// sourceError is a rebuild that failed for want of shards to rebuild from, not
// because of the node it was meant for.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// rebuildShard computes shard i from k others and stores it on n. The result
// must have the root that the manifest names.
func (e *Engine) rebuildShard(ctx context.Context, spec segmentSpec, r *segmentReader, i int, n Node, manifest []byte) error {
	nodeCtx, stop := context.WithCancel(ctx)
	defer stop()
	h := e.header(spec, r.layout, i, n)
	w, err := n.Put(nodeCtx, h, len(manifest))
	if err != nil {
		return err
	}
	defer w.Abort()
	tree := proofs.NewTreeHasher()
	for s := range r.layout.Stripes() {
		st := r.layout.Stripe(s)
		shards, buffers, err := r.readShards(ctx, st.ShardOffset, st.BlockLen(), []int{i}, false)
		if err != nil {
			return &sourceError{err}
		}
		r.seal.Mask(i, st.ShardOffset, shards[i])
		_, _ = tree.Write(shards[i])
		watch := e.watch(stop)
		_, err = w.Write(shards[i])
		watch.end()
		e.coded.give(buffers)
		if err != nil {
			return err
		}
	}
	top, root := tree.Sum()
	if root != r.entry.Roots[i] {
		return &sourceError{cairn.Errorf("rebuild shard", cairn.Corrupt, "shard %d of segment %s came out with another root", i, r.entry.Segment.Short())}
	}
	watch := e.watch(stop)
	defer watch.end()
	_, err = w.Commit(nodeCtx, top, manifest, cairn.NewTrailer(h, root, cairn.RootsDigest(r.entry.Roots), manifest))
	return err
}

// rewriteSegment writes the segment's plaintext anew under a new id, with the
// scheme that the nodes outside of failed allow. The old segment is left to be
// deleted.
func (e *Engine) rewriteSegment(ctx context.Context, spec segmentSpec, r *segmentReader, version ride, failed []cairn.NodeID) (*catalog.SegmentEntry, []catalog.Location, error) {
	left := []catalog.Location{r.entry.Location}
	spec.id = cairn.NewSegmentID()
	if err := spec.plan(ctx, spec.id); err != nil {
		return nil, left, err
	}
	entry, more, err := e.copySegment(ctx, spec, r, version, failed)
	return entry, append(left, more...), err
}

// copySegment writes the segment that spec describes with the plaintext of r.
func (e *Engine) copySegment(ctx context.Context, spec segmentSpec, r *segmentReader, version ride, failed []cairn.NodeID) (*catalog.SegmentEntry, []catalog.Location, error) {
	pr, pw := io.Pipe()
	readCtx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := r.writeRange(readCtx, pw, 0, spec.plainLen)
		pw.CloseWithError(err)
	}()
	defer func() {
		cancel()
		_ = pr.Close() // never fails; unblocks the reader of the source
		<-done
	}()
	var pending pendingSegment
	var err error
	if spec.kind == cairn.KindSmall {
		pending, err = e.readSmall(spec, pr, nil)
	} else {
		pending, err = e.copyStream(ctx, spec, pr, failed)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("write segment again: %w", err)
	}
	return pending.commit(ctx, version)
}

func (e *Engine) copyStream(ctx context.Context, spec segmentSpec, src io.Reader, failed []cairn.NodeID) (pendingSegment, error) {
	w, err := e.openSegment(ctx, spec, failed)
	if err != nil {
		return nil, err
	}
	if err := w.stream(ctx, src, nil); err != nil {
		w.abort()
		return nil, err
	}
	return w, nil
}
