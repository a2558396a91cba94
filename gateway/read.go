package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
)

// segmentReader reads verified plaintext of one segment.
type segmentReader struct {
	e      *Engine
	entry  *catalog.SegmentEntry
	layout cairn.Layout
	seal   *seal.Segment
	nodes  []Node         // by shard; nil where the shard is nowhere
	mirror *segmentReader // the same bytes on the second group, or nil

	mu   sync.Mutex // guards the fields below
	bad  map[int]string
	late map[int]bool // asked last for the rest of this read
}

func (e *Engine) newSegmentReader(entry *catalog.SegmentEntry, content seal.ContentKey, c seal.Context) (*segmentReader, error) {
	layout, err := cairn.NewLayout(entry.Scheme, entry.PlainLen)
	if err != nil {
		return nil, err
	}
	sealer, err := content.Segment(entry.Segment, c, layout)
	if err != nil {
		return nil, fmt.Errorf("derive keys of segment %s: %w", entry.Segment.Short(), err)
	}
	r := &segmentReader{e: e, entry: entry, layout: layout, seal: sealer, nodes: make([]Node, len(entry.Nodes)), bad: map[int]string{}, late: map[int]bool{}}
	for i, id := range entry.Nodes {
		if id.IsZero() {
			continue
		}
		n, err := e.cluster.Node(id)
		if err != nil {
			if errors.Is(err, cairn.NotFound) {
				continue
			}
			return nil, err
		}
		r.nodes[i] = n
	}
	return r, nil
}

func (r *segmentReader) shard(i int) cairn.ShardID {
	return cairn.ShardID{Segment: r.entry.Segment, Index: uint8(i)}
}

// usable reports whether shard i may still give bytes.
func (r *segmentReader) usable(i int) bool {
	if i >= len(r.nodes) || r.nodes[i] == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, bad := r.bad[i]
	return !bad
}

// suspect reports whether shard i was late in this read or its node just failed
// somebody: it is asked when nobody else is left.
func (r *segmentReader) suspect(i int) bool {
	r.mu.Lock()
	late := r.late[i]
	r.mu.Unlock()
	return late || r.e.suspects.has(r.nodes[i].ID(), r.e.cfg.Now())
}

// order returns the shards to read from in the order of preference, without
// those in skip: data before parity, suspects last.
func (r *segmentReader) order(skip []bool) []int {
	var first, last []int
	for i := range r.nodes {
		switch {
		case skip[i] || !r.usable(i):
		case r.suspect(i):
			last = append(last, i)
		default:
			first = append(first, i)
		}
	}
	return append(first, last...)
}

// wasLate makes shard i the last resort for the rest of this read. It is not
// bad: many are late at once when the machine is busy.
func (r *segmentReader) wasLate(i int) {
	r.mu.Lock()
	r.late[i] = true
	r.mu.Unlock()
}

// forgive asks shard i again like any other.
func (r *segmentReader) forgive(i int) {
	r.mu.Lock()
	delete(r.bad, i)
	delete(r.late, i)
	r.mu.Unlock()
}

// failed takes note of what was wrong with shard i, which is not asked again.
func (r *segmentReader) failed(ctx context.Context, i int, err error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	r.bad[i] = err.Error()
	r.mu.Unlock()
	if errors.Is(err, cairn.Corrupt) {
		r.e.metrics.badShards.Inc()
		r.e.log.WarnContext(ctx, "bad shard found", "segment", r.entry.Segment.Short(), "shard", i, "node", r.nodes[i].ID().Short(), "err", err)
	}
	r.e.nodeFailed(ctx, "read", r.nodes[i], err)
}

// fetch returns plaintext [from, to) of the segment, from whichever group
// gives it first, in blocks of mem. Requires that the range lies in one stripe
// of r.
func (r *segmentReader) fetch(ctx context.Context, from, to int64, mem *memory) (*window, error) {
	if r.mirror == nil {
		return r.fetchOwn(ctx, from, to, mem)
	}
	type answer struct {
		w   *window
		err error
	}
	raceCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, 2)
	for _, group := range []*segmentReader{r, r.mirror} {
		go func() {
			w, err := group.fetchOwn(raceCtx, from, to, mem)
			answers <- answer{w, err}
		}()
	}
	// Both are waited for: mem may be given back.
	first := <-answers
	if first.err == nil {
		cancel()
		<-answers
		return first.w, nil
	}
	second := <-answers
	if second.err != nil {
		return nil, errors.Join(first.err, second.err)
	}
	return second.w, nil
}

// fetchOwn is fetch from this group alone; the range may span stripes.
func (r *segmentReader) fetchOwn(ctx context.Context, from, to int64, mem *memory) (*window, error) {
	var all window
	for from < to {
		st := r.layout.StripeAt(from)
		end := min(to, st.PlainOffset+int64(st.PlainLen))
		parts, err := r.fetchStripe(ctx, st, int(from-st.PlainOffset), int(end-st.PlainOffset), mem)
		if err != nil {
			return nil, err
		}
		all.parts = append(all.parts, parts...)
		from = end
	}
	return &all, nil
}
