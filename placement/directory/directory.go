package directory

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// Node is a node as this directory sees it.
type Node struct {
	Record
	Liveness Liveness
	Since    time.Time // when Liveness became what it is
	Reason   string    // why it is not alive
	LastSeen time.Time // last answer; zero if it never answered
	RTT      time.Duration
	Load     float64
	Capacity int64 // bytes, as of the last check-in or else the record
	Free     int64 // bytes, as of the last check-in or else the record
	Leaving  bool  // drains, says the record or the last check-in
}

// Directory is the known nodes of a network and their liveness. [New] reads the
// set of the last run, [Directory.Run] keeps it current; queries work with or
// without Run, from memory. Safe for concurrent use.
type Directory struct {
	host *Host
	c    Config

	checkWake   chan struct{} // a check-in became due
	refreshWake chan struct{} // exchange soon: the network may have changed
	dhtWake     chan struct{} // the DHT may have become reachable, or our record changed
	saveWake    chan struct{} // the set changed
	gossip      chan news     // records to tell connected peers of

	mu      sync.Mutex // guards the fields below; never held across I/O
	nodes   map[cairn.NodeID]*entry
	order   []cairn.NodeID // keys of nodes, ascending
	self    *entry         // our own entry in nodes; nil if we are no node
	selfSeq uint64         // highest sequence seen under our own id
	cache   candidateCache // rebuilt when stale
	watch   map[chan struct{}]struct{}
}

// entry is what is remembered of one node.
type entry struct {
	rec    Record
	raw    []byte
	health health
	status Status
	asked  bool // a check-in is under way
}

// news is a record that peers may not know yet.
type news struct {
	raw  []byte
	from peer.ID // who told us; empty if nobody
}

// New returns a directory on host, with the set that Config.Path holds. A
// wrong configuration is an Invalid error; a damaged file is put aside, not an
// error, because the set can be learned again.
func New(host *Host, c Config) (*Directory, error) {
	const op = "open directory"
	if err := c.fill(); err != nil {
		return nil, cairn.NewError(op, cairn.Invalid, err)
	}
	for _, addr := range c.Join {
		if _, err := parseJoin(addr); err != nil {
			return nil, err
		}
	}
	if c.Checker == nil {
		c.Checker = host.Check
	}
	d := &Directory{
		host: host, c: c,
		checkWake: make(chan struct{}, 1), refreshWake: make(chan struct{}, 1),
		dhtWake: make(chan struct{}, 1), saveWake: make(chan struct{}, 1),
		gossip: make(chan news, 256),
		nodes:  map[cairn.NodeID]*entry{}, watch: map[chan struct{}]struct{}{},
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	return d, nil
}

// wake makes the reader of c run once more, now or after its current round.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// changed is called with d.mu held after the set or a liveness changed.
func (d *Directory) changed() {
	d.cache.stale = true
	for c := range d.watch {
		wake(c)
	}
	wake(d.saveWake)
}

// Subscribe returns a channel that gets a value after the set or the liveness
// of a node changed; several changes may share one value. cancel ends it.
func (d *Directory) Subscribe() (notify <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	d.mu.Lock()
	d.watch[c] = struct{}{}
	d.mu.Unlock()
	return c, func() {
		d.mu.Lock()
		delete(d.watch, c)
		d.mu.Unlock()
	}
}

// Lookup returns the newest record known of a node, expired or not.
func (d *Directory) Lookup(id cairn.NodeID) (Record, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.nodes[id]
	if !ok {
		return Record{}, false
	}
	return e.rec, true
}

// Node returns what is known of a node.
func (d *Directory) Node(id cairn.NodeID) (Node, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.nodes[id]
	if !ok {
		return Node{}, false
	}
	return e.view(d.c.Now()), true
}

// Nodes returns all known nodes in ascending order of id, the gone included.
func (d *Directory) Nodes() []Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.c.Now()
	out := make([]Node, 0, len(d.order))
	for _, id := range d.order {
		out = append(out, d.nodes[id].view(now))
	}
	return out
}

// Live returns the nodes that are alive, in ascending order of id.
func (d *Directory) Live() []Node {
	return slices.DeleteFunc(d.Nodes(), func(n Node) bool { return n.Liveness != Alive })
}

// WaitLive returns once at least n nodes are alive, or with ctx's error.
func (d *Directory) WaitLive(ctx context.Context, n int) error {
	notify, cancel := d.Subscribe()
	defer cancel()
	for {
		live := len(d.Live())
		if live >= n {
			return nil
		}
		select {
		case <-notify:
		case <-ctx.Done():
			return cairn.Errorf("wait for nodes", cairn.Unavailable, "%d of %d nodes are alive: %w", live, n, ctx.Err())
		}
	}
}

// MarkFailed tells the directory that work with a node failed. A failure that
// speaks against the node's liveness (Unavailable, Internal; not a refusal, not
// a cancellation) takes it out of placement at once and checks in with it. A
// Full error counts as no free space until the next check-in.
func (d *Directory) MarkFailed(id cairn.NodeID, err error) {
	if cairn.KindOf(err) == cairn.Full {
		d.markFull(id)
		return
	}
	if !blames(err) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.nodes[id]
	if !ok || e == d.self {
		return
	}
	if e.health.workFailed(d.c.Now(), err) {
		d.c.Logger.Warn("node suspected", "node", id, "err", err)
		d.changed()
		wake(d.checkWake)
	}
}

func (d *Directory) markFull(id cairn.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.nodes[id]; ok {
		e.status.CapacityBytes, e.status.FreeBytes = max(e.view(d.c.Now()).Capacity, 1), 0
		d.changed()
	}
}

// MarkOK tells the directory that work with a node succeeded.
func (d *Directory) MarkOK(id cairn.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.nodes[id]; ok && e != d.self && e.health.worked(d.c.Now()) {
		d.c.Logger.Info("node alive", "node", id)
		d.changed()
	}
}

// view returns the entry as callers see it.
func (e *entry) view(now time.Time) Node {
	n := Node{
		Record: e.rec, Liveness: e.health.state, Since: e.health.since, Reason: e.health.reason,
		LastSeen: e.health.lastOK, RTT: e.status.RTT, Load: e.status.Load,
		Capacity: e.rec.CapacityBytes, Free: e.rec.FreeBytes,
		Leaving: e.rec.Draining || e.status.Draining,
	}
	if e.status.CapacityBytes > 0 {
		n.Capacity, n.Free = e.status.CapacityBytes, e.status.FreeBytes
	}
	if n.Liveness != Alive && !now.Before(e.rec.Expires) {
		n.Liveness, n.Since = Gone, later(e.rec.Expires, n.Since)
		n.Reason = "record expired, last: " + n.Reason
	}
	return n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// insert enters an unknown node; d.mu is held.
func (d *Directory) insert(e *entry) {
	id := e.rec.NodeID
	at, _ := slices.BinarySearchFunc(d.order, id, compareIDs)
	d.order = slices.Insert(d.order, at, id)
	d.nodes[id] = e
}

func (d *Directory) remove(id cairn.NodeID) {
	if at, ok := slices.BinarySearchFunc(d.order, id, compareIDs); ok {
		d.order = slices.Delete(d.order, at, at+1)
	}
	delete(d.nodes, id)
}

func compareIDs(a, b cairn.NodeID) int { return bytes.Compare(a[:], b[:]) }

// candidateCache keeps the answer of Candidates until something changes.
type candidateCache struct {
	list  []placement.Candidate
	stale bool
	at    time.Time
}

// maxCacheAge bounds how long a node can look alive after its record expired.
const maxCacheAge = time.Second

// Candidates returns what placement may choose from, in ascending order of id.
// The slice is shared: callers do not change it.
func (d *Directory) Candidates() []placement.Candidate {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.c.Now()
	if age := now.Sub(d.cache.at); d.cache.list != nil && !d.cache.stale && age >= 0 && age < maxCacheAge {
		return d.cache.list
	}
	list := make([]placement.Candidate, 0, len(d.order))
	for _, id := range d.order {
		list = append(list, d.nodes[id].view(now).candidate(d.c.Assess))
	}
	d.cache = candidateCache{list: list, at: now}
	return list
}
