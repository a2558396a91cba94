package recovery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
)

// busyNetwork holds some of everything.
func busyNetwork(t *testing.T) *network {
	t.Helper()
	w := newNetwork(t, 6)
	w.bucket("b", 1, nil)
	for i := range uint64(12) {
		w.put("b", fmt.Sprint("k", i%8), 100+i, 6)
	}
	w.tombstone("b", "k3", 200, cairn.VersionID{}, 0, 1, 2)
	w.putParts("b", "multi", 201, 3)
	w.segment(cairn.KindData, 4, 2, 6, 100, cairn.Manifest{Part: 5}, nil)
	return w
}

// plainly returns a verdict without what differs between two runs.
func plainly(v Verdict) Verdict {
	v.Started, v.Ended = time.Time{}, time.Time{}
	return v
}

// steps counts calls and does something at one of them.
type steps struct {
	n, at atomic.Int64
	do    func()
}

func (s *steps) step() bool {
	if s.n.Add(1) != s.at.Load() {
		return false
	}
	s.do()
	return true
}

// killedCatalog dies at one of its commits, before or after it took effect.
type killedCatalog struct {
	catalog.Catalog
	steps *steps
	after bool
}

var errKilled = errors.New("killed")

func (k killedCatalog) Commit(ctx context.Context, b *catalog.Batch) error {
	if !k.after && k.steps.step() {
		return errKilled
	}
	if err := k.Catalog.Commit(ctx, b); err != nil {
		return err
	}
	if k.after && k.steps.step() {
		return errKilled
	}
	return nil
}

func TestARecoveryGoesOnAfterAKillAtAnyStep(t *testing.T) {
	w := busyNetwork(t)
	whole, wantVerdict := w.recover()
	want := dump(t, whole)

	stride := int64(1)
	if testing.Short() {
		stride = 5
	}
	for _, kind := range []string{"node call", "progress", "commit fails", "commit happens and fails"} {
		t.Run(kind, func(t *testing.T) {
			kills := 0
			for at := int64(1); ; at += stride {
				if at > 500 {
					t.Fatal("the recovery does not end")
				}
				s := &steps{}
				s.at.Store(at)
				dir, c := t.TempDir(), catalog.Catalog(memory.New())
				ctx, cancel := context.WithCancel(t.Context())
				s.do = cancel
				cfg := w.config(c, dir)
				switch kind {
				case "node call":
					for _, n := range w.nodes {
						n.fail(func(string) error { s.step(); return nil })
					}
				case "progress":
					cfg.Progress = func(Progress) { s.step() }
				default:
					cfg.Catalog = killedCatalog{c, s, kind == "commit happens and fails"}
				}
				_, err := Run(ctx, cfg)
				cancel()
				for _, n := range w.nodes {
					n.fail(nil)
				}
				isKilled := s.n.Load() >= at
				if isKilled && err != nil {
					kills++
					if !errors.Is(err, context.Canceled) && !errors.Is(err, errKilled) {
						t.Fatalf("killed at %s %d: Run = %v", kind, at, err)
					}
				}
				got, err := Run(t.Context(), w.config(c, dir))
				if err != nil {
					t.Fatalf("after a kill at %s %d: Run = %v", kind, at, err)
				}
				if lines := dump(t, c); !reflect.DeepEqual(lines, want) {
					t.Fatalf("after a kill at %s %d the catalog holds\n%q\nwant\n%q", kind, at, lines, want)
				}
				if !reflect.DeepEqual(plainly(got), plainly(wantVerdict)) {
					t.Fatalf("after a kill at %s %d the verdict is %+v, want %+v", kind, at, got, wantVerdict)
				}
				if !isKilled {
					break
				}
			}
			if kills == 0 {
				t.Error("nothing was killed")
			}
		})
	}
}

func TestAResumedWalkAsksForNothingTwice(t *testing.T) {
	w := busyNetwork(t)
	dir, c := t.TempDir(), memory.New()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := w.config(c, dir)
	cfg.Progress = func(p Progress) {
		if p.Records >= 12 {
			cancel()
		}
	}
	if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v, want Canceled", err)
	}
	var calls atomic.Int64
	for _, n := range w.nodes {
		n.fail(func(op string) error {
			if op == "tails" {
				calls.Add(1)
			}
			return nil
		})
	}
	// What the spool already has is gone from the nodes; the recovery does not need it.
	state, err := loadState(dir, w.keys)
	if err != nil || state == nil {
		t.Fatalf("loadState = %v, %v", state, err)
	}
	cursor, err := state.cursor()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range w.nodes {
		for id := range n.tails {
			if id.Compare(cairn.ShardID{Segment: cursor, Index: 255}) < 0 {
				delete(n.tails, id)
			}
		}
	}
	if _, err := Run(t.Context(), w.config(c, dir)); err != nil {
		t.Fatal(err)
	}
	whole, _ := busyNetwork(t).recover()
	if got, want := objects(t, c), objects(t, whole); !reflect.DeepEqual(got, want) {
		t.Errorf("objects %q, want %q", got, want)
	}
	if calls.Load() == 0 {
		t.Error("the second run asked no node")
	}
}

func TestANodeThatComesBackIsHeard(t *testing.T) {
	w := busyNetwork(t)
	// Without nodes 0 to 2 the tombstone is hidden and nothing can be read.
	for _, n := range w.nodes[:3] {
		n.fail(func(string) error { return errDead })
	}
	dir, c := t.TempDir(), memory.New()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := w.config(c, dir)
	cfg.Progress = func(Progress) { cancel() }
	if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v, want Canceled", err)
	}
	for _, n := range w.nodes[:3] {
		n.fail(nil)
	}
	v, err := Run(t.Context(), w.config(c, dir))
	if err != nil || len(v.Unanswered) != 0 || v.Deleted != 2 || v.Unreadable != 0 {
		t.Errorf("Run = %+v, %v, want every node heard", v, err)
	}
	whole, _ := busyNetwork(t).recover()
	if got, want := objects(t, c), objects(t, whole); !reflect.DeepEqual(got, want) {
		t.Errorf("objects %q, want %q", got, want)
	}
}

func TestANodeThatHangsIsGivenUp(t *testing.T) {
	w := busyNetwork(t)
	release := make(chan struct{})
	defer close(release)
	cfg := w.config(memory.New(), t.TempDir())
	cfg.Timeout = 50 * time.Millisecond
	honest := cfg.Nodes
	cfg.Nodes = func() []Node {
		nodes := honest()
		nodes[4] = hanging{w.nodes[4]}
		return nodes
	}
	v, err := Run(t.Context(), cfg)
	if err != nil || v.Unreadable != 0 || len(v.Unanswered) != 1 || v.Unanswered[0].Node != w.nodes[4].id {
		t.Errorf("Run = %+v, %v, want one node given up", v, err)
	}
}

// hanging answers when its context ends.
type hanging struct{ *fakeNode }

func (hanging) List(ctx context.Context, _ cairn.ShardID, _ int) ([]cairn.Entry, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

func TestAFinishedRecoveryGivesTheSameVerdict(t *testing.T) {
	w := busyNetwork(t)
	dir, c := t.TempDir(), memory.New()
	first, err := Run(t.Context(), w.config(c, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range w.nodes {
		n.fail(func(string) error { return errDead })
	}
	again, err := Run(t.Context(), w.config(c, dir))
	if err != nil || !reflect.DeepEqual(plainly(again), plainly(first)) {
		t.Errorf("second Run = %+v, %v, want %+v", again, err, first)
	}
	if _, err := os.Stat(filepath.Join(dir, spoolName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool is still there: %v", err)
	}
}

func TestADamagedSpoolIsNoticed(t *testing.T) {
	w := busyNetwork(t)
	dir, c := t.TempDir(), memory.New()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := w.config(c, dir)
	cfg.Progress = func(p Progress) {
		if p.Records >= 8 {
			cancel()
		}
	}
	if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v, want Canceled", err)
	}
	path := filepath.Join(dir, spoolName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[200] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), w.config(c, dir)); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Run with a damaged spool = %v, want Corrupt", err)
	}
	if err := os.WriteFile(path, b[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), w.config(c, dir)); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Run with a short spool = %v, want Corrupt", err)
	}
}
