package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/certs"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/httpd"
	"github.com/cairn-store/cairn/internal/lifecycle"
	"github.com/cairn-store/cairn/internal/secretfile"
	"github.com/cairn-store/cairn/placement/directory"
)

// gatewayOptions are the flags that "gateway" and "up" share.
type gatewayOptions struct {
	dir, passphraseFile      string
	s3, s3TLS, region        string
	s3Domains                []string
	console                  string
	network, networkKeyFile  string
	join                     []string
	losses, maxData, minDura int
	catalog                  string
	buffers                  cli.Size
	stopTimeout              time.Duration
}

func (o *gatewayOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	dirVar(cmd, &o.dir, "directory of the owner")
	ownerFlags(cmd, &o.passphraseFile)
	f.StringVar(&o.s3, "s3", defaultS3, "address of the S3 endpoint")
	f.StringVar(&o.s3TLS, "s3-tls", "", "TLS of the S3 endpoint: auto, off or CERT,KEY (default: off on loopback, else auto)")
	f.StringSliceVar(&o.s3Domains, "s3-domain", nil, "domains under which bucket.DOMAIN names a bucket")
	f.StringVar(&o.region, "region", defaultRegion, "S3 region")
	f.StringVar(&o.console, "console", defaultConsole, "address of status page, health and metrics; off for none")
	f.StringVar(&o.network, "network", defaultNetwork, "name of the network of nodes")
	f.StringVar(&o.networkKeyFile, "network-key-file", "", "file with the 64 hexadecimal digits that a private network shares")
	f.IntVar(&o.losses, "losses", 2, "nodes that may vanish at once without losing anything")
	f.IntVar(&o.maxData, "max-k", 0, "most data shards of a segment (0: chosen by the number of nodes)")
	f.IntVar(&o.minDura, "min-durability", 0, "shards that must be durable before a write is acknowledged (0: all)")
	o.buffers = 160 << 20
	f.Var(&o.buffers, "buffers", "memory of all transfers together")
	f.DurationVar(&o.stopTimeout, "stop-timeout", 30*time.Second, "longest wait for requests under way when stopping")
}

func newGateway(a *cli.App) *cobra.Command {
	var o gatewayOptions
	cmd := &cobra.Command{
		Use: "gateway", Short: "Serve S3 from the nodes of a network", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.join) == 0 {
				return cli.Usage("--join is missing").WithHint("give the content of a node's DIR/address")
			}
			return runGateway(cmd.Context(), a, o)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringSliceVar(&o.join, "join", nil, "multiaddrs of nodes to begin with (see DIR/address of a node)")
	cmd.Flags().StringVar(&o.catalog, "catalog", "pebble", "where the catalog is kept: pebble, in --dir")
	return cmd
}

func runGateway(ctx context.Context, a *cli.App, o gatewayOptions) (err error) {
	if o.catalog != "pebble" {
		return cli.Usage("--catalog %q: want pebble", o.catalog)
	}
	log, err := a.Logger()
	if err != nil {
		return err
	}
	keys, err := home(o.dir).keys(o.passphraseFile)
	if err != nil {
		return err
	}
	unlock, err := secretfile.Lock(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	g, err := newGatewayProcess(o, keys, log)
	if err != nil {
		return err
	}
	group := lifecycle.New(lifecycle.Config{
		StopTimeout: o.stopTimeout, Log: log,
		Ready: func() { g.announce(a) },
	})
	g.addTo(ctx, group)
	limitMemory(int64(o.buffers), 0)
	return group.Run(ctx)
}

// gatewayProcess is a gateway with everything around it.
type gatewayProcess struct {
	o       gatewayOptions
	home    home
	keys    *seal.Keys
	log     *slog.Logger
	metrics *prometheus.Registry
	started time.Time
	certs   *certs.Source // nil without TLS

	cluster  *cluster
	host     *directory.Host
	catalog  catalog.Catalog
	engine   atomic.Pointer[gateway.Engine] // nil until started
	s3       atomic.Pointer[httpd.Server]   // nil until it listens
	console  *httpd.Server                  // nil with --console off
	draining atomic.Bool
}

func newGatewayProcess(o gatewayOptions, keys *seal.Keys, log *slog.Logger) (*gatewayProcess, error) {
	g := &gatewayProcess{
		o: o, home: home(o.dir), keys: keys, log: log,
		metrics: prometheus.NewRegistry(), started: time.Now(), cluster: newCluster(keys),
	}
	g.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mode, err := certs.Parse(o.s3TLS, o.s3)
	if err != nil {
		return nil, err
	}
	g.certs, err = certs.Open(mode, g.home.tlsDir(), g.tlsNames(), nil)
	return g, err
}

// tlsNames are the names the S3 endpoint's own certificate is for.
func (g *gatewayProcess) tlsNames() []string {
	var names []string
	if host, _, err := net.SplitHostPort(g.o.s3); err == nil {
		names = append(names, host)
	}
	for _, d := range g.o.s3Domains {
		names = append(names, d, "*."+d)
	}
	return names
}

// addTo adds the gateway's parts. The console comes first and goes last, so
// that health can be asked while the rest starts and drains.
func (g *gatewayProcess) addTo(ctx context.Context, group *lifecycle.Group) {
	context.AfterFunc(ctx, func() { g.draining.Store(true) })
	if g.o.console != "off" {
		g.addConsole(group)
	}
	group.Add(lifecycle.Service{Name: "network", Start: g.openNetwork, Run: g.runNetwork, Stop: g.closeClients})
	group.Add(lifecycle.Service{Name: "catalog", Start: g.openCatalog, Stop: func(context.Context) error { return g.catalog.Close() }})
	group.Add(lifecycle.Service{Name: "engine", Start: g.startEngine, Run: func(ctx context.Context) error { return g.engine.Load().Run(ctx) }})
	group.Add(lifecycle.Service{Name: "S3 endpoint", Start: g.openS3, Run: g.runS3, Stop: func(ctx context.Context) error { return g.s3.Load().Stop(ctx) }})
	group.Add(g.controlSocket())
}

// openNetwork makes a libp2p identity for this run alone: a lasting one would
// let nodes recognise the owner.
func (g *gatewayProcess) openNetwork(context.Context) error {
	host, err := newClientHost(g.o.network, g.o.networkKeyFile)
	if err != nil {
		return err
	}
	g.host = host
	_, err = g.cluster.open(host, directory.Config{Join: g.o.join, Path: g.home.nodeSet(), Logger: g.log})
	if err != nil {
		return errors.Join(err, host.Close())
	}
	return nil
}

func (g *gatewayProcess) runNetwork(ctx context.Context) error {
	err := g.cluster.dir().Run(ctx)
	return errors.Join(err, g.host.Close())
}

func (g *gatewayProcess) closeClients(context.Context) error { return g.cluster.close() }

func (g *gatewayProcess) openCatalog(context.Context) (err error) {
	g.catalog, err = openCatalog(g.home, g.keys, g.log)
	return err
}

func (g *gatewayProcess) startEngine(ctx context.Context) error {
	e, err := gateway.New(gateway.Config{
		Keys: g.keys, Catalog: g.catalog, Cluster: g.cluster,
		Losses: g.o.losses, MaxData: g.o.maxData, MinDurability: g.o.minDura, BufferBytes: int64(g.o.buffers),
		Log: g.log, Registerer: g.metrics,
	})
	if err != nil {
		return err
	}
	if err := e.Start(ctx); err != nil {
		return err
	}
	g.engine.Store(e)
	return nil
}

// running returns the engine, or an Unavailable error while it starts.
func (g *gatewayProcess) running() (*gateway.Engine, error) {
	if e := g.engine.Load(); e != nil {
		return e, nil
	}
	return nil, cairn.Errorf("ask gateway", cairn.Unavailable, "the gateway is starting")
}

// ready is what /readyz answers: the console listens before the S3 endpoint
// does, and before the engine has started.
func (g *gatewayProcess) ready(write bool) error {
	if g.draining.Load() {
		return cairn.Errorf("check readiness", cairn.Unavailable, "the gateway is stopping")
	}
	e, err := g.running()
	if err != nil {
		return err
	}
	if s3 := g.s3.Load(); s3 == nil || s3.Addr() == "" {
		return cairn.Errorf("check readiness", cairn.Unavailable, "the S3 endpoint does not listen yet")
	}
	return e.Ready(write)
}

// readyResult is what "gateway" and "up" say with --json once they serve.
type readyResult struct {
	S3          string `json:"s3"`
	Console     string `json:"console,omitempty"`
	Credentials string `json:"credentials"`
	Nodes       int    `json:"nodes,omitempty"` // of this process
}

func (g *gatewayProcess) announce(a *cli.App) {
	r := readyResult{S3: g.s3.Load().URL(), Credentials: g.home.credentials(), Nodes: len(g.cluster.local)}
	if g.console != nil {
		r.Console = g.console.URL()
	}
	err := a.Print(r, func(w io.Writer) error {
		pairs := []string{"S3", r.S3, "credentials", r.Credentials}
		if r.Console != "" {
			pairs = append(pairs, "console", r.Console)
		}
		if r.Nodes > 0 {
			pairs = append(pairs, "nodes", fmt.Sprintf("%d in this process", r.Nodes))
		}
		if g.certs != nil && g.certs.CAFile() != "" {
			pairs = append(pairs, "CA certificate", g.certs.CAFile())
		}
		return cli.Fields(w, pairs...)
	})
	if err != nil {
		g.log.Warn("ready, but nobody could be told", "err", err)
	}
	g.log.Info("gateway ready", "s3", r.S3, "console", r.Console)
}
