package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/cairn-store/cairn"
)

// Dialer makes links. Whatever the channel is, the link it returns leads to
// exactly the node named.
type Dialer interface {
	Dial(ctx context.Context, node cairn.NodeID, addr string) (Link, error)
}

// TCPDialer dials TCP and secures it with TLS 1.3. Addresses are "host:port"
// or multiaddrs such as /ip4/192.0.2.1/tcp/7777, with or without /p2p/ID.
type TCPDialer struct {
	// Net may set local addresses and keep-alive; its zero value works.
	Net net.Dialer
}

// Dial implements Dialer.
func (d TCPDialer) Dial(ctx context.Context, node cairn.NodeID, addr string) (Link, error) {
	const op = "connect to node"
	hostPort, err := tcpAddress(node, addr)
	if err != nil {
		return nil, err
	}
	c, err := d.Net.DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return nil, cairn.NewError(op, cairn.Unavailable, err)
	}
	link, err := secureClient(ctx, c, node)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return link, nil
}

// tcpAddress turns an address of node into "host:port".
func tcpAddress(node cairn.NodeID, addr string) (string, error) {
	const op = "read node address"
	if !strings.HasPrefix(addr, "/") {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return "", cairn.NewError(op, cairn.Invalid, err)
		}
		return addr, nil
	}
	parts := strings.Split(strings.TrimSuffix(addr[1:], "/"), "/")
	if len(parts) != 4 && len(parts) != 6 || parts[2] != "tcp" || parts[1] == "" || parts[3] == "" {
		return "", cairn.Errorf(op, cairn.Invalid, "%q is not /ip4|ip6|dns/HOST/tcp/PORT[/p2p/ID]", addr)
	}
	switch parts[0] {
	case "ip4", "ip6", "dns", "dns4", "dns6":
	default:
		return "", cairn.Errorf(op, cairn.Invalid, "%q: no way to dial %q", addr, parts[0])
	}
	if len(parts) == 6 && (parts[4] != "p2p" || parts[5] != node.String()) {
		return "", cairn.Errorf(op, cairn.Invalid, "%q is not an address of node %v", addr, node)
	}
	return net.JoinHostPort(parts[1], parts[3]), nil
}

// race dials all addresses at once; the first link wins. The losers are
// cancelled, and closed if they come too late; wg counts them until then.
func race(ctx context.Context, wg *sync.WaitGroup, d Dialer, node cairn.NodeID, addrs []string) (Link, error) {
	if len(addrs) == 0 {
		return nil, cairn.Errorf("connect to node", cairn.Unavailable, "no address of %v is known", node)
	}
	if len(addrs) == 1 {
		return d.Dial(ctx, node, addrs[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		link Link
		err  error
	}
	results := make(chan result, len(addrs))
	for _, addr := range addrs {
		wg.Go(func() {
			link, err := d.Dial(ctx, node, addr)
			if err != nil {
				err = fmt.Errorf("%s: %w", addr, err)
			}
			results <- result{link, err}
		})
	}
	var errs []error
	for i := range addrs {
		r := <-results
		if r.err != nil {
			errs = append(errs, r.err)
			continue
		}
		cancel()
		wg.Go(func() {
			for range len(addrs) - i - 1 {
				if late := <-results; late.err == nil {
					_ = late.link.Close()
				}
			}
		})
		return r.link, nil
	}
	cancel()
	return nil, cairn.NewError("connect to node", cairn.KindOf(errs[0]), errors.Join(errs...))
}
