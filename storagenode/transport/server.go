package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"golang.org/x/sync/semaphore"
)

// Serve answers requests that arrive at l from svc until ctx ends; then it
// closes l, lets the requests under way finish (at most Config.DrainTimeout),
// closes every connection and returns nil. Any other return is the reason why
// it could not go on. When Serve has returned, nothing of it runs any more.
func Serve(ctx context.Context, l net.Listener, svc nodeapi.Service, cfg Config) error {
	s, err := newServer(svc, cfg)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	// Requests outlive ctx until they are drained.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()

	err = s.accept(ctx, work, l)
	_ = l.Close() // closed already unless accepting failed
	s.drain(stopWork)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// server is what its connections share.
type server struct {
	cfg     Config
	node    cairn.NodeID
	me      *libp2ptls.Identity
	svc     nodeapi.Service
	metrics *metrics
	flight  *semaphore.Weighted // requests under way
	memory  *semaphore.Weighted // bytes held by requests

	wg sync.WaitGroup // one per connection

	mu       sync.Mutex // guards the fields below; never held across I/O
	conns    map[*serverConn]struct{}
	perIP    map[netip.Addr]int
	open     int
	draining bool
}

func newServer(svc nodeapi.Service, cfg Config) (*server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	me, err := identity(cfg.Key)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &server{
		cfg: cfg, me: me, svc: svc, metrics: m,
		node:   cairn.NodeID(cfg.Key.Public().(ed25519.PublicKey)),
		flight: semaphore.NewWeighted(int64(cfg.MaxInFlight)),
		memory: semaphore.NewWeighted(cfg.MaxBufferBytes),
		conns:  make(map[*serverConn]struct{}),
		perIP:  make(map[netip.Addr]int),
	}, nil
}

// accept starts a goroutine for each connection within the limits.
func (s *server) accept(ctx, work context.Context, l net.Listener) error {
	const firstPause, longestPause = 5 * time.Millisecond, time.Second
	pause := firstPause
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept connections: %w", err)
		}
		if err != nil { // out of descriptors, or the peer is gone already: both pass
			s.cfg.Log.WarnContext(ctx, "accept failed", "err", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, longestPause)
			continue
		}
		pause = firstPause
		ip := network(c.RemoteAddr())
		if reason := s.admit(ip); reason != "" {
			s.metrics.refused.WithLabelValues(reason).Inc()
			_ = c.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.leave(ip)
			s.handshake(ctx, work, c)
		})
	}
}

// admit counts a connection in, or says why not.
func (s *server) admit(ip netip.Addr) (refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.open >= s.cfg.MaxConns:
		return "too many"
	case s.perIP[ip] >= s.cfg.MaxConnsPerIP:
		return "too many from one address"
	}
	s.open++
	s.perIP[ip]++
	s.metrics.conns.Inc()
	return ""
}

func (s *server) leave(ip netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.perIP[ip]--; s.perIP[ip] == 0 {
		delete(s.perIP, ip)
	}
	s.metrics.conns.Dec()
}

// handshake makes a link of c, unless ctx ends first, and serves it to its end
// under work.
func (s *server) handshake(ctx, work context.Context, c net.Conn) {
	defer c.Close()
	limit := time.Now().Add(s.cfg.HandshakeTimeout)
	err := c.SetDeadline(limit)
	if err == nil {
		var link *tlsLink
		hctx, cancel := context.WithDeadline(ctx, limit)
		link, err = secureServer(hctx, c, s.me, s.cfg.PaceTimeout)
		cancel()
		if err == nil {
			s.serveLink(work, link)
			return
		}
	}
	s.metrics.refused.WithLabelValues("handshake").Inc()
	s.cfg.Log.DebugContext(ctx, "handshake failed", "remote", c.RemoteAddr().String(), "err", err)
}

// serveLink serves an authenticated link to its end and closes it.
func (s *server) serveLink(ctx context.Context, link Link) {
	defer link.Close()
	c := &serverConn{s: s, wire: wire{link: link, pace: s.cfg.PaceTimeout}}
	if !s.enter(c) {
		return
	}
	defer s.exit(c)
	if err := c.run(ctx); err != nil {
		s.cfg.Log.DebugContext(ctx, "connection ended", "err", err)
	}
}

func (s *server) enter(c *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *server) exit(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// setBusy notes whether c has a request under way. It reports false when the
// server is stopping and the connection, being idle, should end.
func (s *server) setBusy(c *serverConn, busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = busy
	return busy || !s.draining
}

// drain closes idle connections at once and the others when their request is
// answered or the time is up. It returns when all are gone.
func (s *server) drain(stopWork func()) {
	closeAll := func(busyToo bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.draining = true
		for c := range s.conns {
			if busyToo || !c.busy {
				_ = c.link.Close()
			}
		}
	}
	closeAll(false)
	late := time.AfterFunc(s.cfg.DrainTimeout, func() {
		stopWork()
		closeAll(true)
	})
	s.wg.Wait()
	late.Stop()
}

// network returns what connections are counted by: an IPv4 address or an IPv6
// /64; the zero address for what is not IP.
func network(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
