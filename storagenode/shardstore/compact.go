package shardstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-store/cairn"
)

// Compact empties and removes the sealed logs of which less than half of what
// they hold is live. Reads and writes go on meanwhile. It returns when nothing
// is left to do, or when ctx ends.
//
// Order, for each log: copy what lives to the open logs, each copy durable and
// in the index like any record; carry the tombstones that are still needed;
// sync the index with the log marked condemned; remove the file; forget the
// log. A crash before the mark leaves copies, of which the index or the next
// start drops one; a crash after it leaves a file that the next start removes.
func (s *Store) Compact(ctx context.Context) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	s.compacting.Lock()
	defer s.compacting.Unlock()
	for {
		if err := s.writable(); err != nil {
			return err
		}
		l := s.mostDead()
		if l == nil {
			return nil
		}
		if err := s.compactLog(ctx, l); err != nil {
			return fmt.Errorf("compact log %d: %w", l.num, err)
		}
	}
}

// mostDead returns the sealed log with the most dead bytes among those that are
// less than half live; nil when there is none.
func (s *Store) mostDead() *logFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *logFile
	for _, l := range s.logs {
		if !l.worthCompacting() {
			continue
		}
		if best == nil || l.stat.alloc-l.stat.live > best.stat.alloc-best.stat.live {
			best = l
		}
	}
	return best
}

// compactWorkers is how many records are moved at a time: small ones then share
// their syncs.
const compactWorkers = 32

// worthCompacting reports whether a log is sealed and less than half live.
// Requires Store.mu.
func (l *logFile) worthCompacting() bool {
	if !l.stat.sealed || l.bad != nil || l.stuck {
		return false
	}
	return l.stat.count == 0 || 2*l.stat.live < l.stat.alloc
}

func (s *Store) compactLog(ctx context.Context, l *logFile) error {
	size, err := l.file.Size()
	if err != nil {
		return err
	}
	items, _, ok, err := readFooter(l.file, size, l.num, &l.key)
	if err != nil {
		return err
	}
	if !ok {
		s.keepStuck(l)
		return cairn.Errorf("compact log", cairn.Corrupt, "the footer is damaged")
	}
	var tombs []victim
	var moves errgroup.Group
	moves.SetLimit(compactWorkers)
	if l.lane == bulk {
		moves.SetLimit(1)
	}
	for _, it := range items {
		if ctx.Err() != nil {
			break
		}
		if !it.isDelete {
			moves.Go(func() error { return s.moveRecord(ctx, l, it.id) })
		} else if s.stillThere(it.dead.victim, l.num) {
			tombs = append(tombs, victim{id: it.id, e: entry{log: it.dead.victim}, seq: it.dead.seq})
		}
	}
	if err := errors.Join(moves.Wait(), ctx.Err()); err != nil {
		return err
	}
	for chunk := range slices.Chunk(tombs, maxDeletes) {
		if err := s.submit(small, &request{dead: chunk}); err != nil {
			return err
		}
	}
	return s.removeLog(l)
}

func (s *Store) keepStuck(l *logFile) {
	s.mu.Lock()
	l.stuck = true
	s.mu.Unlock()
}

// stillThere reports whether the log that a tombstone's victim lay in exists
// and is not the one being removed: until then the tombstone is needed.
func (s *Store) stillThere(victim, self uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return victim != self && s.logs[victim] != nil
}

// moveRecord copies a record out of l, if it lives there. Its sequence number
// stays, so that deletions before and after keep their meaning.
func (s *Store) moveRecord(ctx context.Context, l *logFile, id cairn.ShardID) error {
	release, err := s.hold(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	e, ok, err := s.ix.get(id)
	if err != nil || !ok || e.log != l.num {
		return err
	}
	r := &request{id: id, e: e, old: &e, seq: e.seq}
	if l.lane == small {
		r.record = make([]byte, e.recordLen())
		if err := readAt(l, id, r.record, e.off+frameSize); err != nil {
			return err
		}
		return s.submit(small, r)
	}
	return s.moveBulk(l, r)
}

func (s *Store) moveBulk(from *logFile, r *request) error {
	old := *r.old
	c := s.lanes[bulk]
	c.place.Lock()
	to, off, err := s.place(bulk, old.extent, false)
	c.place.Unlock()
	if err != nil {
		return err
	}
	r.log, r.e.log, r.e.off = to, to.num, off
	if err := copyExtent(from, to, r.id, old, off); err != nil {
		s.unplace(to, off, old.extent)
		return s.diskError("compact log", err)
	}
	f := frame{kind: typeRecord, log: to.num, off: off, seq: r.seq, body: old.recordLen(), extent: old.extent}
	if _, err := to.file.WriteAt(f.appendTo(nil, &to.key, nil), off); err != nil {
		s.fail(fmt.Errorf("write log %d: %w", to.num, err))
		return err
	}
	return s.submit(bulk, r)
}

// copyExtent copies a record's extent but for its frame header. The first
// sector goes with zeros in the header's place, so that the header can be
// written over it without growing the file.
func copyExtent(from, to *logFile, id cairn.ShardID, e entry, off int64) error {
	buf := make([]byte, min(e.extent, uploadBuffer))
	for at := int64(0); at < e.extent; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), e.extent-at)]
		if err := readAt(from, id, buf, e.off+at); err != nil {
			return err
		}
		if at == 0 {
			clear(buf[:frameSize])
		}
		if _, err := to.file.WriteAt(buf, off+at); err != nil {
			return fmt.Errorf("write log %d: %w", to.num, err)
		}
	}
	return nil
}

// removeLog removes a log that holds nothing live.
func (s *Store) removeLog(l *logFile) error {
	if err := s.condemn(l); err != nil || l.stuck {
		return err
	}
	if err := s.fs.Remove(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.fs.SyncDir(s.logDir()); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.logs, l.num)
	s.alloc -= l.stat.alloc
	s.mu.Unlock()
	s.indexMu.Lock()
	err := s.ix.db.Delete(logKey(l.num), pebble.NoSync)
	s.indexMu.Unlock()
	s.log.Debug("log compacted away", "log", l.num, "lane", l.lane, "bytes", l.stat.alloc)
	return errors.Join(err, l.close())
}

// condemn makes it durable that a log's file may go, with every move out of it.
func (s *Store) condemn(l *logFile) error {
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	s.mu.Lock()
	left := l.stat.count
	if left > 0 {
		l.stuck = true
	} else {
		l.stat.condemned = true
	}
	st := l.stat
	s.mu.Unlock()
	if left > 0 {
		s.log.Warn("log holds records its footer does not list", "log", l.num, "shards", left)
		return nil
	}
	if err := s.ix.db.Set(logKey(l.num), st.append(nil), pebble.Sync); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}
