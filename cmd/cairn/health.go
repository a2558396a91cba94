package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/console"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/control"
	"github.com/cairn-store/cairn/internal/httpd"
	"github.com/cairn-store/cairn/internal/lifecycle"
	"github.com/cairn-store/cairn/placement"
)

// addConsole adds the listener for health, metrics and the status page.
func (g *gatewayProcess) addConsole(group *lifecycle.Group) {
	start := func(ctx context.Context) error {
		handler, err := console.Handler(console.Config{
			Ready: g.ready, Status: g.status, Peers: g.peers, Metrics: g.metrics, Log: g.log,
		})
		if err != nil {
			return err
		}
		g.console = httpd.New(httpd.Config{
			Name: "console", Addr: g.o.console, Handler: handler, MaxConns: 128, RequestTimeout: 30 * time.Second, Log: g.log,
		})
		return g.console.Start(ctx)
	}
	group.Add(lifecycle.Service{
		Name: "console", Start: start,
		Run:  func(ctx context.Context) error { return g.console.Run(ctx) },
		Stop: func(ctx context.Context) error { return g.console.Stop(ctx) },
	})
}

// controlSocket answers the commands of this machine.
func (g *gatewayProcess) controlSocket() lifecycle.Service {
	h := control.NewHandler()
	g.register(h)
	return control.NewServer(g.o.dir, h).Service()
}

// status says how the gateway is. While it starts, it says just that.
func (g *gatewayProcess) status(ctx context.Context) (console.Status, error) {
	s := console.Status{
		Role: "gateway", Version: cli.Version(), Started: g.started.UTC(),
		Gateway: &console.Gateway{Region: g.o.region, Losses: g.o.losses},
	}
	engine, err := g.running()
	if err != nil {
		s.Problems = append(s.Problems, "the gateway is starting")
		s.Judge()
		return s, nil
	}
	s.Gateway.ReadReady, s.Gateway.WriteReady = g.readiness(&s, engine.Ready)
	candidates := g.cluster.Candidates()
	g.describeNetwork(&s, candidates)
	stats, err := g.catalog.Stats(ctx)
	if err != nil {
		return s, fmt.Errorf("ask catalog: %w", err)
	}
	s.Gateway.Content = console.Content{
		Buckets: stats.Buckets, Versions: stats.Versions, Segments: stats.Segments,
		Uploads: stats.Uploads, Garbage: stats.Garbage, Bytes: stats.PlainBytes,
	}
	if server := g.s3.Load(); server != nil {
		s.Gateway.Endpoint = server.URL()
	}
	s.Judge()
	return s, nil
}

// readiness asks for reads and writes and notes what is missing.
func (g *gatewayProcess) readiness(s *console.Status, ready func(write bool) error) (read, write bool) {
	if g.draining.Load() {
		s.Problems = append(s.Problems, "the gateway is stopping")
		return false, false
	}
	if err := ready(false); err != nil {
		s.Problems = append(s.Problems, "no reads: "+err.Error())
		return false, false
	}
	if err := ready(true); err != nil {
		s.Problems = append(s.Problems, "no writes: "+err.Error())
		return true, false
	}
	return true, true
}

func (g *gatewayProcess) describeNetwork(s *console.Status, candidates []placement.Candidate) {
	n := &s.Gateway.Network
	byState := map[placement.State]int{}
	for _, c := range candidates {
		n.Known++
		byState[c.State]++
		if c.Live() {
			n.Live++
			n.CapacityBytes += c.CapacityBytes
			n.FreeBytes += c.FreeBytes
		}
	}
	n.Domains = placement.Domains(candidates, placement.Constraints{MaxVetting: g.o.losses})
	k, m, err := placement.ChooseScheme(n.Domains, g.o.losses, g.o.maxData)
	if err == nil {
		s.Gateway.Scheme = cairn.Scheme{Data: k, Parity: m}.String()
		if k == 1 {
			s.Problems = append(s.Problems, fmt.Sprintf("%d failure domains leave room for copies only; one more makes storage cheaper", n.Domains))
		}
	}
	for _, state := range []placement.State{placement.Down, placement.Gone, placement.Suspended, placement.Draining} {
		if count := byState[state]; count > 0 {
			s.Problems = append(s.Problems, fmt.Sprintf("%d of %d nodes: %s", count, n.Known, state))
		}
	}
}

// peers lists the nodes as the gateway sees them.
func (g *gatewayProcess) peers(context.Context) ([]console.Peer, error) {
	if g.cluster.dir() == nil {
		return []console.Peer{}, nil // still starting
	}
	candidates := g.cluster.Candidates()
	peers := make([]console.Peer, len(candidates))
	for i, c := range candidates {
		domain := c.Domain
		if domain == "" {
			domain = c.ID.Short()
		}
		peers[i] = console.Peer{
			ID: c.ID, State: c.State.String(), Reason: c.Reason, FailureDomain: domain, Operator: c.Operator, Region: c.Region,
			CapacityBytes: c.CapacityBytes, FreeBytes: c.FreeBytes, RTTMillis: float64(c.RTT.Microseconds()) / 1000,
		}
	}
	slices.SortStableFunc(peers, func(a, b console.Peer) int { return cmp.Compare(a.FailureDomain, b.FailureDomain) })
	return peers, nil
}
