package transport

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
	"github.com/prometheus/client_golang/prometheus"
)

// impatient is a server that does not wait for slow clients.
func impatient() Config {
	const soon = 100 * time.Millisecond
	return Config{HandshakeTimeout: soon, IdleTimeout: soon, UploadIdleTimeout: soon, PaceTimeout: soon}
}

func TestSlowAndSilentClientsAreCut(t *testing.T) {
	h := newHost(t, impatient(), nil)
	owner := storetest.NewOwner(h.id(), 1)
	raw, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	wantClosed(t, "no handshake", &wire{link: &tlsLinkless{raw}})

	w := h.link(t)
	wantClosed(t, "no hello", w)

	w = h.link(t)
	w.hello(t, nil)
	wantClosed(t, "no request", w)

	w = h.link(t)
	w.hello(t, nil)
	flush(t, w, []byte{40, 0, 0})
	wantClosed(t, "half a header", w)

	w = h.link(t)
	w.hello(t, nil)
	flush(t, w, nodeapi.MessageHeader{Length: 45, Type: nodeapi.TypeRead, Number: 1}.Append(nil))
	wantClosed(t, "no body", w)

	w = h.link(t)
	w.hello(t, nil)
	r := owner.Record(1, 1000, 10)
	if err := w.send(nodeapi.TypePut, 1, owner.Put(r).Append(w.begin())); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, "no payload", w)
	eventually(t, "the silent client's upload is freed", func() bool {
		i, err := h.mem.Info(t.Context())
		return err == nil && i.Uploads == 0
	})
}

// TestADripOfBytesIsTooSlow sends a body one byte at a time, each well within
// the pace: what counts is a whole stride.
func TestADripOfBytesIsTooSlow(t *testing.T) {
	h := newHost(t, impatient(), nil)
	w := h.link(t)
	w.hello(t, nil)
	flush(t, w, nodeapi.MessageHeader{Length: 30_000, Type: nodeapi.TypeTails, Number: 1}.Append(nil))
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = w.link.Read(make([]byte, 1))
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case <-closed:
			return
		case <-tick.C:
			_, _ = w.link.Write([]byte{0})
			_ = w.link.Flush()
		}
		if time.Since(start) > patience {
			t.Fatalf("a client that sends 100 bytes a second is still there after %v", patience)
		}
	}
}

// TestReadersThatDoNotReadAreCut asks for much and takes none of it.
func TestReadersThatDoNotReadAreCut(t *testing.T) {
	cfg := impatient()
	cfg.IdleTimeout = patience
	h := newHost(t, cfg, nil)
	owner := storetest.NewOwner(h.id(), 1)
	r := owner.Record(1, 4<<20, 10)
	if _, err := storetest.Put(t.Context(), h.mem, owner.Put(r), r); err != nil {
		t.Fatal(err)
	}
	w := h.link(t)
	w.hello(t, session(owner, w.link.Binding()))
	req := nodeapi.ReadRequest{Shard: r.ID(), Length: 4 << 20}
	eventually(t, "a client that never reads can no longer write", func() bool {
		err := w.send(nodeapi.TypeRead, 1, req.Append(w.begin()))
		return err != nil
	})
}

func TestConnectionsAreLimited(t *testing.T) {
	for name, cfg := range map[string]Config{"in all": {MaxConns: 2}, "per address": {MaxConnsPerIP: 2}} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, cfg, nil)
			a, b := h.link(t), h.link(t)
			a.hello(t, nil)
			b.hello(t, nil)
			third, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer third.Close()
			wantClosed(t, "a third connection", &wire{link: &tlsLinkless{third}})
			_ = a.link.Close()
			eventually(t, "a place is free again", func() bool {
				l, err := TCPDialer{}.Dial(t.Context(), h.id(), h.addr)
				if err == nil {
					_ = l.Close()
				}
				return err == nil
			})
		})
	}
}

func TestRequestsUnderWayAreLimited(t *testing.T) {
	h := newHost(t, Config{MaxInFlight: 1}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{})
	r := owner.Record(1, 2<<20, 10)
	up, err := c.Put(t.Context(), owner.Put(r))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upload is open", func() bool { return h.mem.Count(memnode.OpPut) == 1 })
	if _, err := c.Info(t.Context()); !errors.Is(err, cairn.Unavailable) || cairn.HintOf(err) == "" {
		t.Errorf("Info beside an upload = %v, want Unavailable with a hint", err)
	}
	if _, err := storetest.Put(t.Context(), channelService{c}, owner.Put(r), r); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("second Put = %v, want Unavailable", err)
	}
	up.Abort()
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("Info after the upload = %v, want nil", err)
	}
}

func TestPanicsEndOneConnection(t *testing.T) {
	h := newHost(t, Config{}, func(s nodeapi.Service) nodeapi.Service { return panicky{s} })
	c := h.channel(t, storetest.NewOwner(h.id(), 1), ChannelConfig{})
	if _, err := c.List(t.Context(), cairn.ShardID{}, 1); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("List that panics = %v, want Unavailable", err)
	}
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("Info afterwards = %v, want nil", err)
	}
}

type panicky struct{ nodeapi.Service }

func (panicky) List(context.Context, nodeapi.Session, cairn.ShardID, int) (nodeapi.ListReply, error) {
	panic("our own promise is broken")
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{})
	r := owner.Record(1, 3<<20, 10)
	if _, err := c.Info(t.Context()); err != nil { // leaves an idle connection
		t.Fatal(err)
	}
	up, err := c.Put(t.Context(), owner.Put(r))
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Write(r.Payload[:1<<20]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upload is open", func() bool { return h.mem.Count(memnode.OpPut) == 1 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); h.stop() }()
	eventually(t, "new connections are refused", func() bool {
		l, err := net.Dial("tcp", h.addr)
		if err == nil {
			_ = l.Close()
		}
		return err != nil
	})
	if err := up.Write(r.Payload[1<<20:]); err != nil {
		t.Fatalf("Write while the node stops = %v", err)
	}
	if _, err := up.Commit(t.Context(), r.Upload()); err != nil {
		t.Errorf("Commit while the node stops = %v, want nil", err)
	}
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("the node does not stop after its last request")
	}
	if err := storetest.CheckStored(t.Context(), h.mem, owner.Session(), r); err != nil {
		t.Errorf("after the stop: %v", err)
	}
}

func TestShutdownDoesNotWaitForEver(t *testing.T) {
	h := newHost(t, Config{DrainTimeout: 50 * time.Millisecond}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{})
	up, err := c.Put(t.Context(), owner.Put(owner.Record(1, 3<<20, 10)))
	if err != nil {
		t.Fatal(err)
	}
	defer up.Abort()
	eventually(t, "the upload is open", func() bool { return h.mem.Count(memnode.OpPut) == 1 })
	h.stop()
	if i, err := h.mem.Info(t.Context()); err != nil || i.Uploads != 0 {
		t.Errorf("after the stop %d uploads are open, %v; want none", i.Uploads, err)
	}
}

func TestShutdownDoesNotWaitForHandshakes(t *testing.T) {
	h := newHost(t, Config{HandshakeTimeout: time.Hour, DrainTimeout: time.Hour, MaxConns: 2}, nil)
	silent, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w := h.link(t) // accepted after the silent one; says no hello
	h.stop()
	wantClosed(t, "no hello at shutdown", w)
}

func TestServersShareARegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		h := newHost(t, Config{Metrics: reg}, nil)
		c := h.channel(t, nil, ChannelConfig{})
		if _, err := c.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.stop()
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "transport_requests_total" {
			if got := f.GetMetric()[0].GetCounter().GetValue(); got != 2 {
				t.Errorf("two servers answered %v requests, want 2", got)
			}
			return
		}
	}
	t.Error("transport_requests_total is not registered")
}

func flush(t *testing.T, w *wire, b []byte) {
	t.Helper()
	if _, err := w.link.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.link.Flush(); err != nil {
		t.Fatal(err)
	}
}

// tlsLinkless is a bare connection as a Link.
type tlsLinkless struct{ net.Conn }

func (l *tlsLinkless) Flush() error    { return nil }
func (l *tlsLinkless) Binding() []byte { return []byte("the same at both ends") }
func (l *tlsLinkless) Quiet() bool     { return true }

// channelService is a channel as a Service whose sessions are the channel's.
type channelService struct{ *Channel }

func (s channelService) Read(ctx context.Context, _ nodeapi.Session, id cairn.ShardID, off int64, buf []byte) error {
	return s.Channel.Read(ctx, id, off, buf)
}

func (s channelService) Tails(ctx context.Context, _ nodeapi.Session, ids []cairn.ShardID) ([]cairn.Tail, error) {
	return s.Channel.Tails(ctx, ids)
}

func (s channelService) List(ctx context.Context, _ nodeapi.Session, after cairn.ShardID, limit int) (nodeapi.ListReply, error) {
	return s.Channel.List(ctx, after, limit)
}
