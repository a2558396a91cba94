package recovery

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
)

// lister walks one node's list.
type lister struct {
	node   Node   // nil when the node is not known any more
	number uint16 // index in state.Nodes
	tag    cairn.OwnerTag
	after  cairn.ShardID
	page   []cairn.Entry // not yet merged
	more   bool
	failed error
}

func (l *lister) finished() bool { return l.failed != nil || !l.more && len(l.page) == 0 }
func (l *lister) empty() bool    { return len(l.page) == 0 && l.more && l.failed == nil }

// listers returns a lister for each node of the state.
func listers(s *state, nodes []Node) []*lister {
	var out []*lister
	for i, ns := range s.Nodes {
		l := &lister{number: uint16(i), more: true}
		if ns.Failed != "" {
			l.failed = cairn.Errorf("list", cairn.Unavailable, "%s", ns.Failed)
		}
		for _, n := range nodes {
			if n.ID() == ns.ID && l.node == nil {
				l.node = n
			}
		}
		if l.node == nil && l.failed == nil {
			l.failed = cairn.Errorf("list", cairn.Unavailable, "the node is not known any more")
		}
		out = append(out, l)
	}
	return out
}

// attempt calls f under the call timeout until it succeeds, up to
// Config.Attempts times. Corrupt and Denied answers are not asked for again.
func (r *run) attempt(ctx context.Context, f func(context.Context) error) error {
	pause := r.cfg.Pause
	for n := 1; ; n++ {
		callCtx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
		err := f(callCtx)
		cancel()
		if err == nil || ctx.Err() != nil || n == r.cfg.Attempts {
			return err
		}
		if k := cairn.KindOf(err); k == cairn.Corrupt || k == cairn.Denied || k == cairn.Invalid {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		pause *= 2
	}
}

// fill fetches the next page of every node whose page is used up, at once. A
// node that fails is given up.
func (r *run) fill(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, l := range r.nodes {
		if l.empty() {
			wg.Go(func() {
				if err := r.fetchPage(ctx, l); err != nil {
					l.failed = err
				}
			})
		}
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

// noteFailure writes a node's failure into the state, once.
func (r *run) noteFailure(ctx context.Context, l *lister) {
	ns := &r.state.Nodes[l.number]
	if l.failed != nil && ns.Failed == "" {
		ns.Failed = l.failed.Error()
		r.cfg.Log.WarnContext(ctx, "node given up", "node", ns.ID, "err", l.failed)
	}
}

func (r *run) fetchPage(ctx context.Context, l *lister) error {
	var page []cairn.Entry
	var more bool
	err := r.attempt(ctx, func(ctx context.Context) (err error) {
		page, more, err = l.node.List(ctx, l.after, r.cfg.PageEntries)
		return err
	})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if more && len(page) == 0 {
		return cairn.Errorf("list", cairn.Corrupt, "an empty page that is not the last")
	}
	for _, e := range page {
		if e.Shard.Compare(l.after) <= 0 || e.Size < 0 {
			return cairn.Errorf("list", cairn.Corrupt, "entries are out of order")
		}
		l.after = e.Shard
	}
	l.page, l.more = page, more
	return nil
}

// listed is a shard as a node lists it.
type listed struct {
	entry cairn.Entry
	from  *lister
	tried bool // its tail was asked for
	good  bool // it is what was stored
}

// group is everything the nodes list of one segment or record.
type group struct {
	id     cairn.SegmentID
	shards []*listed
	tail   *opened // verified
}

// next merges the lists and returns the group with the lowest id; nil at the end.
func (r *run) next(ctx context.Context) (*group, error) {
	if err := r.fill(ctx); err != nil {
		return nil, err
	}
	var g *group
	for _, l := range r.nodes {
		if l.failed == nil && len(l.page) > 0 {
			if id := l.page[0].Shard.Segment; g == nil || bytes.Compare(id[:], g.id[:]) < 0 {
				g = &group{id: id}
			}
		}
	}
	if g == nil {
		return nil, nil
	}
	for _, l := range r.nodes {
		for l.failed == nil && len(l.page) > 0 && l.page[0].Shard.Segment == g.id {
			g.shards = append(g.shards, &listed{entry: l.page[0], from: l})
			l.page = l.page[1:]
			if l.empty() { // the rest of the segment may stand on the next page
				if err := r.fill(ctx); err != nil {
					return nil, err
				}
			}
		}
	}
	return g, nil
}
