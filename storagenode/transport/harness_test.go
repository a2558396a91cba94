package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

// patience bounds every wait of the tests for something that must happen.
const patience = 20 * time.Second

// host is a node that serves on loopback.
type host struct {
	mem  *memnode.Node
	key  ed25519.PrivateKey
	addr string
	stop func() // stops serving and waits
}

func newKey(tb testing.TB) ed25519.PrivateKey {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// newHost starts a node; wrap, when given, stands between the wire and it.
func newHost(tb testing.TB, cfg Config, wrap func(nodeapi.Service) nodeapi.Service) *host {
	tb.Helper()
	h := &host{key: newKey(tb)}
	h.mem = memnode.New(memnode.Config{Key: h.key, CapacityBytes: 64 << 20})
	var svc nodeapi.Service = h.mem
	if wrap != nil {
		svc = wrap(svc)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.serve(tb, l, svc, cfg)
	return h
}

func (h *host) serve(tb testing.TB, l net.Listener, svc nodeapi.Service, cfg Config) {
	cfg.Key = h.key
	if _, ok := tb.(*testing.T); ok {
		cfg.Log = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, svc, cfg) }()
	var once sync.Once
	h.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					tb.Errorf("Serve = %v, want nil", err)
				}
			case <-time.After(patience):
				tb.Errorf("Serve still runs %v after its context ended", patience)
			}
		})
	}
	tb.Cleanup(h.stop)
}

func (h *host) id() cairn.NodeID { return h.mem.ID() }

// channel returns a channel of the owner to the host.
func (h *host) channel(tb testing.TB, o *storetest.Owner, cfg ChannelConfig) *Channel {
	tb.Helper()
	var key ed25519.PrivateKey
	if o != nil {
		key = o.Key
	}
	c := NewChannel(h.id(), []string{h.addr}, key, cfg)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// link dials the host for tests that speak the wire by hand.
func (h *host) link(t *testing.T) *wire {
	t.Helper()
	l, err := TCPDialer{}.Dial(t.Context(), h.id(), h.addr)
	if err != nil {
		t.Fatalf("Dial = %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &wire{link: l, pace: patience}
}

// hello sends a hello and returns the type and body of the answer.
func (w *wire) hello(t *testing.T, auth *cairn.Authorization) (nodeapi.MessageType, []byte) {
	t.Helper()
	h := nodeapi.Hello{Oldest: 1, Newest: 1, Auth: auth}
	if err := w.send(nodeapi.TypeHello, 0, h.Append(w.begin())); err != nil {
		t.Fatal(err)
	}
	return w.message(t)
}

func (w *wire) message(t *testing.T) (nodeapi.MessageType, []byte) {
	t.Helper()
	m, err := w.header(patience)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body := make([]byte, m.Length)
	if err := w.full(body); err != nil {
		t.Fatal(err)
	}
	return m.Type, body
}

// wantError checks that the next message is an error of the kind.
func wantError(t *testing.T, what string, typ nodeapi.MessageType, body []byte, kind cairn.Kind) {
	t.Helper()
	if typ != nodeapi.TypeError {
		t.Fatalf("%s: answered by %v, want an error", what, typ)
	}
	e, err := nodeapi.ParseError(body)
	if err != nil || e.Kind != kind {
		t.Fatalf("%s: answered %v, %v, want kind %v", what, e, err, kind)
	}
}

// wantClosed checks that the peer closes the link without another word.
func wantClosed(t *testing.T, what string, w *wire) {
	t.Helper()
	var b [1]byte
	_ = w.link.SetReadDeadline(time.Now().Add(patience))
	n, err := w.link.Read(b[:])
	var timeout net.Error
	if n != 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("%s: read %d bytes, %v; want the connection closed", what, n, err)
	}
}

// eventually waits until ok, and fails the test when that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// goroutines counts those that run code of this package.
func goroutines() int {
	buf := make([]byte, 1<<20)
	n := 0
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "storagenode/transport.") && !strings.Contains(g, "testing.tRunner") {
			n++
		}
	}
	return n
}
