package memnode_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

func TestMemNodeKeepsTheNodesPromises(t *testing.T) {
	storetest.Run(t, func(*testing.T) nodeapi.Service {
		return memnode.New(memnode.Config{CapacityBytes: storetest.Capacity})
	})
}

func TestFaultsShowOutside(t *testing.T) {
	n := memnode.New(memnode.Config{})
	o := storetest.NewOwner(n.ID(), 1)
	ctx := t.Context()
	a, b, c := o.Record(1, 5000, 10), o.Record(2, 5000, 10), o.Record(3, 5000, 10)
	put := func(r storetest.Record) error {
		_, err := storetest.Put(ctx, n, o.Put(r), r)
		return err
	}
	check := func(r storetest.Record) error { return storetest.CheckStored(ctx, n, o.Session(), r) }
	is := func(what string, err error, kind cairn.Kind) {
		t.Helper()
		if !errors.Is(err, kind) {
			t.Errorf("%s = %v, want %v", what, err, kind)
		}
	}

	n.Before(memnode.FailNth(2, memnode.OpCommit))
	if err := put(a); err != nil {
		t.Fatal(err)
	}
	is("second commit", put(b), cairn.Unavailable)
	is("after it failed", check(b), cairn.NotFound)
	n.Before(nil)
	n.After(memnode.FailNth(1, memnode.OpCommit))
	is("commit that failed but happened", put(b), cairn.Unavailable)
	if err := check(b); err != nil {
		t.Errorf("after it happened: %v", err)
	}
	n.After(nil)

	n.CorruptShard(a.ID())
	is("corrupt read", check(a), cairn.Corrupt)
	if err := check(b); err != nil {
		t.Errorf("the other shard: %v", err)
	}
	n.SetFull(true)
	is("put on a full node", put(c), cairn.Full)
	n.SetFull(false)
	n.SetDown(true)
	is("read on a dead node", check(b), cairn.Unavailable)
	n.SetDown(false)
	if !n.Lose(b.ID()) {
		t.Error("Lose = false, want true")
	}
	is("lost shard", check(b), cairn.NotFound)
}

func TestAPausedNodeAnswersWhenResumedOrGivenUp(t *testing.T) {
	n := memnode.New(memnode.Config{})
	n.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	go func() { _, err := n.Info(ctx); answers <- err }()
	cancel()
	if err := <-answers; !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Info given up = %v, want Unavailable", err)
	}
	go func() { _, err := n.Info(t.Context()); answers <- err }()
	n.Resume()
	if err := <-answers; err != nil {
		t.Errorf("Info resumed = %v, want nil", err)
	}
}
