package shardstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-store/cairn"
)

const (
	maxGroup      = 4 << 20  // bytes of small records in one write
	syncIndexEach = 32 << 20 // bytes acknowledged between two syncs of the index
)

// request is one fact that waits to become durable: a record or a deletion.
type request struct {
	id  cairn.ShardID
	e   entry
	old *entry // what it replaces

	log    *logFile // of a bulk record; small ones are placed by the committer
	record []byte   // of a small record
	dead   []victim // of a deletion; the fields above are unused
	seq    uint64
	queued int64 // counted in Store.queued until it is placed

	done chan error
}

// victim is a record to be deleted.
type victim struct {
	id  cairn.ShardID
	e   entry
	seq uint64 // of an older tombstone that is only moved; then e is unused but for its log
}

// size is what the request takes of the small lane.
func (r *request) size() int64 {
	if r.dead != nil {
		return alignUp(frameSize+int64(len(r.dead))*deleteItem, 8)
	}
	return alignUp(frameSize+int64(len(r.record)), 8)
}

func (r *request) tombstone(v victim) tombstone {
	t := tombstone{id: v.id, victim: v.e.log, seq: r.seq}
	if v.seq != 0 {
		t.seq = v.seq
	}
	return t
}

// committer gathers the requests of one lane.
type committer struct {
	lane  lane
	place sync.Mutex // held while an extent is placed, log creation included

	mu      sync.Mutex // guards the fields below
	ready   *sync.Cond
	queue   []*request
	stopped bool
	buf     []byte // of the commit loop
}

func newCommitter(ln lane) *committer {
	c := &committer{lane: ln}
	c.ready = sync.NewCond(&c.mu)
	return c
}

func (c *committer) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.ready.Broadcast()
}

// take waits for requests and returns as many as fit one group; nil when the
// committer was stopped and nothing waits.
func (c *committer) take() []*request {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.stopped {
		c.ready.Wait()
	}
	n, bytes := 0, int64(0)
	for n < len(c.queue) {
		if bytes += c.queue[n].size(); n > 0 && bytes > maxGroup {
			break
		}
		n++
	}
	group := slices.Clone(c.queue[:n])
	c.queue = slices.Delete(c.queue, 0, n)
	return group
}

// submit makes a request durable; it returns when that is so.
func (s *Store) submit(ln lane, r *request) error {
	c := s.lanes[ln]
	r.done = make(chan error, 1)
	if r.seq == 0 {
		r.seq = s.seq.Add(1)
	}
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return s.writable()
	}
	c.queue = append(c.queue, r)
	c.mu.Unlock()
	c.ready.Signal()
	return <-r.done
}

func (s *Store) commitLoop(c *committer) {
	for {
		group := c.take()
		if len(group) == 0 {
			return
		}
		err := s.writable()
		if err == nil && c.lane == small {
			err = s.commitSmall(c, group)
		} else if err == nil {
			err = s.commitBulk(group)
		}
		for _, r := range group {
			r.done <- err
		}
	}
}

// commitBulk syncs the logs of records whose bytes are written, then indexes
// them.
func (s *Store) commitBulk(group []*request) error {
	var logs []*logFile
	for _, r := range group {
		if !slices.Contains(logs, r.log) {
			logs = append(logs, r.log)
		}
	}
	for _, l := range logs {
		if err := s.syncLog(l); err != nil {
			return err
		}
	}
	return s.apply(nil, 0, group)
}

// syncLog makes what was written to a log durable. A failure is final.
func (s *Store) syncLog(l *logFile) error {
	l.use.RLock()
	defer l.use.RUnlock()
	if err := l.file.Datasync(); err != nil {
		err = fmt.Errorf("sync log %d: %w", l.num, err)
		s.fail(err)
		return cairn.NewError("commit shard", cairn.Unavailable, err)
	}
	return nil
}

// commitSmall writes a group in one piece at the start of a sector, so that it
// never rewrites one that holds acknowledged bytes, syncs and indexes it.
func (s *Store) commitSmall(c *committer, group []*request) error {
	total := int64(0)
	for _, r := range group {
		total += r.size()
	}
	c.place.Lock()
	l, off, err := s.place(small, total, false)
	c.place.Unlock()
	if err != nil {
		return err
	}
	s.mu.Lock()
	for _, r := range group {
		s.queued -= r.queued
		r.queued = 0
	}
	s.mu.Unlock()
	n := alignUp(total, sectorSize)
	b := c.buf[:0]
	for _, r := range group {
		b = r.appendTo(b, l, off+int64(len(b)))
	}
	b = append(b, make([]byte, n-int64(len(b)))...)
	if cap(b) <= maxGroup+nodeSlack {
		c.buf = b
	}
	if _, err := l.file.WriteAt(b, off); err != nil {
		return s.undoSmall(l, off, n, fmt.Errorf("write log %d: %w", l.num, err))
	}
	if err := s.syncLog(l); err != nil {
		return err
	}
	return s.apply(l, off, group)
}

// undoSmall cuts a group that could not be written off its log: none of its
// frames may be found later, because a delete that came in between would have
// left no tombstone.
func (s *Store) undoSmall(l *logFile, off, n int64, cause error) error {
	if err := l.file.Truncate(off); err != nil {
		s.fail(errors.Join(cause, err))
		return cairn.NewError("put shard", cairn.Unavailable, cause)
	}
	s.unplace(l, off, n)
	s.mu.Lock()
	l.ahead = off // the blocks set aside went too
	s.mu.Unlock()
	return s.diskError("put shard", cause)
}

// nodeSlack is how far a group's buffer may exceed maxGroup and still be kept.
const nodeSlack = 2 << 20

// appendTo appends the request's frame, which will stand at off of l, and
// notes its place.
func (r *request) appendTo(b []byte, l *logFile, off int64) []byte {
	f := frame{log: l.num, off: off, seq: r.seq, extent: r.size(), kind: typeRecord, body: int64(len(r.record))}
	var body, sealed []byte
	if r.dead != nil {
		var dead []tombstone
		for _, v := range r.dead {
			dead = append(dead, r.tombstone(v))
		}
		body = appendDeletes(nil, dead)
		f.kind, f.body, sealed = typeDelete, int64(len(body)), body
	} else {
		body = r.record
		r.e.log, r.e.off, r.e.extent, r.e.seq = l.num, off, f.extent, r.seq
	}
	start := len(b)
	b = f.appendTo(b, &l.key, sealed)
	b = append(b, body...)
	return append(b, make([]byte, start+int(f.extent)-len(b))...)
}

// apply puts a durable group into the index, with the state of every log it
// touches. at is the log that holds the group's deletions, and off where it
// was placed there.
func (s *Store) apply(at *logFile, off int64, group []*request) error {
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	b := s.ix.db.NewBatch()
	defer ignoreClose(b)
	touched := map[*logFile]logStat{}
	var err error
	var bytes int64
	s.mu.Lock()
	for _, r := range group {
		if r.dead != nil {
			err = errors.Join(err, s.applyDelete(b, at, r, touched))
			continue
		}
		err = errors.Join(err, s.applyPut(b, r, touched))
		bytes += r.e.extent
	}
	if at != nil {
		touched[at] = logStat{}
		delete(at.inflight, off)
	}
	sealable := false
	for l := range touched {
		l.stat.watermark = l.watermark()
		touched[l] = l.stat
		sealable = sealable || l.retired && len(l.inflight) == 0
	}
	s.mu.Unlock()
	for l, st := range touched {
		err = errors.Join(err, b.Set(logKey(l.num), st.append(nil), nil))
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		err = fmt.Errorf("write index: %w", err)
		s.fail(err)
		return cairn.NewError("commit shard", cairn.Unavailable, err)
	}
	if s.synced.Add(bytes) > syncIndexEach || sealable {
		s.kick()
	}
	return nil
}

// applyPut requires Store.mu.
func (s *Store) applyPut(b *pebble.Batch, r *request, touched map[*logFile]logStat) error {
	l := s.logs[r.e.log]
	l.stat.live += r.e.extent
	l.stat.count++
	l.stat.maxSeq = max(l.stat.maxSeq, r.e.seq)
	delete(l.inflight, r.e.off)
	l.items = append(l.items, footerItem{id: r.id, entry: r.e})
	touched[l] = logStat{}
	if r.old != nil {
		s.applyGone(*r.old, touched)
	}
	return setEntry(b, r.id, r.e)
}

// applyGone takes a record that is replaced or deleted off its log's account.
// Requires Store.mu.
func (s *Store) applyGone(e entry, touched map[*logFile]logStat) {
	l := s.logs[e.log]
	if l == nil {
		return
	}
	l.stat.live -= e.extent
	l.stat.count--
	s.forget(l, e.extent)
	touched[l] = logStat{}
}

// applyDelete requires Store.mu.
func (s *Store) applyDelete(b *pebble.Batch, at *logFile, r *request, touched map[*logFile]logStat) (err error) {
	at.stat.maxSeq = max(at.stat.maxSeq, r.seq)
	for _, v := range r.dead {
		at.items = append(at.items, footerItem{isDelete: true, id: v.id, dead: r.tombstone(v)})
		if v.seq != 0 {
			continue // the tombstone moved; the record went long ago
		}
		s.applyGone(v.e, touched)
		err = errors.Join(err, deleteEntry(b, v.id, v.e))
		if l := s.logs[v.e.log]; l != nil && !l.stat.sealed {
			err = errors.Join(err, b.Set(deadKey(l.num, v.id), binary.LittleEndian.AppendUint64(nil, r.seq), nil))
		}
	}
	return err
}
