package shardstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-store/cairn"
)

// rebuild fills an empty index from the logs: first every deletion, so that no
// record it meets later comes back, then every record, of which the highest
// sequence number wins. What it needs in memory is one log's list.
func (s *Store) rebuild() error {
	for _, pass := range []func(*logFile, []found) error{s.rebuildDeletes, s.rebuildRecords} {
		for _, l := range s.sortedLogs() {
			if l.bad != nil {
				continue
			}
			frames, err := s.rebuildList(l)
			if err == nil {
				err = pass(l, frames)
			}
			if l.stat.sealed {
				l.items = nil
			}
			if err != nil {
				return fmt.Errorf("rebuild index from log %d: %w", l.num, err)
			}
		}
	}
	b := s.ix.db.NewBatch()
	defer ignoreClose(b)
	var shards int64
	err := b.DeleteRange([]byte{keyRebuild}, prefixEnd([]byte{keyRebuild}), nil)
	for _, l := range s.logs {
		l.stat.watermark = l.next
		err = errors.Join(err, s.rebuildAccount(l))
		shards += l.stat.count
		err = errors.Join(err, b.Set(logKey(l.num), l.stat.append(nil), nil))
		if l.stat.sealed {
			dead := deadKey(l.num, noID)[:9]
			err = errors.Join(err, b.DeleteRange(dead, prefixEnd(dead), nil))
		}
	}
	err = errors.Join(err, b.Set(keyReady, nil, nil))
	if err == nil {
		err = b.Commit(pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := s.fs.Remove(suspectName(s.indexDir())); err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	s.log.Info("index made again", "logs", len(s.logs), "shards", shards)
	return s.fs.SyncDir(filepath.Dir(s.indexDir()))
}

// rebuildAccount sets the account of a log once the index is whole. The list of
// a sealed log is read again rather than kept: lists of all logs may not fit.
func (s *Store) rebuildAccount(l *logFile) error {
	if l.bad != nil {
		return nil
	}
	if !l.stat.sealed {
		return s.recount(l)
	}
	_, err := s.rebuildList(l)
	if err == nil {
		err = s.recount(l)
	}
	l.items = nil
	return err
}

// rebuildList returns the frames of a log: those its footer lists, or those it
// holds when it has none.
func (s *Store) rebuildList(l *logFile) ([]found, error) {
	size, err := l.file.Size()
	if err != nil {
		return nil, err
	}
	items, start, ok, err := readFooter(l.file, size, l.num, &l.key)
	if err != nil {
		return nil, err
	}
	if ok {
		l.stat.sealed, l.retired, l.next = true, true, start
		l.items = items
		frames := make([]found, 0, len(items))
		for _, it := range items {
			frames = append(frames, it.found(l.num))
		}
		return frames, nil
	}
	sc, err := scanLog(l.file, size, l.num, l.lane, &l.key)
	if err != nil {
		return nil, err
	}
	return sc.frames, s.tidy(l, sc)
}

func (it footerItem) found(num uint64) found {
	if it.isDelete {
		return found{frame: frame{kind: typeDelete, log: num, seq: it.dead.seq}, dead: []tombstone{it.dead}}
	}
	return found{frame: frame{kind: typeRecord, log: num, off: it.entry.off, seq: it.entry.seq, extent: it.entry.extent}, id: it.id, e: it.entry}
}

// rebuildDeletes notes the newest deletion of each shard.
func (s *Store) rebuildDeletes(l *logFile, frames []found) error {
	for _, f := range frames {
		s.raiseSeq(f.seq)
		l.stat.maxSeq = max(l.stat.maxSeq, f.seq)
		for _, d := range f.dead {
			seen, err := s.ix.seqAt(rebuildKey(d.id))
			if err != nil {
				return err
			}
			seq := binary.LittleEndian.AppendUint64(nil, d.seq)
			if d.seq > seen {
				err = s.ix.db.Set(rebuildKey(d.id), seq, pebble.NoSync)
			}
			if err == nil {
				err = s.rebuildDead(d)
			}
			if err != nil {
				return fmt.Errorf("write index: %w", err)
			}
		}
		if f.kind == typeDelete && !l.stat.sealed {
			l.items = append(l.items, f.items()...)
		}
	}
	return nil
}

// rebuildDead notes a deletion under its victim's log, for as long as that is
// not sealed.
func (s *Store) rebuildDead(d tombstone) error {
	if s.logs[d.victim] == nil {
		return nil
	}
	key := deadKey(d.victim, d.id)
	seen, err := s.ix.seqAt(key)
	if err != nil || seen >= d.seq {
		return err
	}
	return s.ix.db.Set(key, binary.LittleEndian.AppendUint64(nil, d.seq), pebble.NoSync)
}

// rebuildRecords indexes the records of a log that were not deleted later.
func (s *Store) rebuildRecords(l *logFile, frames []found) error {
	for _, f := range frames {
		if f.kind != typeRecord {
			continue
		}
		dead, err := s.ix.seqAt(rebuildKey(f.id))
		if err != nil {
			return err
		}
		old, ok, err := s.ix.get(f.id)
		if err != nil {
			return err
		}
		if dead <= f.seq && (!ok || old.seq <= f.seq) && !l.stat.sealed {
			if err := verifyFound(l, f); errors.Is(err, cairn.Corrupt) || errors.Is(err, cairn.Invalid) {
				s.log.Warn("record does not fit its hashes", "shard", f.id, "log", l.num, "err", err)
				l.gaps += f.extent
				if err := errors.Join(s.voidFrame(l, f), l.file.Datasync()); err != nil {
					return err
				}
				continue
			} else if err != nil {
				return err
			}
		}
		if !l.stat.sealed {
			l.items = append(l.items, f.items()...)
		}
		if err := s.rebuildRecord(l, f, dead, old, ok); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rebuildRecord(l *logFile, f found, dead uint64, old entry, ok bool) error {
	if dead > f.seq || ok && old.seq > f.seq {
		s.giveUp(l, f.off, f.extent)
		return nil
	}
	b := s.ix.db.NewBatch()
	defer ignoreClose(b)
	var err error
	if ok {
		was := s.logs[old.log]
		was.stat.live -= old.extent
		was.stat.count--
		err = deleteEntry(b, f.id, old)
	}
	l.stat.live += f.extent
	l.stat.count++
	if err = errors.Join(err, setEntry(b, f.id, f.e)); err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if ok {
		s.giveUp(s.logs[old.log], old.off, old.extent)
	}
	return nil
}
