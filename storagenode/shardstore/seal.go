package shardstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-store/cairn"
)

// housekeep seals logs that are full, syncs the index now and then and compacts
// what is worth it, whenever it is asked to.
func (s *Store) housekeep() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.tasks.Go(func() {
		<-s.quit
		cancel()
	})
	for {
		select {
		case <-s.quit:
			return
		case <-s.wake:
		}
		if s.writable() != nil {
			continue
		}
		if err := s.sealRetired(); err != nil {
			s.fail(err)
			continue
		}
		if s.pressed.Swap(false) {
			if err := s.Compact(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("compaction failed", "err", err)
			}
		}
		if s.synced.Load() > syncIndexEach {
			s.synced.Store(0)
			if err := s.ix.sync(); err != nil {
				s.fail(err)
			}
		}
	}
}

// sealRetired seals every retired log that nothing is on its way to.
func (s *Store) sealRetired() error {
	for {
		var l *logFile
		s.mu.Lock()
		for _, c := range s.logs {
			if c.retired && !c.stat.sealed && len(c.inflight) == 0 && c.bad == nil {
				l = c
				break
			}
		}
		s.mu.Unlock()
		if l == nil {
			return nil
		}
		err := s.seal(l)
		if errors.Is(err, cairn.Full) {
			// A log without a footer is only slower to recover. The next round
			// tries again.
			s.log.Warn("log not sealed", "log", l.num, "err", err)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// seal writes a log's footer. Requires that nothing is on its way to the log.
func (s *Store) seal(l *logFile) error {
	if !l.footed {
		off := alignUp(l.next, sectorSize)
		b := appendFooter(l, off, l.items)
		if _, err := l.file.WriteAt(b, off); err != nil {
			return s.diskError("seal log", fmt.Errorf("seal log %d: %w", l.num, err))
		}
		// Cutting at the footer's end gives the blocks set aside back, and
		// leaves the footer where a reader looks for it.
		if err := l.file.Truncate(off + int64(len(b))); err != nil {
			return fmt.Errorf("seal log %d: %w", l.num, err)
		}
		if err := l.file.Sync(); err != nil {
			return fmt.Errorf("seal log %d: %w", l.num, err)
		}
	}
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	if err := l.dropDirect(); err != nil {
		return fmt.Errorf("seal log %d: %w", l.num, err)
	}
	s.mu.Lock()
	l.stat.sealed = true
	l.stat.watermark = l.next
	st := l.stat
	l.items = nil
	s.mu.Unlock()
	b := s.ix.db.NewBatch()
	defer ignoreClose(b)
	err := b.Set(logKey(l.num), st.append(nil), nil)
	if err == nil {
		// A sealed log is never scanned again: its footer lists what counts.
		from := deadKey(l.num, noID)
		err = b.DeleteRange(from[:9], prefixEnd(from[:9]), nil)
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	s.log.Debug("log sealed", "log", l.num, "lane", l.lane, "shards", st.count)
	return nil
}
