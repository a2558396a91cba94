package shardstore

import (
	"errors"
	"fmt"
	"io"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/admission"
)

// found is a frame that a scan met. Its mac is right; nothing else is known of
// a record's payload.
type found struct {
	frame
	id   cairn.ShardID // of a record
	e    entry         // of a record
	dead []tombstone   // of a delete frame
}

// gap is a run of a log between two frames.
type gap struct{ off, n int64 }

// scanned is what a log was found to hold.
type scanned struct {
	frames []found
	gaps   []gap
	end    int64 // where the last frame's extent ends
}

// window reads a file ahead in growing steps: hopping from frame to frame costs
// a block each, searching through a gap few large reads.
type window struct {
	r     io.ReaderAt
	size  int64
	off   int64
	b     []byte
	ahead int
}

const (
	minWindow = 4 << 10
	maxWindow = 256 << 10
)

// at returns n bytes of the file at off, or less at its end.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-off))
	if off >= w.off && off+int64(n) <= w.off+int64(len(w.b)) {
		return w.b[off-w.off:][:n], nil
	}
	if off == w.off+int64(len(w.b)) {
		w.ahead = min(2*w.ahead, maxWindow)
	} else {
		w.ahead = minWindow
	}
	want := int(min(int64(max(n, w.ahead)), w.size-off))
	if cap(w.b) < want {
		w.b = make([]byte, max(want, maxWindow))
	}
	w.b, w.off = w.b[:want], off
	if got, err := w.r.ReadAt(w.b, off); got < want {
		return nil, fmt.Errorf("read %d bytes at %d: %w", want, off, err)
	}
	return w.b[:n], nil
}

// scanLog finds the frames of a log by hopping from one to the next. Where no
// frame starts it searches on: an upload that was never committed, a hole
// and a torn write all leave a gap, and acknowledged frames may follow.
func scanLog(r io.ReaderAt, size int64, num uint64, ln lane, key *[32]byte) (scanned, error) {
	step := int64(blockSize)
	if ln == small {
		step = sectorSize
	}
	w := &window{r: r, size: size}
	sc := scanned{end: logHeader}
	for off := int64(logHeader); off+frameSize <= size; {
		f, ok, err := readFrame(w, off, num, key)
		if err != nil {
			return sc, err
		}
		if !ok {
			off += step - off%step
			continue
		}
		if off > sc.end {
			sc.gaps = append(sc.gaps, gap{sc.end, off - sc.end})
		}
		sc.frames = append(sc.frames, f)
		off += f.extent
		sc.end = off
	}
	return sc, nil
}

// readFrame reads the frame at off with what it says of its body. A body that
// contradicts the frame makes it no frame.
func readFrame(w *window, off int64, num uint64, key *[32]byte) (found, bool, error) {
	b, err := w.at(off, frameSize)
	if err != nil || !looksLikeFrame(b) {
		return found{}, false, err
	}
	head := [frameSize]byte(b)
	// A last extent may reach beyond the file's end: its padding was never written.
	f, ok := parseFrame(head[:], num, off, alignUp(w.size, blockSize), key)
	if !ok || off+frameSize+f.body > w.size {
		return found{}, false, nil
	}
	if f.kind == typeDelete {
		body, err := w.at(off+frameSize, int(f.body))
		if err != nil || !checkDelete(head[:], body, key) {
			return found{}, false, err
		}
		return found{frame: f, dead: parseDeletes(body)}, true, nil
	}
	return readRecordFrame(w, f)
}

func readRecordFrame(w *window, f frame) (found, bool, error) {
	if f.body < cairn.HeaderSize+cairn.TrailerSize {
		return found{}, false, nil
	}
	b, err := w.at(f.off+frameSize, cairn.HeaderSize)
	if err != nil {
		return found{}, false, err
	}
	h, err := cairn.ParseHeader(b)
	if err != nil {
		return found{}, false, nil
	}
	b, err = w.at(f.off+frameSize+f.body-cairn.TrailerSize, cairn.TrailerSize)
	if err != nil {
		return found{}, false, err
	}
	t, err := cairn.ParseTrailer(b)
	if err != nil || h.RecordLen(t.ManifestLen) != f.body {
		return found{}, false, nil
	}
	return found{frame: f, id: h.Shard, e: entry{
		log: f.log, off: f.off, extent: f.extent, seq: f.seq, payload: h.PayloadLen, manifest: t.ManifestLen,
		kind: h.Kind, created: h.Created, retain: h.RetainUntil, owner: h.Owner, digest: t.Record,
	}}, true, nil
}

// readFooter returns what a sealed log lists; ok is false when the log has no
// footer, or not a whole one.
func readFooter(r io.ReaderAt, size int64, num uint64, key *[32]byte) (items []footerItem, start int64, ok bool, err error) {
	if size < logHeader+footerSize {
		return nil, 0, false, nil
	}
	var end [footerSize]byte
	if n, err := r.ReadAt(end[:], size-footerSize); n < len(end) {
		return nil, 0, false, fmt.Errorf("read footer of log %d: %w", num, err)
	}
	n, start, ok := parseFooterEnd(end[:], num, size)
	if !ok {
		return nil, 0, false, nil
	}
	b := make([]byte, size-start)
	if got, err := r.ReadAt(b, start); got < len(b) {
		return nil, 0, false, fmt.Errorf("read footer of log %d: %w", num, err)
	}
	if sum := footerHash(key, b[:len(b)-32]); string(sum[:]) != string(b[len(b)-32:]) {
		return nil, 0, false, nil
	}
	items, err = parseItems(b[:n])
	if errors.Is(err, cairn.Corrupt) {
		return nil, 0, false, nil
	}
	return items, start, err == nil, err
}

// verifyFound returns nil when a record's every byte fits its hashes.
func verifyFound(l *logFile, f found) error {
	l.use.RLock()
	defer l.use.RUnlock()
	tail, err := verifyRecord(l, f.id, f.e)
	if err != nil {
		return err
	}
	if tail.Header.PayloadLen == 0 {
		return admission.Whole(tail, nil)
	}
	return nil
}
