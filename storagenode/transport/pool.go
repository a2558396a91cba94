package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

const opConnect = "connect to node"

// errClosed is the answer of a channel after Close.
var errClosed = errors.New("the channel to the node is closed")

// conn is one connection at the client.
type conn struct {
	wire
	born   time.Time
	idle   time.Time // since when
	reused bool      // it served a request before, so the node may have closed it
	number uint16
}

func (c *conn) close() { _ = c.link.Close() }

// nextNumber returns the number of the next request.
func (c *conn) nextNumber() uint16 {
	c.number++
	return c.number
}

// pool keeps the connections to one node.
type pool struct {
	node cairn.NodeID
	key  ed25519.PrivateKey // of the owner at this node; nil stays a stranger
	cfg  ChannelConfig

	slots chan struct{}  // holds one element per connection in use
	wg    sync.WaitGroup // losers of dial races

	mu     sync.Mutex // guards the fields below; never held across I/O
	addrs  []string
	idle   []*conn // the newest last
	sweep  *time.Timer
	closed bool
}

func newPool(node cairn.NodeID, addrs []string, key ed25519.PrivateKey, cfg ChannelConfig) *pool {
	cfg = cfg.withDefaults()
	return &pool{node: node, key: key, cfg: cfg, addrs: slices.Clone(addrs), slots: make(chan struct{}, cfg.MaxConns)}
}

// get returns a connection for one request: an idle one unless fresh, else a
// new one. Every get is followed by put or drop.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	if ctx.Err() != nil {
		return nil, cairn.NewError(opConnect, cairn.Unavailable, context.Cause(ctx))
	}
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, cairn.Errorf(opConnect, cairn.Unavailable, "wait for one of %d connections: %w", p.cfg.MaxConns, context.Cause(ctx))
		}
	}
	for {
		c, err := p.takeIdle()
		switch {
		case err != nil:
			<-p.slots
			return nil, err
		case c == nil:
			if c, err = p.connect(ctx); err != nil {
				<-p.slots
			}
			return c, err
		case fresh || !p.usable(c, time.Now()) || !c.link.Quiet():
			c.close()
		default:
			c.reused = true
			return c, nil
		}
	}
}

func (p *pool) takeIdle() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, cairn.NewError(opConnect, cairn.Unavailable, errClosed)
	}
	if len(p.idle) == 0 {
		return nil, nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c, nil
}

func (p *pool) usable(c *conn, now time.Time) bool {
	return now.Sub(c.born) < p.cfg.MaxAge && now.Sub(c.idle) < p.cfg.IdleTimeout
}

// put returns a connection on which nothing is under way.
func (p *pool) put(c *conn) {
	c.idle = time.Now()
	p.mu.Lock()
	if keep := !p.closed && len(p.idle) < p.cfg.MaxIdle; keep {
		p.idle = append(p.idle, c)
		if p.sweep == nil {
			p.sweep = time.AfterFunc(p.cfg.IdleTimeout, p.closeExpired)
		}
		c = nil
	}
	p.mu.Unlock()
	if c != nil {
		c.close()
	}
	<-p.slots
}

// drop closes a connection that cannot be used again.
func (p *pool) drop(c *conn) {
	c.close()
	<-p.slots
}

// closeExpired closes what has been idle for too long, and comes back while
// anything is idle.
func (p *pool) closeExpired() {
	p.mu.Lock()
	now := time.Now()
	var expired []*conn
	p.idle = slices.DeleteFunc(p.idle, func(c *conn) bool {
		if p.usable(c, now) {
			return false
		}
		expired = append(expired, c)
		return true
	})
	p.sweep = nil
	if len(p.idle) > 0 && !p.closed {
		p.sweep = time.AfterFunc(max(p.cfg.IdleTimeout/2, time.Second), p.closeExpired)
	}
	p.mu.Unlock()
	for _, c := range expired {
		c.close()
	}
}

func (p *pool) setAddrs(addrs []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs = slices.Clone(addrs)
}

// close closes idle connections and waits for dials that lost; connections in
// use are closed when their request ends.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	p.wg.Wait()
}

// connect dials the node and opens the session.
func (p *pool) connect(ctx context.Context) (*conn, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	p.mu.Lock()
	addrs := p.addrs
	p.mu.Unlock()
	link, err := race(ctx, &p.wg, p.cfg.Dialer, p.node, addrs)
	if err != nil {
		return nil, err
	}
	c := &conn{wire: wire{link: link}, born: time.Now()}
	stop := context.AfterFunc(ctx, c.close)
	err = p.hello(c)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return c, nil
	}
	c.close()
	if caller.Err() != nil {
		err = context.Cause(caller)
	}
	if _, ok := errors.AsType[*cairn.Error](err); ok {
		return nil, fmt.Errorf("open session with %v: %w", p.node.Short(), err)
	}
	return nil, cairn.Errorf(opConnect, cairn.Unavailable, "open session with %v: %w", p.node.Short(), err)
}

// hello agrees on a version and, with a key, proves the owner.
func (p *pool) hello(c *conn) error {
	h := nodeapi.Hello{Oldest: nodeapi.OldestWireVersion, Newest: nodeapi.WireVersion}
	if p.key != nil {
		var serial [8]byte
		_, _ = rand.Read(serial[:]) // never fails
		h.Auth = &cairn.Authorization{
			Verb: cairn.VerbSession, Node: p.node, Subject: cairn.SessionSubject(c.link.Binding()),
			// The session outlives the connection, whose age is bounded here.
			Expires: p.cfg.Now().Add(p.cfg.MaxAge + 10*time.Minute).Unix(),
			Serial:  binary.LittleEndian.Uint64(serial[:]),
		}
		h.Auth.Sign(p.key)
	}
	if err := c.send(nodeapi.TypeHello, 0, h.Append(c.begin())); err != nil {
		return err
	}
	m, err := c.header(0)
	if err != nil {
		return broken("read welcome", err)
	}
	switch m.Type {
	case nodeapi.TypeWelcome:
		body := make([]byte, m.Length)
		if err := c.full(body); err != nil {
			return err
		}
		w, err := nodeapi.ParseWelcome(body)
		if err != nil {
			return broken("read welcome", err)
		}
		if w.Node != p.node || w.Version < h.Oldest || w.Version > h.Newest {
			return cairn.Errorf(opConnect, cairn.Unavailable, "the node calls itself %v and speaks version %d", w.Node, w.Version)
		}
		return nil
	case nodeapi.TypeError:
		remote, err := c.remoteError(m.Length)
		if err != nil {
			return err
		}
		return remote
	default:
		return broken("read welcome", errProtocol("%v message", m.Type))
	}
}

// remoteError reads the body of an error message.
func (w *wire) remoteError(n int) (*cairn.Error, error) {
	body := make([]byte, n)
	if err := w.full(body); err != nil {
		return nil, err
	}
	remote, err := nodeapi.ParseError(body)
	if err != nil {
		return nil, broken("read error", err)
	}
	return remote, nil
}

// broken is the error for a node that speaks nonsense: to the caller it is not
// his request that is invalid, but a node to do without.
func broken(doing string, err error) error {
	return cairn.NewError(doing, cairn.Unavailable, fmt.Errorf("the node broke the protocol or the connection: %s", err))
}
