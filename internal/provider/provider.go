package provider

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
	"github.com/cairn-store/cairn/internal/lifecycle"
	"github.com/cairn-store/cairn/internal/secretfile"
	"github.com/cairn-store/cairn/placement/directory"
	"github.com/cairn-store/cairn/storagenode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/transport"
)

const (
	addressFile = "address"   // multiaddr to join at, rewritten at every start
	nodeSetFile = "nodes.set" // nodes known
)

// Provider is one storage node with everything around it.
type Provider struct {
	cfg Config
	key ed25519.PrivateKey

	// Set by the services' Start, in order.
	node      *storagenode.Node
	host      *directory.Host
	directory atomic.Pointer[directory.Directory] // asked for while the node starts
	data      net.Listener
	unlock    func() error

	ready    atomic.Bool // serves
	draining atomic.Bool

	mu   sync.Mutex // guards info
	info nodeapi.Info
}

// New reads the node's key in cfg.Dir; NotFound when there is none. Nothing is
// opened before the services start.
func New(cfg Config) (*Provider, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	key, err := storagenode.LoadKey(durable.OS{}, cfg.Dir)
	if err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, key: key}, nil
}

// ID returns the node's id.
func (p *Provider) ID() cairn.NodeID { return cairn.NodeID(p.key.Public().(ed25519.PublicKey)) }

// Service returns the node for callers in this process, once its store was
// started.
func (p *Provider) Service() nodeapi.Service { return p.node }

// Address returns the multiaddr others join at, once the network was started.
func (p *Provider) Address() (string, error) { return ReadAddress(p.cfg.Dir) }

// ReadAddress returns what a running node wrote into its directory.
func ReadAddress(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, addressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", cairn.Errorf("read node address", cairn.NotFound, "no node has run in %s", dir)
	}
	if err != nil {
		return "", fmt.Errorf("read node address: %w", err)
	}
	return string(trimLine(b)), nil
}

func trimLine(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// Directory returns the node's directory, nil before the network was started.
func (p *Provider) Directory() *directory.Directory { return p.directory.Load() }

// Services returns the node's parts in the order of their start. name tells
// the nodes of one process apart.
func (p *Provider) Services(name string) []lifecycle.Service {
	return []lifecycle.Service{
		{Name: name + " store", Start: p.openStore, Run: p.runStore, Stop: p.drain},
		{Name: name + " network", Start: p.openNetwork, Run: p.runNetwork},
		{Name: name + " data", Start: p.openData, Run: p.serveData},
	}
}

func (p *Provider) openStore(context.Context) (err error) {
	if p.unlock, err = secretfile.Lock(p.cfg.Dir); err != nil {
		return err
	}
	p.node, err = storagenode.New(storagenode.Config{
		Key: p.key, Dir: p.cfg.Dir, ShardDir: p.cfg.ShardDir, CapacityBytes: p.cfg.CapacityBytes,
		FailureDomain: p.cfg.FailureDomain, Operator: p.cfg.Operator, Region: p.cfg.Region,
		Version: p.cfg.Version, Log: p.cfg.Log, Registerer: p.cfg.Registerer,
	})
	if err == nil {
		err = p.refresh(context.Background())
		if err != nil {
			err = errors.Join(err, p.node.Close())
		}
	}
	if err != nil {
		return errors.Join(err, p.unlock())
	}
	return nil
}

// infoInterval is how old the figures in the node's record may be.
const infoInterval = 5 * time.Second

// runStore runs the node and keeps the figures for its record fresh, because
// the directory must not wait for them.
func (p *Provider) runStore(ctx context.Context) error {
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.node.Run(run) }()
	tick := time.NewTicker(infoInterval)
	defer tick.Stop()
	var err error
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-tick.C:
			if err := p.refresh(run); err != nil && run.Err() == nil {
				p.cfg.Log.WarnContext(ctx, "node does not know its figures", "err", err)
			}
		}
	}
	if run.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // asked to stop
	}
	return errors.Join(err, p.node.Close(), p.unlock())
}

func (p *Provider) refresh(ctx context.Context) error {
	info, err := p.node.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask node for its figures: %w", err)
	}
	p.mu.Lock()
	p.info = info
	p.mu.Unlock()
	return nil
}

func (p *Provider) drain(context.Context) error {
	p.draining.Store(true)
	p.node.SetDraining(true)
	return nil
}

func (p *Provider) openNetwork(context.Context) error {
	listen, err := multiaddrs(p.cfg.Listen)
	if err != nil {
		return err
	}
	join, err := p.cfg.Join()
	if err != nil {
		return err
	}
	// The data listener is opened first, because the record names its port.
	if p.data, err = net.Listen("tcp", p.cfg.DataListen); err != nil {
		return cairn.Errorf("listen for data", cairn.Unavailable, "%w", err).
			WithHint("is another node running there? choose another --data-listen")
	}
	p.host, err = directory.NewHost(directory.HostConfig{
		Network: p.cfg.Network, Key: p.key, Listen: listen, Serve: true, NetworkKey: p.cfg.NetworkKey, NAT: p.cfg.NAT,
	})
	if err != nil {
		return errors.Join(err, p.data.Close())
	}
	d, err := directory.New(p.host, directory.Config{
		Join: join, Path: filepath.Join(p.cfg.Dir, nodeSetFile), Self: p.self,
		Interval: p.cfg.Interval, Logger: p.cfg.Log,
	})
	if err == nil {
		err = p.writeAddress()
	}
	if err != nil {
		return errors.Join(err, p.host.Close(), p.data.Close())
	}
	p.directory.Store(d)
	return nil
}

func (p *Provider) writeAddress() error {
	address, err := bestAddress(p.joinAddrs())
	if err != nil {
		return err
	}
	return durable.WriteFileAtomic(durable.OS{}, filepath.Join(p.cfg.Dir, addressFile), []byte(address+"\n"))
}

func (p *Provider) runNetwork(ctx context.Context) error {
	err := p.directory.Load().Run(ctx)
	if closeErr := p.data.Close(); !errors.Is(closeErr, net.ErrClosed) { // usually closed by serveData
		err = errors.Join(err, closeErr)
	}
	return errors.Join(err, p.host.Close())
}

func (p *Provider) openData(context.Context) error {
	p.ready.Store(true)
	return nil
}

func (p *Provider) serveData(ctx context.Context) error {
	defer p.ready.Store(false)
	return transport.Serve(ctx, p.data, p.node, transport.Config{Key: p.key, Log: p.cfg.Log, Metrics: p.cfg.Registerer})
}

// Ready returns nil when the node serves reads and, with write, takes new
// records.
func (p *Provider) Ready(write bool) error {
	const op = "check readiness"
	if !p.ready.Load() {
		return cairn.Errorf(op, cairn.Unavailable, "the node is starting or stopping")
	}
	if !write {
		return nil
	}
	if info := p.Info(); !info.Writable || p.draining.Load() {
		return cairn.Errorf(op, cairn.Unavailable, "no new records: %s", info.Reason)
	}
	return nil
}

// Info returns the node's figures as of a few seconds ago.
func (p *Provider) Info() nodeapi.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}
