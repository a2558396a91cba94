package directory

import (
	"slices"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// Static answers the questions of a [Directory] from a list that only its owner
// changes: for a network inside one process, and for tests. It asks nobody; a
// node that failed is suspect for Hold and then tried again. The zero value is
// empty and ready. Safe for concurrent use.
type Static struct {
	// Hold is how long a failed node stays suspect. Zero means 2 seconds.
	Hold time.Duration
	// Now returns wall time; nil means time.Now.
	Now func() time.Time

	mu    sync.Mutex // guards the fields below
	nodes map[cairn.NodeID]*staticNode
	watch map[chan struct{}]struct{}
}

type staticNode struct {
	Node
	pinned bool      // liveness was set by the owner
	until  time.Time // suspect until then
}

// NewStatic returns a Static with the given nodes, all alive.
func NewStatic(records ...Record) *Static {
	s := &Static{}
	for _, r := range records {
		s.Put(r)
	}
	return s
}

func (s *Static) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Put enters a node, alive, or replaces its record.
func (s *Static) Put(r Record) {
	s.update(func() {
		if s.nodes == nil {
			s.nodes = map[cairn.NodeID]*staticNode{}
		}
		n, ok := s.nodes[r.NodeID]
		if !ok {
			n = &staticNode{Node: Node{Liveness: Alive, Since: s.now()}}
			s.nodes[r.NodeID] = n
		}
		n.Record, n.Capacity, n.Free, n.Leaving = r, r.CapacityBytes, r.FreeBytes, r.Draining
	})
}

// Remove takes a node out.
func (s *Static) Remove(id cairn.NodeID) { s.update(func() { delete(s.nodes, id) }) }

// SetLiveness fixes what is believed of a node until it is set again; Alive
// leaves it to MarkFailed and MarkOK.
func (s *Static) SetLiveness(id cairn.NodeID, l Liveness, reason string) {
	s.update(func() {
		if n, ok := s.nodes[id]; ok {
			n.Liveness, n.Reason, n.Since, n.pinned = l, reason, s.now(), l != Alive
		}
	})
}

// MarkFailed is that of [Directory].
func (s *Static) MarkFailed(id cairn.NodeID, err error) {
	full := cairn.KindOf(err) == cairn.Full
	if !full && !blames(err) {
		return
	}
	hold := s.Hold
	if hold == 0 {
		hold = 2 * time.Second
	}
	s.update(func() {
		n, ok := s.nodes[id]
		switch {
		case !ok || n.pinned:
		case full:
			n.Free = 0
		default:
			now := s.now()
			n.Liveness, n.Reason, n.Since, n.until = Suspect, reasonOf(err), now, now.Add(hold)
		}
	})
}

// MarkOK is that of [Directory].
func (s *Static) MarkOK(id cairn.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[id]
	if !ok || n.pinned {
		return
	}
	n.LastSeen = s.now()
	if n.Liveness != Alive {
		n.Liveness, n.Reason, n.Since = Alive, "", n.LastSeen
		s.notify()
	}
}

func (s *Static) update(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.notify()
}

// notify is called with s.mu held.
func (s *Static) notify() {
	for c := range s.watch {
		wake(c)
	}
}

// Subscribe is that of [Directory].
func (s *Static) Subscribe() (notify <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch == nil {
		s.watch = map[chan struct{}]struct{}{}
	}
	s.watch[c] = struct{}{}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watch, c)
	}
}

// Node is that of [Directory].
func (s *Static) Node(id cairn.NodeID) (Node, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[id]
	if !ok {
		return Node{}, false
	}
	return s.view(n), true
}

// view lifts suspicion when its time is over; s.mu is held.
func (s *Static) view(n *staticNode) Node {
	if now := s.now(); !n.pinned && n.Liveness == Suspect && !now.Before(n.until) {
		n.Liveness, n.Reason, n.Since = Alive, "", now
	}
	return n.Node
}

// Lookup is that of [Directory].
func (s *Static) Lookup(id cairn.NodeID) (Record, bool) {
	n, ok := s.Node(id)
	return n.Record, ok
}

// Nodes is that of [Directory].
func (s *Static) Nodes() []Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Node, 0, len(s.nodes))
	for _, n := range s.nodes {
		out = append(out, s.view(n))
	}
	slices.SortFunc(out, func(a, b Node) int { return compareIDs(a.NodeID, b.NodeID) })
	return out
}

// Live is that of [Directory].
func (s *Static) Live() []Node {
	return slices.DeleteFunc(s.Nodes(), func(n Node) bool { return n.Liveness != Alive })
}

// Candidates is that of [Directory].
func (s *Static) Candidates() []placement.Candidate {
	nodes := s.Nodes()
	out := make([]placement.Candidate, len(nodes))
	for i, n := range nodes {
		out[i] = n.candidate(nil)
	}
	return out
}
