package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/lifecycle"
	"github.com/cairn-store/cairn/internal/provider"
	"github.com/cairn-store/cairn/internal/secretfile"
	"github.com/cairn-store/cairn/storagenode"
)

type upOptions struct {
	gatewayOptions
	nodes      int
	capacity   cli.Size
	nodeListen string
}

// maxUpNodes bounds the nodes of one process.
const maxUpNodes = 64

func newUp(a *cli.App) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use: "up", Short: "Run a whole network on this machine: nodes, gateway, console", Args: cobra.NoArgs,
		Long: `Run a whole network in one process. The first run makes an owner, writes
DIR/credentials.env for S3 clients and DIR/recovery-phrase.txt, which is to be
moved away. All nodes share this machine and its disk: this is for trying Cairn
and for development, not a safe place for data.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.nodes < 1 || o.nodes > maxUpNodes {
				return cli.Usage("--nodes %d: want 1 to %d", o.nodes, maxUpNodes)
			}
			return runUp(cmd.Context(), a, o)
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&o.nodes, "nodes", 6, "number of nodes; those that are there already are all started")
	f.Var(&o.capacity, "capacity", "most bytes each node keeps (0: what the disk has)")
	f.StringVar(&o.nodeListen, "node-listen", "127.0.0.1:0", "address of the nodes; with a port, node i takes that port plus 2i")
	return cmd
}

func runUp(ctx context.Context, a *cli.App, o upOptions) (err error) {
	log, err := a.Logger()
	if err != nil {
		return err
	}
	h := home(o.dir)
	if err := secretfile.MakeDir(o.dir); err != nil {
		return err
	}
	unlock, err := secretfile.Lock(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if has, err := h.hasOwner(); err != nil {
		return err
	} else if !has {
		if err := firstOwner(h, o.passphraseFile, access{Endpoint: "http://" + o.s3, Region: o.region}, a.IO); err != nil {
			return err
		}
	}
	keys, err := h.keys(o.passphraseFile)
	if err != nil {
		return err
	}
	g, err := newGatewayProcess(o.gatewayOptions, keys, log)
	if err != nil {
		return err
	}
	group := lifecycle.New(lifecycle.Config{StopTimeout: o.stopTimeout, Log: log, Ready: func() { g.announce(a) }})
	nodes, err := o.addNodes(group, g, log)
	if err != nil {
		return err
	}
	g.addTo(ctx, group)
	limitMemory(int64(o.buffers), nodes)
	group.Add(lifecycle.Service{Name: "nodes at hand", Start: func(ctx context.Context) error {
		return g.awaitNodes(ctx, nodes)
	}})
	return group.Run(ctx)
}

// addNodes adds N nodes, each with a directory, an identity and a failure
// domain of its own. The gateway calls them directly.
func (o upOptions) addNodes(group *lifecycle.Group, g *gatewayProcess, log *slog.Logger) (int, error) {
	networkKey, err := provider.ReadNetworkKey(o.networkKeyFile)
	if err != nil {
		return 0, err
	}
	count, err := o.nodeCount(log)
	if err != nil {
		return 0, err
	}
	for i := range count {
		cfg := provider.Config{
			Dir: g.home.nodeDir(i), Network: o.network, NetworkKey: networkKey,
			CapacityBytes: int64(o.capacity), FailureDomain: "up-" + strconv.Itoa(i),
			Version: cli.Version(), Log: nodeLog(log, i),
			Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"slot": strconv.Itoa(i)}, g.metrics),
		}
		if cfg.Listen, err = portPlus(o.nodeListen, 2*i); err != nil {
			return 0, err
		}
		if err := o.addNode(group, g, cfg, i); err != nil {
			return 0, err
		}
	}
	return count, nil
}

// nodeCount is --nodes, or more when more are there: a node left out would
// count as lost.
func (o upOptions) nodeCount(log *slog.Logger) (int, error) {
	count := o.nodes
	for i := o.nodes; i < maxUpNodes; i++ {
		_, err := os.Stat(home(o.dir).nodeDir(i))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("look for node %d: %w", i, err)
		}
		count = i + 1
	}
	if count > o.nodes {
		log.Warn("more nodes are here than asked for; all are started", "asked", o.nodes, "started", count)
	}
	return count, nil
}

// addNode makes the node if it is not there yet, and adds its parts.
func (o upOptions) addNode(group *lifecycle.Group, g *gatewayProcess, cfg provider.Config, i int) error {
	_, err := storagenode.LoadKey(nil, cfg.Dir)
	if errors.Is(err, cairn.NotFound) {
		if err = secretfile.MakeDir(cfg.Dir); err == nil {
			_, err = storagenode.Init(nil, cfg.Dir, "")
		}
	}
	if err != nil {
		return fmt.Errorf("make node %d: %w", i, err)
	}
	if i > 0 { // the others join the first, whose address is known once it runs
		cfg.Join = func() ([]string, error) {
			address, err := provider.ReadAddress(g.home.nodeDir(0))
			return []string{address}, err
		}
	}
	p, err := provider.New(cfg)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("node %d", i)
	for _, s := range p.Services(name) {
		group.Add(s)
	}
	group.Add(lifecycle.Service{Name: name + " in this process", Start: func(context.Context) error { return g.adopt(p) }})
	return nil
}

// adopt makes a node of this process known to the gateway.
func (g *gatewayProcess) adopt(p *provider.Provider) error {
	address, err := p.Address()
	if err != nil {
		return err
	}
	g.cluster.addLocal(p.ID(), p.Service())
	g.o.join = append(g.o.join, address)
	return nil
}

// portPlus adds n to the port of host:port, unless the port is 0.
func portPlus(addr string, n int) (string, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", cli.Usage("--node-listen %q: %w", addr, err)
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 0 || port+n > 65533 {
		return "", cli.Usage("--node-listen %q: want a port that leaves room for every node", addr)
	}
	if port > 0 {
		port += n
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// patience is how long "up" waits for its own nodes.
const patience = 30 * time.Second

// awaitNodes waits until the gateway knows that its nodes live. Those that do
// not come in time are seen in the status; they do not keep it from starting.
func (g *gatewayProcess) awaitNodes(ctx context.Context, n int) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := g.cluster.dir().WaitLive(waiting, n)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		g.log.WarnContext(ctx, "not every node answers yet", "err", err)
	}
	return nil
}

// nodeLog is the log of a node of this process: what nodes learn of each other
// is said once, by the gateway, unless everything is wanted.
func nodeLog(log *slog.Logger, i int) *slog.Logger {
	log = log.With("in", "node-"+strconv.Itoa(i))
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return log
	}
	return cli.AtLeast(log, slog.LevelWarn)
}
