package placement

import (
	"fmt"
	"strings"

	"github.com/cairn-store/cairn"
)

// Shortage says why too few nodes could be chosen: how many candidates each
// rule turned away. Find it with errors.As in an error of this package.
type Shortage struct {
	Want, Found, Candidates int

	Excluded     int // already in use for the segment, or just failed
	Down         int
	Gone         int
	Suspended    int
	Draining     int
	Vetting      int // not yet proven, and the share of such nodes is used up
	Full         int // no room for the size
	SameDomain   int
	SameOperator int
	SameSubnet   int
}

func newShortage(op string, want, found, candidates int, refused [refusals]int) error {
	s := &Shortage{
		Want: want, Found: found, Candidates: candidates,
		Excluded: refused[refusedExcluded], Down: refused[refusedDown], Gone: refused[refusedGone],
		Suspended: refused[refusedSuspended], Draining: refused[refusedDraining],
		Vetting: refused[refusedVetting], Full: refused[refusedFull],
		SameDomain: refused[refusedDomain], SameOperator: refused[refusedOperator], SameSubnet: refused[refusedSubnet],
	}
	kind := cairn.Unavailable
	if s.Full > 0 && s.Found+s.Full >= s.Want {
		kind = cairn.Full
	}
	return cairn.NewError(op, kind, s).WithHint(s.hint())
}

// Error lists the counts that are not zero.
func (s *Shortage) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d nodes found among %d", s.Found, s.Want, s.Candidates)
	sep := ": "
	for _, r := range s.reasons() {
		if r.count > 0 {
			fmt.Fprintf(&b, "%s%d %s", sep, r.count, r.text)
			sep = ", "
		}
	}
	return b.String()
}

type shortageReason struct {
	count int
	text  string
	hint  string
}

func (s *Shortage) reasons() []shortageReason {
	return []shortageReason{
		{s.Down, "down", "bring back the nodes that are down"},
		{s.Full, "full", "add capacity or nodes"},
		{s.SameDomain, "in a failure domain already used", "add nodes in other failure domains"},
		{s.SameOperator, "of an operator with its share already", "add nodes of other operators"},
		{s.SameSubnet, "in a subnet already used", "add nodes in other networks"},
		{s.Excluded, "excluded", "add nodes"},
		{s.Gone, "gone", "add nodes"},
		{s.Suspended, "suspended", "see why nodes are suspended"},
		{s.Draining, "draining", "add nodes before others leave"},
		{s.Vetting, "in vetting", "wait until the new nodes are proven"},
	}
}

// hint names the remedy for the largest count.
func (s *Shortage) hint() string {
	best := shortageReason{hint: "start more nodes"}
	for _, r := range s.reasons() {
		if r.count > best.count {
			best = r
		}
	}
	return best.hint
}
