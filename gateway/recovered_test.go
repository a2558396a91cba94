package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
	"github.com/cairn-store/cairn/internal/testnet"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// mortal is an engine that can be told to die at a catalog commit, and is
// started anew by revive. Compare holds on to it.
type mortal struct {
	s3api.Store
	t       *testing.T
	m       *testnet.Mem
	healthy catalog.Catalog
	death   *deathCatalog
	stop    func()
}

// deathCatalog fails every commit once its time has come; the first of them may
// have taken effect.
type deathCatalog struct {
	catalog.Catalog
	left  atomic.Int64 // commits before the end; a large number is never
	after atomic.Bool
}

const never = 1 << 40

func (c *deathCatalog) Commit(ctx context.Context, b *catalog.Batch) error {
	switch left := c.left.Add(-1); {
	case left >= 0:
		return c.Catalog.Commit(ctx, b)
	case left == -1 && c.after.Load():
		if err := c.Catalog.Commit(ctx, b); err != nil {
			return err
		}
	}
	return errCrash
}

func (e *mortal) start() {
	e.death = &deathCatalog{Catalog: e.healthy}
	e.death.left.Store(never)
	e.m.Catalog = e.death
	cfg := comparedEngine()
	engine, stop := e.m.Engine(e.t, cfg)
	e.Store, e.stop = engine, stop
}

func (e *mortal) dead() bool { return e.death.left.Load() < 0 }

func (e *mortal) restart() {
	e.stop()
	e.start()
}

// view writes down what clients can see, and reads every byte.
func view(t *testing.T, e *gateway.Engine) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := e.ListBuckets(t.Context(), gateway.ListBucketsRequest{Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list.Buckets {
		doc, _ := e.BucketSetting(t.Context(), b.Name, "cors")
		out["bucket "+b.Name] = fmt.Sprintf("%v %v %q", b.Region, b.Created, doc)
		objects, err := e.List(t.Context(), gateway.ListRequest{Bucket: b.Name, Max: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range objects.Versions {
			var data bytes.Buffer
			o, err := e.Get(t.Context(), gateway.GetRequest{Bucket: b.Name, Key: v.Key})
			if err == nil {
				_, err = o.Body.WriteTo(&data)
				err = errors.Join(err, o.Body.Close())
			}
			w := *v
			w.Parts = nil // content keys are random bytes
			out["object "+b.Name+" "+v.Key] = fmt.Sprintf("version %v of %d bytes %x, %v, %d parts, %x", v.ID, data.Len(), sha256.Sum256(data.Bytes()), err, len(v.Parts), w.Encode())
		}
	}
	return out
}

// checkRecovery recovers into an empty catalog, with two nodes dead, and
// compares what it serves with what the engine serves.
func (e *mortal) checkRecovery(step int, rnd *rand.Rand) {
	t := e.t
	t.Helper()
	e.restart()
	eventually(t, "every failed write has been undone", func() bool { return intents(t, e.m) == 0 })
	want := view(t, e.Store.(*gateway.Engine))
	e.stop() // garbage that recovery finds is left alone
	for _, i := range rnd.Perm(len(e.m.Nodes))[:2] {
		e.m.Nodes[i].SetDown(true)
		defer e.m.Nodes[i].SetDown(false)
	}
	recoverCatalog(t, e.m)
	cfg := comparedEngine()
	cfg.GarbageGrace = time.Hour // parts of open uploads are garbage to it, and not to the engine
	recovered, stop := e.m.Engine(t, cfg)
	defer stop()
	got := view(t, recovered)
	for name, w := range want {
		if got[name] != w {
			t.Errorf("step %d: recovered %s = %.400s\nwant %.400s", step, name, got[name], w)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("step %d: recovery brings back %s: %.400s", step, name, got[name])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	e.start()
}

// TestARecoveryFindsWhatTheEngineServes does random operations while nodes are
// away, full or losing answers, and the gateway dies at any of its commits. At
// every point, once failed writes are undone, a recovery without two of the
// nodes finds exactly what the engine serves.
func TestARecoveryFindsWhatTheEngineServes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	steps, rounds := 900, 20
	if testing.Short() {
		steps, rounds = 200, 5
	}
	m := testnet.NewMem(t, 7)
	real := &mortal{t: t, m: m, healthy: m.Catalog}
	real.start()
	rnd := rand.New(rand.NewPCG(seed, 4))
	away := map[int]int{} // nodes that are down, and until which step
	step := 0
	heal := func() {
		for _, n := range m.Nodes {
			n.SetDown(false)
			n.SetFull(false)
			n.Before(nil)
			n.After(nil)
		}
		if real.dead() {
			real.restart()
		}
	}
	tolerated := func(err error) bool {
		return errors.Is(err, cairn.Unavailable) || errors.Is(err, cairn.Full) || errors.Is(err, errCrash)
	}
	apitest.Compare(t, seed, steps, model(), real, apitest.MinPart(minPart), apitest.MaxSize(300_000),
		apitest.Tolerate(tolerated, heal),
		apitest.Before(func(n int, _ string) {
			step = n
			heal()
			if step%(steps/rounds) == steps/rounds-1 {
				real.checkRecovery(step, rnd)
			}
			for range rnd.IntN(3) {
				faulty(m.Nodes[rnd.IntN(len(m.Nodes))], rnd)
			}
			if len(away) < 2 && rnd.IntN(8) == 0 { // long enough to miss deletes and undone writes
				away[rnd.IntN(len(m.Nodes))] = step + rnd.IntN(30)
			}
			for i, until := range away {
				m.Nodes[i].SetDown(step < until)
				if step >= until {
					delete(away, i)
				}
			}
			if rnd.IntN(12) == 0 {
				real.death.after.Store(rnd.IntN(2) == 0)
				real.death.left.Store(int64(rnd.IntN(4)))
			}
		}))
	heal()
	real.checkRecovery(steps, rnd)
}

func faulty(n *memnode.Node, rnd *rand.Rand) {
	switch rnd.IntN(5) {
	case 0:
		n.SetDown(true)
	case 1:
		n.SetFull(true)
	case 2:
		n.Before(memnode.FailNth(1+rnd.IntN(3), memnode.OpWrite, memnode.OpPutRecord, memnode.OpCommit))
	case 3, 4:
		n.After(memnode.FailNth(1+rnd.IntN(2), memnode.OpCommit, memnode.OpPutRecord))
	}
}
