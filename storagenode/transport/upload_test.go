package transport

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

// conns counts a channel's idle connections.
func (c *Channel) conns() int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return len(c.pool.idle)
}

// TestRefusalIsHeardWhileStreaming has the node refuse at the start and in the
// middle of a large upload: the client stops long before its end, hears the
// reason, and keeps the connection.
func TestRefusalIsHeardWhileStreaming(t *testing.T) {
	for name, op := range map[string]memnode.Op{"at the start": memnode.OpPut, "at a write": memnode.OpWrite, "at the end": memnode.OpCommit} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, Config{}, nil)
			owner := storetest.NewOwner(h.id(), 1)
			c := h.channel(t, owner, ChannelConfig{})
			h.mem.Before(memnode.FailAll(cairn.Full, op))
			r := owner.Record(1, 16<<20, 10)
			up, err := c.Put(t.Context(), owner.Put(r))
			if err != nil {
				t.Fatal(err)
			}
			if op != memnode.OpCommit {
				eventually(t, "a write is refused", func() bool {
					if len(r.Payload) == 0 {
						return true
					}
					err = up.Write(r.Payload[:1<<20])
					r.Payload = r.Payload[1<<20:]
					return err != nil
				})
			} else if err = up.Write(r.Payload); err == nil {
				_, err = up.Commit(t.Context(), r.Upload())
			}
			if !errors.Is(err, cairn.Full) && err != nil || err == nil && len(r.Payload) > 0 {
				t.Errorf("refused upload = %v with %d bytes left, want Full", err, len(r.Payload))
			}
			if _, err := up.Commit(t.Context(), r.Upload()); op != memnode.OpCommit && !errors.Is(err, cairn.Full) {
				t.Errorf("Commit of a refused upload = %v, want Full", err)
			}
			up.Abort()
			h.mem.Before(nil)
			if n := c.conns(); n != 1 {
				t.Errorf("%d connections are kept after the refusal, want 1", n)
			}
			small := owner.Record(2, 1000, 10)
			if _, err := storetest.Put(t.Context(), channelService{c}, owner.Put(small), small); err != nil {
				t.Errorf("Put after a refusal = %v, want nil", err)
			}
			if n := c.conns(); n != 1 {
				t.Errorf("%d connections are kept at the end, want 1", n)
			}
		})
	}
}

func TestAbortFreesTheUploadAndKeepsTheConnection(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{})
	r := owner.Record(1, 8<<20, 10)
	up, err := c.Put(t.Context(), owner.Put(r))
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Write(r.Payload[:3<<20]); err != nil {
		t.Fatal(err)
	}
	up.Abort()
	up.Abort()
	if i, err := h.mem.Info(t.Context()); err != nil || i.Uploads != 0 {
		t.Errorf("%d uploads open after Abort, %v; want none", i.Uploads, err)
	}
	if n := c.conns(); n != 1 {
		t.Errorf("%d connections are kept after Abort, want 1", n)
	}
	if _, err := up.Commit(t.Context(), r.Upload()); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Commit after Abort = %v, want Invalid", err)
	}
}

func TestAbortDoesNotWaitForAStalledNode(t *testing.T) {
	h := newHost(t, Config{DrainTimeout: time.Millisecond}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{})
	r := owner.Record(1, 32<<20, 10)
	h.mem.Pause()
	up, err := c.Put(t.Context(), owner.Put(r))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	up.Abort()
	if took := time.Since(start); took > patience/2 {
		t.Errorf("Abort at a stalled node took %v", took)
	}
	h.mem.Resume()
	eventually(t, "the node frees the upload", func() bool {
		i, err := h.mem.Info(t.Context())
		return err == nil && i.Uploads == 0 && h.mem.Count(memnode.OpPut) == 1
	})
}

func TestCancelledPutLeavesNothing(t *testing.T) {
	for _, stage := range []string{"before writing", "in the middle", "in commit"} {
		t.Run(stage, func(t *testing.T) {
			h := newHost(t, Config{}, nil)
			owner := storetest.NewOwner(h.id(), 1)
			c := h.channel(t, owner, ChannelConfig{})
			if _, err := c.Info(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "only the server runs", func() bool { return goroutines() <= 3 })
			before := goroutines()
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			r := owner.Record(1, 8<<20, 10)
			up, err := c.Put(ctx, owner.Put(r))
			if err != nil {
				t.Fatal(err)
			}
			if stage != "before writing" {
				if err := up.Write(r.Payload[:2<<20]); err != nil {
					t.Fatal(err)
				}
			}
			switch stage {
			case "in commit":
				if err := up.Write(r.Payload[2<<20:]); err != nil {
					t.Fatal(err)
				}
				h.mem.Before(func(_ context.Context, op memnode.Op, _ cairn.ShardID) error {
					if op == memnode.OpCommit {
						cancel()
						<-release
					}
					return nil
				})
				_, err = up.Commit(t.Context(), r.Upload())
				close(release)
			default:
				cancel()
				eventually(t, "a write notices", func() bool { err = up.Write(r.Payload[:1]); return err != nil })
			}
			if !errors.Is(err, context.Canceled) || cairn.KindOf(err) != cairn.Unavailable {
				t.Errorf("cancelled upload = %v, want Unavailable because of context.Canceled", err)
			}
			up.Abort()
			cancel()
			eventually(t, "the node frees the upload", func() bool {
				i, err := h.mem.Info(t.Context())
				return err == nil && i.Uploads == 0
			})
			eventually(t, "no goroutine is left", func() bool { return goroutines() < before })
			if n := c.conns(); n != 0 {
				t.Errorf("%d connections are kept after a cancelled upload, want none", n)
			}
		})
	}
}

func TestCancelledReadReturnsAtOnce(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	r := owner.Record(1, 1<<20, 10)
	if _, err := storetest.Put(t.Context(), h.mem, owner.Put(r), r); err != nil {
		t.Fatal(err)
	}
	c := h.channel(t, owner, ChannelConfig{})
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := goroutines()
	h.mem.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- c.Read(ctx, r.ID(), 0, make([]byte, 1<<20)) }()
	eventually(t, "the node has the request", func() bool { return h.mem.Count(memnode.OpRead) == 1 })
	cancel()
	select {
	case err := <-answer:
		if !errors.Is(err, context.Canceled) || cairn.KindOf(err) != cairn.Unavailable {
			t.Errorf("cancelled Read = %v, want Unavailable because of context.Canceled", err)
		}
	case <-time.After(patience):
		t.Fatal("a cancelled Read does not return")
	}
	h.mem.Resume()
	eventually(t, "no goroutine is left", func() bool { return goroutines() < before })
	if err := c.Read(t.Context(), r.ID(), 0, make([]byte, 1<<20)); err != nil {
		t.Errorf("Read afterwards = %v, want nil", err)
	}
}

func TestUploadsAreExact(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(t, owner, ChannelConfig{})
	r := owner.Record(1, 1000, 10)
	up, err := c.Put(t.Context(), owner.Put(r))
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Write(make([]byte, 1001)); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Write beyond the payload = %v, want Invalid", err)
	}
	if err := up.Write(r.Payload[:999]); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Commit(t.Context(), r.Upload()); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Commit of too little = %v, want Invalid", err)
	}

	// A client without these checks is told the same by the node.
	w := h.link(t)
	w.hello(t, nil)
	if err := w.send(nodeapi.TypePut, 1, owner.Put(r).Append(w.begin())); err != nil {
		t.Fatal(err)
	}
	if err := w.send(nodeapi.TypeUploadTail, 1, r.Upload().Append(w.begin())); err != nil {
		t.Fatal(err)
	}
	typ, body := w.message(t)
	wantError(t, "tail without payload", typ, body, cairn.Invalid)
	if err := w.send(nodeapi.TypePut, 2, owner.Put(owner.Record(2, 0, 10)).Append(w.begin())); err != nil {
		t.Fatal(err)
	}
	long := r.Upload()
	long.TreeTop, long.Manifest = nil, make([]byte, 500)
	if err := w.send(nodeapi.TypeUploadTail, 2, long.Append(w.begin())); err != nil {
		t.Fatal(err)
	}
	typ, body = w.message(t)
	wantError(t, "a longer manifest than announced", typ, body, cairn.Invalid)
}
