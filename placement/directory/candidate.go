package directory

import (
	"net/netip"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// candidate is the node as placement sees it. Liveness comes before what the
// node says (draining), and that before what the owner thinks of it (assess).
func (n Node) candidate(assess func(cairn.NodeID) Assessment) placement.Candidate {
	c := placement.Candidate{
		ID: n.NodeID, Domain: n.FailureDomain, Operator: n.Operator, Region: n.Region, Subnet: subnet(n.Record),
		FreeBytes: n.Free, CapacityBytes: n.Capacity, RTT: n.RTT,
	}
	if assess != nil {
		a := assess(n.NodeID)
		c.State, c.Reason, c.Standing = a.State, a.Reason, a.Standing
	}
	switch {
	case n.Liveness == Gone:
		c.State, c.Reason = placement.Gone, n.Reason
	case n.Liveness != Alive:
		c.State, c.Reason = placement.Down, n.Liveness.String()+": "+n.Reason
	case n.Leaving && c.State != placement.Suspended:
		c.State, c.Reason = placement.Draining, "the node is leaving"
	}
	return c
}

// subnet returns the public network of a node's first public address: /24 of
// IPv4, /48 of IPv6. Private and loopback addresses say nothing about who
// shares a line, so they give "".
func subnet(r Record) string {
	for _, addr := range append(ipsOfData(r.DataAddrs), ipsOfMulti(r.Multiaddrs)...) {
		if !addr.IsGlobalUnicast() || addr.IsPrivate() {
			continue
		}
		bits := 48
		if addr.Is4() {
			bits = 24
		}
		if p, err := addr.Prefix(bits); err == nil {
			return p.String()
		}
	}
	return ""
}

func ipsOfData(list []string) (out []netip.Addr) {
	for _, s := range list {
		if ap, err := netip.ParseAddrPort(s); err == nil {
			out = append(out, ap.Addr().Unmap())
		}
	}
	return out
}

func ipsOfMulti(list []string) (out []netip.Addr) {
	for _, s := range list {
		parts := strings.SplitN(s, "/", 4) // "", "ip4", address, rest
		if len(parts) < 3 || (parts[1] != "ip4" && parts[1] != "ip6") {
			continue
		}
		if a, err := netip.ParseAddr(parts[2]); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}
