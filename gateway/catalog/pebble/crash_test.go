package pebble_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/conformance"
	"github.com/cairn-store/cairn/gateway/catalog/pebble"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	crashRuns    = 200
	crashWorkers = 4
)

func runsOf(t *testing.T) uint64 {
	if testing.Short() {
		return crashRuns / 5
	}
	return crashRuns
}

// TestCrashLosesNoAcknowledgedCommit crashes a catalog in the middle of what
// several goroutines do to it, on a filesystem that forgets some or all of what
// was not synced. Each goroutine's part of the catalog must then be as it was
// after one of its commits: the last acknowledged one or a later one.
func TestCrashLosesNoAcknowledgedCommit(t *testing.T) {
	for seed := range runsOf(t) {
		for _, loss := range crashOnce(t, seed, false) {
			t.Errorf("seed %d: %s", seed, loss)
		}
		if t.Failed() {
			return
		}
	}
}

// TestCrashWithoutSyncDoesLose shows that the test above can fail.
func TestCrashWithoutSyncDoesLose(t *testing.T) {
	lossy := 0
	for seed := range runsOf(t) {
		if len(crashOnce(t, seed, true)) > 0 {
			lossy++
		}
	}
	t.Logf("%d of %d crashes lost commits that were acknowledged without a sync", lossy, runsOf(t))
	if lossy == 0 {
		t.Error("no crash lost anything although nothing was synced")
	}
}

// crashOnce returns what the crash lost. Anything else that is wrong fails t.
func crashOnce(t *testing.T, seed uint64, neverSync bool) []string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 99))
	disk := vfs.NewCrashableMem()
	cfg := pebble.Config{FS: disk, MemTableBytes: 64 << 10, CacheBytes: 1 << 20}
	if seed%4 != 0 {
		cfg.Key = testKey
	}
	c := open(t, "/data/cat", cfg)

	var acks, stop atomic.Int64
	crashAt := 1 + rng.Int64N(150)
	now := make(chan struct{})
	workers := make([]*worker, crashWorkers)
	var wg sync.WaitGroup
	for i := range workers {
		workers[i] = newWorker(i, seed, neverSync)
		wg.Go(func() {
			for stop.Load() == 0 {
				if err := workers[i].step(t.Context(), c); err != nil {
					t.Errorf("seed %d: worker %d: %v", seed, i, err)
					stop.Store(1)
				}
				if acks.Add(1) == crashAt {
					close(now)
				}
			}
		})
	}
	<-now
	// What is acknowledged before the crash counts; what starts after it does not.
	var durable [crashWorkers]int
	for i, w := range workers {
		durable[i], _ = w.progress()
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(5) * 25, RNG: rng})
	var started [crashWorkers]int
	for i, w := range workers {
		_, started[i] = w.progress()
	}
	stop.Store(1)
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Fatalf("seed %d: Close() = %v, want nil", seed, err)
	}
	return examine(t, seed, after, cfg, workers, durable, started)
}

// examine opens the disk a crash left, twice, and compares.
func examine(t *testing.T, seed uint64, disk *vfs.MemFS, cfg pebble.Config, workers []*worker, durable, started [crashWorkers]int) []string {
	t.Helper()
	var losses []string
	var found [crashWorkers]int
	for opening := range 2 {
		cfg.FS = disk
		c := open(t, "/data/cat", cfg)
		for i, w := range workers {
			view := must(w.view(t.Context(), c))(t)
			at := w.find(view, durable[i], started[i])
			switch {
			case opening == 1 && at != found[i]:
				t.Errorf("seed %d: worker %d stands at commit %d after the second opening, %d after the first", seed, i, at, found[i])
			case opening == 0 && at < 0 && w.find(view, 0, durable[i]) >= 0:
				losses = append(losses, fmt.Sprintf("worker %d: commits after %d of %d acknowledged are lost", i, w.find(view, 0, durable[i]), durable[i]))
			case opening == 0 && at < 0:
				t.Errorf("seed %d: worker %d: half a commit survived:\n%s", seed, i, view)
			}
			found[i] = at
		}
		checkCounts(t, seed, c)
		if err := c.Close(); err != nil {
			t.Fatalf("seed %d: Close() = %v, want nil", seed, err)
		}
		// All that opening did must be durable by now.
		disk = disk.CrashClone(vfs.CrashCloneCfg{})
		if len(losses) > 0 {
			break
		}
	}
	return losses
}

// checkCounts compares counters and reference counts with the contents.
func checkCounts(t *testing.T, seed uint64, c catalog.Catalog) {
	t.Helper()
	ctx := t.Context()
	var scope conformance.Scope
	refs := map[cairn.SegmentID]int{}
	count := func(parts []cairn.Part) {
		for _, p := range parts {
			for _, s := range p.Segments {
				refs[s.ID]++
			}
		}
	}
	for i := range crashWorkers {
		w := newWorker(i, seed, false)
		scope.Buckets = append(scope.Buckets, w.bucket)
		it := must(c.Versions(ctx, w.bucket))(t)
		for ok := it.Seek(""); ok; ok = it.Next() {
			count(must(it.Entry())(t).Version.Parts)
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		for _, u := range must(c.Uploads(ctx, w.bucket, "", "", "", 1000))(t) {
			for _, p := range must(c.Parts(ctx, u.ID, 0, 1000))(t) {
				count([]cairn.Part{p.Part})
			}
		}
	}
	err := c.Segments(ctx, cairn.SegmentID{}, func(e *catalog.SegmentEntry) error {
		if e.Refs != refs[e.Segment] {
			t.Errorf("seed %d: segment %v has %d references, %d parts use it", seed, e.Segment, e.Refs, refs[e.Segment])
		}
		delete(refs, e.Segment)
		return nil
	})
	if err != nil || len(refs) > 0 {
		t.Errorf("seed %d: Segments() = %v; %d segments are used but not in the index", seed, err, len(refs))
	}
	got, want := must(c.Stats(ctx))(t), must(conformance.Count(ctx, c, scope))(t)
	if got != want {
		t.Errorf("seed %d: Stats() = %+v, a count of everything gives %+v", seed, got, want)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("got error %v, want none", err)
		}
		return v
	}
}

// find returns the number of the commit after which the worker's part looked
// like view, between two numbers, or -1. Several commits may leave equal views;
// it returns the last.
func (w *worker) find(view string, from, to int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := to; i >= from; i-- {
		if w.views[i] == view {
			return i
		}
	}
	return -1
}

// progress returns the numbers of the last commit that is durable and the last
// that was begun.
func (w *worker) progress() (durable, started int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.durable, len(w.views) - 1
}

// step makes one commit, to the worker's twin first.
func (w *worker) step(ctx context.Context, c catalog.Catalog) error {
	mine, twins, err := w.next(ctx, c)
	if err != nil {
		return err
	}
	mine.NoSync = w.neverSync || w.rng.IntN(4) == 0
	if err := w.twin.Commit(ctx, twins); err != nil {
		return fmt.Errorf("twin: %w", err)
	}
	view, err := w.view(ctx, w.twin)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.views = append(w.views, view)
	w.mu.Unlock()
	if err := c.Commit(ctx, mine); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !mine.NoSync || w.neverSync {
		w.durable = len(w.views) - 1
	}
	return nil
}
