package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// collectPage bounds the garbage handled in one step.
const collectPage = 1000

// collectGarbage asks nodes to delete what nothing refers to any more. What a
// node does not confirm is tried again at the next pass.
func (e *Engine) collectGarbage(ctx context.Context) error {
	var after uint64
	for {
		page, err := e.catalog.Garbage(ctx, after, collectPage)
		if err != nil {
			return fmt.Errorf("read garbage: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1].ID
		if err := e.collectEntries(ctx, page); err != nil {
			return err
		}
	}
}

func (e *Engine) collectEntries(ctx context.Context, page []*catalog.Garbage) error {
	live := map[cairn.NodeID]bool{}
	for _, c := range e.cluster.Candidates() {
		live[c.ID] = c.Live()
	}
	b := &catalog.Batch{}
	work := map[cairn.NodeID][]deletion{}
	for _, g := range page {
		if e.cfg.Now().Sub(time.Unix(0, g.Since)) < e.cfg.GarbageGrace || e.pins.held(g.Place) {
			continue
		}
		if len(g.Place.Nodes) == 0 {
			// Nobody knows where it went: every node that is there is asked,
			// whichever index it may hold.
			for id, alive := range live {
				for i := 0; alive && i < cairn.MaxShards; i++ {
					work[id] = append(work[id], deletion{shard: cairn.ShardID{Segment: g.Place.Segment, Index: uint8(i)}})
				}
			}
			b.DropGarbage = append(b.DropGarbage, g.ID)
			continue
		}
		for i, id := range g.Place.Nodes {
			if live[id] {
				work[id] = append(work[id], deletion{g, cairn.ShardID{Segment: g.Place.Segment, Index: uint8(i)}})
			}
		}
	}
	if len(work) > 0 {
		// What the catalog shows may not be durable yet. Should it be lost, the
		// objects whose shards these are come back.
		if err := e.catalog.Commit(ctx, &catalog.Batch{}); err != nil {
			return fmt.Errorf("sync the catalog: %w", err)
		}
	}
	changed := e.deleteShards(ctx, work)
	for g := range changed {
		left := 0
		for _, id := range g.Place.Nodes {
			if !id.IsZero() {
				left++
			}
		}
		if left == 0 {
			b.DropGarbage = append(b.DropGarbage, g.ID)
		} else {
			b.PutGarbage = append(b.PutGarbage, g)
		}
	}
	if len(b.DropGarbage)+len(b.PutGarbage) == 0 {
		return nil
	}
	b.NoSync = true // lost, it is only done again
	return e.catalog.Commit(ctx, b)
}

// deletion is one shard to delete, and the garbage it is part of, if known.
type deletion struct {
	garbage *catalog.Garbage
	shard   cairn.ShardID
}

// deletesPerCall is how many shards a node is asked to delete at once.
const deletesPerCall = 512

// deleteShards asks each node for its deletions, nodes side by side, takes the
// confirmed ones out of their garbage, and returns the garbage that changed.
// Shards under retention stay listed.
func (e *Engine) deleteShards(ctx context.Context, work map[cairn.NodeID][]deletion) map[*catalog.Garbage]bool {
	changed := map[*catalog.Garbage]bool{}
	var mu sync.Mutex // guards changed and the entries in it
	var wg sync.WaitGroup
	for id, list := range work {
		wg.Go(func() {
			for len(list) > 0 && ctx.Err() == nil {
				batch := list[:min(len(list), deletesPerCall)]
				list = list[len(batch):]
				retained, err := e.deleteBatch(ctx, id, batch)
				if err != nil {
					e.log.DebugContext(ctx, "garbage not deleted", "node", id.Short(), "err", err)
					return
				}
				mu.Lock()
				for _, d := range batch {
					if d.garbage != nil && !retained[d.shard] {
						d.garbage.Place.Nodes[d.shard.Index] = cairn.NodeID{}
						changed[d.garbage] = true
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return changed
}

func (e *Engine) deleteBatch(ctx context.Context, id cairn.NodeID, batch []deletion) (map[cairn.ShardID]bool, error) {
	n, err := e.cluster.Node(id)
	if err != nil {
		return nil, err
	}
	ids := make([]cairn.ShardID, len(batch))
	for i, d := range batch {
		ids[i] = d.shard
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RequestTimeout)
	defer cancel()
	kept, err := n.Delete(ctx, ids)
	if err != nil {
		e.nodeFailed(ctx, "delete", n, err)
		return nil, err
	}
	retained := make(map[cairn.ShardID]bool, len(kept))
	for _, s := range kept {
		retained[s] = true
	}
	return retained, nil
}

// forgetCompleted drops uploads whose completion is long past. Their parts
// live on in the versions they became.
func (e *Engine) forgetCompleted(ctx context.Context) error {
	before := e.cfg.Now().Add(-e.cfg.CompletedFor).UnixNano()
	for {
		done, err := e.catalog.CompletedUploads(ctx, before, collectPage)
		if err != nil {
			return fmt.Errorf("read completed uploads: %w", err)
		}
		if len(done) == 0 {
			return nil
		}
		b := &catalog.Batch{NoSync: true}
		for _, u := range done {
			b.DropUploads = append(b.DropUploads, catalog.UploadKey{Bucket: u.Template.Bucket, Key: u.Template.Key, ID: u.ID})
		}
		if err := e.catalog.Commit(ctx, b); err != nil {
			return fmt.Errorf("forget completed uploads: %w", err)
		}
	}
}
