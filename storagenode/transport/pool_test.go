package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

// restart serves the host's node again at the address it had.
func (h *host) restart(t *testing.T) {
	t.Helper()
	h.stop()
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	h.serve(t, l, h.mem, Config{})
}

func TestStalePooledConnectionsAreNoticed(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{})
	r := owner.Record(1, 5000, 10)
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.restart(t)
	if _, err := storetest.PutSmall(t.Context(), channelService{c}, owner, r); err != nil {
		t.Errorf("PutRecord over a connection the node closed = %v, want nil", err)
	}
	h.restart(t)
	if err := storetest.CheckStored(t.Context(), channelService{c}, owner.Session(), r); err != nil {
		t.Errorf("reads over a connection the node closed: %v", err)
	}
}

// blindDialer makes links that cannot tell that they are stale.
type blindDialer struct{ TCPDialer }

type blindLink struct{ Link }

func (blindLink) Quiet() bool { return true }

func (d blindDialer) Dial(ctx context.Context, node cairn.NodeID, addr string) (Link, error) {
	l, err := d.TCPDialer.Dial(ctx, node, addr)
	if err != nil {
		return nil, err
	}
	return blindLink{l}, nil
}

func TestReadsAreRepeatedWhenTheConnectionWasStale(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{Dialer: blindDialer{}})
	r := owner.Record(1, 5000, 10)
	if _, err := storetest.PutSmall(t.Context(), channelService{c}, owner, r); err != nil {
		t.Fatal(err)
	}
	h.restart(t)
	if err := c.Read(t.Context(), r.ID(), 0, make([]byte, 5000)); err != nil {
		t.Errorf("Read over a stale connection = %v, want nil", err)
	}
	h.restart(t)
	_, err := c.Delete(t.Context(), owner.Delete(r.ID()))
	if !errors.Is(err, ErrStale) || cairn.KindOf(err) != cairn.Unavailable {
		t.Errorf("Delete over a stale connection = %v, want ErrStale: it must be signed anew", err)
	}
	if _, err := c.Delete(t.Context(), owner.Delete(r.ID())); err != nil {
		t.Errorf("Delete signed anew = %v, want nil", err)
	}
}

func TestConnectionsAreReusedAndBounded(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	d := &countingDialer{}
	c := h.channel(t, owner, ChannelConfig{Dialer: d, MaxConns: 3, MaxIdle: 2})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := c.List(t.Context(), cairn.ShardID{}, 10); err != nil {
				t.Errorf("List = %v", err)
			}
		})
	}
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.most > 3 {
		t.Errorf("%d connections were open at once, want at most 3", d.most)
	}
	if n := c.conns(); n > 2 || n == 0 {
		t.Errorf("%d connections are idle, want 1 or 2", n)
	}
}

// countingDialer counts open links.
type countingDialer struct {
	TCPDialer
	mu         sync.Mutex // guards the fields below
	open, most int
}

type countedLink struct {
	Link
	once   sync.Once
	closed func()
}

func (l *countedLink) Close() error {
	l.once.Do(l.closed)
	return l.Link.Close()
}

func (d *countingDialer) Dial(ctx context.Context, node cairn.NodeID, addr string) (Link, error) {
	l, err := d.TCPDialer.Dial(ctx, node, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open++
	d.most = max(d.most, d.open)
	return &countedLink{Link: l, closed: func() { d.mu.Lock(); d.open--; d.mu.Unlock() }}, nil
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	h := newHost(t, Config{}, nil)
	d := &countingDialer{}
	c := h.channel(t, nil, ChannelConfig{Dialer: d, IdleTimeout: 20 * time.Millisecond})
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the idle connection is closed", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.open == 0
	})
}

func TestAFullPoolWaitsForItsContext(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{MaxConns: 1})
	up, err := c.Put(t.Context(), owner.Put(owner.Record(1, 1000, 10)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Info(ctx); !errors.Is(err, context.DeadlineExceeded) || cairn.KindOf(err) != cairn.Unavailable {
		t.Errorf("Info with every connection in use = %v, want Unavailable at its deadline", err)
	}
	up.Abort()
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("Info afterwards = %v, want nil", err)
	}
}

// TestTheFirstAddressToAnswerWins dials a silent address, a dead one and the
// right one at once.
func TestTheFirstAddressToAnswerWins(t *testing.T) {
	h := newHost(t, Config{}, nil)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	addrs := []string{silent.Addr().String(), dead.Addr().String(), multiaddr(t, h.addr)}
	c := NewChannel(h.id(), addrs, nil, ChannelConfig{})
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("Info with one living address of three = %v, want nil", err)
	}
	before := time.Now()
	if err := c.Close(); err != nil || time.Since(before) > patience/2 {
		t.Errorf("Close = %v after %v: the losers of the race still run", err, time.Since(before))
	}
	if _, err := c.Info(t.Context()); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Info after Close = %v, want Unavailable", err)
	}
	nobody := NewChannel(h.id(), []string{dead.Addr().String()}, nil, ChannelConfig{})
	if _, err := nobody.Info(t.Context()); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Info of a dead node = %v, want Unavailable", err)
	}
}

func multiaddr(t *testing.T, hostPort string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		t.Fatal(err)
	}
	return "/ip4/" + host + "/tcp/" + port
}

func TestAddressesAreRead(t *testing.T) {
	node := cairn.NodeID{7}
	for _, c := range []struct{ in, want string }{
		{"node.example:7777", "node.example:7777"},
		{"[2001:db8::1]:7777", "[2001:db8::1]:7777"},
		{"/ip4/192.0.2.1/tcp/7777", "192.0.2.1:7777"},
		{"/ip6/2001:db8::1/tcp/7777", "[2001:db8::1]:7777"},
		{"/dns4/node.example/tcp/7777/p2p/" + node.String(), "node.example:7777"},
		{"/dns4/node.example/tcp/7777/p2p/" + cairn.NodeID{8}.String(), ""},
		{"/ip4/192.0.2.1/udp/7777/quic-v1", ""},
		{"/unix/tmp/x/tcp/1", ""},
		{"/ip4/192.0.2.1", ""},
		{"node.example", ""},
		{"", ""},
	} {
		got, err := tcpAddress(node, c.in)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("tcpAddress(%q) = %q, %v, want %q", c.in, got, err, c.want)
		}
	}
}

// TestANodeThatSpeaksNonsenseIsUnavailable runs a node that is the right one
// and answers wrongly.
func TestANodeThatSpeaksNonsenseIsUnavailable(t *testing.T) {
	key := newKey(t)
	id := memnode.New(memnode.Config{Key: key}).ID()
	reply := func(typ nodeapi.MessageType, number uint16, body ...byte) []byte {
		return append(nodeapi.MessageHeader{Length: len(body), Type: typ, Number: number}.Append(nil), body...)
	}
	welcome := reply(nodeapi.TypeWelcome, 0, nodeapi.Welcome{Version: 1, Node: id}.Append(nil)...)
	for name, words := range map[string][][]byte{
		"no welcome":                {reply(nodeapi.TypeReply, 0)},
		"a version never offered":   {reply(nodeapi.TypeWelcome, 0, nodeapi.Welcome{Version: 9, Node: id}.Append(nil)...)},
		"another node's welcome":    {reply(nodeapi.TypeWelcome, 0, nodeapi.Welcome{Version: 1}.Append(nil)...)},
		"answer to another request": {welcome, reply(nodeapi.TypeReply, 9)},
		"short info":                {welcome, reply(nodeapi.TypeReply, 1, 1, 2, 3)},
		"an endless reply":          {welcome, {0xff, 0xff, 0xff, 0xff, byte(nodeapi.TypeReply), 0, 1, 0}},
		"a malformed error":         {welcome, reply(nodeapi.TypeError, 1, 5)},
		"half a reply":              {welcome, reply(nodeapi.TypeReply, 1, make([]byte, 200)...)[:100]},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { speak(t, l, key, words) })
		c := NewChannel(id, []string{l.Addr().String()}, nil, ChannelConfig{})
		if _, err := c.Info(t.Context()); cairn.KindOf(err) != cairn.Unavailable {
			t.Errorf("%s: Info = %v, want Unavailable", name, err)
		}
		if n := c.conns(); n != 0 {
			t.Errorf("%s: the connection is kept", name)
		}
		_ = l.Close()
		wg.Wait()
	}
}

// speak answers each message of one connection with the next words, then ends.
func speak(t *testing.T, l net.Listener, key []byte, words [][]byte) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	me, err := identity(key)
	if err != nil {
		t.Error(err)
		return
	}
	link, err := secureServer(context.Background(), c, me, patience)
	if err != nil {
		t.Error(err)
		return
	}
	w := &wire{link: link, pace: patience}
	for _, b := range words {
		h, err := w.header(patience)
		if err != nil {
			return
		}
		if err := w.discard(h.Length); err != nil {
			return
		}
		if _, err := link.Write(b); err != nil {
			return
		}
		if err := link.Flush(); err != nil {
			return
		}
	}
}
