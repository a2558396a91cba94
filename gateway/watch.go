package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
)

// watchdog ends a call to a node that makes no progress.
type watchdog struct{ timer *time.Timer }

// watch calls stop after the request timeout, unless end is called before.
func (e *Engine) watch(stop context.CancelFunc) watchdog {
	return watchdog{time.AfterFunc(e.cfg.RequestTimeout, stop)}
}

func (w watchdog) end() { w.timer.Stop() }

// nodeFailed reports a failed call to whoever keeps the node's state, unless
// it failed because the request behind it was given up.
func (e *Engine) nodeFailed(ctx context.Context, op string, n Node, err error) {
	if ctx.Err() != nil {
		return
	}
	kind := cairn.KindOf(err)
	e.metrics.nodeFailures.WithLabelValues(op, kind.String()).Inc()
	e.log.DebugContext(ctx, "node failed", "op", op, "node", n.ID().Short(), "err", err)
	if kind == cairn.Unavailable || kind == cairn.Internal {
		e.suspects.add(n.ID(), e.cfg.Now())
		e.cluster.Report(n.ID(), err)
	}
}

// suspectFor is how long a node that failed a call is passed over by reads.
const suspectFor = 5 * time.Second

// suspects remembers nodes that just failed, so that a stream does not run
// into the same dead node at every stripe. The zero value is ready.
type suspects struct {
	mu    sync.Mutex // guards since
	since map[cairn.NodeID]time.Time
}

func (s *suspects) add(id cairn.NodeID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = map[cairn.NodeID]time.Time{}
	}
	s.since[id] = now
}

func (s *suspects) has(id cairn.NodeID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.since[id]
	if ok && now.Sub(since) >= suspectFor {
		delete(s.since, id)
		return false
	}
	return ok
}
