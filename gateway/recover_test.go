package gateway_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
	"github.com/cairn-store/cairn/gateway/recovery"
	"github.com/cairn-store/cairn/internal/testnet"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// recoverCatalog replaces the network's catalog by one rebuilt from its nodes.
// No engine may be running.
func recoverCatalog(t *testing.T, m *testnet.Mem) recovery.Verdict {
	t.Helper()
	c := memory.New()
	v, err := recovery.Run(t.Context(), recovery.Config{
		Keys: m.Keys, Catalog: c, Dir: t.TempDir(), Pause: time.Microsecond, Timeout: 5 * time.Second,
		Nodes: func() (out []recovery.Node) {
			for _, mem := range m.Nodes {
				n, err := m.Node(mem.ID())
				if err != nil {
					t.Error(err)
				}
				out = append(out, n)
			}
			return out
		},
	})
	if err != nil {
		t.Fatalf("recover: %v", err)
	}
	m.Catalog = c
	return v
}

// fastEngine collects at once what is garbage.
func fastEngine() gateway.Config {
	return gateway.Config{GarbageGrace: time.Nanosecond, CollectInterval: 10 * time.Millisecond, RequestTimeout: 2 * time.Second}
}

func hasBucket(t *testing.T, e *gateway.Engine, name string) bool {
	t.Helper()
	_, err := e.HeadBucket(t.Context(), name)
	if err != nil && !errors.Is(err, gateway.ErrNoSuchBucket) {
		t.Fatalf("head bucket: %v", err)
	}
	return err == nil
}

// TestBucketChangesThatCrashedAreUndone kills the gateway at each catalog
// commit of a bucket's creation, change and deletion. The next one must serve
// what a recovery would find.
func TestBucketChangesThatCrashedAreUndone(t *testing.T) {
	changes := map[string]struct {
		had    bool // the bucket was there before
		change func(*gateway.Engine) error
	}{
		"create": {false, func(e *gateway.Engine) error { return e.CreateBucket(t.Context(), "b", "") }},
		"change": {true, func(e *gateway.Engine) error { return e.PutBucketSetting(t.Context(), "b", "cors", "new") }},
		"delete": {true, func(e *gateway.Engine) error { return e.DeleteBucket(t.Context(), "b") }},
	}
	for name, c := range changes {
		for step := range 2 {
			for _, away := range []bool{false, true} {
				m := testnet.NewMem(t, 6)
				e, stop := m.Engine(t, fastEngine())
				if c.had {
					if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
						t.Fatal(err)
					}
				}
				stop()
				healthy := m.Catalog
				m.Catalog = &crashCatalog{Catalog: healthy, left: step}
				dying, stopDying := m.Engine(t, fastEngine())
				stopDying()
				if err := c.change(dying); !errors.Is(err, errCrash) {
					t.Fatalf("%s = %v, want the crash", name, err)
				}
				m.Catalog = healthy
				setDown := func(down bool) { // two nodes miss what is done meanwhile
					for _, n := range m.Nodes[:2] {
						n.SetDown(down && away)
					}
				}
				setDown(true)
				e, stop = m.Engine(t, fastEngine())
				eventually(t, name+" is undone", func() bool { return intents(t, m) == 0 })
				if hasBucket(t, e, "b") != c.had {
					t.Errorf("%s, crash at commit %d: bucket there %v, want %v", name, step, !c.had, c.had)
				}
				stop()
				setDown(false)
				recoverCatalog(t, m)
				e, stop = m.Engine(t, fastEngine())
				if hasBucket(t, e, "b") != c.had {
					t.Errorf("%s, crash at commit %d, nodes away %v: bucket recovered %v, want %v", name, step, away, !c.had, c.had)
				}
				if doc, err := e.BucketSetting(t.Context(), "b", "cors"); err == nil {
					t.Errorf("%s, crash at commit %d, nodes away %v: setting %q recovered", name, step, away, doc)
				}
				stop()
			}
		}
	}
}

// TestABucketWhoseDeletionFailedGoesOn stores an object after a deletion that
// nodes were told of and the client was told has failed.
func TestABucketWhoseDeletionFailedGoesOn(t *testing.T) {
	m := testnet.NewMem(t, 6)
	e, stop := m.Engine(t, fastEngine())
	if err := e.CreateBucket(t.Context(), "b", "eu"); err != nil {
		t.Fatal(err)
	}
	stop()                          // nothing is undone before the restart
	for _, n := range m.Nodes[2:] { // two nodes take the record, which is too few
		n.Before(memnode.FailAll(cairn.Unavailable, memnode.OpPutRecord))
	}
	if err := e.DeleteBucket(t.Context(), "b"); !errors.Is(err, cairn.Unavailable) {
		t.Fatalf("delete = %v, want Unavailable", err)
	}
	for _, n := range m.Nodes {
		n.Before(nil)
	}
	put(t, e, "k", body(1, 100))
	e, stop = m.Engine(t, fastEngine())
	if got := get(t, e, gateway.GetRequest{Key: "k"}); len(got) != 100 {
		t.Errorf("got %d bytes", len(got))
	}
	eventually(t, "the deletion is undone", func() bool { return intents(t, m) == 0 })
	stop()
	if v := recoverCatalog(t, m); v.BucketsMade != 0 || v.Objects != 1 {
		t.Errorf("verdict %v: %+v", v, v)
	}
	e, _ = m.Engine(t, fastEngine())
	if b, err := e.HeadBucket(t.Context(), "b"); err != nil || b.Region != "eu" {
		t.Errorf("recovered bucket = %+v, %v", b, err)
	}
	if got := get(t, e, gateway.GetRequest{Key: "k"}); len(got) != 100 {
		t.Errorf("got %d bytes after recovery", len(got))
	}
}
