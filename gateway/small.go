package gateway

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/placement"
	"github.com/cairn-store/cairn/placement/erasure"
	"github.com/cairn-store/cairn/proofs"
)

// smallSegment is a segment of a few frames, held in memory until commit sends
// every node its record in one round trip.
type smallSegment struct {
	e     *Engine
	spec  segmentSpec
	plain []byte
}

// readSmall reads the whole body of a small segment.
func (e *Engine) readSmall(spec segmentSpec, src io.Reader, digest io.Writer) (*smallSegment, error) {
	plain := make([]byte, spec.plainLen)
	if _, err := io.ReadFull(src, plain); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = ErrIncompleteBody
		}
		return nil, fmt.Errorf("read body: %w", err)
	}
	if digest != nil {
		if _, err := digest.Write(plain); err != nil {
			return nil, err
		}
	}
	return &smallSegment{e: e, spec: spec, plain: plain}, nil
}

func (s *smallSegment) id() cairn.SegmentID { return s.spec.id }
func (s *smallSegment) abort()              {}

// smallShard is one encoded shard of a small segment.
type smallShard struct {
	payload, top []byte
	root         cairn.Root
}

// encode seals and codes the segment under scheme.
func (s *smallSegment) encode(spec segmentSpec, l cairn.Layout) ([]smallShard, error) {
	shards := make([]smallShard, l.Scheme.Shards())
	if l.Stripes() > 0 {
		st := &stripe{Stripe: l.Stripe(0), blocks: make([][]byte, l.Scheme.Shards())}
		memory := make([]byte, l.Scheme.Shards()*st.BlockLen())
		for i := range st.blocks {
			st.blocks[i] = memory[i*st.BlockLen() : (i+1)*st.BlockLen() : (i+1)*st.BlockLen()]
		}
		sealer, err := spec.content.Segment(spec.id, spec.context(s.e.keys.Owner()), l)
		if err != nil {
			return nil, err
		}
		if err := sealStripe(sealer, st, l, s.plain); err != nil {
			return nil, err
		}
		for i := range shards {
			shards[i].payload = st.blocks[i]
		}
	}
	tree := proofs.NewTreeHasher()
	for i := range shards {
		tree.Reset()
		_, _ = tree.Write(shards[i].payload)
		top, root := tree.Sum()
		shards[i].top, shards[i].root = append([]byte{}, top...), root
	}
	return shards, nil
}

// sealStripe turns plain into the masked, coded blocks of a stripe.
func sealStripe(sealer *seal.Segment, st *stripe, l cairn.Layout, plain []byte) error {
	err := forFrames(st, l.Scheme.Data, func(frame, _ []byte) error {
		plain = plain[copy(frame, plain):]
		return nil
	})
	if err != nil {
		return err
	}
	for i := range l.Scheme.Data {
		if err := sealer.SealBlock(st.Stripe, i, st.blocks[i]); err != nil {
			return err
		}
	}
	code, err := erasure.New(l.Scheme)
	if err != nil {
		return err
	}
	if err := code.Encode(st.blocks); err != nil {
		return err
	}
	for i := l.Scheme.Data; i < l.Scheme.Shards(); i++ {
		sealer.Mask(i, st.ShardOffset, st.blocks[i])
	}
	return nil
}

// commit implements pendingSegment. Attempts that cannot be completed are left
// behind under their own segment id and the segment is written anew.
func (s *smallSegment) commit(ctx context.Context, version ride) (*catalog.SegmentEntry, []catalog.Location, error) {
	var left []catalog.Location
	var failed []cairn.NodeID
	spec := s.spec
	for {
		g, err := spec.choose(spec.id, failed)
		if err != nil {
			return nil, left, fmt.Errorf("choose nodes for segment %s: %w", spec.id.Short(), err)
		}
		a, err := s.prepare(spec, g, version)
		if err != nil {
			return nil, left, err
		}
		bad := a.send(ctx)
		if err := ctx.Err(); err != nil {
			return nil, append(left, a.entry.Location), err
		}
		failed = append(failed, bad...)
		failed, err = a.replace(ctx, failed)
		have := stored(a.entry)
		if err == nil || s.e.cfg.MinDurability > 0 && have >= max(s.e.cfg.MinDurability, g.scheme.Data) {
			return a.entry, left, nil
		}
		if have > 0 {
			left = append(left, a.entry.Location)
		}
		if err := ctx.Err(); err != nil {
			return nil, left, err
		}
		spec.id = cairn.NewSegmentID()
		if err := spec.plan(ctx, spec.id); err != nil {
			return nil, left, err
		}
	}
}

// smallAttempt is one try to store a small segment on a group.
type smallAttempt struct {
	e        *Engine
	spec     segmentSpec
	layout   cairn.Layout
	group    group
	shards   []smallShard
	manifest []byte
	entry    *catalog.SegmentEntry
}

func (s *smallSegment) prepare(spec segmentSpec, g group, version ride) (*smallAttempt, error) {
	layout, err := cairn.NewLayout(g.scheme, spec.plainLen)
	if err != nil {
		return nil, err
	}
	shards, err := s.encode(spec, layout)
	if err != nil {
		return nil, fmt.Errorf("encode segment %s: %w", spec.id.Short(), err)
	}
	a := &smallAttempt{e: s.e, spec: spec, layout: layout, group: g, shards: shards}
	a.entry = &catalog.SegmentEntry{
		Location: catalog.Location{Segment: spec.id, Nodes: make([]cairn.NodeID, len(shards))},
		Kind:     spec.kind, Scheme: g.scheme, PlainLen: spec.plainLen, Refs: 1,
	}
	for i := range shards {
		a.entry.Roots = append(a.entry.Roots, shards[i].root)
	}
	a.manifest = s.e.manifest(spec, a.entry.Roots, g.nodes, version.version(spec.id))
	return a, nil
}

// put stores shard i on n.
func (a *smallAttempt) put(ctx context.Context, i int, n Node) error {
	ctx, cancel := context.WithTimeout(ctx, a.e.cfg.RequestTimeout)
	defer cancel()
	h := a.e.header(a.spec, a.layout, i, n)
	t := cairn.NewTrailer(h, a.shards[i].root, cairn.RootsDigest(a.entry.Roots), a.manifest)
	_, err := n.PutRecord(ctx, h, a.shards[i].payload, a.shards[i].top, a.manifest, t)
	return err
}

// send stores every shard on its node at once and returns the nodes that failed.
func (a *smallAttempt) send(ctx context.Context) (failed []cairn.NodeID) {
	errs := make([]error, len(a.shards))
	var wg sync.WaitGroup
	for i, n := range a.group.nodes {
		wg.Go(func() { errs[i] = a.put(ctx, i, n) })
	}
	wg.Wait()
	for i, n := range a.group.nodes {
		if errs[i] != nil {
			a.e.nodeFailed(ctx, "put small", n, errs[i])
			failed = append(failed, n.ID())
			continue
		}
		a.entry.Nodes[i] = n.ID()
	}
	return failed
}

// replace finds another node for each shard that has none. It returns failed
// with the nodes that did not take one.
func (a *smallAttempt) replace(ctx context.Context, failed []cairn.NodeID) ([]cairn.NodeID, error) {
	for i := range a.entry.Nodes {
		for a.entry.Nodes[i].IsZero() {
			cands := a.e.cluster.Candidates()
			var survivors []placement.Candidate
			for _, c := range cands {
				for _, id := range a.entry.Nodes {
					if id == c.ID {
						survivors = append(survivors, c)
					}
				}
			}
			c := a.e.constraints(a.layout.ShardLen()+recordOverhead(a.layout), a.entry.Scheme, failed)
			to, err := placement.Replace(cands, survivors, cairn.NodeID{}, a.spec.id, c)
			if err != nil {
				return failed, err
			}
			n, err := a.e.cluster.Node(to.ID)
			if err != nil {
				return failed, err
			}
			if err := a.put(ctx, i, n); err != nil {
				if ctx.Err() != nil {
					return failed, ctx.Err()
				}
				a.e.nodeFailed(ctx, "put small", n, err)
				failed = append(failed, n.ID())
				continue
			}
			a.entry.Nodes[i] = n.ID()
		}
	}
	return failed, nil
}
