package pebble

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cairn-store/cairn"
)

var errClosed = errors.New("the catalog is closed")

// gate counts what is going on, so that nothing touches a closed database.
type gate struct {
	mu     sync.Mutex
	reason error          // guarded by mu; why nothing new may begin
	inside sync.WaitGroup // Add only under mu, while reason is nil
}

// enter begins an operation, or says why none may. Requires a leave when the
// error is nil.
func (g *gate) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason != nil {
		return cairn.NewError(op, cairn.Unavailable, g.reason)
	}
	g.inside.Add(1)
	return nil
}

func (g *gate) leave() { g.inside.Done() }

// shut lets nothing new begin, for the first reason given.
func (g *gate) shut(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason == nil {
		g.reason = reason
	}
}
