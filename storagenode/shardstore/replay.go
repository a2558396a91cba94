package shardstore

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-store/cairn/internal/durable"
)

// candidate is a fact of a log that the index does not know.
type candidate struct {
	l *logFile
	f found
}

// replay brings an index that opened in line with the logs.
func (s *Store) replay() error {
	var news []candidate
	for _, l := range s.sortedLogs() {
		if l.stat.sealed || l.bad != nil {
			continue
		}
		more, err := s.inspect(l)
		if err != nil {
			return fmt.Errorf("recover log %d: %w", l.num, err)
		}
		news = append(news, more...)
	}
	slices.SortStableFunc(news, func(a, b candidate) int {
		switch {
		case a.f.seq < b.f.seq:
			return -1
		case a.f.seq > b.f.seq:
			return 1
		}
		return 0
	})
	for _, c := range news {
		if err := s.admit(c); err != nil {
			return fmt.Errorf("recover log %d: %w", c.l.num, err)
		}
	}
	if len(news) > 0 {
		s.log.Info("records found above the watermark", "frames", len(news))
	}
	return s.endReplay()
}

// endReplay writes the state of the logs that were inspected. Only now may
// their watermarks pass what was found above them.
func (s *Store) endReplay() error {
	b := s.ix.db.NewBatch()
	defer ignoreClose(b)
	var err error
	for _, l := range s.logs {
		if l.stat.sealed || l.bad != nil {
			continue
		}
		clear(l.inflight)
		l.stat.watermark = l.next
		err = errors.Join(err, s.recount(l))
		err = errors.Join(err, b.Set(logKey(l.num), l.stat.append(nil), nil))
	}
	if err == nil {
		err = b.Commit(pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

func (s *Store) sortedLogs() []*logFile {
	var logs []*logFile
	for _, l := range s.logs {
		logs = append(logs, l)
	}
	slices.SortFunc(logs, func(a, b *logFile) int { return int(a.num) - int(b.num) })
	return logs
}

// inspect scans a log that is not sealed, as far as the index says, and returns
// what the index may not know. It readies the log for more: items, next, and
// the account are set from what was found.
func (s *Store) inspect(l *logFile) ([]candidate, error) {
	size, err := l.file.Size()
	if err != nil {
		return nil, err
	}
	if items, start, ok, err := readFooter(l.file, size, l.num, &l.key); err != nil {
		return nil, err
	} else if ok {
		return s.inspectFooter(l, items, start)
	}
	sc, err := scanLog(l.file, size, l.num, l.lane, &l.key)
	if err != nil {
		return nil, err
	}
	var news []candidate
	voided := false
	for _, f := range sc.frames {
		s.raiseSeq(f.seq)
		known, keep, err := s.weigh(l, f)
		if err != nil {
			return nil, err
		}
		switch {
		case known:
			l.items = append(l.items, f.items()...)
		case keep:
			news = append(news, candidate{l, f})
			l.inflight[f.off] = f.extent
		default:
			voided = true
			sc.gaps = append(sc.gaps, gap{f.off, f.extent})
			if err := s.voidFrame(l, f); err != nil {
				return nil, err
			}
		}
	}
	if voided {
		if err := l.file.Datasync(); err != nil {
			return nil, err
		}
	}
	return news, s.tidy(l, sc)
}

// items returns what a footer says of the frame.
func (f found) items() []footerItem {
	if f.kind == typeRecord {
		return []footerItem{{id: f.id, entry: f.e}}
	}
	var items []footerItem
	for _, d := range f.dead {
		items = append(items, footerItem{isDelete: true, id: d.id, dead: d})
	}
	return items
}

// weigh says whether the index knows a frame, and if not, whether it should.
func (s *Store) weigh(l *logFile, f found) (known, keep bool, err error) {
	below := f.off < l.stat.watermark
	if f.kind == typeDelete {
		return below, true, nil
	}
	e, ok, err := s.ix.get(f.id)
	if err != nil {
		return false, false, err
	}
	if ok && e.log == f.log && e.off == f.off {
		return true, true, nil
	}
	dead, err := s.ix.seqAt(deadKey(l.num, f.id))
	if err != nil {
		return false, false, err
	}
	if dead > f.seq {
		return true, true, nil
	}
	return false, !below && !(ok && e.seq >= f.seq), nil
}

// inspectFooter is inspect for a log whose footer was written and whose sealing
// the index does not know.
func (s *Store) inspectFooter(l *logFile, items []footerItem, start int64) ([]candidate, error) {
	var news []candidate
	bySeq := map[uint64]int{} // delete items of one frame, to one candidate
	for _, it := range items {
		if it.isDelete {
			i, ok := bySeq[it.dead.seq]
			if !ok {
				i = len(news)
				bySeq[it.dead.seq] = i
				news = append(news, candidate{l, found{frame: frame{kind: typeDelete, log: l.num, seq: it.dead.seq}}})
			}
			news[i].f.dead = append(news[i].f.dead, it.dead)
			continue
		}
		f := found{frame: frame{kind: typeRecord, log: l.num, off: it.entry.off, seq: it.entry.seq}, id: it.id, e: it.entry}
		known, keep, err := s.weigh(l, f)
		if err != nil {
			return nil, err
		}
		if !known && keep {
			news = append(news, candidate{l, f})
		}
	}
	for _, c := range news {
		s.raiseSeq(c.f.seq)
	}
	l.items = items
	l.next = start
	l.inflight[0] = 0 // keeps the watermark down until all is in
	l.retired = true
	l.footed = true
	return news, nil
}

// recount sets the account of a log by what recovery knows of it: all of a
// small log, and of a bulk log what lives and what is too small to punch.
func (s *Store) recount(l *logFile) error {
	if l.lane == small {
		l.stat.alloc = l.next - logHeader
		return nil
	}
	l.stat.alloc = l.gaps
	for _, it := range l.items {
		if it.isDelete {
			continue
		}
		e, ok, err := s.ix.get(it.id)
		if err != nil {
			return err
		}
		if ok && e.log == l.num && e.off == it.entry.off || !s.punchable(l, it.entry.extent) {
			l.stat.alloc += it.entry.extent
		}
	}
	return nil
}

// admit puts a fact the index does not know into it, unless a newer one stands
// there already.
func (s *Store) admit(c candidate) error {
	if c.f.kind == typeDelete {
		return s.admitDelete(c)
	}
	old, ok, err := s.ix.get(c.f.id)
	if err != nil {
		return err
	}
	dead, err := s.ix.seqAt(deadKey(c.l.num, c.f.id))
	if err != nil {
		return err
	}
	err = nil
	switch {
	case dead > c.f.seq:
		return nil
	case ok && old.seq >= c.f.seq:
		err = errors.New("a newer one is here")
	case !c.l.footed:
		err = verifyFound(c.l, c.f)
	}
	if err != nil {
		s.log.Info("unacknowledged record dropped", "shard", c.f.id, "log", c.l.num, "err", err)
		if c.l.footed {
			return nil
		}
		delete(c.l.inflight, c.f.off)
		if err := errors.Join(s.voidFrame(c.l, c.f), c.l.file.Datasync()); err != nil {
			return err
		}
		c.l.gaps += c.f.extent
		return nil
	}
	r := &request{id: c.f.id, e: c.f.e}
	if ok {
		r.old = &old
	}
	return s.applyFound(c, r)
}

func (s *Store) admitDelete(c candidate) error {
	r := &request{seq: c.f.seq, dead: []victim{}}
	for _, d := range c.f.dead {
		e, ok, err := s.ix.get(d.id)
		if err != nil {
			return err
		}
		if ok && e.seq < d.seq {
			r.dead = append(r.dead, victim{id: d.id, e: e})
		} else {
			r.dead = append(r.dead, victim{id: d.id, e: entry{log: d.victim}, seq: d.seq})
		}
	}
	if err := s.applyFound(c, r); err != nil {
		return err
	}
	for _, v := range r.dead {
		if v.seq == 0 {
			s.giveUpAll(&v.e)
		}
	}
	return nil
}

// applyFound indexes what recovery found. The items of a log with a footer are
// known already.
func (s *Store) applyFound(c candidate, r *request) error {
	items := len(c.l.items)
	var at *logFile
	if r.dead != nil {
		at = c.l
	}
	if err := s.apply(at, c.f.off, []*request{r}); err != nil {
		return err
	}
	if c.l.footed {
		c.l.items = c.l.items[:items]
	}
	return nil
}

// voidFrame makes a frame none.
func (s *Store) voidFrame(l *logFile, f found) error {
	if _, err := l.file.WriteAt(make([]byte, frameSize), f.off); err != nil {
		return fmt.Errorf("void frame: %w", err)
	}
	return nil
}

// tidy cuts what follows the last frame off, and gives large gaps back.
func (s *Store) tidy(l *logFile, sc scanned) error {
	align := int64(blockSize)
	if l.lane == small {
		align = sectorSize
	}
	l.next = alignUp(sc.end, align)
	if err := l.file.Truncate(l.next); err != nil {
		return err
	}
	l.ahead = l.next
	l.gaps = 0
	for _, g := range sc.gaps {
		if !s.punchable(l, g.n) {
			l.gaps += g.n
			continue
		}
		if err := l.file.PunchHole(g.off, g.n); errors.Is(err, durable.ErrUnsupported) {
			l.gaps += g.n
		} else if err != nil {
			return err
		}
	}
	return l.file.Sync()
}

// resume seals the logs that will take no more, and picks the open ones.
func (s *Store) resume() error {
	for _, l := range s.sortedLogs() {
		if l.stat.sealed || l.bad != nil || l.retired {
			continue
		}
		if prev := s.open[l.lane]; prev != nil {
			prev.retired = true
		}
		s.open[l.lane] = l
	}
	return s.sealRetired()
}
