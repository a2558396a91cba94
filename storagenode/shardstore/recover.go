package shardstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-store/cairn"
)

// What a crash leaves, and what recover makes of it:
//
//   - Frames above a log's watermark, which the index may not know. Each is
//     applied in order of its sequence number, a record only when every byte
//     fits its hashes.
//   - Frames that were never acknowledged, or that a compaction copied and did
//     not come to index. They are voided, so that what the logs hold is exactly
//     what the index says, should it ever have to be made again.
//   - Bytes after the last frame: cut off.
//   - A log condemned by a compaction: removed.
//   - No index, or one that does not open: made again from footers, and from
//     the frames of the logs that have none.

// recover opens index and logs, and brings them in line.
func (s *Store) recover() error {
	nums, err := s.findLogs()
	if err != nil {
		return err
	}
	rebuild, err := s.openOrResetIndex(len(nums) > 0)
	if err != nil {
		return err
	}
	stats, err := s.readStats()
	if err != nil {
		return err
	}
	nums, err = s.removeCondemned(nums, stats)
	if err != nil {
		return err
	}
	for _, num := range nums {
		if err := s.openLog(num, stats[num]); err != nil {
			return err
		}
	}
	for num, st := range stats {
		if s.logs[num] == nil {
			s.log.Error("log is lost", "log", num, "shards", st.count)
			s.logs[num] = &logFile{num: num, stat: st, bad: errors.New("file not found"), gone: true}
		}
		s.nextLog = max(s.nextLog, num+1)
		s.raiseSeq(st.maxSeq)
	}
	if rebuild {
		err = s.rebuild()
	} else {
		err = s.replay()
	}
	if err != nil {
		return err
	}
	s.alloc = 0
	for _, l := range s.logs {
		s.alloc += l.stat.alloc
	}
	return s.resume()
}

// findLogs returns the numbers of the log files, in order.
func (s *Store) findLogs() ([]uint64, error) {
	names, err := s.fs.List(s.logDir())
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	var nums []uint64
	for _, name := range names {
		if num, ok := parseLogName(name); ok {
			nums = append(nums, num)
			s.nextLog = max(s.nextLog, num+1)
		}
	}
	slices.Sort(nums)
	return nums, nil
}

// openOrResetIndex opens the index, or an empty one in its place when it has to
// be made again; the suspect file stands until it was.
func (s *Store) openOrResetIndex(haveLogs bool) (rebuild bool, err error) {
	_, err = s.fs.Stat(suspectName(s.indexDir()))
	suspect := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	_, err = s.fs.Stat(filepath.Join(s.indexDir()))
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return false, err
	}
	if !suspect && !(missing && haveLogs) {
		s.ix, err = openIndex(s.fs, s.indexDir(), s.cfg.IndexCacheBytes, s.log)
		if err == nil {
			whole, err := s.indexIsWhole(haveLogs)
			if whole || err != nil {
				return false, err
			}
			err = errors.Join(s.ix.db.Close())
			s.ix = nil
			if err != nil {
				return false, err
			}
		} else if !pebble.IsCorruptionError(err) && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		s.log.Warn("index is damaged", "err", err)
	}
	s.log.Warn("index is made again from the logs")
	if err := markSuspect(s.fs, s.indexDir()); err != nil {
		return false, err
	}
	if err := removeAll(s.fs, s.indexDir()); err != nil {
		return false, fmt.Errorf("remove index: %w", err)
	}
	s.ix, err = openIndex(s.fs, s.indexDir(), s.cfg.IndexCacheBytes, s.log)
	return true, err
}

// keyReady stands in every index that was made with, or from, its logs. One
// without it is an index that a crash or a person took the files of.
var keyReady = []byte{'r'}

func (s *Store) indexIsWhole(haveLogs bool) (bool, error) {
	_, ok, err := s.ix.value(keyReady)
	if err != nil || ok {
		return ok, err
	}
	if haveLogs {
		return false, nil
	}
	return true, s.setReady()
}

func (s *Store) setReady() error {
	if err := s.ix.db.Set(keyReady, nil, pebble.Sync); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

func (s *Store) readStats() (map[uint64]logStat, error) {
	stats := map[uint64]logStat{}
	err := s.ix.scan([]byte{keyLog}, []byte{keyLog}, func(key, value []byte) (bool, error) {
		st, err := parseLogStat(value)
		if err == nil && len(key) != 9 {
			err = cairn.Errorf("read index", cairn.Corrupt, "log key of %d bytes", len(key))
		}
		if err != nil {
			return false, err
		}
		stats[binary.BigEndian.Uint64(key[1:])] = st
		return true, nil
	})
	return stats, err
}

// removeCondemned ends what a compaction began: the logs it emptied go.
func (s *Store) removeCondemned(nums []uint64, stats map[uint64]logStat) ([]uint64, error) {
	var keep []uint64
	for _, num := range nums {
		if !stats[num].condemned {
			keep = append(keep, num)
			continue
		}
		if err := s.fs.Remove(filepath.Join(s.logDir(), logName(num))); err != nil {
			return nil, fmt.Errorf("remove log %d: %w", num, err)
		}
	}
	if len(keep) < len(nums) {
		if err := s.fs.SyncDir(s.logDir()); err != nil {
			return nil, fmt.Errorf("sync logs: %w", err)
		}
	}
	for num, st := range stats {
		if st.condemned {
			delete(stats, num)
			if err := s.ix.db.Delete(logKey(num), pebble.NoSync); err != nil {
				return nil, fmt.Errorf("write index: %w", err)
			}
		}
	}
	return keep, nil
}

// openLog opens a log file and reads its header.
func (s *Store) openLog(num uint64, st logStat) error {
	l := &logFile{num: num, stat: st, name: filepath.Join(s.logDir(), logName(num)), next: logHeader, ahead: logHeader, inflight: map[int64]int64{}}
	f, err := s.fs.OpenRW(l.name)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.file, l.bulk = f, f
	b := make([]byte, logHeader)
	var got uint64
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		got, l.lane, l.key, err = parseLogHeader(b)
		if err == nil && got != num {
			err = cairn.Errorf("open log", cairn.Corrupt, "file %d calls itself log %d", num, got)
		}
	}
	if err != nil {
		return s.setAside(l, err)
	}
	l.bulk = s.openBulk(l.name, l.lane, f)
	s.logs[num] = l
	return nil
}

// setAside deals with a log file without a header. When a crash cut its making
// short nothing was ever acknowledged in it, and the file is as short as that;
// else its records are lost, and somebody has to know.
func (s *Store) setAside(l *logFile, cause error) error {
	size, err := l.file.Size()
	if err != nil {
		return err
	}
	if size <= logHeader && l.stat.count == 0 {
		return errors.Join(l.close(), s.fs.Remove(l.name))
	}
	s.log.Error("log has no header", "log", l.num, "shards", l.stat.count, "err", cause)
	l.bad = cause
	l.retired = true
	l.stat.sealed = true
	s.logs[l.num] = l
	return nil
}

func (s *Store) raiseSeq(seq uint64) {
	if seq > s.seq.Load() {
		s.seq.Store(seq)
	}
}
