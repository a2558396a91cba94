package directory

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/cairn-store/cairn"
)

// HostConfig says who a host is and where it listens.
type HostConfig struct {
	// Network is the network's name, see [CheckNetwork]. Required.
	Network string
	// Key is the identity. Required.
	Key ed25519.PrivateKey
	// Listen are multiaddrs such as /ip4/0.0.0.0/tcp/7700 and
	// /ip4/0.0.0.0/udp/7700/quic-v1. Empty: dials only, as gateways may.
	Listen []string
	// Serve makes the host keep part of the DHT; nodes do, gateways do not.
	Serve bool
	// NoDHT leaves the DHT out altogether.
	NoDHT bool
	// NetworkKey is the 32-byte pre-shared key of a private network. Peers
	// without it cannot shake hands. QUIC does not know such keys, so it is
	// left out. Nil: none.
	NetworkKey []byte
	// NAT asks the router for a port and tries relays and hole punching.
	NAT bool
	// Allow is asked about each peer before a connection is used; nil allows all.
	Allow func(cairn.NodeID) bool
	// Now returns wall time; nil means time.Now.
	Now func() time.Time
}

// Host is a libp2p identity on a network: connections over TCP and QUIC, and
// the network's DHT. Close releases it; it is safe for concurrent use.
type Host struct {
	network string
	key     ed25519.PrivateKey
	id      cairn.NodeID
	p2p     host.Host
	dht     *dht.IpfsDHT // nil with NoDHT
}

// NewHost opens the listeners and returns the host, which answers from then on.
// A wrong configuration is an Invalid error.
func NewHost(cfg HostConfig) (*Host, error) {
	const op = "open libp2p host"
	quietLibraries()
	if err := CheckNetwork(cfg.Network); err != nil {
		return nil, cairn.NewError(op, cairn.Invalid, err)
	}
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, cairn.NewError(op, cairn.Invalid, errors.New("not an Ed25519 private key"))
	}
	options, err := hostOptions(cfg)
	if err != nil {
		return nil, cairn.NewError(op, cairn.Invalid, err)
	}
	p2p, err := libp2p.New(options...)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", op, strings.Join(cfg.Listen, ", "), err)
	}
	h := &Host{network: cfg.Network, key: cfg.Key, id: cairn.NodeID(cfg.Key.Public().(ed25519.PublicKey)), p2p: p2p}
	if cfg.NoDHT {
		return h, nil
	}
	if h.dht, err = newDHT(p2p, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("start DHT of network %s: %w", cfg.Network, err), p2p.Close())
	}
	return h, nil
}

func hostOptions(cfg HostConfig) ([]libp2p.Option, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent("cairn"),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.ConnectionGater(gater{cfg.Allow}),
		libp2p.DisableMetrics(),
	}
	if cfg.NetworkKey != nil {
		if len(cfg.NetworkKey) != 32 {
			return nil, fmt.Errorf("network key of %d bytes, want 32", len(cfg.NetworkKey))
		}
		options = append(options, libp2p.PrivateNetwork(cfg.NetworkKey))
	} else {
		options = append(options, libp2p.Transport(quic.NewTransport))
	}
	if cfg.NAT {
		options = append(options, libp2p.NATPortMap(), libp2p.EnableRelay(), libp2p.EnableHolePunching())
	} else {
		options = append(options, libp2p.DisableRelay(), libp2p.ForceReachabilityPublic())
	}
	listen := cfg.Listen
	if cfg.NetworkKey != nil {
		listen = nil
		for _, addr := range cfg.Listen {
			if !strings.Contains(addr, "/quic") {
				listen = append(listen, addr)
			}
		}
	}
	if len(listen) == 0 {
		if len(cfg.Listen) > 0 {
			return nil, errors.New("a network key leaves no address to listen on: QUIC does not know such keys")
		}
		return append(options, libp2p.NoListenAddrs), nil
	}
	return append(options, libp2p.ListenAddrStrings(listen...)), nil
}

// ID returns the host's own id.
func (h *Host) ID() cairn.NodeID { return h.id }

// Network returns the network's name.
func (h *Host) Network() string { return h.network }

// P2P returns the libp2p host, for the transport to open streams on.
func (h *Host) P2P() host.Host { return h.p2p }

// Addrs returns the addresses the host can be reached at, as they stand in its
// record.
func (h *Host) Addrs() []string {
	var out []string
	for _, addr := range h.p2p.Addrs() {
		if len(out) < maxAddresses && len(addr.String()) <= maxAddressSize {
			out = append(out, addr.String())
		}
	}
	return out
}

// JoinAddrs returns Addrs with /p2p/<id> at the end: what others give to join.
func (h *Host) JoinAddrs() []string {
	out := h.Addrs()
	for i := range out {
		out[i] += "/p2p/" + h.id.String()
	}
	return out
}

// Check is a [Checker] that needs nothing but libp2p: one ping, whose time is
// the RTT. What it does not measure is taken from the record.
func (h *Host) Check(ctx context.Context, r Record) (Status, error) {
	info := addrInfo(r)
	if err := h.connect(ctx, info); err != nil {
		return Status{}, cairn.Errorf("ping node", cairn.Unavailable, "connect to %s: %w", r.NodeID.Short(), err)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the ping stream
	defer cancel()
	select {
	case res := <-ping.Ping(ctx, h.p2p, info.ID):
		if res.Error != nil {
			return Status{}, cairn.Errorf("ping node", cairn.Unavailable, "ping %s: %w", r.NodeID.Short(), res.Error)
		}
		return Status{RTT: max(res.RTT, time.Microsecond)}, nil
	case <-ctx.Done():
		return Status{}, fmt.Errorf("ping %s: %w", r.NodeID.Short(), ctx.Err())
	}
}

// connect dials p unless it is connected. The pauses between tries are ours to
// choose, so libp2p's own memory of failed dials is cleared first.
func (h *Host) connect(ctx context.Context, p peer.AddrInfo) error {
	if s, ok := h.p2p.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p.ID)
	}
	return h.p2p.Connect(ctx, p)
}

// Close leaves the network: listeners, connections and DHT end.
func (h *Host) Close() error {
	var err error
	if h.dht != nil {
		err = h.dht.Close()
	}
	if err = errors.Join(err, h.p2p.Close()); err != nil {
		return fmt.Errorf("close libp2p host: %w", err)
	}
	return nil
}

// recordsProtocol is the exchange of records, see exchange.go.
func (h *Host) recordsProtocol() protocol.ID {
	return protocol.ID("/cairn/" + h.network + "/records/1")
}

// connectedPeers returns the peers that speak the exchange and are connected.
func (h *Host) connectedPeers() []peer.ID {
	var out []peer.ID
	for _, p := range h.p2p.Network().Peers() {
		speaks, err := h.p2p.Peerstore().SupportsProtocols(p, h.recordsProtocol())
		if err == nil && len(speaks) > 0 {
			out = append(out, p)
		}
	}
	return out
}
