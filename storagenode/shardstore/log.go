package shardstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
)

// preallocStep is how much of a log is set aside at a time.
const preallocStep = 32 << 20

// maxItems bounds a log's footer, which is in memory while the log is open.
const maxItems = 1 << 16

// logFile is one shard log.
type logFile struct {
	num  uint64
	lane lane
	key  [32]byte
	name string
	file durable.File // reads, and writes of any size
	bulk durable.File // writes in whole blocks: direct where that is possible, else file

	use  sync.RWMutex // held for reading around I/O, for writing to close
	gone bool         // guarded by use

	// Guarded by Store.mu.
	stat     logStat
	next     int64           // where the next extent starts
	ahead    int64           // preallocated up to here
	inflight map[int64]int64 // extents not yet in the index: offset to length
	items    []footerItem    // what the footer will list; nil once sealed
	retired  bool            // takes no more extents; sealed when inflight is empty
	footed   bool            // recovery found a footer the index did not know of
	gaps     int64           // bytes between frames that recovery found and could not give back
	bad      error           // its file is lost or damaged; nothing is served from it
	stuck    bool            // holds live records its footer does not list: not to be compacted
}

func logName(num uint64) string { return fmt.Sprintf("%08d.log", num) }

// parseLogName returns the number of a log file's name.
func parseLogName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok {
		return 0, false
	}
	num, err := strconv.ParseUint(digits, 10, 64)
	return num, err == nil && num > 0 && logName(num) == name
}

// watermark is where the frames begin that the index may not know.
// Requires Store.mu.
func (l *logFile) watermark() int64 {
	if len(l.inflight) == 0 {
		return l.next
	}
	return slices.Min(slices.Collect(maps.Keys(l.inflight)))
}

func (l *logFile) close() error {
	l.use.Lock()
	defer l.use.Unlock()
	if l.gone || l.file == nil {
		return nil
	}
	l.gone = true
	err := l.file.Close()
	if l.bulk != l.file {
		err = errors.Join(err, l.bulk.Close())
	}
	return err
}

// dropDirect closes the handle for bulk writes: a sealed log takes none.
func (l *logFile) dropDirect() error {
	l.use.Lock()
	defer l.use.Unlock()
	if l.gone || l.bulk == l.file {
		return nil
	}
	direct := l.bulk
	l.bulk = l.file
	return direct.Close()
}

// directOpener is what a filesystem with direct I/O has.
type directOpener interface {
	OpenDirect(name string) (durable.File, error)
}

// openBulk returns the handle that bulk extents are written through.
func (s *Store) openBulk(name string, ln lane, plain durable.File) durable.File {
	d, ok := s.fs.(directOpener)
	if !ok || ln != bulk || s.cfg.NoDirect {
		return plain
	}
	f, err := d.OpenDirect(name)
	if err != nil {
		s.log.Debug("no direct i/o here", "err", err)
		return plain
	}
	return f
}

// createLog makes an empty log durable and registers it.
func (s *Store) createLog(ln lane) (*logFile, error) {
	s.mu.Lock()
	num := s.nextLog
	s.nextLog++
	s.mu.Unlock()
	l := &logFile{num: num, lane: ln, name: filepath.Join(s.logDir(), logName(num)), next: logHeader, ahead: logHeader, inflight: map[int64]int64{}}
	_, _ = rand.Read(l.key[:]) // never fails
	f, err := s.fs.Create(l.name)
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	_, err = f.WriteAt(appendLogHeader(num, ln, l.key), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.fs.SyncDir(s.logDir())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create log: %w", err), f.Close(), s.fs.Remove(l.name))
	}
	l.file, l.bulk = f, s.openBulk(l.name, ln, f)
	s.mu.Lock()
	s.logs[num] = l
	s.open[ln] = l
	s.mu.Unlock()
	return l, nil
}

// place reserves n bytes in the lane's open log, turning to a new log when it
// is full. Requires the lane's place lock. charge says whether the bytes are
// new to the capacity.
func (s *Store) place(ln lane, n int64, charge bool) (*logFile, int64, error) {
	align := int64(blockSize)
	if ln == small {
		align = sectorSize
	}
	n = alignUp(n, align)
	free, err := s.diskFree()
	if err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	l := s.open[ln]
	if charge {
		if err := s.fits(n, free); err != nil {
			s.mu.Unlock()
			return nil, 0, err
		}
	}
	if l != nil && l.next > logHeader && (l.next+n > s.cfg.LogBytes || len(l.items) > maxItems) {
		l.retired = true
		s.open[ln] = nil
		l = nil
		s.kick()
	}
	s.mu.Unlock()
	if l == nil {
		if l, err = s.createLog(ln); err != nil {
			return nil, 0, s.diskError("put shard", err)
		}
	}
	s.mu.Lock()
	off := l.next
	ahead := l.ahead
	s.mu.Unlock()
	if off+n > ahead {
		step := alignUp(off+n-ahead, min(preallocStep, s.cfg.LogBytes))
		if err := l.file.Preallocate(ahead, step); err != nil {
			return nil, 0, s.diskError("put shard", fmt.Errorf("preallocate log %d: %w", l.num, err))
		}
		ahead += step
	}
	s.mu.Lock()
	l.next, l.ahead = off+n, ahead
	l.inflight[off] = n
	l.stat.alloc += n
	s.alloc += n
	s.mu.Unlock()
	return l, off, nil
}

// diskError gives an error of the filesystem its kind: Full when that is what
// it says.
func (s *Store) diskError(op string, err error) error {
	if durable.IsFull(err) {
		return cairn.NewError(op, cairn.Full, err)
	}
	return err
}

// acquire returns a log to do I/O on until done is called; ok is false when it
// is no longer there.
func (s *Store) acquire(num uint64) (l *logFile, done func(), ok bool) {
	s.mu.Lock()
	l = s.logs[num]
	s.mu.Unlock()
	if l == nil {
		return nil, nil, false
	}
	l.use.RLock()
	if l.gone || l.bad != nil {
		l.use.RUnlock()
		return nil, nil, false
	}
	return l, l.use.RUnlock, true
}

// giveUp returns an extent that holds nothing live to the filesystem when it
// is large enough; otherwise it stays dead until the log is compacted. The
// space was already taken off the log's account by forget.
func (s *Store) giveUp(l *logFile, off, n int64) {
	s.punches.Add(1)
	if !s.punchable(l, n) {
		return
	}
	l.use.RLock()
	defer l.use.RUnlock()
	if l.gone {
		return
	}
	if err := l.file.PunchHole(off, n); err != nil {
		s.log.Debug("hole not punched", "log", l.num, "bytes", n, "err", err)
		s.mu.Lock()
		l.stat.alloc += n
		s.alloc += n
		s.mu.Unlock()
	}
}

func (s *Store) punchable(l *logFile, n int64) bool { return l.lane == bulk && n >= s.cfg.PunchBytes }

// forget takes an extent that will be punched off the account.
// Requires Store.mu.
func (s *Store) forget(l *logFile, n int64) {
	if s.punchable(l, n) {
		l.stat.alloc -= n
		s.alloc -= n
	}
}

// unplace undoes place for an extent nothing will be made of.
func (s *Store) unplace(l *logFile, off, n int64) {
	s.mu.Lock()
	delete(l.inflight, off)
	if l.next == off+n { // the last one: the space is used again
		l.next = off
		l.stat.alloc -= n
		s.alloc -= n
		n = 0
	} else {
		s.forget(l, n)
	}
	sealable := l.retired && len(l.inflight) == 0
	s.mu.Unlock()
	if n > 0 {
		s.giveUp(l, off, n)
	}
	if sealable {
		s.kick()
	}
}
