package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/console"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/control"
	"github.com/cairn-store/cairn/internal/httpd"
	"github.com/cairn-store/cairn/internal/lifecycle"
	"github.com/cairn-store/cairn/internal/provider"
	"github.com/cairn-store/cairn/placement/directory"
)

type runOptions struct {
	provider.Config
	networkKeyFile string
	join           []string
	capacity       cli.Size
	admin          string
	stopTimeout    time.Duration
}

func newRun(a *cli.App) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use: "run", Short: "Run the node until it is told to stop", Args: cobra.NoArgs,
		Long: `Run the node. It writes the address that others join at to DIR/address. Without
--join it begins a network.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runNode(cmd.Context(), a, o) },
	}
	dirVar(cmd, &o.Dir)
	f := cmd.Flags()
	f.StringVar(&o.ShardDir, "shard-dir", "", shardDirHelp)
	f.StringVar(&o.Listen, "listen", "0.0.0.0:7700", "address for the network, over TCP and QUIC")
	f.StringVar(&o.DataListen, "data-listen", "", "address for data, over TCP (default: the port after that of --listen)")
	f.StringSliceVar(&o.Advertise, "advertise", nil, "further hosts or IP addresses the node is reached at, with the same ports")
	f.BoolVar(&o.NAT, "nat", false, "ask the router for a port")
	f.StringSliceVar(&o.join, "join", nil, "multiaddrs of nodes to begin with (see DIR/address of a node); none begins a network")
	f.StringVar(&o.Network, "network", "cairn", "name of the network of nodes")
	f.StringVar(&o.networkKeyFile, "network-key-file", "", "file with the 64 hexadecimal digits that a private network shares")
	f.Var(&o.capacity, "capacity", "most bytes to keep, such as 100GiB (0: what the disk has)")
	f.StringVar(&o.FailureDomain, "failure-domain", "", "what fails as one with this node: a machine, a house (default: the node alone)")
	f.StringVar(&o.Operator, "operator", "", "who runs the node")
	f.StringVar(&o.Region, "region", "", "coarse place of the node")
	f.StringVar(&o.admin, "admin", "127.0.0.1:7780", "address of status page, health and metrics; off for none")
	f.DurationVar(&o.stopTimeout, "stop-timeout", 30*time.Second, "longest wait for requests under way when stopping")
	return cmd
}

func runNode(ctx context.Context, a *cli.App, o runOptions) error {
	log, err := a.Logger()
	if err != nil {
		return err
	}
	n, err := newNodeProcess(o, log)
	if err != nil {
		return err
	}
	group := lifecycle.New(lifecycle.Config{StopTimeout: o.stopTimeout, Log: log, Ready: func() { n.announce(a) }})
	if o.admin != "off" {
		group.Add(n.admin.Service())
	}
	for _, s := range n.provider.Services("node") {
		group.Add(s)
	}
	h := control.NewHandler()
	control.Handle(h, methodStatus, func(ctx context.Context, _ nothing) (console.Status, error) { return n.status(ctx) })
	group.Add(control.NewServer(o.Dir, h).Service())
	return group.Run(ctx)
}

// nodeProcess is a node with its admin listener.
type nodeProcess struct {
	provider *provider.Provider
	admin    *httpd.Server
	log      *slog.Logger
	started  time.Time
}

func newNodeProcess(o runOptions, log *slog.Logger) (*nodeProcess, error) {
	var err error
	if o.NetworkKey, err = provider.ReadNetworkKey(o.networkKeyFile); err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.CapacityBytes = int64(o.capacity)
	o.Join = func() ([]string, error) { return o.join, nil }
	o.Version, o.Log, o.Registerer = cli.Version(), log, metrics
	n := &nodeProcess{log: log, started: time.Now()}
	if n.provider, err = provider.New(o.Config); err != nil {
		return nil, err
	}
	handler, err := console.Handler(console.Config{
		Ready: n.provider.Ready, Status: n.status, Peers: n.peers, Metrics: metrics, Log: log,
	})
	if err != nil {
		return nil, err
	}
	n.admin = httpd.New(httpd.Config{
		Name: "admin listener", Addr: o.admin, Handler: handler, MaxConns: 128, RequestTimeout: 30 * time.Second, Log: log,
	})
	return n, nil
}

// readyResult is what run says with --json once the node serves.
type readyResult struct {
	Node    cairn.NodeID `json:"node"`
	Address string       `json:"address"`
	Admin   string       `json:"admin,omitempty"`
}

func (n *nodeProcess) announce(a *cli.App) {
	r := readyResult{Node: n.provider.ID(), Admin: n.admin.URL()}
	var err error
	if r.Address, err = n.provider.Address(); err == nil {
		err = a.Print(r, func(w io.Writer) error {
			return cli.Fields(w, "node", r.Node.String(), "address", r.Address, "admin", r.Admin)
		})
	}
	if err != nil {
		n.log.Warn("ready, but nobody could be told", "err", err)
	}
	n.log.Info("node ready", "node", r.Node, "address", r.Address)
}

// status says how the node is.
func (n *nodeProcess) status(context.Context) (console.Status, error) {
	info := n.provider.Info()
	s := console.Status{
		Role: "node", Version: cli.Version(), Started: n.started.UTC(),
		Node: &console.Node{
			ID: n.provider.ID(), FailureDomain: info.FailureDomain, Operator: info.Operator, Region: info.Region,
			CapacityBytes: info.CapacityBytes, UsedBytes: info.UsedBytes, FreeBytes: info.FreeBytes,
			Shards: info.Shards, Uploads: info.Uploads, Writable: info.Writable, Reason: info.Reason,
		},
	}
	if err := n.provider.Ready(true); err != nil {
		s.Node.Writable = false
		s.Problems = append(s.Problems, err.Error())
	}
	if address, err := n.provider.Address(); err == nil {
		s.Node.Addresses = []string{address}
	} else if !errors.Is(err, cairn.NotFound) { // not found: still starting
		return s, err
	}
	if d := n.provider.Directory(); d != nil {
		for _, peer := range d.Live() {
			if peer.NodeID != n.provider.ID() {
				s.Node.Peers++
			}
		}
	}
	s.Judge()
	return s, nil
}

// peers lists the nodes that this one knows.
func (n *nodeProcess) peers(context.Context) ([]console.Peer, error) {
	peers := []console.Peer{}
	d := n.provider.Directory()
	if d == nil {
		return peers, nil // still starting
	}
	for _, known := range d.Nodes() {
		peers = append(peers, peerOf(known))
	}
	return peers, nil
}

func peerOf(n directory.Node) console.Peer {
	return console.Peer{
		ID: n.NodeID, State: n.Liveness.String(), Reason: n.Reason, FailureDomain: n.FailureDomain,
		Operator: n.Operator, Region: n.Region, CapacityBytes: n.Capacity, FreeBytes: n.Free,
		RTTMillis: float64(n.RTT.Microseconds()) / 1000,
	}
}

func idOf(key ed25519.PrivateKey) cairn.NodeID {
	return cairn.NodeID(key.Public().(ed25519.PublicKey))
}
