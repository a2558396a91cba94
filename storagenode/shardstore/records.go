package shardstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
	"github.com/cairn-store/cairn/storagenode/admission"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// PutRecord makes a whole, checked record durable: tail is what record holds.
// Many calls at once share one write and one sync. Same answers as
// Upload.Commit.
func (s *Store) PutRecord(ctx context.Context, tail cairn.Tail, record []byte) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := s.writable(); err != nil {
		return err
	}
	id := tail.Header.Shard
	release, err := s.hold(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	old, ok, err := s.ix.get(id)
	if err != nil {
		return err
	}
	req := &request{id: id, e: newEntry(tail), record: record}
	if ok {
		if old.digest != tail.Trailer.Record {
			return existsError(id)
		}
		same, err := s.sameAsStored(old, tail.Header)
		if err != nil || same {
			return err
		}
		req.old = &old
	}
	free, err := s.diskFree()
	if err != nil {
		return err
	}
	s.mu.Lock()
	if err := s.fits(req.size(), free); err != nil {
		s.mu.Unlock()
		return err
	}
	req.queued = req.size()
	s.queued += req.queued
	s.mu.Unlock()
	err = s.submit(small, req)
	s.mu.Lock()
	s.queued -= req.queued // of one that was never placed
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.giveUpAll(req.old)
	return nil
}

// giveUpAll gives the extents of records back that are no longer in the index.
func (s *Store) giveUpAll(gone ...*entry) {
	for _, e := range gone {
		if e == nil {
			continue
		}
		if l, done, ok := s.acquire(e.log); ok {
			done()
			s.giveUp(l, e.off, e.extent)
		}
	}
}

// Delete removes those of ids that belong to owner, durably. Ids under
// retention at now are returned instead.
func (s *Store) Delete(ctx context.Context, owner cairn.OwnerTag, ids []cairn.ShardID, now time.Time) (deleted int, retained []cairn.ShardID, err error) {
	leave, err := s.enter()
	if err != nil {
		return 0, nil, err
	}
	defer leave()
	if err := s.writable(); err != nil {
		return 0, nil, err
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareID)
	ids = slices.Compact(ids)
	release, err := s.hold(ctx, ids...)
	if err != nil {
		return 0, nil, err
	}
	defer release()
	req := &request{}
	for _, id := range ids {
		e, ok, err := s.ix.get(id)
		switch {
		case err != nil:
			return 0, nil, err
		case !ok || e.owner != owner:
		case e.retain > now.Unix():
			retained = append(retained, id)
		default:
			req.dead = append(req.dead, victim{id: id, e: e})
		}
	}
	if len(req.dead) == 0 {
		return 0, retained, nil
	}
	if err := s.submit(small, req); err != nil {
		return 0, nil, err
	}
	for _, v := range req.dead {
		s.giveUpAll(&v.e)
	}
	return len(req.dead), retained, nil
}

func compareID(a, b cairn.ShardID) int {
	if c := bytes.Compare(a.Segment[:], b.Segment[:]); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

func notFound(id cairn.ShardID) error {
	return cairn.Errorf("find shard", cairn.NotFound, "%v is not here", id)
}

// Read fills buf with payload bytes of a record of owner, from off on. The
// bytes are not checked against their hashes. Answers: NotFound; Invalid when
// the range leaves the payload; Corrupt when the disk cannot give them.
func (s *Store) Read(owner cairn.OwnerTag, id cairn.ShardID, off int64, buf []byte) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	return s.withRecord(owner, id, func(l *logFile, e entry) error {
		if err := admission.ReadRange(cairn.Header{PayloadLen: e.payload}, off, len(buf)); err != nil {
			return err
		}
		return readAt(l, id, buf, e.off+frameSize+cairn.HeaderSize+off)
	})
}

// readAt reads from a log; what cannot be read is Corrupt.
func readAt(l *logFile, id cairn.ShardID, b []byte, off int64) error {
	if n, err := l.file.ReadAt(b, off); n < len(b) {
		return cairn.NewError("read shard", cairn.Corrupt, fmt.Errorf("%v: log %d at %d: %w", id, l.num, off, err))
	}
	return nil
}

// withRecord finds a record of owner and calls fn with it. Its extent may be
// given up or moved meanwhile; then what fn saw does not count, and the record
// is looked up again.
func (s *Store) withRecord(owner cairn.OwnerTag, id cairn.ShardID, fn func(l *logFile, e entry) error) error {
	for {
		punches := s.punches.Load()
		e, ok, err := s.ix.get(id)
		if err != nil {
			return err
		}
		if !ok || e.owner != owner {
			return notFound(id)
		}
		err = s.withEntry(id, e, fn)
		if s.punches.Load() == punches && err != errMoved {
			return err
		}
		now, ok, ixErr := s.ix.get(id)
		if ixErr != nil {
			return ixErr
		}
		if ok && now == e {
			if err == errMoved { // its log is lost, not compacted
				return cairn.Errorf("read shard", cairn.Corrupt, "%v: log %d is lost or damaged", id, e.log)
			}
			return err
		}
	}
}

// errMoved says that an entry's log is not there.
var errMoved = cairn.Errorf("read shard", cairn.Unavailable, "the log is gone")

func (s *Store) withEntry(id cairn.ShardID, e entry, fn func(l *logFile, e entry) error) error {
	l, done, ok := s.acquire(e.log)
	if !ok {
		return errMoved
	}
	defer done()
	return fn(l, e)
}

// Tail returns a record without its payload. What does not hash to its own
// digest is Corrupt.
func (s *Store) Tail(owner cairn.OwnerTag, id cairn.ShardID) (cairn.Tail, error) {
	leave, err := s.enter()
	if err != nil {
		return cairn.Tail{}, err
	}
	defer leave()
	var tail cairn.Tail
	err = s.withRecord(owner, id, func(l *logFile, e entry) (err error) {
		tail, err = readTail(l, id, e)
		return err
	})
	return tail, err
}

// readTail reads and checks all of a record but its payload.
func readTail(l *logFile, id cairn.ShardID, e entry) (cairn.Tail, error) {
	record := make([]byte, e.recordLen()-e.payload) // header and tail, side by side
	if err := readAt(l, id, record[:cairn.HeaderSize], e.off+frameSize); err != nil {
		return cairn.Tail{}, err
	}
	if err := readAt(l, id, record[cairn.HeaderSize:], e.off+frameSize+cairn.HeaderSize+e.payload); err != nil {
		return cairn.Tail{}, err
	}
	h, err := cairn.ParseHeader(record)
	if err != nil {
		return cairn.Tail{}, cairn.NewError("read shard", cairn.Corrupt, err)
	}
	t, err := cairn.ParseTrailer(record[len(record)-cairn.TrailerSize:])
	if err != nil {
		return cairn.Tail{}, cairn.NewError("read shard", cairn.Corrupt, err)
	}
	if h.Shard != id || h.PayloadLen != e.payload || t.ManifestLen != e.manifest || t.Record != e.digest {
		return cairn.Tail{}, cairn.Errorf("read shard", cairn.Corrupt, "%v: another record stands in its place", id)
	}
	rest := record[cairn.HeaderSize : len(record)-cairn.TrailerSize]
	n := h.TreeTopLen()
	tail := cairn.Tail{Header: h, TreeTop: rest[:n:n], Manifest: rest[n:], Trailer: t}
	return tail, tail.Verify()
}

// Verify reads a whole record and checks it against its hashes: Corrupt when
// it is damaged, NotFound when it is not here.
func (s *Store) Verify(id cairn.ShardID) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	e, ok, err := s.ix.get(id)
	if err != nil {
		return err
	}
	if !ok {
		return notFound(id)
	}
	_, err = s.verify(id, e)
	return err
}

// verify is Verify of what the index says; it returns the record's tail.
func (s *Store) verify(id cairn.ShardID, e entry) (cairn.Tail, error) {
	var tail cairn.Tail
	err := s.withRecord(e.owner, id, func(l *logFile, e entry) (err error) {
		tail, err = verifyRecord(l, id, e)
		return err
	})
	return tail, err
}

func verifyRecord(l *logFile, id cairn.ShardID, e entry) (cairn.Tail, error) {
	tail, err := readTail(l, id, e)
	if err != nil {
		return tail, err
	}
	if err := proofs.VerifyTop(tail.TreeTop, e.payload, tail.Trailer.Root); err != nil {
		return tail, err
	}
	buf := make([]byte, min(e.payload, 4*cairn.LeafSize))
	for off := int64(0); off < e.payload; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), e.payload-off)]
		if err := readAt(l, id, buf, e.off+frameSize+cairn.HeaderSize+off); err != nil {
			return tail, err
		}
		if err := proofs.VerifyLeaves(tail.TreeTop, int(off/cairn.LeafSize), buf, e.payload); err != nil {
			return tail, err
		}
	}
	return tail, nil
}

// List returns what owner keeps here after an id, in order, at most limit.
func (s *Store) List(owner cairn.OwnerTag, after cairn.ShardID, limit int) (reply nodeapi.ListReply, err error) {
	leave, err := s.enter()
	if err != nil {
		return reply, err
	}
	defer leave()
	prefix := append([]byte{keyOwner}, owner[:]...)
	start := prefix
	if after != (cairn.ShardID{}) {
		start = append(ownerKey(owner, after), 0)
	}
	err = s.ix.scan(prefix, start, func(key, _ []byte) (bool, error) {
		if len(reply.Entries) == limit {
			reply.More = true
			return false, nil
		}
		if len(key) != 1+32+idSize {
			return false, cairn.Errorf("list shards", cairn.Corrupt, "index key of %d bytes", len(key))
		}
		id := parseID(key[33:])
		e, ok, err := s.ix.get(id)
		if err != nil || !ok || e.owner != owner { // deleted since the scan began
			return err == nil, err
		}
		reply.Entries = append(reply.Entries, nodeapi.Entry{
			Shard: id, Kind: e.kind, Size: e.recordLen(), Created: e.created, Record: e.digest,
		})
		return true, nil
	})
	return reply, err
}
