package directory

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/cairn-store/cairn"
)

// identityPrefix stands before the Ed25519 key in the bytes of a peer id.
const identityPrefix = "\x00\x24\x08\x01\x12\x20"

// PeerID returns the libp2p peer id of a node.
func PeerID(id cairn.NodeID) peer.ID { return peer.ID(identityPrefix + string(id[:])) }

// NodeIDOf returns the node behind a libp2p peer id. A peer whose key is not
// Ed25519 is an Invalid error.
func NodeIDOf(p peer.ID) (cairn.NodeID, error) {
	if len(p) != len(identityPrefix)+len(cairn.NodeID{}) || string(p[:len(identityPrefix)]) != identityPrefix {
		return cairn.NodeID{}, cairn.Errorf("read peer id", cairn.Invalid, "%q is not the peer id of an Ed25519 key", p.String())
	}
	return cairn.NodeID([]byte(p[len(identityPrefix):])), nil
}

// parseJoin reads a multiaddr that ends in /p2p/<peer id>.
func parseJoin(addr string) (peer.AddrInfo, error) {
	const op = "read join address"
	m, err := ma.NewMultiaddr(addr)
	if err != nil {
		return peer.AddrInfo{}, cairn.Errorf(op, cairn.Invalid, "%q: %w", addr, err)
	}
	info, err := peer.AddrInfoFromP2pAddr(m)
	if err != nil {
		return peer.AddrInfo{}, cairn.Errorf(op, cairn.Invalid, "%q: %w", addr, err).
			WithHint("a join address looks like /ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…")
	}
	if _, err := NodeIDOf(info.ID); err != nil {
		return peer.AddrInfo{}, fmt.Errorf("read join address %q: %w", addr, err)
	}
	return *info, nil
}

// addrInfo is where a record says its node can be reached over libp2p.
// Addresses this program cannot read are left out.
func addrInfo(r Record) peer.AddrInfo {
	info := peer.AddrInfo{ID: PeerID(r.NodeID)}
	for _, s := range r.Multiaddrs {
		if m, err := ma.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, m)
		}
	}
	return info
}

// gater refuses peers whose identity is not an Ed25519 key (a NodeID is one)
// and those the operator does not allow.
type gater struct {
	allow func(cairn.NodeID) bool // nil: everybody
}

func (g gater) admits(p peer.ID) bool {
	id, err := NodeIDOf(p)
	return err == nil && (g.allow == nil || g.allow(id))
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g gater) InterceptPeerDial(p peer.ID) bool { return g.admits(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater.
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.admits(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
