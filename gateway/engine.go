package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/placement"
)

// Config tunes an Engine. The zero value of every optional field works.
type Config struct {
	Keys    *seal.Keys      // required
	Catalog catalog.Catalog // required; the engine does not close it
	Cluster Cluster         // required

	// Losses is the promise: any so many nodes may vanish. Zero means 2.
	Losses int
	// MaxData bounds the data shards of a scheme. Zero means placement's default.
	MaxData int
	// MinDurability is how many shards of a segment must be on stable storage
	// before a write is acknowledged. Zero means all of them.
	MinDurability int
	// BlockSize of a stripe in bytes. Zero means cairn.DefaultBlockSize.
	BlockSize int
	// SmallLimit is the largest object kept as one self-contained record per
	// node, in bytes. Zero means 128 KiB; negative means none.
	SmallLimit int64
	// MinPart is the smallest part that is not the last of its upload, in
	// bytes. Zero means S3's 5 MiB.
	MinPart int64
	// BufferBytes bounds the memory of all transfers together. When it is used
	// up, transfers wait for each other. Zero means 160 MiB.
	BufferBytes int64
	// RequestTimeout bounds one call to a node that moves at most a few MiB.
	// Zero means 30 s.
	RequestTimeout time.Duration
	// CollectInterval is the pause between two passes over the garbage. Zero
	// means 15 s.
	CollectInterval time.Duration
	// GarbageGrace is how long garbage stays on its nodes, so that a read that
	// had just looked up where it lies still finds it. Zero means 3 s.
	GarbageGrace time.Duration
	// CompletedFor is how long a completed upload is remembered, so that a
	// repeated completion gets the same answer. Zero means 24 h.
	CompletedFor time.Duration
	// Now returns wall time. Nil means time.Now.
	Now        func() time.Time
	Log        *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nothing
}

func (c *Config) validate() error {
	if c.Keys == nil || c.Catalog == nil || c.Cluster == nil {
		return cairn.Errorf("make gateway", cairn.Invalid, "keys, catalog and cluster are required")
	}
	if c.Losses == 0 {
		c.Losses = 2
	}
	if c.Losses < 0 || c.Losses >= cairn.MaxShards {
		return cairn.Errorf("make gateway", cairn.Invalid, "%d losses: want 1 to %d", c.Losses, cairn.MaxShards-1)
	}
	if c.BlockSize == 0 {
		c.BlockSize = cairn.DefaultBlockSize
	}
	if err := (cairn.Scheme{Data: 1, BlockSize: c.BlockSize}).Validate(); err != nil {
		return err
	}
	if c.SmallLimit == 0 {
		c.SmallLimit = 128 << 10
	}
	if c.MinPart == 0 {
		c.MinPart = 5 << 20
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 160 << 20
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 30 * time.Second
	}
	if c.CollectInterval == 0 {
		c.CollectInterval = 15 * time.Second
	}
	if c.GarbageGrace == 0 {
		c.GarbageGrace = 3 * time.Second
	}
	if c.CompletedFor == 0 {
		c.CompletedFor = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Engine serves the object operations. It is safe for concurrent use.
//
// Lock order: a bucket's lock, a key's, an upload's. The key lock is held from the
// moment a version id is made until the catalog commit, so that the order of
// ids is the order of commits; recovery, which knows only ids, then agrees
// with the catalog.
type Engine struct {
	cfg     Config
	keys    *seal.Keys
	catalog catalog.Catalog
	cluster Cluster
	log     *slog.Logger
	metrics *metrics

	clock    cairn.VersionClock
	suspects suspects
	// Whoever waits for one pool may hold blocks of those before it, but none
	// of it or those after it: writes, coded. Nobody waits for that of reads.
	buffers     *bufferPool // stripes on their way to nodes
	readBuffers *bufferPool // stripes on their way to clients
	coded       *bufferPool // stripes read to reconstruct others
	keyLocks    lockTable
	buckets     rwLockTable

	pins       pins
	unfinished unfinished
	collect    chan struct{} // tells the collector that there is garbage

	mu      sync.Mutex // guards started
	started bool
}

// New returns an engine that is ready once Start has returned.
func New(cfg Config) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:         cfg,
		keys:        cfg.Keys,
		catalog:     cfg.Catalog,
		cluster:     cfg.Cluster,
		log:         cfg.Log,
		clock:       cairn.VersionClock{Now: cfg.Now},
		buffers:     newBufferPool(cfg.BlockSize, cfg.BufferBytes/2),
		readBuffers: newBufferPool(cfg.BlockSize, cfg.BufferBytes/4),
		coded:       newBufferPool(cfg.BlockSize, cfg.BufferBytes/4),
		collect:     make(chan struct{}, 1),
	}
	e.metrics = newMetrics(cfg.Registerer, func() float64 { return float64(e.unfinished.count()) })
	return e, nil
}

// Start takes note of what an earlier process left unfinished; Run ends it.
// Nothing may be served before Start has returned. It needs no node.
func (e *Engine) Start(ctx context.Context) error {
	floor, err := e.catalog.Floor(ctx)
	if err != nil {
		return fmt.Errorf("read the floor of version ids: %w", err)
	}
	e.clock.Observe(versionAt(floor))
	intents, err := e.catalog.Intents(ctx)
	if err != nil {
		return fmt.Errorf("read intents: %w", err)
	}
	for _, in := range intents {
		e.clock.Observe(in.ID)
		e.unfinished.add(&failedWrite{Intent: *in})
	}
	if len(intents) > 0 {
		e.log.InfoContext(ctx, "writes of an earlier process are unfinished", "writes", len(intents))
	}
	e.mu.Lock()
	e.started = true
	e.mu.Unlock()
	return nil
}

// versionAt returns the oldest version id of a moment in Unix nanoseconds.
func versionAt(ns int64) (id cairn.VersionID) {
	binary.BigEndian.PutUint64(id[:8], uint64(ns))
	return id
}

// Run does the engine's background work until ctx ends: ending failed writes,
// deleting garbage from nodes and forgetting completed uploads.
func (e *Engine) Run(ctx context.Context) error {
	ticker := time.NewTicker(e.cfg.CollectInterval)
	defer ticker.Stop()
	for {
		e.endUnfinished(ctx)
		if err := e.collectGarbage(ctx); err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, "garbage not collected", "err", err)
		}
		var again <-chan time.Time
		if e.unfinished.count() > 0 {
			again = time.After(unfinishedAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := e.forgetCompleted(ctx); err != nil && ctx.Err() == nil {
				e.log.WarnContext(ctx, "completed uploads not forgotten", "err", err)
			}
		case <-e.collect:
		case <-again:
		}
	}
}

// Ready reports whether reads can be served and, with write, whether enough
// failure domains live for a durable write.
func (e *Engine) Ready(write bool) error {
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if !started {
		return cairn.Errorf("check readiness", cairn.Unavailable, "the gateway has not finished starting")
	}
	if !write {
		return nil
	}
	domains := placement.Domains(e.cluster.Candidates(), placement.Constraints{MaxVetting: e.maxVetting()})
	_, err := e.schemeFor(domains, false)
	return err
}

// bucket returns a living bucket, or ErrNoSuchBucket.
func (e *Engine) bucket(ctx context.Context, name string) (*catalog.BucketEntry, error) {
	b, err := e.catalog.Bucket(ctx, name)
	if errors.Is(err, cairn.NotFound) {
		return nil, fmt.Errorf("%q: %w", name, ErrNoSuchBucket)
	}
	if err != nil {
		return nil, fmt.Errorf("look up bucket %q: %w", name, err)
	}
	return b, nil
}

// newest returns the newest version of a key, or nil when it has none.
func (e *Engine) newest(ctx context.Context, bucket, key string) (*catalog.VersionEntry, error) {
	v, err := e.catalog.Newest(ctx, bucket, key)
	if errors.Is(err, cairn.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up %q/%q: %w", bucket, key, err)
	}
	return v, nil
}

// wakeCollector starts a garbage pass soon.
func (e *Engine) wakeCollector() {
	select {
	case e.collect <- struct{}{}:
	default:
	}
}
