package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Service is one part of a process. Every function may be nil.
type Service struct {
	Name string
	// Start makes the service ready and returns. Its context ends when the
	// process is asked to stop, and must not be kept.
	Start func(ctx context.Context) error
	// Run works until ctx ends, which happens after Stop has returned. When it
	// returns earlier, the process stops.
	Run func(ctx context.Context) error
	// Stop ends the service in good order within ctx's deadline.
	Stop func(ctx context.Context) error
}

// Config tunes a Group. The zero value works.
type Config struct {
	// StopTimeout bounds the whole stop. Zero means 30 s.
	StopTimeout time.Duration
	// Ready is called once, when every service has started. May be nil.
	Ready func()
	// Log takes starts and stops at Debug; nil discards.
	Log *slog.Logger
}

// Group is services in the order of their start.
type Group struct {
	cfg      Config
	services []Service
}

// New returns an empty group.
func New(cfg Config) *Group {
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Group{cfg: cfg}
}

// Add appends a service. It must not be called after Run.
func (g *Group) Add(s Service) { g.services = append(g.services, s) }

// running is a started service.
type running struct {
	Service
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of Run; read after done
}

// Run starts the services, waits until ctx ends or one of them does, and stops
// them in reverse. It returns the first failure together with what went wrong
// while stopping; a stop that was asked for is not a failure.
func (g *Group) Run(ctx context.Context) error {
	base := context.WithoutCancel(ctx) // services outlive ctx: they end in order
	ended := make(chan *running, len(g.services))
	var started []*running
	var failure error
	for _, s := range g.services {
		r, err := g.start(ctx, base, s, ended)
		if err != nil {
			if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
				failure = fmt.Errorf("start %s: %w", s.Name, err)
			}
			break
		}
		started = append(started, r)
		if ctx.Err() != nil {
			break
		}
	}
	if failure == nil && ctx.Err() == nil && len(started) == len(g.services) {
		if g.cfg.Ready != nil {
			g.cfg.Ready()
		}
		failure = wait(ctx, ended)
	}
	return errors.Join(failure, g.stop(base, started))
}

func (g *Group) start(ctx, base context.Context, s Service, ended chan<- *running) (*running, error) {
	g.cfg.Log.DebugContext(ctx, "starting", "service", s.Name)
	if s.Start != nil {
		if err := s.Start(ctx); err != nil {
			return nil, err
		}
	}
	runCtx, cancel := context.WithCancel(base)
	r := &running{Service: s, cancel: cancel, done: make(chan struct{})}
	if s.Run == nil {
		close(r.done)
		return r, nil
	}
	go func() { // waited for in stop
		r.err = s.Run(runCtx)
		close(r.done)
		ended <- r
	}()
	return r, nil
}

// wait returns nil when ctx ends and a failure when a service does.
func wait(ctx context.Context, ended <-chan *running) error {
	select {
	case <-ctx.Done():
		return nil
	case r := <-ended:
		if r.err == nil {
			return fmt.Errorf("%s stopped by itself", r.Name)
		}
		return nil // stop reports r.err
	}
}

func (g *Group) stop(base context.Context, started []*running) error {
	ctx, cancel := context.WithTimeout(base, g.cfg.StopTimeout)
	defer cancel()
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		g.cfg.Log.DebugContext(ctx, "stopping", "service", r.Name)
		if r.Stop != nil {
			if err := r.Stop(ctx); err != nil {
				errs = append(errs, fmt.Errorf("stop %s: %w", r.Name, err))
			}
		}
		r.cancel()
		if err := r.wait(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (r *running) wait(ctx context.Context) error {
	select {
	case <-r.done:
	default:
		select {
		case <-r.done:
		case <-ctx.Done():
			return fmt.Errorf("%s did not stop in time", r.Name)
		}
	}
	if r.err == nil || errors.Is(r.err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", r.Name, r.err)
}
