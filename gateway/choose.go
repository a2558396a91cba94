package gateway

import (
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// group is the nodes chosen for one segment, node i for shard i.
type group struct {
	scheme cairn.Scheme
	nodes  []Node
	chosen []placement.Candidate
}

// schemeFor picks the scheme that so many living failure domains allow.
func (e *Engine) schemeFor(domains int, small bool) (cairn.Scheme, error) {
	choose := func() (int, int, error) { return placement.ChooseScheme(domains, e.cfg.Losses, e.cfg.MaxData) }
	if small {
		choose = func() (int, int, error) { return placement.SmallScheme(domains, e.cfg.Losses) }
	}
	k, m, err := choose()
	if err != nil {
		return cairn.Scheme{}, err
	}
	return cairn.Scheme{Data: k, Parity: m, BlockSize: e.cfg.BlockSize}, nil
}

// maxVetting is how many of a segment's shards may go to nodes that are not
// proven yet: as many as the promise can lose.
func (e *Engine) maxVetting() int { return e.cfg.Losses }

// constraints returns the rules for shards of size bytes under scheme. No
// operator may hold enough shards to read the segment's ciphertext whole.
func (e *Engine) constraints(size int64, scheme cairn.Scheme, excluded []cairn.NodeID) placement.Constraints {
	c := placement.Constraints{SizeBytes: size, Exclude: excluded, MaxVetting: e.maxVetting()}
	if scheme.Data > 1 {
		c.MaxPerOperator = scheme.Data - 1
	}
	return c
}

// chooseGroup picks scheme and nodes for a segment of plainLen bytes. A
// mirrored segment leaves half of the domains to its mirror.
func (e *Engine) chooseGroup(id cairn.SegmentID, plainLen int64, small, mirrored bool, excluded []cairn.NodeID) (group, error) {
	cands := e.cluster.Candidates()
	domains := placement.Domains(cands, placement.Constraints{Exclude: excluded, MaxVetting: e.maxVetting()})
	if mirrored {
		domains /= 2
	}
	scheme, err := e.schemeFor(domains, small)
	if err != nil {
		return group{}, err
	}
	return e.fillGroup(scheme, plainLen, func(size int64) ([]placement.Candidate, error) {
		return placement.Choose(cands, scheme.Shards(), id, e.constraints(size, scheme, excluded))
	})
}

// chooseMirror picks the group for the mirror of a segment that lies on first.
func (e *Engine) chooseMirror(id cairn.SegmentID, first []cairn.NodeID, plainLen int64, small bool, excluded []cairn.NodeID) (group, error) {
	cands := e.cluster.Candidates()
	var taken []placement.Candidate
	first = slices.Clone(first)
	if small {
		// The first group of the object's larger parts is wider.
		if wide, err := e.chooseGroup(id, plainLen, false, true, nil); err == nil {
			for _, n := range wide.nodes {
				first = append(first, n.ID())
			}
		}
	}
	for _, c := range cands {
		if slices.Contains(first, c.ID) {
			taken = append(taken, c)
		}
	}
	rest := placement.Constraints{Exclude: append(slices.Clone(first), excluded...), MaxVetting: e.maxVetting()}
	scheme, err := e.schemeFor(placement.Domains(cands, rest), small)
	if err != nil {
		return group{}, err
	}
	return e.fillGroup(scheme, plainLen, func(size int64) ([]placement.Candidate, error) {
		return placement.ChooseMirror(cands, taken, scheme.Shards(), id, e.constraints(size, scheme, excluded))
	})
}

func (e *Engine) fillGroup(scheme cairn.Scheme, plainLen int64, choose func(size int64) ([]placement.Candidate, error)) (group, error) {
	layout, err := cairn.NewLayout(scheme, plainLen)
	if err != nil {
		return group{}, err
	}
	chosen, err := choose(layout.ShardLen() + recordOverhead(layout))
	if err != nil {
		return group{}, err
	}
	g := group{scheme: scheme, chosen: chosen}
	for _, c := range chosen {
		n, err := e.cluster.Node(c.ID)
		if err != nil {
			return group{}, err
		}
		g.nodes = append(g.nodes, n)
	}
	return g, nil
}

// recordOverhead bounds what a shard's record needs beyond its payload when
// its manifest is an ordinary one.
func recordOverhead(l cairn.Layout) int64 {
	return cairn.HeaderSize + cairn.TrailerSize + int64(cairn.Leaves(l.ShardLen()))*32 + 16<<10
}

// recordNodes picks the nodes for a record that must survive the promised
// losses: one more than may be lost, the best first, then spares.
func (e *Engine) recordNodes(id cairn.SegmentID, excluded []cairn.NodeID, want int) ([]Node, error) {
	chosen, err := placement.Choose(e.cluster.Candidates(), want, id, placement.Constraints{
		SizeBytes: 64 << 10, Exclude: excluded, MaxVetting: e.maxVetting(),
	})
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, 0, len(chosen))
	for _, c := range chosen {
		n, err := e.cluster.Node(c.ID)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}
