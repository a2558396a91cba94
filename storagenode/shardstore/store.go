package shardstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
)

// Config describes a Store.
type Config struct {
	// Dir is the store's directory; it is made when it is not there.
	Dir string
	// FS is the filesystem. Nil means the machine's.
	FS durable.FS
	// CapacityBytes bounds the extents in the logs, reserved and dead ones
	// included. Zero means no bound but the disk's.
	CapacityBytes int64
	// MinFreeBytes of the disk are left to the index and to deletes: puts are
	// Full below it. Zero means 64 MiB.
	MinFreeBytes int64
	// LogBytes is the size at which a log is sealed. Zero means a 64th of the
	// capacity, but 8 MiB to 1 GiB; 256 MiB without a capacity. Each log costs
	// an open file.
	LogBytes int64
	// PunchBytes is the least size of a dead extent that is given back to the
	// filesystem at once. Zero means 256 KiB.
	PunchBytes int64
	// IndexCacheBytes bounds the index's block cache. Zero means 16 MiB.
	IndexCacheBytes int64
	// NoDirect keeps the bulk lane off direct I/O.
	NoDirect bool
	// Log receives changes of state. Nil discards them.
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" || c.CapacityBytes < 0 || c.LogBytes < 0 || c.PunchBytes < 0 || c.MinFreeBytes < 0 || c.IndexCacheBytes < 0 {
		return c, cairn.Errorf("open store", cairn.Invalid, "directory %q, or a negative size", c.Dir)
	}
	if c.FS == nil {
		c.FS = durable.OS{}
	}
	if c.MinFreeBytes == 0 {
		c.MinFreeBytes = 64 << 20
	}
	if c.LogBytes == 0 {
		c.LogBytes = 256 << 20
		if c.CapacityBytes > 0 {
			c.LogBytes = min(1<<30, max(c.CapacityBytes/64, 8<<20))
		}
	}
	if c.PunchBytes == 0 {
		c.PunchBytes = 256 << 10
	}
	if c.IndexCacheBytes == 0 {
		c.IndexCacheBytes = 16 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Store keeps shard records in a directory. Open makes one.
type Store struct {
	cfg  Config
	fs   durable.FS
	log  *slog.Logger
	lock io.Closer
	ix   *index

	lanes   [small + 1]*committer
	seq     atomic.Uint64 // of the newest frame
	punches atomic.Uint64 // extents given up so far; see read
	synced  atomic.Int64  // bytes acknowledged since the index was synced
	pressed atomic.Bool   // a put found no room, and dead extents might give it
	wake    chan struct{} // asks the housekeeper for a round
	quit    chan struct{}
	tasks   sync.WaitGroup
	close   sync.Once

	life   sync.RWMutex // held for reading by every call, for writing to end the store
	closed bool         // guarded by life

	compacting sync.Mutex // one compaction at a time
	indexMu    sync.Mutex // orders index batches, so that the newest logStat wins

	mu      sync.Mutex // guards the fields below and the marked ones of every logFile
	logs    map[uint64]*logFile
	open    [small + 1]*logFile // by lane; nil when none was needed yet
	nextLog uint64
	alloc   int64 // sum of logStat.alloc
	queued  int64 // bytes of small records on their way to a log
	uploads int
	failed  error // why nothing is acknowledged any more

	busyMu sync.Mutex // guards busy
	freed  *sync.Cond // an id left busy
	busy   map[cairn.ShardID]struct{}
}

// Open opens the store in cfg.Dir, making it when it is not there, and brings
// its index in line with its logs. Close it.
func Open(cfg Config) (_ *Store, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, fs: cfg.FS, log: cfg.Log, logs: map[uint64]*logFile{}, busy: map[cairn.ShardID]struct{}{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), nextLog: 1,
	}
	s.freed = sync.NewCond(&s.busyMu)
	if err := durable.MakeDir(s.fs, s.logDir()); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.lock, err = s.fs.Lock(filepath.Join(cfg.Dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
	}
	for _, ln := range []lane{bulk, small} {
		s.lanes[ln] = newCommitter(ln)
		s.tasks.Go(func() { s.commitLoop(s.lanes[ln]) })
	}
	s.tasks.Go(s.housekeep)
	return s, nil
}

func (s *Store) logDir() string   { return filepath.Join(s.cfg.Dir, "logs") }
func (s *Store) indexDir() string { return filepath.Join(s.cfg.Dir, "index") }

// Close ends the store. What was acknowledged stays; uploads that are open
// fail.
func (s *Store) Close() (err error) {
	s.close.Do(func() {
		s.fail(cairn.Errorf("use store", cairn.Unavailable, "the store is closed"))
		for _, c := range s.lanes[bulk:] {
			c.stop()
		}
		close(s.quit)
		s.tasks.Wait()
		s.life.Lock() // calls under way have their answers first
		defer s.life.Unlock()
		s.closed = true
		err = errors.Join(s.ix.sync(), s.release())
	})
	return err
}

// enter lets a call begin; leave ends it. A store that was closed answers
// Unavailable.
func (s *Store) enter() (leave func(), err error) {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return nil, cairn.Errorf("use store", cairn.Unavailable, "the store is closed")
	}
	return s.life.RUnlock, nil
}

// release closes every file.
func (s *Store) release() (err error) {
	for _, l := range s.logs {
		err = errors.Join(err, l.close())
	}
	if s.ix != nil {
		err = errors.Join(err, s.ix.db.Close())
	}
	return errors.Join(err, s.lock.Close())
}

// fail makes every later write answer err. The first reason stands.
func (s *Store) fail(err error) {
	s.mu.Lock()
	first := s.failed == nil
	if first {
		s.failed = err
	}
	s.mu.Unlock()
	if first && !errors.Is(err, cairn.Unavailable) {
		s.log.Error("store stopped writing", "err", err)
	}
}

// writable returns why the store takes no writes, or nil.
func (s *Store) writable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		return nil
	}
	return cairn.NewError("write to store", cairn.Unavailable, s.failed).
		WithHint("look at the disk, then restart the node")
}

// Stats is what a store holds.
type Stats struct {
	Shards    int64 // live records
	UsedBytes int64 // extents of live records
	HeldBytes int64 // UsedBytes, and what is dead or reserved
	FreeBytes int64 // what may still come
	Logs      int
	Uploads   int   // open
	Failed    error // why the store takes no writes; nil when it does
}

// Stats returns what the store holds now.
func (s *Store) Stats() (Stats, error) {
	leave, err := s.enter()
	if err != nil {
		return Stats{}, err
	}
	defer leave()
	free, err := s.diskFree()
	if err != nil {
		return Stats{}, err
	}
	free = max(0, free-s.cfg.MinFreeBytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{HeldBytes: s.alloc + s.queued, Logs: len(s.logs), Uploads: s.uploads, Failed: s.failed}
	for _, l := range s.logs {
		st.Shards += l.stat.count
		st.UsedBytes += l.stat.live
	}
	st.FreeBytes = free
	if s.cfg.CapacityBytes > 0 {
		st.FreeBytes = max(0, min(free, s.cfg.CapacityBytes-st.HeldBytes))
	}
	return st, nil
}

// diskFree returns what the disk has left.
func (s *Store) diskFree() (int64, error) {
	free, _, err := s.fs.Usage(s.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("measure disk: %w", err)
	}
	return free, nil
}

// fits returns a Full error unless n more bytes find room under the capacity
// and in what the disk has free. Requires s.mu.
func (s *Store) fits(n, free int64) error {
	const op = "put shard"
	if c := s.cfg.CapacityBytes; c > 0 && s.alloc+s.queued+n > c {
		if s.cfg.CapacityBytes > 0 && s.hasDead() {
			s.pressed.Store(true)
			s.kick()
		}
		return cairn.Errorf(op, cairn.Full, "%v more would exceed the capacity of %v", cairn.Bytes(n), cairn.Bytes(c))
	}
	if free-s.queued-n < s.cfg.MinFreeBytes {
		return cairn.Errorf(op, cairn.Full, "the disk has %v left", cairn.Bytes(free))
	}
	return nil
}

// hasDead reports whether a compaction would find work. Requires s.mu.
func (s *Store) hasDead() bool {
	for _, l := range s.logs {
		if l.worthCompacting() {
			return true
		}
	}
	return false
}

// kick asks the housekeeper for a round.
func (s *Store) kick() {
	select {
	case s.wake <- struct{}{}:
	default: // one is asked for already
	}
}

// hold waits until no other write works on any of ids, and keeps others off
// them until release is called. Requires ids without duplicates.
func (s *Store) hold(ctx context.Context, ids ...cairn.ShardID) (release func(), err error) {
	stop := context.AfterFunc(ctx, func() {
		s.busyMu.Lock()
		defer s.busyMu.Unlock()
		s.freed.Broadcast()
	})
	defer stop()
	s.busyMu.Lock()
	defer s.busyMu.Unlock()
	for s.anyBusy(ids) && ctx.Err() == nil {
		s.freed.Wait()
	}
	if err := ctx.Err(); err != nil {
		return nil, cairn.NewError("write shard", cairn.Unavailable, err)
	}
	for _, id := range ids {
		s.busy[id] = struct{}{}
	}
	return func() {
		s.busyMu.Lock()
		defer s.busyMu.Unlock()
		for _, id := range ids {
			delete(s.busy, id)
		}
		s.freed.Broadcast()
	}, nil
}

// anyBusy requires busyMu.
func (s *Store) anyBusy(ids []cairn.ShardID) bool {
	for _, id := range ids {
		if _, ok := s.busy[id]; ok {
			return true
		}
	}
	return false
}
