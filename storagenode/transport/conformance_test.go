package transport

import (
	"context"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

// TestTheWireKeepsTheNodesPromises runs the conformance suite of nodes across
// TLS on loopback.
func TestTheWireKeepsTheNodesPromises(t *testing.T) {
	storetest.Run(t, func(t *testing.T) nodeapi.Service {
		f := &farService{accepted: make(chan error, 1), channels: map[nodeapi.Session]*Channel{}}
		h := newHost(t, Config{}, func(svc nodeapi.Service) nodeapi.Service { return gate{svc, f} })
		for _, seed := range []byte{1, 2} {
			o := storetest.NewOwner(h.id(), seed)
			f.channels[o.Session()] = h.channel(t, o, ChannelConfig{})
		}
		f.stranger = h.channel(t, nil, ChannelConfig{})
		return f
	})
}

// gate tells the far side how each Put was met.
type gate struct {
	nodeapi.Service
	far *farService
}

func (g gate) Put(ctx context.Context, req nodeapi.PutRequest) (nodeapi.Upload, error) {
	up, err := g.Service.Put(ctx, req)
	g.far.accepted <- err
	return up, err
}

// farService is a node across the wire as a Service: each session has its
// channel, and Put waits for the node's first word as a local one does.
type farService struct {
	channels map[nodeapi.Session]*Channel
	stranger *Channel
	accepted chan error
}

func (f *farService) of(s nodeapi.Session) *Channel {
	if c, ok := f.channels[s]; ok {
		return c
	}
	return f.stranger
}

func (f *farService) Info(ctx context.Context) (nodeapi.Info, error) { return f.stranger.Info(ctx) }

func (f *farService) Put(ctx context.Context, req nodeapi.PutRequest) (nodeapi.Upload, error) {
	up, err := f.stranger.Put(ctx, req)
	if err != nil {
		return nil, err
	}
	u := up.(*upload)
	select {
	case err = <-f.accepted:
	case <-u.done:
	}
	if err != nil {
		<-u.done
	}
	if u.answered() {
		defer u.Abort()
		return nil, u.early()
	}
	return up, nil
}

func (f *farService) PutRecord(ctx context.Context, auth cairn.Authorization, record []byte) (cairn.Receipt, error) {
	return f.stranger.PutRecord(ctx, auth, record)
}

func (f *farService) Read(ctx context.Context, s nodeapi.Session, id cairn.ShardID, off int64, buf []byte) error {
	return f.of(s).Read(ctx, id, off, buf)
}

func (f *farService) Tails(ctx context.Context, s nodeapi.Session, ids []cairn.ShardID) ([]cairn.Tail, error) {
	return f.of(s).Tails(ctx, ids)
}

func (f *farService) List(ctx context.Context, s nodeapi.Session, after cairn.ShardID, limit int) (nodeapi.ListReply, error) {
	return f.of(s).List(ctx, after, limit)
}

func (f *farService) Delete(ctx context.Context, req nodeapi.DeleteRequest) (nodeapi.DeleteReply, error) {
	return f.stranger.Delete(ctx, req)
}
