package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-store/cairn/internal/lifecycle"
)

// diary records what happened, in order. Services here are started and stopped
// by one goroutine.
type diary []string

func (d *diary) service(name string) lifecycle.Service {
	return lifecycle.Service{
		Name:  name,
		Start: func(context.Context) error { *d = append(*d, "start "+name); return nil },
		Run:   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		Stop:  func(context.Context) error { *d = append(*d, "stop "+name); return nil },
	}
}

func (d *diary) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*d, want) {
		t.Errorf("order = %q, want %q", *d, want)
	}
}

func TestServicesStopInReverseWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var d diary
	g := lifecycle.New(lifecycle.Config{Ready: func() { d = append(d, "ready"); cancel() }})
	g.Add(d.service("a"))
	g.Add(d.service("b"))
	if err := g.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	d.want(t, "start a", "start b", "ready", "stop b", "stop a")
}

func TestFailedStartStopsWhatWasStarted(t *testing.T) {
	var d diary
	broken := errors.New("port taken")
	g := lifecycle.New(lifecycle.Config{Ready: func() { t.Error("ready despite a failed start") }})
	g.Add(d.service("a"))
	g.Add(lifecycle.Service{Name: "b", Start: func(context.Context) error { return broken }})
	g.Add(d.service("c"))
	if err := g.Run(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "start b") {
		t.Errorf("Run = %v, want %q of service b", err, broken)
	}
	d.want(t, "start a", "stop a")
}

func TestFailingServiceStopsTheOthers(t *testing.T) {
	var d diary
	broken := errors.New("disk gone")
	g := lifecycle.New(lifecycle.Config{})
	g.Add(d.service("a"))
	g.Add(lifecycle.Service{Name: "b", Run: func(context.Context) error { return broken }})
	if err := g.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Run = %v, want %v", err, broken)
	}
	d.want(t, "start a", "stop a")
}

func TestServiceThatEndsWithoutErrorIsAFailure(t *testing.T) {
	g := lifecycle.New(lifecycle.Config{})
	g.Add(lifecycle.Service{Name: "b", Run: func(context.Context) error { return nil }})
	if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "b stopped by itself") {
		t.Errorf("Run = %v, want that b stopped by itself", err)
	}
}

func TestInterruptedStartIsNotAFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var d diary
	g := lifecycle.New(lifecycle.Config{})
	g.Add(d.service("a"))
	g.Add(lifecycle.Service{Name: "b", Start: func(ctx context.Context) error {
		cancel()
		return fmt.Errorf("wait for nodes: %w", ctx.Err())
	}})
	if err := g.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	d.want(t, "start a", "stop a")
}

func TestStopHasADeadlineAndNamesWhoMissedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		g := lifecycle.New(lifecycle.Config{StopTimeout: 5 * time.Second, Ready: cancel})
		g.Add(lifecycle.Service{Name: "stuck", Run: func(context.Context) error { <-release; return nil }})
		begin := time.Now()
		err := g.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "stuck did not stop in time") {
			t.Errorf("Run = %v, want that stuck did not stop in time", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("stop took %v, want 5s", took)
		}
		close(release)
	})
}
