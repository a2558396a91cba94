package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/internal/testnet"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// sizesUnlessShort leaves the last size to long runs.
func sizesUnlessShort(sizes ...int) []int {
	if testing.Short() {
		return sizes[:len(sizes)-1]
	}
	return sizes
}

// eventually waits for a condition that background work brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// shardsOf counts the shards at the nodes by kind.
func shardsOf(t *testing.T, m *testnet.Mem) map[cairn.ShardKind]int {
	t.Helper()
	count := map[cairn.ShardKind]int{}
	for _, n := range m.Nodes {
		node, err := m.Node(n.ID())
		if err != nil {
			t.Fatal(err)
		}
		entries, _, err := node.List(t.Context(), cairn.ShardID{}, 4096)
		if err != nil {
			t.Fatalf("list node: %v", err)
		}
		for _, e := range entries {
			count[e.Kind]++
		}
	}
	return count
}

func intents(t *testing.T, m *testnet.Mem) int {
	t.Helper()
	list, err := m.Catalog.Intents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestABadDigestLeavesNothingBehind(t *testing.T) {
	for _, size := range sizesUnlessShort(100, 5<<20, 65<<20) {
		m, e := newEngine(t, 6)
		data := body(20, size)
		_, err := e.Put(t.Context(), gateway.PutRequest{
			Bucket: "b", Key: "k", Body: bytes.NewReader(data), Size: int64(size),
			Digests: gateway.Digests{MD5: make([]byte, 16)},
		})
		if !errors.Is(err, gateway.ErrBadDigest) {
			t.Fatalf("put with a wrong MD5 = %v, want ErrBadDigest", err)
		}
		if _, err := tryGet(t, e, gateway.GetRequest{Key: "k"}); !errors.Is(err, gateway.ErrNoSuchKey) {
			t.Errorf("get after a refused put = %v, want ErrNoSuchKey", err)
		}
		eventually(t, "nothing of the refused put is left at the nodes", func() bool {
			n := shardsOf(t, m)
			return n[cairn.KindData]+n[cairn.KindSmall] == 0 && intents(t, m) == 0
		})
	}
}

func TestABodyThatEndsElsewhereIsRefused(t *testing.T) {
	_, e := newEngine(t, 6)
	for _, size := range []int64{100, 5 << 20} {
		for _, off := range []int64{-1, 1} {
			_, err := e.Put(t.Context(), gateway.PutRequest{
				Bucket: "b", Key: "k", Body: io.LimitReader(endless{}, size+off), Size: size,
			})
			if !errors.Is(err, gateway.ErrIncompleteBody) {
				t.Errorf("put of %d bytes announced as %d = %v, want ErrIncompleteBody", size+off, size, err)
			}
		}
	}
}

// endless is a body of zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestOverwritesAndDeletesFreeTheirShards(t *testing.T) {
	m, e := newEngine(t, 6)
	for i := range 5 {
		put(t, e, "k", body(uint64(i), 3<<20))
		put(t, e, "s", body(uint64(i), 300))
	}
	eventually(t, "only the newest versions are left", func() bool {
		n := shardsOf(t, m)
		return n[cairn.KindData] == 6 && n[cairn.KindSmall] == 4
	})
	for _, key := range []string{"k", "s"} {
		if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: key}); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	eventually(t, "deleted objects are gone from the nodes", func() bool {
		n := shardsOf(t, m)
		return n[cairn.KindData]+n[cairn.KindSmall] == 0 && n[cairn.KindTombstone] == 6
	})
}

func TestAReadThatHasBegunOutlivesTheDelete(t *testing.T) {
	m, e := newEngine(t, 6)
	data := body(21, 9<<20)
	put(t, e, "k", data)
	o, err := e.Get(t.Context(), gateway.GetRequest{Bucket: "b", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, e, "k", body(22, 100))
	put(t, e, "other", body(22, 100)) // whose segments are collected meanwhile
	if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "other"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the collector has passed", func() bool { return shardsOf(t, m)[cairn.KindSmall] == 4 })
	var out bytes.Buffer
	if _, err := o.Body.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), data) {
		t.Errorf("read after overwrite: %v, or other bytes", err)
	}
	o.Body.Close()
	eventually(t, "the overwritten object is collected", func() bool { return shardsOf(t, m)[cairn.KindData] == 0 })
}

// crashCatalog fails every commit from the n-th on, as a process that died
// would, either before or after the commit took effect.
type crashCatalog struct {
	catalog.Catalog
	left  int
	after bool
}

var errCrash = errors.New("the process died here")

func (c *crashCatalog) Commit(ctx context.Context, b *catalog.Batch) error {
	if c.left--; c.left >= 0 {
		return c.Catalog.Commit(ctx, b)
	}
	if c.left == -1 && c.after {
		if err := c.Catalog.Commit(ctx, b); err != nil {
			return err
		}
	}
	return errCrash
}

// flakyCatalog fails one commit, and goes on. The collector commits, too.
type flakyCatalog struct {
	catalog.Catalog
	left  atomic.Int64 // commits before it
	after bool
}

// newFlaky returns a catalog that fails no commit until left is set.
func newFlaky(c catalog.Catalog) *flakyCatalog {
	f := &flakyCatalog{Catalog: c}
	f.left.Store(1 << 30)
	return f
}

func (c *flakyCatalog) Commit(ctx context.Context, b *catalog.Batch) error {
	if c.left.Add(-1) != -1 {
		return c.Catalog.Commit(ctx, b)
	}
	if c.after {
		if err := c.Catalog.Commit(ctx, b); err != nil {
			return err
		}
	}
	return errCrash
}

// TestACrashAtAnyCommitIsUndoneOrCommitted kills the gateway at each of its
// catalog commits and looks at what the next one sees: the old object or the
// new one, whole, and nothing else on the nodes. With three sick nodes of six,
// segments are written a second time under another id.
func TestACrashAtAnyCommitIsUndoneOrCommitted(t *testing.T) {
	for _, size := range sizesUnlessShort(100, 3<<20, 65<<20) {
		for _, sick := range []int{0, 3} {
			for step := range 5 {
				for _, after := range []bool{false, true} {
					if size > 64<<20 && after != (step%2 == 0) {
						continue // half of them say as much
					}
					t.Run(fmt.Sprintf("%d bytes, %d nodes sick, commit %d, took effect %v", size, sick, step, after), func(t *testing.T) {
						crashAtCommit(t, size, sick, step, after)
					})
				}
			}
		}
	}
}

func crashAtCommit(t *testing.T, size, sick, step int, after bool) {
	m := testnet.NewMem(t, 6)
	cfg := fastEngine()
	e, stop := m.Engine(t, cfg)
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	before, next := body(30, 1000), body(31, size)
	put(t, e, "k", before)
	stop()

	healthy := m.Catalog
	m.Catalog = &crashCatalog{Catalog: healthy, left: step, after: after}
	dying, stopDying := m.Engine(t, cfg)
	stopDying() // no background work after the crash
	for _, n := range m.Nodes[:sick] {
		n.Before(memnode.FailAll(cairn.Full, memnode.OpCommit, memnode.OpPutRecord))
	}
	_, err := tryPut(t, dying, "k", next)
	acknowledged := err == nil
	m.Catalog = healthy
	for _, n := range m.Nodes {
		n.Before(nil)
	}

	e, _ = m.Engine(t, cfg)
	got := get(t, e, gateway.GetRequest{Key: "k"})
	isNew := bytes.Equal(got, next)
	switch {
	case acknowledged && !isNew:
		t.Fatal("an acknowledged object is gone")
	case !isNew && !bytes.Equal(got, before):
		t.Fatal("the object is neither the old nor the new one")
	}
	eventually(t, "every intent is ended and nothing is left over", func() bool {
		kept := shardsOf(t, m)
		data := kept[cairn.KindData] + kept[cairn.KindSmall]
		return intents(t, m) == 0 && data == shardsInCatalog(t, m)
	})
	if got := get(t, e, gateway.GetRequest{Key: "k"}); isNew != bytes.Equal(got, next) {
		t.Error("cleaning up changed the object")
	}
}

// shardsInCatalog counts the shards that the catalog's segments have.
func shardsInCatalog(t *testing.T, m *testnet.Mem) (n int) {
	t.Helper()
	err := m.Catalog.Segments(t.Context(), cairn.SegmentID{}, func(s *catalog.SegmentEntry) error {
		n += len(s.Nodes)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestACommitThatFailedButHappenedLosesNothing(t *testing.T) {
	m, e := newEngine(t, 8)
	m.Nodes[1].After(memnode.FailAll(cairn.Unavailable, memnode.OpCommit, memnode.OpPutRecord))
	for i := range 12 {
		for _, size := range []int{500, 3 << 20} {
			key, data := fmt.Sprint("k", i, "-", size), body(uint64(i), size)
			put(t, e, key, data)
			if got := get(t, e, gateway.GetRequest{Key: key}); !bytes.Equal(got, data) {
				t.Errorf("%s differs", key)
			}
		}
	}
}

// TestACatalogThatFailsOnceLeavesNothingOpen lets each commit of a put fail,
// before or after it took effect, in a process that goes on.
func TestACatalogThatFailsOnceLeavesNothingOpen(t *testing.T) {
	for _, size := range []int{100, 3 << 20} {
		for step := range 2 {
			for _, after := range []bool{false, true} {
				m := testnet.NewMem(t, 6)
				healthy := m.Catalog
				flaky := newFlaky(healthy)
				m.Catalog = flaky
				e, stop := m.Engine(t, fastEngine())
				if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
					t.Fatal(err)
				}
				stop() // so that only the put commits
				before, next := body(30, 1000), body(31, size)
				put(t, e, "k", before)
				flaky.after = after
				flaky.left.Store(int64(step))
				if _, err := tryPut(t, e, "k", next); !errors.Is(err, errCrash) {
					t.Fatalf("put = %v, want the catalog's error", err)
				}
				want := before
				if step == 1 && after {
					want = next
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- e.Run(ctx) }()
				eventually(t, fmt.Sprintf("%d bytes, commit %d, took effect %v: nothing is open", size, step, after), func() bool {
					kept := shardsOf(t, m)
					return intents(t, m) == 0 && kept[cairn.KindData]+kept[cairn.KindSmall] == shardsInCatalog(t, m)
				})
				if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, want) {
					t.Errorf("%d bytes, commit %d, took effect %v: the wrong object is there", size, step, after)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestADeleteAfterAFailedPutStays deletes what a failed put may have left on
// nodes, where the catalog has nothing to delete.
func TestADeleteAfterAFailedPutStays(t *testing.T) {
	m := testnet.NewMem(t, 6)
	flaky := newFlaky(m.Catalog)
	m.Catalog = flaky
	e, stop := m.Engine(t, fastEngine())
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	stop() // the failed put is not undone in the background
	flaky.left.Store(1)
	if _, err := tryPut(t, e, "k", body(1, 500)); !errors.Is(err, errCrash) {
		t.Fatalf("put = %v, want the catalog's error", err)
	}
	down := func(is bool) {
		for _, n := range m.Nodes {
			n.SetDown(is)
		}
	}
	down(true)
	if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "k"}); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("delete without nodes = %v, want Unavailable", err)
	}
	down(false)
	if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "k"}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if v := recoverCatalog(t, m); v.Objects != 0 {
		t.Errorf("recovery brings back %d objects, want none", v.Objects)
	}
}

// TestABucketThatGoesTakesItsUploadsAlong deletes buckets while uploads begin
// and parts arrive.
func TestABucketThatGoesTakesItsUploadsAlong(t *testing.T) {
	m, e := newEngine(t, 6)
	for round := range 20 {
		if err := e.CreateBucket(t.Context(), "going", ""); err != nil {
			t.Fatal(err)
		}
		u, err := e.CreateUpload(t.Context(), gateway.CreateUploadRequest{Bucket: "going", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				_, err := e.PutPart(t.Context(), gateway.PutPartRequest{
					Bucket: "going", Key: "k", UploadID: u.ID, Number: i + 1, Body: bytes.NewReader(body(1, 50)), Size: 50,
				})
				if err != nil && !errors.Is(err, gateway.ErrNoSuchUpload) && !errors.Is(err, gateway.ErrNoSuchBucket) {
					t.Errorf("put part: %v", err)
				}
				_, err = e.CreateUpload(t.Context(), gateway.CreateUploadRequest{Bucket: "going", Key: "k"})
				if err != nil && !errors.Is(err, gateway.ErrNoSuchBucket) {
					t.Errorf("create upload: %v", err)
				}
			})
		}
		if err := e.DeleteBucket(t.Context(), "going"); err != nil {
			t.Errorf("round %d: delete bucket: %v", round, err)
		}
		wg.Wait()
	}
	stats, err := m.Catalog.Stats(t.Context())
	if err != nil || stats.Uploads+stats.Segments != 0 {
		t.Errorf("%d uploads and %d segments are left, %v", stats.Uploads, stats.Segments, err)
	}
}

// TestACompletionIsAnsweredAgainAfterADeleteThatFailed repeats a completion once
// the object has got a record newer than the tombstone that never counted.
func TestACompletionIsAnsweredAgainAfterADeleteThatFailed(t *testing.T) {
	m := testnet.NewMem(t, 6)
	flaky := newFlaky(m.Catalog)
	m.Catalog = flaky
	e, stop := m.Engine(t, fastEngine())
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	u, err := e.CreateUpload(t.Context(), gateway.CreateUploadRequest{Bucket: "b", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.PutPart(t.Context(), gateway.PutPartRequest{Bucket: "b", Key: "k", UploadID: u.ID, Number: 1, Body: bytes.NewReader(body(1, 99)), Size: 99})
	if err != nil {
		t.Fatal(err)
	}
	complete := gateway.CompleteRequest{Bucket: "b", Key: "k", UploadID: u.ID, Size: -1, Parts: []gateway.CompletedPart{{Number: 1, ETag: p.ETag}}}
	if _, err := e.CompleteUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
	stop()
	flaky.left.Store(1)
	if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "k"}); !errors.Is(err, errCrash) {
		t.Fatalf("delete = %v, want the catalog's error", err)
	}
	e, _ = m.Engine(t, fastEngine())
	eventually(t, "the delete is undone", func() bool { return intents(t, m) == 0 })
	if _, err := e.SetTags(t.Context(), gateway.TagsRequest{Bucket: "b", Key: "k", Tags: []cairn.Attr{{Name: "a", Value: "b"}}}); err != nil {
		t.Fatal(err)
	}
	if s, err := e.CompleteUpload(t.Context(), complete); err != nil || len(s.Version.Tags) != 1 {
		t.Errorf("completion repeated = %+v, %v, want the tagged object", s.Version, err)
	}
	put(t, e, "k", body(2, 99))
	if _, err := e.CompleteUpload(t.Context(), complete); !errors.Is(err, gateway.ErrNoSuchUpload) {
		t.Errorf("completion repeated after an overwrite = %v, want ErrNoSuchUpload", err)
	}
}
