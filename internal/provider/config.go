package provider

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/secretfile"
)

// Config describes a Provider.
type Config struct {
	// Dir holds the node's key and files, see storagenode.Init. Required.
	Dir string
	// ShardDir holds the shards; empty means Dir.
	ShardDir string
	// Network is the name of the network. Required.
	Network string
	// NetworkKey is the key that a private network shares; nil: none.
	NetworkKey []byte
	// Listen is host:port for libp2p, over TCP and QUIC. Required. A port of 0
	// takes a free one.
	Listen string
	// DataListen is host:port for data. Empty means the port after Listen's, or
	// a free one.
	DataListen string
	// Advertise are further hosts or addresses the node is reached at, with
	// the same ports.
	Advertise []string
	// NAT asks the router for a port.
	NAT bool
	// Join returns the multiaddrs of nodes to begin with, when the network is
	// started. Nil, or none, begins a network.
	Join func() ([]string, error)

	// CapacityBytes bounds what is kept; zero means what the disk has.
	CapacityBytes int64
	// FailureDomain is what fails as one with the node; empty means the node alone.
	FailureDomain string
	Operator      string
	Region        string

	// Interval is the pause between two looks around the network. Zero means
	// the directory's default.
	Interval time.Duration

	Version    string
	Log        *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nothing
}

func (c *Config) fill() error {
	const op = "configure node"
	if c.Dir == "" || c.Network == "" || c.Listen == "" {
		return cairn.NewError(op, cairn.Invalid, errors.New("directory, network and listening address are required"))
	}
	host, port, err := splitAddr(c.Listen)
	if err != nil {
		return cairn.NewError(op, cairn.Invalid, err)
	}
	if c.DataListen == "" {
		next := 0
		if port != 0 {
			next = port + 1
		}
		c.DataListen = net.JoinHostPort(host, strconv.Itoa(next))
	}
	if _, _, err := splitAddr(c.DataListen); err != nil {
		return cairn.NewError(op, cairn.Invalid, err)
	}
	for _, h := range c.Advertise {
		if h == "" || strings.ContainsAny(h, "/ ,") {
			return cairn.Errorf(op, cairn.Invalid, "%q is not a host or an address", h)
		}
	}
	if c.Join == nil {
		c.Join = func() ([]string, error) { return nil, nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// splitAddr reads host:port; an empty host means every address.
func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port: %w", addr, err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if net.ParseIP(host) == nil && host != "localhost" {
		return "", 0, fmt.Errorf("%q: listen at an IP address, not at a name", addr)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65534 {
		return "", 0, fmt.Errorf("%q has no port of 0 to 65534", addr)
	}
	return host, port, nil
}

// multiaddrs are where libp2p listens for host:port.
func multiaddrs(addr string) ([]string, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	proto := "ip4"
	if net.ParseIP(host).To4() == nil {
		proto = "ip6"
	}
	return []string{
		fmt.Sprintf("/%s/%s/tcp/%d", proto, host, port),
		fmt.Sprintf("/%s/%s/udp/%d/quic-v1", proto, host, port),
	}, nil
}

// ReadNetworkKey reads the key of a private network: a file with 64
// hexadecimal digits. An empty path is no key.
func ReadNetworkKey(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := secretfile.Read(path, 4096)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, cairn.Errorf("read network key", cairn.Invalid, "%s does not hold 64 hexadecimal digits", path).
			WithHint("make one with: openssl rand -hex 32")
	}
	return key, nil
}
