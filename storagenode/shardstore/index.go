package shardstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
)

// Keys of the index. Numbers in keys are big-endian.
//
//	s id 33              entry: where the record is
//	o owner 32 id 33     nothing: the order in which List goes
//	l log 8              logStat
//	d log 8 id 33        seq of a deletion whose victim lies in an unsealed log
//	r                    the index was made with, or from, all its logs
//	x id 33              seq of the newest deletion; only while rebuilding
const (
	keyShard   = 's'
	keyOwner   = 'o'
	keyLog     = 'l'
	keyDead    = 'd'
	keyRebuild = 'x'
)

// entry is what the index knows of a record.
type entry struct {
	log      uint64
	off      int64 // of its frame
	extent   int64 // what it takes of the log
	seq      uint64
	payload  int64
	manifest int
	kind     cairn.ShardKind
	created  int64
	retain   int64
	owner    cairn.OwnerTag
	digest   cairn.Digest // of the record
}

const entrySize = 8*5 + 4 + 1 + 16 + 64 + 8

func newEntry(t cairn.Tail) entry {
	return entry{
		payload: t.Header.PayloadLen, manifest: len(t.Manifest), kind: t.Header.Kind, created: t.Header.Created,
		retain: t.Header.RetainUntil, owner: t.Header.Owner, digest: t.Trailer.Record,
	}
}

// recordLen is the length of the record, in bytes.
func (e entry) recordLen() int64 {
	return cairn.Header{PayloadLen: e.payload}.RecordLen(e.manifest)
}

func (e entry) appendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, e.log)
	b = le.AppendUint64(b, uint64(e.off))
	b = le.AppendUint64(b, uint64(e.extent))
	b = le.AppendUint64(b, e.seq)
	b = le.AppendUint64(b, uint64(e.payload))
	b = le.AppendUint32(b, uint32(e.manifest))
	b = append(b, byte(e.kind))
	b = le.AppendUint64(b, uint64(e.created))
	b = le.AppendUint64(b, uint64(e.retain))
	b = append(b, e.owner[:]...)
	b = append(b, e.digest[:]...)
	return le.AppendUint64(b, 0)
}

func parseEntry(b []byte) (entry, error) {
	if len(b) != entrySize {
		return entry{}, cairn.Errorf("read index entry", cairn.Corrupt, "%d bytes, want %d", len(b), entrySize)
	}
	le := binary.LittleEndian
	return entry{
		log: le.Uint64(b), off: int64(le.Uint64(b[8:])), extent: int64(le.Uint64(b[16:])), seq: le.Uint64(b[24:]),
		payload: int64(le.Uint64(b[32:])), manifest: int(le.Uint32(b[40:])), kind: cairn.ShardKind(b[44]),
		created: int64(le.Uint64(b[45:])), retain: int64(le.Uint64(b[53:])),
		owner: cairn.OwnerTag(b[61:93]), digest: cairn.Digest(b[93:125]),
	}, nil
}

// logStat is what the index knows of a log. It is written in the same batch as
// the entries it counts, so it is right for any prefix of batches that a crash
// leaves.
type logStat struct {
	sealed    bool
	condemned bool  // emptied by a compaction; its file may go
	live      int64 // bytes of extents that hold live records
	count     int64 // live records
	alloc     int64 // bytes taken of the disk: live, dead and reserved
	watermark int64 // every frame that starts below it is in the index
	maxSeq    uint64
}

func (s logStat) append(b []byte) []byte {
	le := binary.LittleEndian
	var flags byte
	if s.sealed {
		flags |= 1
	}
	if s.condemned {
		flags |= 2
	}
	b = append(b, flags)
	b = le.AppendUint64(b, uint64(s.live))
	b = le.AppendUint64(b, uint64(s.count))
	b = le.AppendUint64(b, uint64(s.alloc))
	b = le.AppendUint64(b, uint64(s.watermark))
	return le.AppendUint64(b, s.maxSeq)
}

func parseLogStat(b []byte) (logStat, error) {
	if len(b) != 41 {
		return logStat{}, cairn.Errorf("read log state", cairn.Corrupt, "%d bytes, want 41", len(b))
	}
	le := binary.LittleEndian
	return logStat{
		sealed: b[0]&1 != 0, condemned: b[0]&2 != 0, live: int64(le.Uint64(b[1:])), count: int64(le.Uint64(b[9:])),
		alloc: int64(le.Uint64(b[17:])), watermark: int64(le.Uint64(b[25:])), maxSeq: le.Uint64(b[33:]),
	}, nil
}

func shardKey(id cairn.ShardID) []byte { return appendID(append(make([]byte, 0, 34), keyShard), id) }

func ownerKey(owner cairn.OwnerTag, id cairn.ShardID) []byte {
	return appendID(append(append(make([]byte, 0, 66), keyOwner), owner[:]...), id)
}

func logKey(num uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyLog}, num)
}

func deadKey(log uint64, id cairn.ShardID) []byte {
	return appendID(binary.BigEndian.AppendUint64(append(make([]byte, 0, 42), keyDead), log), id)
}

func rebuildKey(id cairn.ShardID) []byte {
	return appendID(append(make([]byte, 0, 34), keyRebuild), id)
}

// index wraps Pebble. All its writes are without sync: see doc.go.
type index struct{ db *pebble.DB }

// openIndex opens the index in dir, making it when it is not there.
func openIndex(fsys durable.FS, dir string, cacheBytes int64, log *slog.Logger) (*index, error) {
	under := vfs.FS(indexFS{fsys})
	if _, isOS := fsys.(durable.OS); isOS {
		under = vfs.Default
	}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                 under,
		Cache:              cache,
		MemTableSize:       8 << 20,
		BytesPerSync:       512 << 10,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             indexLogger{log, func() error { return markSuspect(fsys, dir) }},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	return &index{db}, nil
}

// suspectName is a file whose presence makes the next start rebuild the index.
func suspectName(dir string) string { return filepath.Clean(dir) + ".suspect" }

func markSuspect(fsys durable.FS, dir string) error {
	return durable.WriteFileAtomic(fsys, suspectName(dir), nil)
}

// indexLogger passes what Pebble says on. What Pebble calls fatal stops the
// process: it cannot go on, and the next start rebuilds the index.
type indexLogger struct {
	log     *slog.Logger
	suspect func() error
}

func (l indexLogger) Infof(format string, args ...any) {
	l.log.Debug("index", "message", fmt.Sprintf(format, args...))
}

func (l indexLogger) Errorf(format string, args ...any) {
	l.log.Warn("index", "message", fmt.Sprintf(format, args...))
}

func (l indexLogger) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	err := l.suspect()
	l.log.Error("index failed", "message", msg, "err", err)
	panic("shardstore: index failed: " + msg)
}

// get returns the entry of a shard.
func (x *index) get(id cairn.ShardID) (e entry, ok bool, err error) {
	v, ok, err := x.value(shardKey(id))
	if err != nil || !ok {
		return entry{}, false, err
	}
	e, err = parseEntry(v)
	return e, err == nil, err
}

// value returns a copy of what stands under key.
func (x *index) value(key []byte) ([]byte, bool, error) {
	v, closer, err := x.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read index: %w", err)
	}
	defer ignoreClose(closer)
	return append([]byte(nil), v...), true, nil
}

// ignoreClose closes a view of memory, which cannot fail.
func ignoreClose(c io.Closer) { _ = c.Close() }

// seqAt returns the sequence number under key, 0 for none.
func (x *index) seqAt(key []byte) (uint64, error) {
	v, ok, err := x.value(key)
	if err != nil || !ok {
		return 0, err
	}
	if len(v) != 8 {
		return 0, cairn.Errorf("read index", cairn.Corrupt, "sequence number of %d bytes", len(v))
	}
	return binary.LittleEndian.Uint64(v), nil
}

// sync makes everything written before durable.
func (x *index) sync() error {
	if err := x.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync index: %w", err)
	}
	return nil
}

// scan calls fn with every key that starts with prefix, from start on, until
// fn returns false.
func (x *index) scan(prefix, start []byte, fn func(key, value []byte) (bool, error)) (err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		more, err := fn(it.Key(), it.Value())
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// prefixEnd returns the first key after all that start with prefix.
// Requires that prefix is not all 0xff.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}

// setEntry puts a record into the batch. A record it replaces must have the
// same owner.
func setEntry(b *pebble.Batch, id cairn.ShardID, e entry) error {
	return errors.Join(b.Set(shardKey(id), e.appendTo(nil), nil), b.Set(ownerKey(e.owner, id), nil, nil))
}

func deleteEntry(b *pebble.Batch, id cairn.ShardID, e entry) error {
	return errors.Join(b.Delete(shardKey(id), nil), b.Delete(ownerKey(e.owner, id), nil))
}
