package gateway_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// TestLateNodesAreAskedAgainWhenOthersFail reads three stripes: at the first
// shard 0 is late, at the second shard 1, and at the third shard 2 is gone. Two
// that were late and one lost are no more than a read survives.
func TestLateNodesAreAskedAgainWhenOthersFail(t *testing.T) {
	m, e := newEngine(t, 6)
	data := body(21, 9<<20)
	put(t, e, "k", data)
	var stripe atomic.Int32 // counted by the reader going on without a shard
	hook := func(ctx context.Context, op memnode.Op, id cairn.ShardID) error {
		switch at := stripe.Load(); {
		case op != memnode.OpRead:
		case int32(id.Index) == at && at < 2:
			<-ctx.Done()
			stripe.CompareAndSwap(at, at+1)
		case id.Index == 2 && at == 2:
			return cairn.Errorf("read", cairn.Unavailable, "gone")
		}
		return nil
	}
	for _, n := range m.Nodes {
		n.Before(hook)
	}
	if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
		t.Error("the object differs")
	}
	if n := stripe.Load(); n != 2 {
		t.Errorf("%d shards were late, want 2", n)
	}
}
