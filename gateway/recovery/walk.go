package recovery

import (
	"context"
	"crypto/ed25519"

	"github.com/cairn-store/cairn"
)

// batchBytes bounds the tails of a batch, as the lists announce them.
const batchBytes = 32 << 20

// walk merges the nodes' lists into the spool.
func (r *run) walk(ctx context.Context) error {
	cursor, err := r.state.cursor()
	if err != nil {
		return err
	}
	for _, l := range r.nodes {
		if cursor != (cairn.SegmentID{}) {
			l.after = cairn.ShardID{Segment: cursor, Index: 255}
		}
		public := r.cfg.Keys.NodeKey(r.state.Nodes[l.number].ID).Public().(ed25519.PublicKey)
		l.tag = cairn.Tag([32]byte(public))
	}
	for {
		batch, err := r.nextBatch(ctx)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		if err := r.fetchTails(ctx, batch); err != nil {
			return err
		}
		if err := r.spoolBatch(ctx, batch); err != nil {
			return err
		}
		r.progress()
	}
	if n := r.state.unanswered(); n == len(r.nodes) {
		return cairn.Errorf("recover", cairn.Unavailable, "none of %d nodes answered", n).
			WithHint("check that the nodes run and can be reached, then run the recovery again")
	}
	return nil
}

// nextBatch returns the next groups, as many as fit between two checkpoints.
func (r *run) nextBatch(ctx context.Context) (batch []*group, err error) {
	var size int64
	for len(batch) < r.cfg.BatchSegments && size < batchBytes {
		g, err := r.next(ctx)
		if err != nil {
			return nil, err
		}
		if g == nil {
			break
		}
		batch = append(batch, g)
		size += tailEstimate(g.shards[0].entry)
	}
	return batch, nil
}

// tailEstimate guesses the size of an entry's tail: all of a record without a
// payload; else its leaf hashes and a manifest of some kilobytes.
func tailEstimate(e cairn.Entry) int64 {
	switch e.Kind {
	case cairn.KindVersion, cairn.KindTombstone, cairn.KindBucket:
		return min(e.Size, cairn.MaxManifest)
	}
	return 8<<10 + int64(cairn.Leaves(min(e.Size, 2*cairn.MaxSegmentPlain)))*32
}

// spoolBatch writes what was found and verified to the spool.
func (r *run) spoolBatch(ctx context.Context, batch []*group) error {
	for _, g := range batch {
		for _, s := range g.shards {
			r.state.Bytes += s.entry.Size
		}
		if g.tail == nil {
			r.state.Lost++
			r.cfg.Log.WarnContext(ctx, "no shard of a segment verifies", "segment", g.id.Short(), "shards", len(g.shards))
			continue
		}
		h := g.tail.header
		if isRecord(h.Kind) && (r.state.MinCopies == 0 || h.Scheme().Shards() < r.state.MinCopies) {
			r.state.MinCopies = h.Scheme().Shards()
		}
		if err := r.spool.append(&found{header: h, places: g.places(), manifest: g.tail.sealed}); err != nil {
			return err
		}
		r.state.Records++
	}
	r.state.Cursor = batch[len(batch)-1].id.String()
	return r.checkpoint()
}

// places returns where the good shards of a group are.
func (g *group) places() (out []place) {
	var taken [cairn.MaxShards]bool
	for _, s := range g.shards {
		if !s.good {
			continue
		}
		i := s.entry.Shard.Index
		p := place{index: i, role: rolePrimary, node: s.from.number}
		if taken[i] {
			p.role = roleExtra
		}
		taken[i] = true
		out = append(out, p)
	}
	return out
}

// isRecord reports whether a kind has no payload.
func isRecord(k cairn.ShardKind) bool {
	return k == cairn.KindVersion || k == cairn.KindTombstone || k == cairn.KindBucket
}
