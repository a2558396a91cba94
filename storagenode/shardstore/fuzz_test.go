package shardstore

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

// logBytes makes a small log with two records and a deletion, and its key.
func logBytes(ln lane) ([]byte, [32]byte) {
	key := [32]byte{1, 2, 3}
	o := storetest.NewOwner(cairn.NodeID{1}, 1)
	l := &logFile{num: 7, lane: ln, key: key}
	b := appendLogHeader(7, ln, key)
	align := int64(8)
	if ln == bulk {
		align = blockSize
	}
	for i := range uint64(2) {
		r := o.Record(i, 600, 50)
		req := &request{id: r.ID(), e: newEntry(r.Tail), record: r.Bytes(), seq: i + 1}
		b = req.appendTo(b, l, int64(len(b)))
		b = append(b, make([]byte, alignUp(int64(len(b)), align)-int64(len(b)))...)
	}
	dead := &request{seq: 3, dead: []victim{{id: o.Record(0, 600, 50).ID(), e: entry{log: 7}}}}
	return dead.appendTo(b, l, int64(len(b))), key
}

func TestScanFindsWhatWasWritten(t *testing.T) {
	for _, ln := range []lane{bulk, small} {
		b, key := logBytes(ln)
		sc, err := scanLog(bytes.NewReader(b), int64(len(b)), 7, ln, &key)
		if err != nil || ln == small && (len(sc.frames) != 3 || len(sc.frames[2].dead) != 1) || len(sc.frames) < 2 {
			t.Errorf("scan of a %v log = %d frames, %v", ln, len(sc.frames), err)
		}
	}
}

// FuzzScanNeverTrustsGarbage damages a log at will: a scan must neither panic
// nor find a frame that was not written, because every frame's mac is keyed.
func FuzzScanNeverTrustsGarbage(f *testing.F) {
	for _, ln := range []lane{bulk, small} {
		b, _ := logBytes(ln)
		f.Add(b, uint16(logHeader), []byte{0xff})
		f.Add(b, uint16(logHeader+frameSize), []byte("CAIRNSHD"))
		f.Add(b[:len(b)-10], uint16(logHeader+40), []byte{0, 0, 0, 0, 0, 0, 0, 0x7f})
		f.Add(append(b, b[logHeader:]...), uint16(0), []byte{})
	}
	whole, key := logBytes(small)
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		b = bytes.Clone(b)
		if int(at) < len(b) {
			copy(b[at:], patch)
		}
		for _, ln := range []lane{bulk, small} {
			sc, err := scanLog(bytes.NewReader(b), int64(len(b)), 7, ln, &key)
			if err != nil {
				t.Fatalf("scan = %v", err)
			}
			for _, fr := range sc.frames {
				// What passes the mac must be a header that was written.
				if h := b[fr.off : fr.off+frameSize]; !bytes.Contains(whole, h) && !knownFrame(h, &key) {
					t.Fatalf("frame of seq %d at %d was never written", fr.seq, fr.off)
				}
				if fr.off+frameSize+fr.body > int64(len(b)) {
					t.Fatalf("frame at %d reaches beyond the log", fr.off)
				}
			}
			_, _, _, err = readFooter(bytes.NewReader(b), int64(len(b)), 7, &key)
			if err != nil {
				t.Fatalf("footer = %v", err)
			}
			if _, _, _, err := parseLogHeader(b[:min(len(b), logHeader)]); err == nil && !bytes.Equal(b[:logHeader], whole[:logHeader]) && !isHeader(b[:logHeader]) {
				t.Fatal("log header accepted that was never written")
			}
		}
	})
}

// knownFrame reports whether h is one of the frame headers of the bulk log.
func knownFrame(h []byte, _ *[32]byte) bool {
	b, _ := logBytes(bulk)
	return bytes.Contains(b, h)
}

func isHeader(b []byte) bool {
	w, _ := logBytes(bulk)
	return bytes.Equal(b, w[:logHeader])
}

func FuzzEntry(f *testing.F) {
	f.Add(entry{log: 1, off: 4096, seq: 9, kind: cairn.KindData}.appendTo(nil))
	f.Add(logStat{sealed: true, live: 5}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseEntry(b); err == nil {
			binary.LittleEndian.PutUint64(b[len(b)-8:], 0) // reserved
			if !bytes.Equal(e.appendTo(nil), b) {
				t.Fatalf("entry %x does not survive", b)
			}
		}
		_, _ = parseLogStat(b)
		_, _ = parseItems(b)
	})
}
