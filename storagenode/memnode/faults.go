package memnode

import (
	"context"
	"errors"
	"sync"

	"github.com/cairn-store/cairn"
)

// Op names an operation of a Service or an Upload.
type Op string

// The operations hooks are told of.
const (
	OpInfo      Op = "info"
	OpPut       Op = "put"
	OpWrite     Op = "write"
	OpCommit    Op = "commit"
	OpPutRecord Op = "put record"
	OpRead      Op = "read"
	OpTails     Op = "tails"
	OpList      Op = "list"
	OpDelete    Op = "delete"
)

// Hook is told of an operation on a shard (the first of several, zero for
// none). An error it returns becomes the operation's answer. It may block.
type Hook func(ctx context.Context, op Op, id cairn.ShardID) error

type faults struct {
	mu      sync.Mutex // guards the fields below; never held while a hook runs
	down    bool
	full    bool
	paused  chan struct{} // closed by Resume; nil when not paused
	before  Hook
	after   Hook
	corrupt map[cairn.ShardID]bool
	flipAll bool
	counts  map[Op]int
}

// do runs one operation under the faults that are set.
func (n *Node) do(ctx context.Context, op Op, id cairn.ShardID, effect func() error) error {
	f := &n.faults
	f.mu.Lock()
	if f.counts == nil {
		f.counts = map[Op]int{}
	}
	f.counts[op]++
	paused, before, after := f.paused, f.before, f.after
	f.mu.Unlock()

	if paused != nil {
		select {
		case <-paused:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return cairn.NewError(string(op), cairn.Unavailable, err)
	}
	if n.isDown() {
		return cairn.NewError(string(op), cairn.Unavailable, errors.New("node is down"))
	}
	if before != nil {
		if err := before(ctx, op, id); err != nil {
			return err
		}
	}
	if err := effect(); err != nil {
		return err
	}
	if n.isDown() { // went down meanwhile: the answer is lost, the effect is not
		return cairn.NewError(string(op), cairn.Unavailable, errors.New("node went down"))
	}
	if after != nil {
		return after(ctx, op, id)
	}
	return nil
}

func (n *Node) isDown() bool {
	n.faults.mu.Lock()
	defer n.faults.mu.Unlock()
	return n.faults.down
}

func (f *faults) isFull() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full
}

// flip damages buf if reads of id are to be damaged.
func (f *faults) flip(id cairn.ShardID, buf []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(buf) > 0 && (f.flipAll || f.corrupt[id]) {
		buf[len(buf)/2] ^= 0x10
	}
}

// SetDown makes every call answer Unavailable, or ends that.
func (n *Node) SetDown(down bool) {
	n.faults.mu.Lock()
	n.faults.down = down
	n.faults.mu.Unlock()
}

// SetFull makes every new record Full, or ends that.
func (n *Node) SetFull(full bool) {
	n.faults.mu.Lock()
	n.faults.full = full
	n.faults.mu.Unlock()
}

// Pause makes every new call wait for Resume or for its context to end.
func (n *Node) Pause() {
	n.faults.mu.Lock()
	if n.faults.paused == nil {
		n.faults.paused = make(chan struct{})
	}
	n.faults.mu.Unlock()
}

// Resume lets the calls that Pause holds go on.
func (n *Node) Resume() {
	n.faults.mu.Lock()
	if n.faults.paused != nil {
		close(n.faults.paused)
		n.faults.paused = nil
	}
	n.faults.mu.Unlock()
}

// CorruptReads flips a bit in what every Read returns, or ends that.
func (n *Node) CorruptReads(corrupt bool) {
	n.faults.mu.Lock()
	n.faults.flipAll = corrupt
	n.faults.mu.Unlock()
}

// CorruptShard flips a bit in what Reads of one shard return.
func (n *Node) CorruptShard(id cairn.ShardID) {
	n.faults.mu.Lock()
	if n.faults.corrupt == nil {
		n.faults.corrupt = map[cairn.ShardID]bool{}
	}
	n.faults.corrupt[id] = true
	n.faults.mu.Unlock()
}

// Before sets the hook that runs before each effect: its error means "it
// failed". Nil removes it.
func (n *Node) Before(h Hook) {
	n.faults.mu.Lock()
	n.faults.before = h
	n.faults.mu.Unlock()
}

// After sets the hook that runs after each effect that succeeded: its error
// means "it failed but happened". Nil removes it.
func (n *Node) After(h Hook) {
	n.faults.mu.Lock()
	n.faults.after = h
	n.faults.mu.Unlock()
}

// FailNth returns a hook that answers Unavailable to the k-th of the
// operations named, counted from 1, and lets all others pass.
func FailNth(k int, ops ...Op) Hook {
	var mu sync.Mutex
	seen := 0
	return func(_ context.Context, op Op, _ cairn.ShardID) error {
		for _, o := range ops {
			if o != op {
				continue
			}
			mu.Lock()
			seen++
			hit := seen == k
			mu.Unlock()
			if hit {
				return cairn.Errorf(string(op), cairn.Unavailable, "fault injected")
			}
		}
		return nil
	}
}

// FailAll returns a hook that answers kind to all of the operations named.
func FailAll(kind cairn.Kind, ops ...Op) Hook {
	return func(_ context.Context, op Op, _ cairn.ShardID) error {
		for _, o := range ops {
			if o == op {
				return cairn.Errorf(string(op), kind, "fault injected")
			}
		}
		return nil
	}
}

// Count returns how many operations of a kind were asked for.
func (n *Node) Count(op Op) int {
	n.faults.mu.Lock()
	defer n.faults.mu.Unlock()
	return n.faults.counts[op]
}

// Lose drops a record as a failing disk would, and says whether it was here.
func (n *Node) Lose(id cairn.ShardID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.records[id]
	if ok {
		n.drop(id)
	}
	return ok
}

// Wipe drops every record.
func (n *Node) Wipe() {
	n.mu.Lock()
	clear(n.records)
	n.used = 0
	n.mu.Unlock()
}

// Shards returns the ids of all records, in no order.
func (n *Node) Shards() []cairn.ShardID {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := make([]cairn.ShardID, 0, len(n.records))
	for id := range n.records {
		ids = append(ids, id)
	}
	return ids
}
