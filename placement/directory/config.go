package directory

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// Config tunes a [Directory]. The zero value works; it makes a directory that
// joins nobody and forgets everything when it ends.
type Config struct {
	// Join are multiaddrs with /p2p/<id> of nodes to begin with. None needs to
	// be up: they are tried until one answers.
	Join []string
	// Path is the file that keeps the set. Empty: memory only.
	Path string
	// Self describes the node this directory belongs to, for its record; the
	// directory fills in identity, network, times, sequence and, where empty,
	// libp2p addresses. It is asked every Interval and must not block.
	// Nil: not a node, publishes nothing.
	Self func() Record
	// Checker checks in with a node. Nil means [Host.Check].
	Checker Checker
	// Assess says what this machine's owner thinks of a node: vetting or
	// suspended and why, and its standing. Nil: everybody is active, standing
	// unknown.
	Assess func(cairn.NodeID) Assessment
	// Admit is asked before an unknown node is entered; nil admits all.
	Admit func(Record) bool

	// Interval is the pause between two exchanges with peers and DHT. Zero
	// means 30 seconds.
	Interval time.Duration
	// CheckInterval is the pause between two check-ins with a live node. Zero
	// means Interval.
	CheckInterval time.Duration
	// CheckTimeout bounds one check-in. Zero means 5 seconds.
	CheckTimeout time.Duration
	// RetryMin and RetryMax bound the doubling pauses after a failed check-in
	// or join. Zero means 200 milliseconds, and 4 times CheckInterval.
	RetryMin, RetryMax time.Duration
	// Lifetime is how long the own record is valid; it is renewed after a
	// third of it. Zero means 3 hours.
	Lifetime time.Duration
	// MaxNodes bounds the set. When it is full, nodes that never answered make
	// room first. Zero means 10,000.
	MaxNodes int

	// Logger takes changes of state; nil discards.
	Logger *slog.Logger
	// Now returns wall time; nil means time.Now.
	Now func() time.Time
}

// Assessment is an owner's own judgement of a node.
type Assessment struct {
	State    placement.State // Active, Vetting or Suspended
	Reason   string
	Standing float64 // see placement.Candidate
}

// fill sets defaults and rejects nonsense.
func (c *Config) fill() error {
	for _, d := range []time.Duration{c.Interval, c.CheckInterval, c.CheckTimeout, c.RetryMin, c.RetryMax, c.Lifetime} {
		if d < 0 {
			return errors.New("a duration is negative")
		}
	}
	c.Interval = cmp.Or(c.Interval, 30*time.Second)
	c.CheckInterval = cmp.Or(c.CheckInterval, c.Interval)
	c.CheckTimeout = cmp.Or(c.CheckTimeout, 5*time.Second)
	c.RetryMin = cmp.Or(c.RetryMin, 200*time.Millisecond)
	c.RetryMax = cmp.Or(c.RetryMax, 4*c.CheckInterval)
	c.Lifetime = cmp.Or(c.Lifetime, 3*time.Hour)
	c.MaxNodes = cmp.Or(c.MaxNodes, 10_000)
	c.RetryMax = max(c.RetryMax, c.RetryMin)
	if c.Lifetime > MaxLifetime || c.Lifetime < time.Millisecond {
		return errors.New("the lifetime of the own record is out of bounds")
	}
	if c.MaxNodes < 1 || c.MaxNodes > 1_000_000 {
		return errors.New("the limit of nodes is out of bounds")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}
