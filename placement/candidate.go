package placement

import (
	"fmt"
	"math"
	"time"

	"github.com/cairn-store/cairn"
)

// State says whether a node may be given new shards.
type State uint8

const (
	// Active: fully trusted with new shards. The zero value, so that a list
	// written by hand needs no states.
	Active State = iota
	// Vetting: new to the network and not yet proven; gets a limited share.
	Vetting
	// Suspended: barred from new shards until what Candidate.Reason says is
	// mended. It is still read from.
	Suspended
	// Draining: leaving in good order; read from, given nothing new.
	Draining
	// Down: does not answer at the moment.
	Down
	// Gone: silent beyond the life of its record, or left.
	Gone
)

var stateNames = [...]string{"active", "vetting", "suspended", "draining", "down", "gone"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText returns the state's word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's word; anything else is an Invalid error.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return cairn.Errorf("parse node state", cairn.Invalid, "%q is not a node state", text)
}

// Candidate is what placement knows of a node.
type Candidate struct {
	ID cairn.NodeID

	// Domain is what fails as one: a machine, a house, a rack. No two shards
	// of a group share it. Empty means the node is a domain of its own.
	Domain string
	// Operator runs the node. Empty means an operator of its own.
	Operator string
	// Region is a coarse place. Empty means not said.
	Region string
	// Subnet is the public network the node is reached at, such as
	// "203.0.113.0/24". Empty means none is known.
	Subnet string

	FreeBytes     int64
	CapacityBytes int64
	RTT           time.Duration // 0: not measured

	State  State
	Reason string // why State is not Active; for people

	// Standing is the node's record of kept promises, in (0, 1]. 0 means
	// nothing is known, which counts as one half.
	Standing float64
}

// FailureDomain returns Domain, or the node's id where none is set.
func (c Candidate) FailureDomain() string {
	if c.Domain != "" {
		return c.Domain
	}
	return "node:" + string(c.ID[:])
}

func (c Candidate) operator() string {
	if c.Operator != "" {
		return c.Operator
	}
	return "node:" + string(c.ID[:])
}

// Live reports whether the node answers, whether or not it takes new shards.
func (c Candidate) Live() bool { return c.State != Down && c.State != Gone }

// rttClasses are upper bounds of the RTT classes and what a class weighs. The
// classes are wide so that jitter does not move shards about.
var rttClasses = [...]struct {
	below  time.Duration
	weight float64
}{
	{3 * time.Millisecond, 1},
	{15 * time.Millisecond, 0.9},
	{60 * time.Millisecond, 0.75},
	{200 * time.Millisecond, 0.5},
	{math.MaxInt64, 0.25},
}

// unmeasuredClass is where a node stands whose RTT is not known.
const unmeasuredClass = 2

// RTTClass returns the class of a round-trip time, 0 being the nearest.
func RTTClass(rtt time.Duration) int {
	if rtt <= 0 {
		return unmeasuredClass
	}
	for i, class := range rttClasses {
		if rtt < class.below {
			return i
		}
	}
	return len(rttClasses) - 1
}

// Weight is the node's share of new shards relative to other nodes: free space,
// tempered by RTT class and standing. A node that can take nothing weighs 0.
//
// Free space is rounded down to an eighth of an octave (9 %), so that a node's
// weight, and with it its place among the winners, changes seldom.
func (c Candidate) Weight() float64 {
	if c.FreeBytes <= 0 || (c.State != Active && c.State != Vetting) {
		return 0
	}
	standing := c.Standing
	if !(standing > 0) { // also NaN
		standing = 0.5
	}
	space := math.Exp2(math.Floor(math.Log2(float64(c.FreeBytes))*8) / 8)
	return space * rttClasses[RTTClass(c.RTT)].weight * min(standing, 1)
}

// Domains counts the distinct failure domains with at least one node that may
// take a shard of size bytes: the figure [ChooseScheme] asks for. It applies
// the node-by-node rules of constraints (size, exclusions, vetting).
func Domains(candidates []Candidate, c Constraints) int {
	excluded := c.excluded()
	domains := make(map[string]struct{}, len(candidates))
	vetting := make(map[string]struct{})
	for _, cand := range candidates {
		if c.refuse(cand, excluded) != eligible {
			continue
		}
		if cand.State == Vetting {
			vetting[cand.FailureDomain()] = struct{}{}
		} else {
			domains[cand.FailureDomain()] = struct{}{}
		}
	}
	extra := 0
	for d := range vetting {
		if _, known := domains[d]; !known {
			extra++
		}
	}
	return len(domains) + min(extra, c.MaxVetting)
}
