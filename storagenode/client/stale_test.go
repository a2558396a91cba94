package client

import (
	"context"
	"crypto/ed25519"
	"net"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
	"github.com/cairn-store/cairn/storagenode/transport"
)

// blindDialer makes links that cannot tell that they are stale.
type blindDialer struct{ transport.TCPDialer }

type blindLink struct{ transport.Link }

func (blindLink) Quiet() bool { return true }

func (d blindDialer) Dial(ctx context.Context, node cairn.NodeID, addr string) (transport.Link, error) {
	l, err := d.TCPDialer.Dial(ctx, node, addr)
	if err != nil {
		return nil, err
	}
	return blindLink{l}, nil
}

// TestARestartedNodeIsNotNoticed changes things over connections that the node
// closed while they were idle.
func TestARestartedNodeIsNotNoticed(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	mem := memnode.New(memnode.Config{Key: key})
	o := owner{storetest.NewOwner(mem.ID(), 1)}
	addr := "127.0.0.1:0"
	start := func() (stop func()) {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- transport.Serve(ctx, l, mem, transport.Config{Key: key}) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve = %v", err)
			}
		}
	}
	stop := start()
	c := New(mem.ID(), []string{addr}, o, Config{Channel: transport.ChannelConfig{Dialer: blindDialer{}}})
	defer c.Close()
	s := setup{c, mem, o}
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := o.Record(1, 100, 10)
	for what, do := range map[string]func() error{
		"PutRecord": func() error { _, err := s.storeSmall(t.Context(), r); return err },
		"Tails":     func() error { _, err := c.Tails(t.Context(), []cairn.ShardID{r.ID()}); return err },
		"Delete":    func() error { _, err := c.Delete(t.Context(), []cairn.ShardID{r.ID()}); return err },
	} {
		stop()
		stop = start()
		if err := do(); err != nil {
			t.Errorf("%s after the node restarted = %v, want nil", what, err)
		}
	}
	stop()
}
