package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

const (
	// protocol is the ALPN name: what speaks anything else is turned away in
	// the handshake.
	protocol     = "cairn-node/1"
	bindingLabel = "cairn session"
	bindingSize  = 32
)

// tlsLink is TLS 1.3 over a coalescer. Closing it closes the connection
// without a farewell: every message carries its length, so a cut is noticed.
type tlsLink struct {
	*tls.Conn
	under   *coalescer
	binding []byte
}

func (l *tlsLink) Flush() error    { return l.under.flush() }
func (l *tlsLink) Close() error    { return l.under.Conn.Close() }
func (l *tlsLink) Binding() []byte { return l.binding }
func (l *tlsLink) Quiet() bool     { return l.under.quiet() }

// newTLSLink wraps a connection whose handshake is done.
func newTLSLink(c *tls.Conn, under *coalescer) (*tlsLink, error) {
	state := c.ConnectionState()
	if state.NegotiatedProtocol != protocol {
		return nil, errors.New("the peer does not speak the node protocol")
	}
	binding, err := state.ExportKeyingMaterial(bindingLabel, nil, bindingSize)
	if err != nil {
		return nil, fmt.Errorf("export channel binding: %w", err)
	}
	under.hold()
	return &tlsLink{Conn: c, under: under, binding: binding}, nil
}

func tune(c *tls.Config) *tls.Config {
	c.NextProtos = []string{protocol}
	c.DynamicRecordSizingDisabled = true
	return c
}

func identity(key ed25519.PrivateKey) (*libp2ptls.Identity, error) {
	k, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("read identity key: %w", err)
	}
	id, err := libp2ptls.NewIdentity(k)
	if err != nil {
		return nil, fmt.Errorf("make identity certificate: %w", err)
	}
	return id, nil
}

// peerID returns the libp2p name of a node.
func peerID(node cairn.NodeID) (peer.ID, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(node[:])
	if err != nil {
		return "", err
	}
	return peer.IDFromPublicKey(pub)
}

// secureClient makes c a link to node. The key it shows is made for this
// connection alone. Another node at the other end is a Denied error.
func secureClient(ctx context.Context, c net.Conn, node cairn.NodeID) (*tlsLink, error) {
	const op = "connect to node"
	id, err := peerID(node)
	if err != nil {
		return nil, cairn.NewError(op, cairn.Invalid, err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make connection key: %w", err)
	}
	me, err := identity(key)
	if err != nil {
		return nil, err
	}
	config, _ := me.ConfigForPeer(id)
	under := newCoalescer(c, 0)
	t := tls.Client(under, tune(config))
	if err := t.HandshakeContext(ctx); err != nil {
		kind := cairn.Unavailable
		if other, ok := errors.AsType[sec.ErrPeerIDMismatch](err); ok {
			kind, err = cairn.Denied, fmt.Errorf("%v answers in place of %v", other.Actual, other.Expected)
		}
		return nil, cairn.NewError(op, kind, err)
	}
	return newTLSLink(t, under)
}

// secureServer makes c a link to whoever dialled. Any key is accepted: it
// proves nothing but that both ends are on the same connection.
func secureServer(ctx context.Context, c net.Conn, me *libp2ptls.Identity, pace time.Duration) (*tlsLink, error) {
	config, _ := me.ConfigForPeer("")
	under := newCoalescer(c, pace)
	t := tls.Server(under, tune(config))
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return newTLSLink(t, under)
}
