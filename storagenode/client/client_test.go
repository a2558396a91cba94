package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
	"github.com/cairn-store/cairn/storagenode/transport"
)

// node is what the gateway asks of a client, to the letter.
type node interface {
	ID() cairn.NodeID
	Owner() cairn.OwnerTag
	Put(ctx context.Context, h cairn.Header, maxManifest int) (cairn.ShardWriter, error)
	PutRecord(ctx context.Context, h cairn.Header, payload, treeTop, manifest []byte, t cairn.Trailer) (cairn.Receipt, error)
	Read(ctx context.Context, id cairn.ShardID, off int64, buf []byte) error
	Tails(ctx context.Context, ids []cairn.ShardID) ([]cairn.Tail, error)
	List(ctx context.Context, after cairn.ShardID, limit int) (entries []cairn.Entry, more bool, err error)
	Delete(ctx context.Context, ids []cairn.ShardID) (retained []cairn.ShardID, err error)
	Latency() (p50, p90 time.Duration)
}

var _ node = (*Client)(nil)

// owner is a storetest.Owner that signs for a client.
type owner struct{ *storetest.Owner }

func (o owner) NodeKey(cairn.NodeID) ed25519.PrivateKey { return o.Key }

// setup is a client of a node, the node itself and the owner.
type setup struct {
	*Client
	mem   *memnode.Node
	owner owner
}

// both runs a test with a node in this process and with one across TLS. wrap,
// when given, stands between the client and the node.
func both(t *testing.T, wrap func(nodeapi.Service) nodeapi.Service, run func(t *testing.T, s setup)) {
	start := func() (ed25519.PrivateKey, *memnode.Node, nodeapi.Service, owner) {
		_, key, _ := ed25519.GenerateKey(nil)
		mem := memnode.New(memnode.Config{Key: key, CapacityBytes: 256 << 20})
		var svc nodeapi.Service = mem
		if wrap != nil {
			svc = wrap(mem)
		}
		return key, mem, svc, owner{storetest.NewOwner(mem.ID(), 1)}
	}
	t.Run("local", func(t *testing.T) {
		_, mem, svc, o := start()
		run(t, setup{Local(mem.ID(), svc, o, Config{}), mem, o})
	})
	t.Run("remote", func(t *testing.T) {
		key, mem, svc, o := start()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- transport.Serve(ctx, l, svc, transport.Config{Key: key, DrainTimeout: time.Second})
		}()
		c := New(mem.ID(), []string{l.Addr().String()}, o, Config{})
		t.Cleanup(func() {
			_ = c.Close()
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve = %v", err)
			}
		})
		run(t, setup{c, mem, o})
	})
}

// store uploads r in blocks.
func (s setup) store(ctx context.Context, r storetest.Record) (cairn.Receipt, error) {
	w, err := s.Put(ctx, r.Tail.Header, len(r.Tail.Manifest)+10)
	if err != nil {
		return cairn.Receipt{}, err
	}
	defer w.Abort()
	if _, err := w.Write(r.Payload); err != nil {
		return cairn.Receipt{}, err
	}
	return w.Commit(ctx, r.Tail.TreeTop, r.Tail.Manifest, r.Tail.Trailer)
}

func (s setup) storeSmall(ctx context.Context, r storetest.Record) (cairn.Receipt, error) {
	return s.PutRecord(ctx, r.Tail.Header, r.Payload, r.Tail.TreeTop, r.Tail.Manifest, r.Tail.Trailer)
}

func TestWhatIsStoredIsFoundAndDeleted(t *testing.T) {
	both(t, nil, func(t *testing.T, s setup) {
		ctx := t.Context()
		big, small := s.owner.Record(1, 6<<20, 3000), s.owner.Record(2, 9000, 500)
		locked := s.owner.Record(3, 100, 10, storetest.Retain(time.Now().Add(time.Hour)))
		for _, r := range []storetest.Record{big, locked} {
			if got, err := s.store(ctx, r); err != nil || got.Record != r.Tail.Trailer.Record {
				t.Fatalf("Put = %+v, %v", got, err)
			}
		}
		if got, err := s.storeSmall(ctx, small); err != nil || got.Shard != small.ID() {
			t.Fatalf("PutRecord = %+v, %v", got, err)
		}
		buf := make([]byte, len(big.Payload)) // more than one Read may ask for
		if err := s.Read(ctx, big.ID(), 0, buf); err != nil || !bytes.Equal(buf, big.Payload) {
			t.Errorf("Read of 6 MiB = %v, or other bytes", err)
		}
		missing := s.owner.Record(9, 10, 10).ID()
		tails, err := s.Tails(ctx, []cairn.ShardID{small.ID(), missing, big.ID()})
		if err != nil || len(tails) != 2 || !storetest.SameTail(tails[0], small.Tail) || !storetest.SameTail(tails[1], big.Tail) {
			t.Errorf("Tails = %d of 2, %v", len(tails), err)
		}
		ids := []cairn.ShardID{big.ID(), small.ID(), locked.ID()}
		slices.SortFunc(ids, cairn.ShardID.Compare)
		var listed []cairn.ShardID
		for after, more := (cairn.ShardID{}), true; more; {
			var page []cairn.Entry
			if page, more, err = s.List(ctx, after, 2); err != nil {
				t.Fatalf("List = %v", err)
			}
			for _, e := range page {
				listed = append(listed, e.Shard)
				after = e.Shard
			}
		}
		if !slices.Equal(listed, ids) {
			t.Errorf("List names %v, want %v", listed, ids)
		}
		retained, err := s.Delete(ctx, append(ids, missing))
		if err != nil || !slices.Equal(retained, []cairn.ShardID{locked.ID()}) {
			t.Errorf("Delete retains %v, %v, want %v", retained, err, locked.ID())
		}
		if err := s.Read(ctx, big.ID(), 0, buf[:1]); !errors.Is(err, cairn.NotFound) {
			t.Errorf("Read after Delete = %v, want NotFound", err)
		}
		if i, err := s.Info(ctx); err != nil || i.Shards != 1 {
			t.Errorf("Info = %d shards, %v, want 1", i.Shards, err)
		}
	})
}

func TestHeadersOfOthersAreRefused(t *testing.T) {
	both(t, nil, func(t *testing.T, s setup) {
		r := storetest.NewOwner(s.ID(), 2).Record(1, 100, 10)
		if _, err := s.store(t.Context(), r); !errors.Is(err, cairn.Invalid) {
			t.Errorf("Put with another's tag = %v, want Invalid", err)
		}
		if _, err := s.storeSmall(t.Context(), r); !errors.Is(err, cairn.Invalid) {
			t.Errorf("PutRecord with another's tag = %v, want Invalid", err)
		}
		if n := s.mem.Count(memnode.OpPut) + s.mem.Count(memnode.OpPutRecord); n != 0 {
			t.Errorf("the node was asked %d times, want never", n)
		}
	})
}

func TestTailsOfAnySizeArrive(t *testing.T) {
	both(t, nil, func(t *testing.T, s setup) {
		var ids []cairn.ShardID
		for i := range 6 { // more than one message holds
			r := s.owner.Record(uint64(i), 100, 3<<20)
			if _, err := s.store(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.ID(), s.owner.Record(uint64(100+i), 1, 1).ID())
		}
		tails, err := s.Tails(t.Context(), ids)
		if err != nil || len(tails) != 6 {
			t.Fatalf("Tails = %d of 6, %v", len(tails), err)
		}
		for i, tail := range tails {
			if tail.Header.Shard != ids[2*i] {
				t.Errorf("tail %d is of %v, want %v", i, tail.Header.Shard, ids[2*i])
			}
		}
	})
}

func TestManyIDsAreSplit(t *testing.T) {
	both(t, nil, func(t *testing.T, s setup) {
		r := s.owner.Record(1, 10, 10)
		if _, err := s.storeSmall(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		ids := make([]cairn.ShardID, nodeapi.MaxBatch+5)
		for i := range ids {
			ids[i].Segment[0], ids[i].Segment[1] = byte(i), byte(i>>8)
		}
		ids[len(ids)-1] = r.ID()
		if tails, err := s.Tails(t.Context(), ids); err != nil || len(tails) != 1 {
			t.Errorf("Tails = %d of 1, %v", len(tails), err)
		}
		if _, err := s.Delete(t.Context(), ids); err != nil {
			t.Errorf("Delete = %v", err)
		}
		if entries, more, err := s.List(t.Context(), cairn.ShardID{}, 10); err != nil || len(entries) != 0 || more {
			t.Errorf("List = %v, %v, %v, want nothing", entries, more, err)
		}
	})
}

// liar answers what it should not.
type liar struct{ nodeapi.Service }

type lyingUpload struct{ nodeapi.Upload }

func (l liar) Put(ctx context.Context, req nodeapi.PutRequest) (nodeapi.Upload, error) {
	up, err := l.Service.Put(ctx, req)
	return lyingUpload{up}, err
}

func (u lyingUpload) Commit(ctx context.Context, t nodeapi.UploadTail) (cairn.Receipt, error) {
	r, err := u.Upload.Commit(ctx, t)
	r.StoredAt++ // no longer what was signed
	return r, err
}

func (l liar) PutRecord(ctx context.Context, auth cairn.Authorization, record []byte) (cairn.Receipt, error) {
	r, err := l.Service.PutRecord(ctx, auth, record)
	r.Shard.Index++
	return r, err
}

func (l liar) Info(ctx context.Context) (nodeapi.Info, error) {
	i, err := l.Service.Info(ctx)
	i.Node[0] ^= 1
	return i, err
}

func (l liar) Tails(ctx context.Context, s nodeapi.Session, ids []cairn.ShardID) ([]cairn.Tail, error) {
	tails, err := l.Service.Tails(ctx, s, ids)
	for i := range tails {
		tails[i].Manifest = append([]byte{tails[i].Manifest[0] ^ 1}, tails[i].Manifest[1:]...)
	}
	return tails, err
}

func (l liar) List(ctx context.Context, s nodeapi.Session, after cairn.ShardID, limit int) (nodeapi.ListReply, error) {
	r, err := l.Service.List(ctx, s, after, limit)
	slices.Reverse(r.Entries)
	return r, err
}

func (l liar) Delete(context.Context, nodeapi.DeleteRequest) (nodeapi.DeleteReply, error) {
	return nodeapi.DeleteReply{Retained: []cairn.ShardID{{Index: 3}}}, nil
}

func TestLiesAreCorrupt(t *testing.T) {
	both(t, func(s nodeapi.Service) nodeapi.Service { return liar{s} }, func(t *testing.T, s setup) {
		ctx := t.Context()
		a, b := s.owner.Record(1, 100, 10), s.owner.Record(2, 100, 10)
		check := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, cairn.Corrupt) {
				t.Errorf("%s = %v, want Corrupt", what, err)
			}
		}
		_, err := s.store(ctx, a)
		check("Put with a receipt that is not signed", err)
		_, err = s.storeSmall(ctx, b)
		check("PutRecord with a receipt for another shard", err)
		_, err = s.Info(ctx)
		check("Info of another node", err)
		_, err = s.Tails(ctx, []cairn.ShardID{a.ID()})
		check("Tails with a changed manifest", err)
		_, _, err = s.List(ctx, cairn.ShardID{}, 10)
		check("List out of order", err)
		_, err = s.Delete(ctx, []cairn.ShardID{a.ID()})
		check("Delete that retains what nobody named", err)
	})
}

func TestTailsNobodyAskedForAreCorrupt(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	mem := memnode.New(memnode.Config{Key: key})
	o := owner{storetest.NewOwner(mem.ID(), 1)}
	c := Local(mem.ID(), mem, o, Config{})
	a, b := o.Record(1, 100, 10), o.Record(2, 100, 10)
	foreign := storetest.NewOwner(mem.ID(), 2).Record(1, 100, 10)
	for name, tails := range map[string][]cairn.Tail{
		"another shard":   {b.Tail},
		"the same twice":  {a.Tail, a.Tail},
		"another's shard": {foreign.Tail},
		"a changed tree":  {func() cairn.Tail { x := a.Tail; x.TreeTop = bytes.Repeat([]byte{1}, 32); return x }()},
	} {
		if _, err := c.verifyTails([]cairn.ShardID{a.ID()}, tails); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("%s: %v, want Corrupt", name, err)
		}
	}
}

func TestLatencyFollowsTheReads(t *testing.T) {
	var s sketch
	if p50, p90 := s.quantiles(2); p50 != 0 || p90 != 0 {
		t.Errorf("without reads: %v, %v, want zero", p50, p90)
	}
	for i := range 100 {
		s.add(1<<20, time.Duration(i+1)*time.Millisecond)
	}
	p50, p90 := s.quantiles(2)
	if p50 < 50*time.Millisecond || p50 > 63*time.Millisecond || p90 < 90*time.Millisecond || p90 > 113*time.Millisecond {
		t.Errorf("of 1 to 100 ms: %v, %v, want 50 and 90 ms or up to a quarter more", p50, p90)
	}
	for range 2000 {
		s.add(1<<20, time.Second)
	}
	if p50, _ := s.quantiles(2); p50 < time.Second || p50 > 1300*time.Millisecond {
		t.Errorf("after 2000 reads of 1 s the median is %v: the past does not fade", p50)
	}
	for d := time.Microsecond; d < 4*time.Minute; d = d*5/4 + 1 {
		if end := bucketEnd(bucketOf(d)); end <= d || d > 10*time.Microsecond && end > d*5/4+2*time.Microsecond {
			t.Errorf("bucket of %v ends at %v", d, end)
		}
	}
}

func TestASlowNodeLooksSlowToThoseWhoGiveUp(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	mem := memnode.New(memnode.Config{Key: key})
	c := Local(mem.ID(), mem, owner{storetest.NewOwner(mem.ID(), 1)}, Config{})
	for range 100 {
		c.observe(t.Context(), 1<<20, time.Millisecond, nil)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		c.observe(gone, 1<<20, 50*time.Microsecond, gone.Err()) // cancelled early: says nothing
		c.observe(t.Context(), 1<<20, time.Hour, cairn.NotFound)
	}
	if _, p90 := c.Latency(); p90 > 2*time.Millisecond {
		t.Errorf("p90 = %v after quick cancels and errors, want about 1 ms", p90)
	}
	for range 100 {
		c.observe(gone, 1<<20, 80*time.Millisecond, gone.Err())
	}
	if _, p90 := c.Latency(); p90 < 80*time.Millisecond {
		t.Errorf("p90 = %v when half of the reads are given up after 80 ms, want at least that", p90)
	}
	if p50, p90 := c.LatencyOf(100); p50 != 0 || p90 != 0 {
		t.Errorf("small reads have latency %v, %v, want unknown", p50, p90)
	}
}
