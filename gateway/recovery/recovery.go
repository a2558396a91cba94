package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/durable"
)

// Node is what recovery asks of a storage node. It is safe for concurrent use
// and ends a call when its context ends.
type Node interface {
	ID() cairn.NodeID
	// List pages through what the owner keeps at the node, in order of id.
	List(ctx context.Context, after cairn.ShardID, limit int) (entries []cairn.Entry, more bool, err error)
	// Tails returns shard records without payloads; absent ones are left out,
	// and so may be some at the end of a long answer.
	Tails(ctx context.Context, ids []cairn.ShardID) ([]cairn.Tail, error)
}

// Config says what to recover from and into.
type Config struct {
	Keys    *seal.Keys      // required
	Catalog catalog.Catalog // required; empty, unless an earlier run was interrupted
	// Nodes returns every known node, living or not. Required; called once.
	Nodes func() []Node
	// Dir is an existing directory for the state and spool files. Required.
	Dir string

	// Timeout bounds one call to a node. Zero means 20 s.
	Timeout time.Duration
	// Attempts is how often a call is tried before the node is given up. Zero
	// means 3.
	Attempts int
	// Pause precedes the second attempt and doubles with each further one.
	// Zero means 500 ms.
	Pause time.Duration
	// PageEntries is the number of entries asked of a node at once. Zero means
	// 2048.
	PageEntries int
	// BatchSegments is the number of segments and records between two
	// checkpoints. Zero means 1024.
	BatchSegments int

	// Progress is told how far the recovery is, from one goroutine at a time.
	Progress func(Progress)
	Log      *slog.Logger // nil discards
}

func (c *Config) validate() error {
	if c.Keys == nil || c.Catalog == nil || c.Nodes == nil || c.Dir == "" {
		return cairn.Errorf("recover", cairn.Invalid, "keys, catalog, nodes and directory are required")
	}
	if c.Timeout <= 0 {
		c.Timeout = 20 * time.Second
	}
	if c.Attempts <= 0 {
		c.Attempts = 3
	}
	if c.Pause <= 0 {
		c.Pause = 500 * time.Millisecond
	}
	if c.PageEntries <= 0 {
		c.PageEntries = 2048
	}
	if c.BatchSegments <= 0 {
		c.BatchSegments = 1024
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Phase is a step of a recovery.
type Phase string

// The phases, in order.
const (
	PhaseWalk   Phase = "walk"
	PhaseDecide Phase = "decide"
	PhaseSettle Phase = "settle"
	PhaseDone   Phase = "done"
)

// Progress says how far a recovery is.
type Progress struct {
	Phase     Phase `json:"phase"`
	NodesDone int   `json:"nodes_done"` // nodes listed to their end, or given up
	Nodes     int   `json:"nodes"`
	Records   int64 `json:"records"` // segments and records found
	Objects   int64 `json:"objects"` // objects brought back so far
	Bytes     int64 `json:"bytes"`   // of the shard records listed
}

// Run rebuilds the catalog and returns the verdict. When ctx ends it stops at
// once; a later Run with the same directory and catalog goes on from there, and
// one after the end returns the same verdict again.
//
// Nodes that fail are not an error but part of the verdict. No node at all
// answering is an Unavailable error; a catalog that is not empty is an Exists
// error.
func Run(ctx context.Context, cfg Config) (Verdict, error) {
	if err := cfg.validate(); err != nil {
		return Verdict{}, err
	}
	lock, err := durable.OS{}.Lock(filepath.Join(cfg.Dir, "recovery.lock"))
	if err != nil {
		return Verdict{}, fmt.Errorf("lock the recovery directory: %w", err)
	}
	r := &run{cfg: cfg, started: time.Now()}
	v, err := r.all(ctx)
	return v, errors.Join(err, r.close(), lock.Close())
}

// run is one call of Run. Its methods are called by one goroutine.
type run struct {
	cfg     Config
	started time.Time
	state   *state
	nodes   []*lister // in the order of state.Nodes
	spool   *spool

	objects int64 // for Progress
}

func (r *run) close() error {
	if r.spool == nil {
		return nil
	}
	return r.spool.close()
}

func (r *run) all(ctx context.Context) (Verdict, error) {
	if err := r.open(ctx); err != nil {
		return Verdict{}, err
	}
	if r.state.Phase == PhaseDone {
		return *r.state.Verdict, nil
	}
	if r.state.Phase == PhaseWalk {
		if err := r.walk(ctx); err != nil {
			return Verdict{}, fmt.Errorf("walk the nodes: %w", err)
		}
		r.state.Phase = PhaseDecide
		if err := r.checkpoint(); err != nil {
			return Verdict{}, err
		}
	}
	d, err := r.decide(ctx)
	if err != nil {
		return Verdict{}, fmt.Errorf("decide what was there: %w", err)
	}
	if err := r.settle(ctx, d); err != nil {
		return Verdict{}, fmt.Errorf("settle segments: %w", err)
	}
	v := r.verdict(d)
	r.state.Phase, r.state.Verdict = PhaseDone, &v
	if err := r.checkpoint(); err != nil {
		return Verdict{}, err
	}
	r.progress()
	r.cfg.Log.InfoContext(ctx, "recovery finished", "verdict", v.String(), "elapsed", time.Since(r.started))
	return v, r.spool.remove()
}

// open loads the state of an earlier run or begins a new one.
func (r *run) open(ctx context.Context) error {
	nodes := r.cfg.Nodes()
	var err error
	if r.state, err = loadState(r.cfg.Dir, r.cfg.Keys); err != nil {
		return err
	}
	if r.state != nil && r.state.Phase == PhaseDone {
		return nil
	}
	if r.state != nil && r.state.Phase == PhaseWalk && r.mustRestart(ctx, nodes) {
		r.state = nil
	}
	if r.state == nil {
		stats, err := r.cfg.Catalog.Stats(ctx)
		if err != nil {
			return fmt.Errorf("look into the catalog: %w", err)
		}
		if stats.Buckets+stats.Versions+stats.Segments > 0 {
			return cairn.Errorf("recover", cairn.Exists, "the catalog is not empty").
				WithHint("recover into an empty directory")
		}
		r.state = newState(r.cfg.Keys, nodes)
	}
	r.nodes = listers(r.state, nodes)
	r.spool, err = openSpool(filepath.Join(r.cfg.Dir, spoolName), r.state.Spool)
	if err != nil {
		return err
	}
	return r.checkpoint()
}

// mustRestart reports whether a walk that was interrupted has to begin again,
// because there are nodes now whose lists it has not seen.
func (r *run) mustRestart(ctx context.Context, nodes []Node) bool {
	var again atomic.Bool
	var wg sync.WaitGroup
	for _, n := range nodes {
		known, failed := r.state.node(n.ID())
		if known && !failed {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
			defer cancel()
			if _, _, err := n.List(ctx, cairn.ShardID{}, 1); err == nil {
				r.cfg.Log.InfoContext(ctx, "walk begins again with another node", "node", n.ID())
				again.Store(true)
			}
		})
	}
	wg.Wait()
	return again.Load()
}

// checkpoint makes everything up to here durable: the spool first, because the
// state says how long it is.
func (r *run) checkpoint() error {
	if err := r.spool.sync(); err != nil {
		return err
	}
	r.state.Spool = r.spool.size
	return r.state.save(r.cfg.Dir)
}

func (r *run) progress() {
	p := Progress{Phase: r.state.Phase, Nodes: len(r.nodes), Records: r.state.Records, Objects: r.objects, Bytes: r.state.Bytes}
	for _, n := range r.nodes {
		if n.finished() || r.state.Phase != PhaseWalk {
			p.NodesDone++
		}
	}
	r.cfg.Progress(p)
}
