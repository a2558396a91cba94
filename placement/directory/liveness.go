package directory

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cairn-store/cairn"
)

// Liveness is what we observed of a node ourselves.
type Liveness uint8

const (
	// Suspect: not checked yet, or it failed once. Given nothing new.
	Suspect Liveness = iota
	// Alive: it answered lately.
	Alive
	// Down: it failed repeatedly.
	Down
	// Gone: it does not answer and its record has expired.
	Gone
)

var livenessNames = [...]string{"suspect", "alive", "down", "gone"}

func (l Liveness) String() string {
	if int(l) < len(livenessNames) {
		return livenessNames[l]
	}
	return fmt.Sprintf("liveness %d", uint8(l))
}

// MarshalText returns the word for l.
func (l Liveness) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Status is what a check-in with a node tells.
type Status struct {
	// RTT is the round-trip time. Zero: take the time the check-in took.
	RTT time.Duration
	// CapacityBytes and FreeBytes as the node sees them now. A capacity of zero
	// means not said; the record's figures are used then.
	CapacityBytes int64
	FreeBytes     int64
	// Load is the busy share of the node, 0 to 1; 0 if not said.
	Load float64
	// Draining: the node is leaving and takes nothing new.
	Draining bool
}

// Checker asks a node directly how it is. It must authenticate the node as
// r.NodeID, end when ctx does, and be safe for concurrent use.
type Checker func(ctx context.Context, r Record) (Status, error)

// notChecked is the reason of a node we only heard of.
const notChecked = "not checked yet"

// health is the liveness of one node: a state machine without clock or I/O.
//
//	            ┌────────── checked ───────────┐
//	            ▼                              │
//	Suspect ─ checked ─▶ Alive ─ failed ─▶ Suspect ─ failed ─▶ Down
//	   │                   ▲                                     │
//	   └─ failed ─▶ Down   └──────────────── checked ────────────┘
//
// Gone is not a state of its own but how a node that is not alive looks once
// its record has expired.
type health struct {
	state  Liveness
	since  time.Time
	reason string

	lastOK    time.Time // last answer, zero if none
	fails     int       // check-ins failed since the last that worked
	dataFails int       // data path failures since the last success there
	next      time.Time // when to check in
}

func (h *health) become(state Liveness, now time.Time, reason string) (changed bool) {
	h.reason = reason
	if h.state == state {
		return false
	}
	h.state, h.since = state, now
	return true
}

// checked takes in a check-in that worked.
func (h *health) checked(now time.Time, c *Config) (changed bool) {
	h.lastOK, h.fails = now, 0
	h.next = now.Add(jitter(c.CheckInterval))
	if h.dataFails > 1 { // answers check-ins, fails work: stay wary a while
		hold := backoff(h.dataFails-1, c.RetryMin, c.RetryMax)
		if until := h.since.Add(hold); h.state == Suspect && now.Before(until) {
			h.next = until
			return false
		}
	}
	return h.become(Alive, now, "")
}

// checkFailed takes in a check-in that failed.
func (h *health) checkFailed(now time.Time, err error, c *Config) (changed bool) {
	h.fails++
	h.next = now.Add(jitter(backoff(h.fails, c.RetryMin, c.RetryMax)))
	if h.state == Alive {
		return h.become(Suspect, now, reasonOf(err))
	}
	return h.become(Down, now, reasonOf(err))
}

// workFailed takes in a failure that the data path met; the next check-in is
// due at once.
func (h *health) workFailed(now time.Time, err error) (changed bool) {
	h.dataFails++
	if h.state != Alive {
		return false
	}
	h.next = now
	return h.become(Suspect, now, reasonOf(err))
}

// worked takes in a success of the data path.
func (h *health) worked(now time.Time) (changed bool) {
	h.lastOK, h.fails, h.dataFails = now, 0, 0
	return h.become(Alive, now, "")
}

// reasonOf shortens an error to a line for people.
func reasonOf(err error) string {
	const limit = 300
	text := []rune(err.Error())
	for i, c := range text {
		if c == '\n' || c == '\t' {
			text[i] = ' '
		}
	}
	return string(text[:min(len(text), limit)])
}

// blames reports whether a failure on the data path says something about the
// node's liveness. A cancelled loser of a race, a refusal and a missing shard
// do not.
func blames(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	switch cairn.KindOf(err) {
	case cairn.Unavailable, cairn.Internal:
		return true
	}
	return false
}

// backoff doubles from lowest to highest with the number of failures.
func backoff(fails int, lowest, highest time.Duration) time.Duration {
	d := float64(lowest) * math.Exp2(float64(min(max(fails-1, 0), 40)))
	return time.Duration(min(d, float64(highest)))
}

// jitter spreads a pause over 80 to 120 % of d, so that checks do not bunch.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
