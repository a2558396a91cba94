package provider

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/cairn-store/cairn/placement/directory"
)

// self is what the node says of itself; the directory signs it.
func (p *Provider) self() directory.Record {
	info := p.Info()
	free := info.FreeBytes
	if !info.Writable {
		free = 0
	}
	return directory.Record{
		Multiaddrs: p.addrs(), DataAddrs: p.dataAddrs(),
		FailureDomain: info.FailureDomain, Operator: info.Operator, Region: info.Region,
		CapacityBytes: info.CapacityBytes, FreeBytes: free,
		Software: "cairn " + p.cfg.Version, Draining: p.draining.Load(),
	}
}

// maxAdvertised keeps room for what libp2p finds.
const maxAdvertised = 8

// addrs are the host's addresses and those the operator adds.
func (p *Provider) addrs() []string {
	found := p.host.Addrs()
	var out []string
	for _, host := range p.cfg.Advertise {
		for _, addr := range found {
			if swapped, ok := withHost(addr, host); ok && !slices.Contains(out, swapped) && len(out) < maxAdvertised {
				out = append(out, swapped)
			}
		}
	}
	for _, addr := range found {
		if !slices.Contains(out, addr) && len(out) < 2*maxAdvertised {
			out = append(out, addr)
		}
	}
	return out
}

// withHost puts another host before the port of a TCP or QUIC multiaddr.
func withHost(addr, host string) (string, bool) {
	parts := strings.SplitN(addr, "/", 4) // "", "ip4", host, rest
	if len(parts) != 4 || (parts[1] != "ip4" && parts[1] != "ip6") {
		return "", false
	}
	proto := "dns"
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		proto = "ip4"
	} else if ip != nil {
		proto = "ip6"
	}
	return "/" + proto + "/" + host + "/" + parts[3], true
}

func (p *Provider) joinAddrs() []string {
	out := p.addrs()
	for i := range out {
		out[i] += "/p2p/" + p.ID().String()
	}
	return out
}

// bestAddress prefers TCP, which every network lets through, and addresses
// that other machines can reach. Earlier ones win.
func bestAddress(addrs []string) (string, error) {
	best, score := "", -1
	for _, addr := range addrs {
		s := 0
		if strings.Contains(addr, "/tcp/") {
			s++
		}
		if !strings.HasPrefix(addr, "/ip4/127.") && !strings.HasPrefix(addr, "/ip6/::1/") {
			s += 2
		}
		if s > score {
			best, score = addr, s
		}
	}
	if best == "" {
		return "", errors.New("the node listens nowhere")
	}
	return best, nil
}

// dataAddrs are host:port of the data listener: what the operator says, then
// the address listened at or, when that is every address, those of libp2p.
func (p *Provider) dataAddrs() []string {
	listen := p.data.Addr().(*net.TCPAddr)
	port := strconv.Itoa(listen.Port)
	var out []string
	add := func(host string) {
		if addr := net.JoinHostPort(host, port); !slices.Contains(out, addr) && len(out) < 2*maxAdvertised {
			out = append(out, addr)
		}
	}
	for _, host := range p.cfg.Advertise {
		add(host)
	}
	if !listen.IP.IsUnspecified() {
		add(listen.IP.String())
		return out
	}
	for _, addr := range p.host.Addrs() {
		parts := strings.SplitN(addr, "/", 4)
		if len(parts) == 4 && (parts[1] == "ip4" || parts[1] == "ip6") {
			add(parts[2])
		}
	}
	return out
}

// String names the node for messages.
func (p *Provider) String() string { return fmt.Sprintf("node %v", p.ID().Short()) }
