package gateway

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/proofs"
)

// segmentSpec says what is to be written, before any node is chosen.
type segmentSpec struct {
	id       cairn.SegmentID
	kind     cairn.ShardKind
	object   cairn.ObjectID
	part     int
	number   int
	partLen  int64
	plainLen int64
	content  seal.ContentKey
	wrapped  []byte // content key as the manifest carries it
	retain   int64
	// maxVersion bounds the version record that commit may bring, in bytes.
	maxVersion int
	// plan must have returned before nodes are told of the segment under
	// another id than the one above.
	plan func(ctx context.Context, id cairn.SegmentID) error
	// choose picks nodes, none of them among excluded.
	choose func(id cairn.SegmentID, excluded []cairn.NodeID) (group, error)
}

func (s segmentSpec) context(owner [32]byte) seal.Context {
	return seal.Context{Owner: owner, Object: s.object, Part: s.part, Number: s.number, PartLen: s.partLen}
}

// pendingSegment is a segment whose payload is on its way or buffered, and
// that becomes durable with commit.
type pendingSegment interface {
	id() cairn.SegmentID
	// commit makes n of n shards durable, embedding the version record if it
	// is not empty. left lists the places where shards of a failed attempt
	// remain to be deleted, whatever the error.
	commit(ctx context.Context, version ride) (seg *catalog.SegmentEntry, left []catalog.Location, err error)
	abort()
}

// manifestBound is what a manifest takes beside its version record, at most.
func manifestBound(shards, version int) int {
	return seal.ManifestOverhead + seal.WrappedKeySize + 64*shards + 256 + version
}

// manifest encodes and seals a segment's manifest.
func (e *Engine) manifest(s segmentSpec, roots []cairn.Root, nodes []Node, version []byte) []byte {
	m := cairn.Manifest{
		Object: s.object, Part: s.part, Number: s.number,
		PlainLen: s.plainLen, PartLen: s.partLen,
		Key: s.wrapped, Roots: roots, Version: version,
	}
	for _, n := range nodes {
		m.Nodes = append(m.Nodes, n.ID())
	}
	return e.keys.SealManifest(s.id, s.kind, m.Encode())
}

// header returns the header of shard i on the given node.
func (e *Engine) header(s segmentSpec, l cairn.Layout, i int, n Node) cairn.Header {
	return cairn.Header{
		Suite:       cairn.SuiteAES,
		Kind:        s.kind,
		Shard:       cairn.ShardID{Segment: s.id, Index: uint8(i)},
		Data:        l.Scheme.Data,
		Parity:      l.Scheme.Parity,
		BlockSize:   l.Scheme.BlockSize,
		PayloadLen:  l.ShardLen(),
		Owner:       n.Owner(),
		Created:     e.cfg.Now().Unix(),
		RetainUntil: s.retain,
	}
}

// slot is one shard on its way to its node. A slot that fails goes on hashing,
// because the manifest names the root of every shard.
type slot struct {
	index  int
	node   Node
	header cairn.Header
	writer cairn.ShardWriter
	tree   *proofs.TreeHasher
	stop   context.CancelFunc // ends the node's calls

	top  []byte
	root cairn.Root
	err  error // why the shard is not at the node
}

// segmentWriter streams one segment to its nodes.
type segmentWriter struct {
	e      *Engine
	spec   segmentSpec
	group  group
	layout cairn.Layout
	seal   *seal.Segment
	slots  []*slot

	mu          sync.Mutex // guards outstanding
	outstanding map[*stripe]struct{}
}

// openSegment opens uploads at n nodes, choosing again around nodes that
// refuse, before a byte of the body is read.
func (e *Engine) openSegment(ctx context.Context, spec segmentSpec, excluded []cairn.NodeID) (*segmentWriter, error) {
	for {
		g, err := spec.choose(spec.id, excluded)
		if err != nil {
			return nil, fmt.Errorf("choose nodes for segment %s: %w", spec.id.Short(), err)
		}
		layout, err := cairn.NewLayout(g.scheme, spec.plainLen)
		if err != nil {
			return nil, err
		}
		sealer, err := spec.content.Segment(spec.id, spec.context(e.keys.Owner()), layout)
		if err != nil {
			return nil, fmt.Errorf("derive keys of segment %s: %w", spec.id.Short(), err)
		}
		w := &segmentWriter{e: e, spec: spec, group: g, layout: layout, seal: sealer, outstanding: map[*stripe]struct{}{}}
		failed := w.open(ctx)
		if len(failed) == 0 {
			return w, nil
		}
		w.abort()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		excluded = append(excluded, failed...)
	}
}

// open opens every slot and returns the nodes that would not.
func (w *segmentWriter) open(ctx context.Context) (failed []cairn.NodeID) {
	bound := manifestBound(len(w.group.nodes), w.spec.maxVersion)
	w.slots = make([]*slot, len(w.group.nodes))
	var wg sync.WaitGroup
	for i, n := range w.group.nodes {
		s := &slot{index: i, node: n, header: w.e.header(w.spec, w.layout, i, n), tree: proofs.NewTreeHasher()}
		w.slots[i] = s
		slotCtx, stop := context.WithCancel(ctx)
		s.stop = stop
		wg.Go(func() {
			watch := w.e.watch(s.stop)
			s.writer, s.err = n.Put(slotCtx, s.header, bound)
			watch.end()
		})
	}
	wg.Wait()
	for _, s := range w.slots {
		if s.err != nil {
			w.e.nodeFailed(ctx, "put", s.node, s.err)
			failed = append(failed, s.node.ID())
		}
	}
	return failed
}

func (w *segmentWriter) id() cairn.SegmentID { return w.spec.id }

// abort gives every upload up.
func (w *segmentWriter) abort() {
	for _, s := range w.slots {
		if s == nil {
			continue
		}
		if s.writer != nil {
			s.writer.Abort()
		}
		s.stop()
	}
}

// fail marks the slot's shard as not stored.
func (w *segmentWriter) fail(ctx context.Context, s *slot, err error) {
	s.err = err
	s.writer.Abort()
	s.stop()
	w.e.nodeFailed(ctx, "put", s.node, err)
}

// healthy counts the slots whose shard is still on its way or stored.
func (w *segmentWriter) healthy() (n int) {
	for _, s := range w.slots {
		if s.err == nil {
			n++
		}
	}
	return n
}

// commit implements pendingSegment.
func (w *segmentWriter) commit(ctx context.Context, version ride) (*catalog.SegmentEntry, []catalog.Location, error) {
	roots := make([]cairn.Root, len(w.slots))
	for i, s := range w.slots {
		roots[i] = s.root
	}
	manifest := w.e.manifest(w.spec, roots, w.group.nodes, version.version(w.spec.id))
	commitment := cairn.RootsDigest(roots)

	var wg sync.WaitGroup
	for _, s := range w.slots {
		if s.err != nil {
			continue
		}
		wg.Go(func() {
			watch := w.e.watch(s.stop)
			defer watch.end()
			trailer := cairn.NewTrailer(s.header, s.root, commitment, manifest)
			if _, err := s.writer.Commit(ctx, s.top, manifest, trailer); err != nil {
				s.err = err
				w.e.nodeFailed(ctx, "commit", s.node, err)
				return
			}
			w.e.cluster.Report(s.node.ID(), nil)
		})
	}
	wg.Wait()

	entry := &catalog.SegmentEntry{
		Location: catalog.Location{Segment: w.spec.id, Nodes: make([]cairn.NodeID, len(w.slots))},
		Kind:     w.spec.kind, Scheme: w.group.scheme, PlainLen: w.spec.plainLen, Roots: roots, Refs: 1,
	}
	for i, s := range w.slots {
		if s.err == nil {
			entry.Nodes[i] = s.node.ID()
		}
	}
	for _, s := range w.slots {
		s.stop()
	}
	if w.healthy() == len(w.slots) {
		return entry, nil, nil
	}
	return w.e.completeSegment(ctx, w.spec, entry, manifest, version, w.failedNodes())
}

// failedNodes lists the nodes whose slots failed.
func (w *segmentWriter) failedNodes() (ids []cairn.NodeID) {
	for _, s := range w.slots {
		if s.err != nil {
			ids = append(ids, s.node.ID())
		}
	}
	return ids
}

// drainSlots starts one goroutine per slot; stripes sent to in[i] are masked,
// hashed and sent to node i in order.
func (w *segmentWriter) drainSlots(ctx context.Context, g *errgroup.Group, in []chan *stripe) {
	for i, s := range w.slots {
		g.Go(func() error {
			for st := range in[i] {
				block := st.blocks[i][:st.BlockLen()]
				w.seal.Mask(i, st.ShardOffset, block)
				_, _ = s.tree.Write(block) // never fails
				if s.err == nil {
					watch := w.e.watch(s.stop)
					_, err := s.writer.Write(block)
					watch.end()
					if err != nil && ctx.Err() == nil {
						w.fail(ctx, s, err)
					}
				}
				w.release(st)
			}
			s.top, s.root = s.tree.Sum()
			return nil
		})
	}
}
