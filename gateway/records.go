package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/proofs"
)

// emptyRoot is the root of no payload.
var emptyRoot = proofs.RootOf(nil, 0)

// writeRecord stores a record without payload on one node more than may be
// lost, and returns where it lies once all of them have it. groups, if given,
// are the nodes of an object's two mirrored groups: each of them gets as many
// copies. The place is returned with an error too: copies may be there.
func (e *Engine) writeRecord(ctx context.Context, id cairn.SegmentID, kind cairn.ShardKind, plain []byte, groups [][]cairn.NodeID) (catalog.Location, error) {
	each := e.cfg.Losses + 1
	place := catalog.Location{Segment: id, Nodes: make([]cairn.NodeID, each*max(len(groups), 1))}
	sealed := e.keys.SealManifest(id, kind, plain)
	if len(sealed) > cairn.MaxManifest {
		return place, fmt.Errorf("write %v record of %d bytes: %w", kind, len(sealed), ErrTooLarge)
	}
	preferred, err := e.nodesOf(groups, each)
	if err != nil {
		return place, err
	}
	failed := e.sendRecord(ctx, place, kind, sealed, preferred)
	for {
		var holders []cairn.NodeID
		for _, id := range place.Nodes {
			if !id.IsZero() {
				holders = append(holders, id)
			}
		}
		missing := len(place.Nodes) - len(holders)
		if missing == 0 {
			return place, nil
		}
		if err := ctx.Err(); err != nil {
			return place, err
		}
		nodes, err := e.recordNodes(id, append(holders, failed...), missing)
		if err != nil {
			return place, fmt.Errorf("choose nodes for %v record: %w", kind, err)
		}
		failed = append(failed, e.sendRecord(ctx, place, kind, sealed, nodes)...)
	}
}

// nodesOf returns the first so many distinct nodes of each group that are known.
func (e *Engine) nodesOf(groups [][]cairn.NodeID, each int) (nodes []Node, err error) {
	seen := map[cairn.NodeID]bool{}
	for _, g := range groups {
		taken := 0
		for _, id := range g {
			if id.IsZero() || seen[id] || taken == each {
				continue
			}
			n, err := e.cluster.Node(id)
			if errors.Is(err, cairn.NotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			seen[id] = true
			taken++
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

// sendRecord stores copies on nodes at once, fills the places of those that
// took one, and returns those that did not.
func (e *Engine) sendRecord(ctx context.Context, place catalog.Location, kind cairn.ShardKind, sealed []byte, nodes []Node) (failed []cairn.NodeID) {
	errs := make([]error, len(nodes))
	slots := make([]int, 0, len(nodes))
	for i, id := range place.Nodes {
		if id.IsZero() && len(slots) < len(nodes) {
			slots = append(slots, i)
		}
	}
	commitment := cairn.RootsDigest([]cairn.Root{emptyRoot})
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, e.cfg.RequestTimeout)
			defer cancel()
			h := cairn.Header{
				Suite: cairn.SuiteAES, Kind: kind,
				Shard: cairn.ShardID{Segment: place.Segment, Index: uint8(slots[i])},
				Data:  1, Parity: len(place.Nodes) - 1, BlockSize: cairn.DefaultBlockSize,
				Owner: n.Owner(), Created: e.cfg.Now().Unix(),
			}
			errs[i] = e.putRecord(ctx, n, h, sealed, cairn.NewTrailer(h, emptyRoot, commitment, sealed))
		})
	}
	wg.Wait()
	for i, n := range nodes {
		if errs[i] != nil {
			e.nodeFailed(ctx, "put record", n, errs[i])
			failed = append(failed, n.ID())
			continue
		}
		place.Nodes[slots[i]] = n.ID()
	}
	return failed
}

// maxRecord is the largest sealed record sent in one round trip, in bytes.
const maxRecord = 512 << 10

func (e *Engine) putRecord(ctx context.Context, n Node, h cairn.Header, sealed []byte, t cairn.Trailer) error {
	if len(sealed) <= maxRecord {
		_, err := n.PutRecord(ctx, h, nil, nil, sealed, t)
		return err
	}
	w, err := n.Put(ctx, h, len(sealed))
	if err != nil {
		return err
	}
	defer w.Abort()
	_, err = w.Commit(ctx, nil, sealed, t)
	return err
}
