package shardstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
	"github.com/cairn-store/cairn/storagenode/admission"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// uploadBuffer is how much of a record is gathered before it is written.
const uploadBuffer = 1 << 20

// smallUpload is what gets a buffer of its own size: touching fresh pages is
// dearer than a large buffer that was used before.
const smallUpload = 32 << 10

// buffers holds upload buffers, aligned for direct I/O.
var buffers = sync.Pool{New: func() any { return alignedBuffer(uploadBuffer) }}

// heads holds first blocks of extents.
var heads = sync.Pool{New: func() any { return alignedBuffer(blockSize) }}

var hashers = sync.Pool{New: func() any { return proofs.NewTreeHasher() }}

// alignedBuffer returns n bytes that start at a multiple of blockSize.
func alignedBuffer(n int) *[]byte {
	raw := make([]byte, n+blockSize)
	skip := int(alignUp(int64(uintptr(unsafe.Pointer(&raw[0]))), blockSize) - int64(uintptr(unsafe.Pointer(&raw[0]))))
	b := raw[skip : skip+n : skip+n]
	return &b
}

// Upload is one record being received.
type Upload struct {
	s           *Store
	h           cairn.Header
	maxManifest int
	hash        *proofs.TreeHasher
	over        bool

	// Of a record that is here already nothing is written: dup is set, the
	// payload is only hashed, and the fields below are unused.
	dup bool

	log    *logFile
	off    int64 // of the extent
	extent int64
	at     int64   // where buf goes, from off
	buf    *[]byte // whole blocks of the extent, filled up to fill
	fill   int
	head   *[]byte // the extent's first block, written last; nil while buf still has it
}

// Begin starts to store a record with header h and at most maxManifest bytes
// of manifest, reserving its space. Answers: Full; Exists when another record
// has the same id; Unavailable.
func (s *Store) Begin(h cairn.Header, maxManifest int) (*Upload, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := s.writable(); err != nil {
		return nil, err
	}
	u := &Upload{s: s, h: h, maxManifest: maxManifest}
	old, ok, err := s.ix.get(h.Shard)
	if err != nil {
		return nil, err
	}
	if ok {
		if u.dup, err = s.sameAsStored(old, h); err != nil {
			return nil, err
		}
	}
	if !u.dup {
		if err := u.reserve(); err != nil {
			return nil, err
		}
	}
	u.hash = hashers.Get().(*proofs.TreeHasher)
	u.hash.Reset()
	s.mu.Lock()
	s.uploads++
	s.mu.Unlock()
	return u, nil
}

// sameAsStored decides what a put of h means when e is stored under the same
// id: Exists for other content, true for the same in good health, false for
// the same but damaged, which is to be replaced.
func (s *Store) sameAsStored(e entry, h cairn.Header) (bool, error) {
	tail, err := s.verify(h.Shard, e)
	if errors.Is(err, cairn.Corrupt) && e.owner == h.Owner {
		s.log.Warn("damaged record is being replaced", "shard", h.Shard, "err", err)
		return false, nil
	}
	if err == nil && tail.Header != h {
		err = existsError(h.Shard)
	}
	if errors.Is(err, cairn.NotFound) { // deleted meanwhile
		return false, nil
	}
	return err == nil, err
}

func existsError(id cairn.ShardID) error {
	return cairn.Errorf("put shard", cairn.Exists, "%v is here with other content", id)
}

func (u *Upload) reserve() error {
	s := u.s
	u.extent = alignUp(frameSize+u.h.RecordLen(u.maxManifest), blockSize)
	c := s.lanes[bulk]
	c.place.Lock()
	l, off, err := s.place(bulk, u.extent, true)
	c.place.Unlock()
	if err != nil {
		return err
	}
	u.log, u.off = l, off
	if u.extent <= smallUpload {
		u.buf = alignedBuffer(int(u.extent))
	} else {
		u.buf = buffers.Get().(*[]byte)
	}
	clear((*u.buf)[:frameSize]) // the frame header comes last
	u.fill = frameSize
	u.fill += copy((*u.buf)[u.fill:], u.h.Append(nil))
	return nil
}

// Write takes the next bytes of the payload.
func (u *Upload) Write(p []byte) error {
	switch {
	case u.over:
		return cairn.Errorf("write shard", cairn.Invalid, "%v: the upload is over", u.h.Shard)
	case u.hash.Len()+int64(len(p)) > u.h.PayloadLen:
		return cairn.Errorf("write shard", cairn.Invalid, "%v: more than the %d bytes announced", u.h.Shard, u.h.PayloadLen)
	}
	_, _ = u.hash.Write(p)
	if u.dup {
		return nil
	}
	return u.append(p)
}

// append gathers bytes of the record, writing what fills the buffer.
func (u *Upload) append(p []byte) error {
	for len(p) > 0 {
		if u.fill == len(*u.buf) {
			if err := u.flush(); err != nil {
				return err
			}
		}
		n := copy((*u.buf)[u.fill:], p)
		u.fill += n
		p = p[n:]
	}
	return nil
}

// flush writes the whole blocks in the buffer. The first block stays behind,
// because its frame header makes the record.
func (u *Upload) flush() error {
	b := (*u.buf)[:u.fill]
	at := u.at
	u.at += int64(u.fill)
	u.fill = 0
	if at == 0 {
		u.head = heads.Get().(*[]byte)
		copy(*u.head, b)
		b, at = b[blockSize:], blockSize
	}
	if len(b) == 0 {
		return nil
	}
	return u.write(b, at)
}

func (u *Upload) write(b []byte, at int64) error {
	u.log.use.RLock()
	defer u.log.use.RUnlock()
	if u.log.gone {
		return cairn.Errorf("write shard", cairn.Unavailable, "the store is closed")
	}
	if _, err := u.log.bulk.WriteAt(b, u.off+at); err != nil {
		return u.s.diskError("write shard", fmt.Errorf("write log %d: %w", u.log.num, err))
	}
	return nil
}

// Commit checks what was written against up and makes the record durable.
// Answers: Invalid when the payload is short; Corrupt when up does not fit it;
// Exists; Full; Unavailable. Whatever the answer, the upload is over.
func (u *Upload) Commit(ctx context.Context, up nodeapi.UploadTail) error {
	defer u.Abort()
	leave, err := u.s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if u.over || u.hash.Len() != u.h.PayloadLen {
		return cairn.Errorf("commit shard", cairn.Invalid, "%v: %d bytes received, %d announced", u.h.Shard, u.hash.Len(), u.h.PayloadLen)
	}
	top, root := u.hash.Sum()
	tail, err := admission.Tail(u.h, u.maxManifest, top, root, up)
	if err != nil {
		return err
	}
	release, err := u.s.hold(ctx, u.h.Shard)
	if err != nil {
		return err
	}
	defer release()
	old, ok, err := u.s.ix.get(u.h.Shard)
	if err != nil {
		return err
	}
	if u.dup {
		return duplicate(tail, old, ok)
	}
	req := &request{id: u.h.Shard, e: newEntry(tail), log: u.log}
	if ok {
		same, err := u.s.sameAsStored(old, u.h)
		if err != nil {
			return err
		}
		if same {
			return duplicate(tail, old, ok)
		}
		req.old = &old
	}
	return u.finish(req, tail)
}

// duplicate answers a put of what was here when it began.
func duplicate(tail cairn.Tail, stored entry, ok bool) error {
	switch {
	case !ok:
		return cairn.Errorf("commit shard", cairn.Unavailable, "%v was deleted meanwhile", tail.Header.Shard)
	case stored.digest != tail.Trailer.Record:
		return existsError(tail.Header.Shard)
	}
	return nil
}

// finish writes the tail, then the first block with the frame header, and has
// the record committed.
func (u *Upload) finish(req *request, tail cairn.Tail) error {
	for _, part := range [][]byte{tail.TreeTop, tail.Manifest, tail.Trailer.Append(nil)} {
		if err := u.append(part); err != nil {
			return err
		}
	}
	used := alignUp(u.at+int64(u.fill), blockSize)
	clear((*u.buf)[u.fill : used-u.at])
	u.fill = int(used - u.at)

	req.seq = u.s.seq.Add(1)
	req.e.log, req.e.off, req.e.extent, req.e.seq = u.log.num, u.off, used, req.seq
	f := frame{kind: typeRecord, log: u.log.num, off: u.off, seq: req.seq, body: req.e.recordLen(), extent: used}
	first := u.head
	if first != nil {
		if err := u.flush(); err != nil {
			return err
		}
	} else {
		first = u.buf
	}
	copy(*first, f.appendTo(nil, &u.log.key, nil))
	n := blockSize
	if first == u.buf {
		n = u.fill
	}
	if err := u.write((*first)[:n], 0); err != nil {
		return errors.Join(err, u.void())
	}
	u.trim(used)
	if err := u.s.submit(bulk, req); err != nil {
		u.log = nil // what became of the extent is for the next start to say
		return err
	}
	if old := req.old; old != nil {
		if l, done, ok := u.s.acquire(old.log); ok {
			done()
			u.s.giveUp(l, old.off, old.extent)
		}
	}
	u.log = nil // the extent is the record's now
	return nil
}

// void makes sure that no frame header stands where one could not be written
// well; failing that, the store stops.
func (u *Upload) void() error {
	u.log.use.RLock()
	defer u.log.use.RUnlock()
	if _, err := u.log.file.WriteAt(make([]byte, frameSize), u.off); err != nil {
		u.s.fail(fmt.Errorf("void extent in log %d: %w", u.log.num, err))
		return err
	}
	return nil
}

// trim gives back what the manifest's bound reserved and the manifest did not
// need.
func (u *Upload) trim(used int64) {
	if used == u.extent {
		return
	}
	s := u.s
	rest := u.extent - used
	s.mu.Lock()
	u.log.inflight[u.off] = used
	last := u.log.next == u.off+u.extent
	if last {
		u.log.next = u.off + used
		u.log.stat.alloc -= rest
		s.alloc -= rest
	} else {
		s.forget(u.log, rest)
	}
	s.mu.Unlock()
	u.extent = used
	if !last {
		s.giveUp(u.log, u.off+used, rest)
	}
}

// Abort forgets the upload and gives its space back. Harmless after Commit.
func (u *Upload) Abort() {
	if u.over {
		return
	}
	u.over = true
	hashers.Put(u.hash)
	if u.buf != nil && len(*u.buf) == uploadBuffer {
		buffers.Put(u.buf)
	}
	if u.head != nil {
		heads.Put(u.head)
	}
	u.buf, u.head = nil, nil
	if u.log != nil {
		u.s.unplace(u.log, u.off, u.extent)
		u.log = nil
	}
	u.s.mu.Lock()
	u.s.uploads--
	u.s.mu.Unlock()
}
