package placement

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/cairn-store/cairn"
)

// Constraints narrow a choice. The zero value asks for distinct failure
// domains and room for one byte.
type Constraints struct {
	// SizeBytes is what each node must have room for. Zero means 1.
	SizeBytes int64
	// ReserveBytes must stay free on a node beyond SizeBytes.
	ReserveBytes int64
	// Exclude lists nodes not to be chosen: those that just failed, say.
	Exclude []cairn.NodeID
	// MaxPerOperator bounds the shards of the segment with one operator, both
	// groups of a mirrored segment together; k-1 keeps any operator from
	// holding a segment. Zero means no bound. Failure domains should not
	// span operators, or a possible choice may be missed.
	MaxPerOperator int
	// MaxVetting bounds the nodes in vetting among those chosen. Zero means none.
	MaxVetting int
	// DistinctSubnets also keeps two shards of a group from the same public
	// subnet.
	DistinctSubnets bool
}

// refusal is why a node was not chosen.
type refusal uint8

const (
	eligible refusal = iota
	refusedExcluded
	refusedDown
	refusedGone
	refusedSuspended
	refusedDraining
	refusedVetting
	refusedFull
	refusedDomain
	refusedOperator
	refusedSubnet
	refusals // their number
)

func (c Constraints) excluded() map[cairn.NodeID]struct{} {
	set := make(map[cairn.NodeID]struct{}, len(c.Exclude))
	for _, id := range c.Exclude {
		set[id] = struct{}{}
	}
	return set
}

// refuse applies the rules that concern one node alone.
func (c Constraints) refuse(cand Candidate, excluded map[cairn.NodeID]struct{}) refusal {
	if _, ok := excluded[cand.ID]; ok {
		return refusedExcluded
	}
	switch cand.State {
	case Active:
	case Vetting:
		if c.MaxVetting <= 0 {
			return refusedVetting
		}
	case Suspended:
		return refusedSuspended
	case Draining:
		return refusedDraining
	case Gone:
		return refusedGone
	default:
		return refusedDown
	}
	if cand.FreeBytes-max(c.ReserveBytes, 0) < max(c.SizeBytes, 1) {
		return refusedFull
	}
	return eligible
}

// Choose returns want nodes for a new segment, the best first. No two share a
// failure domain. key is the segment's id. Too few eligible nodes is an
// Unavailable error, or Full if it is room that is short; a *Shortage in its
// chain counts the reasons.
func Choose(candidates []Candidate, want int, key [32]byte, c Constraints) ([]Candidate, error) {
	return choose("choose nodes", candidates, want, key, c, newTally(c), nil)
}

// ChooseMirror returns a second group of want nodes, none of them in first, for
// a segment whose first group is first. It prefers nodes of other operators and
// other regions, then of other operators, then of other regions, then of other
// failure domains. Within the group no two nodes share a failure domain.
// Errors are those of Choose.
func ChooseMirror(candidates, first []Candidate, want int, key [32]byte, c Constraints) ([]Candidate, error) {
	t := newTally(c)
	prefer := preference{domains: set{}, operators: set{}, regions: set{}}
	c.Exclude = slices.Clone(c.Exclude)
	for _, f := range first {
		c.Exclude = append(c.Exclude, f.ID)
		t.operators[f.operator()]++
		prefer.domains.add(f.FailureDomain())
		prefer.operators.add(f.operator())
		prefer.regions.add(f.Region)
	}
	return choose("choose mirror nodes", candidates, want, key, c, t, prefer.tier)
}

// Replace returns the node that takes over the shard of failed. survivors are
// the nodes that hold the segment's other shards: none of them, and no other
// node in their failure domains, is chosen; the domain of failed is free again.
// Errors are those of Choose.
func Replace(candidates, survivors []Candidate, failed cairn.NodeID, key [32]byte, c Constraints) (Candidate, error) {
	t := newTally(c)
	c.Exclude = append(slices.Clone(c.Exclude), failed)
	for _, s := range survivors {
		if s.ID == failed {
			continue
		}
		c.Exclude = append(c.Exclude, s.ID)
		t.take(s)
	}
	chosen, err := choose("replace node", candidates, 1, key, c, t, nil)
	if err != nil {
		return Candidate{}, err
	}
	return chosen[0], nil
}

// choose ranks the eligible candidates by tier, then score, and takes the
// first want that the tally allows.
func choose(op string, candidates []Candidate, want int, key [32]byte, c Constraints, t *tally, tier func(Candidate) int) ([]Candidate, error) {
	if want < 1 || want > cairn.MaxShards {
		return nil, cairn.Errorf(op, cairn.Invalid, "%d nodes wanted: want 1 to %d", want, cairn.MaxShards)
	}
	var refused [refusals]int
	excluded, draw := c.excluded(), newDraw(key)
	type ranked struct {
		index, tier int
		score       float64
	}
	ranks := make([]ranked, 0, len(candidates))
	for i, cand := range candidates {
		if why := c.refuse(cand, excluded); why != eligible {
			refused[why]++
			continue
		}
		r := ranked{index: i, score: draw.score(cand.ID, cand.Weight())}
		if tier != nil {
			r.tier = tier(cand)
		}
		ranks = append(ranks, r)
	}
	slices.SortFunc(ranks, func(a, b ranked) int {
		if a.tier != b.tier {
			return a.tier - b.tier
		}
		if a.score != b.score {
			return cmp.Compare(b.score, a.score)
		}
		return bytes.Compare(candidates[a.index].ID[:], candidates[b.index].ID[:])
	})
	chosen := make([]Candidate, 0, want)
	for _, r := range ranks {
		cand := candidates[r.index]
		if why := t.refuse(cand); why != eligible {
			refused[why]++
			continue
		}
		t.take(cand)
		if chosen = append(chosen, cand); len(chosen) == want {
			return chosen, nil
		}
	}
	return nil, newShortage(op, want, len(chosen), len(candidates), refused)
}

// tally is what the nodes chosen so far use up.
type tally struct {
	c         Constraints
	domains   set
	subnets   set
	operators map[string]int
	vetting   int
}

func newTally(c Constraints) *tally {
	return &tally{c: c, domains: set{}, subnets: set{}, operators: map[string]int{}}
}

func (t *tally) refuse(c Candidate) refusal {
	switch {
	case t.domains.has(c.FailureDomain()):
		return refusedDomain
	case t.c.DistinctSubnets && c.Subnet != "" && t.subnets.has(c.Subnet):
		return refusedSubnet
	case t.c.MaxPerOperator > 0 && t.operators[c.operator()] >= t.c.MaxPerOperator:
		return refusedOperator
	case c.State == Vetting && t.vetting >= t.c.MaxVetting:
		return refusedVetting
	}
	return eligible
}

func (t *tally) take(c Candidate) {
	t.domains.add(c.FailureDomain())
	t.subnets.add(c.Subnet)
	t.operators[c.operator()]++
	if c.State == Vetting {
		t.vetting++
	}
}

// preference ranks candidates for a second group by what they share with the
// first.
type preference struct{ domains, operators, regions set }

func (p preference) tier(c Candidate) int {
	otherOperator := !p.operators.has(c.operator())
	otherRegion := c.Region != "" && !p.regions.has(c.Region)
	switch {
	case p.domains.has(c.FailureDomain()):
		return 4
	case otherOperator && otherRegion:
		return 0
	case otherOperator:
		return 1
	case otherRegion:
		return 2
	}
	return 3
}

type set map[string]struct{}

func (s set) add(v string)      { s[v] = struct{}{} }
func (s set) has(v string) bool { _, ok := s[v]; return ok }
