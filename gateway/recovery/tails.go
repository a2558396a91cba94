package recovery

import (
	"bytes"
	"context"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
)

// tailsPerCall bounds the ids named in one call.
const tailsPerCall = 256

// opened is a tail that verified and opened under the owner's keys.
type opened struct {
	header cairn.Header
	roots  []cairn.Root // of all shards
	digest cairn.Digest // commitment to the roots, as the trailer has it
	sealed []byte
	plain  []byte
}

// fetchTails gives each group of the batch a verified tail, and then says of
// each listed shard whether it is what was stored: the digest a node lists must
// be that of the record it should have. Where it is not, its tail is fetched.
func (r *run) fetchTails(ctx context.Context, batch []*group) error {
	pending := batch
	for len(pending) > 0 {
		var asked []wanted
		for _, g := range pending {
			if s := g.candidate(); s != nil {
				s.tried = true
				asked = append(asked, wanted{g, s})
			}
		}
		if err := r.ask(ctx, asked); err != nil {
			return err
		}
		pending = pending[:0:0]
		for _, w := range asked {
			if w.group.tail == nil {
				pending = append(pending, w.group)
			}
		}
	}
	var doubtful []wanted
	for _, g := range batch {
		if g.tail == nil {
			continue
		}
		for _, s := range g.shards {
			alive := s.from.failed == nil
			switch {
			case s.good:
			case s.tried && alive:
				r.state.Corrupt++
			case g.tail.expects(s):
				s.good = true
			case alive:
				s.tried = true
				doubtful = append(doubtful, wanted{g, s})
			}
		}
	}
	if err := r.ask(ctx, doubtful); err != nil {
		return err
	}
	for _, w := range doubtful {
		if !w.shard.good && w.shard.from.failed == nil {
			r.state.Corrupt++
		}
	}
	return nil
}

// candidate returns a shard to ask for next; which one depends on the id, so
// that all nodes get their share of the questions.
func (g *group) candidate() *listed {
	for i := range g.shards {
		s := g.shards[(i+int(g.id[0]))%len(g.shards)]
		if !s.tried && s.from.failed == nil {
			return s
		}
	}
	return nil
}

type wanted struct {
	group *group
	shard *listed
}

// ask fetches and checks tails, all nodes at once. A node that fails is given
// up; a tail that does not verify leaves its shard not good.
func (r *run) ask(ctx context.Context, all []wanted) error {
	byNode := map[*lister][]wanted{}
	for _, w := range all {
		byNode[w.shard.from] = append(byNode[w.shard.from], w)
	}
	var wg sync.WaitGroup
	for l, list := range byNode {
		wg.Go(func() {
			if err := r.askNode(ctx, l, list); err != nil {
				l.failed = err
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, l := range r.nodes {
		r.noteFailure(ctx, l)
	}
	return nil
}

func (r *run) askNode(ctx context.Context, l *lister, list []wanted) error {
	for len(list) > 0 && l.failed == nil {
		n := min(len(list), tailsPerCall)
		ids := make([]cairn.ShardID, n)
		byID := make(map[cairn.ShardID]wanted, n)
		for i, w := range list[:n] {
			ids[i] = w.shard.entry.Shard
			byID[ids[i]] = w
		}
		var tails []cairn.Tail
		err := r.attempt(ctx, func(ctx context.Context) (err error) {
			tails, err = l.node.Tails(ctx, ids)
			return err
		})
		if k := cairn.KindOf(err); err != nil && k != cairn.Corrupt && k != cairn.NotFound {
			return err
		}
		if err != nil && n > 1 { // one bad record must not hide the others
			if err := r.askNode(ctx, l, list[:n/2:n/2]); err != nil {
				return err
			}
			list = list[n/2:]
			continue
		}
		for _, t := range tails {
			if w, ok := byID[t.Header.Shard]; ok {
				r.accept(ctx, w, t)
				delete(byID, t.Header.Shard)
			}
		}
		list = remaining(list, n, byID)
	}
	return nil
}

// remaining returns what is still to be asked of a node that left open of the
// first n unanswered: a short answer is continued, an empty one is not.
func remaining(list []wanted, n int, open map[cairn.ShardID]wanted) []wanted {
	rest := list[n:]
	if len(open) == n {
		return rest
	}
	for _, w := range list[:n] {
		if _, ok := open[w.shard.entry.Shard]; ok {
			rest = append(rest[:len(rest):len(rest)], w)
		}
	}
	return rest
}

// accept checks a tail. The first that verifies becomes the group's; others
// must be of the same segment as that.
func (r *run) accept(ctx context.Context, w wanted, t cairn.Tail) {
	o, err := r.verify(t)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "shard record does not verify", "shard", t.Header.Shard, "node", w.shard.from.node.ID(), "err", err)
		return
	}
	switch {
	case w.group.tail == nil:
		w.group.tail = o
		w.shard.good = true
	case o.header.Scheme() == w.group.tail.header.Scheme() && o.header.Kind == w.group.tail.header.Kind && o.digest == w.group.tail.digest && bytes.Equal(o.plain, w.group.tail.plain):
		w.shard.good = true
	}
}

// verify checks everything a tail says against everything else it says, and
// opens its manifest.
func (r *run) verify(t cairn.Tail) (*opened, error) {
	const op = "verify shard record"
	h := t.Header
	if err := h.Validate(); err != nil {
		return nil, err
	}
	if err := t.Verify(); err != nil {
		return nil, err
	}
	if err := proofs.VerifyTop(t.TreeTop, h.PayloadLen, t.Trailer.Root); err != nil {
		return nil, err
	}
	plain, err := r.cfg.Keys.OpenManifest(h.Shard.Segment, h.Kind, t.Manifest)
	if err != nil {
		return nil, err
	}
	o := &opened{header: h, digest: t.Trailer.Roots, sealed: t.Manifest, plain: plain}
	n := h.Scheme().Shards()
	switch h.Kind {
	case cairn.KindData, cairn.KindSmall, cairn.KindPacked:
		m, err := cairn.DecodeManifest(plain)
		if err != nil {
			return nil, err
		}
		l, err := cairn.NewLayout(h.Scheme(), m.PlainLen)
		if err != nil {
			return nil, err
		}
		if len(m.Roots) != n || cairn.RootsDigest(m.Roots) != t.Trailer.Roots || m.Roots[h.Shard.Index] != t.Trailer.Root || l.ShardLen() != h.PayloadLen {
			return nil, cairn.Errorf(op, cairn.Corrupt, "manifest and record do not agree")
		}
		o.roots = m.Roots
		return o, nil
	case cairn.KindVersion:
		_, err = cairn.DecodeVersion(plain)
	case cairn.KindTombstone:
		_, err = cairn.DecodeTombstone(plain)
	case cairn.KindBucket:
		_, err = cairn.DecodeBucket(plain)
	}
	if err == nil && h.PayloadLen != 0 && isRecord(h.Kind) {
		err = cairn.Errorf(op, cairn.Corrupt, "a payload of %d bytes in a %v record", h.PayloadLen, h.Kind)
	}
	for range n {
		o.roots = append(o.roots, t.Trailer.Root)
	}
	return o, err
}

// expects reports whether the digest listed for a shard is that of the record
// it should be.
func (o *opened) expects(s *listed) bool {
	i := int(s.entry.Shard.Index)
	if i >= len(o.roots) || s.entry.Kind != o.header.Kind {
		return false
	}
	h := o.header
	h.Shard.Index, h.Owner, h.Created = uint8(i), s.from.tag, s.entry.Created
	return cairn.RecordDigest(h, o.roots[i], o.digest, o.sealed) == s.entry.Record
}
