package pebble

import (
	"encoding/binary"
	"errors"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// Values are a format byte and fields: `uvarint tag | uvarint length | bytes`,
// tags ascending, zero values left out. A tag this version does not know is
// passed over: a newer writer may add what an older reader can do without, and
// changes the format byte for what it cannot.

// valueFormat is the first byte of every value.
const valueFormat = 1

var errMalformed = errors.New("malformed value")

// writer builds a value; fields are written in ascending order of tag.
type writer struct{ out []byte }

func newWriter(sizeHint int) *writer {
	return &writer{out: append(make([]byte, 0, sizeHint), valueFormat)}
}

func (w *writer) bytes(tag uint64, v []byte) {
	if len(v) == 0 {
		return
	}
	w.out = binary.AppendUvarint(w.out, tag)
	w.out = binary.AppendUvarint(w.out, uint64(len(v)))
	w.out = append(w.out, v...)
}

func (w *writer) string(tag uint64, v string) { w.bytes(tag, []byte(v)) }

// int writes any number; a negative one takes ten bytes.
func (w *writer) int(tag uint64, v int64) {
	if v != 0 {
		var buf [binary.MaxVarintLen64]byte
		w.bytes(tag, buf[:binary.PutUvarint(buf[:], uint64(v))])
	}
}

func (w *writer) bool(tag uint64, v bool) {
	if v {
		w.int(tag, 1)
	}
}

// location writes two fields, tag and tag+1.
func (w *writer) location(tag uint64, l catalog.Location) {
	if l.Segment != (cairn.SegmentID{}) {
		w.bytes(tag, l.Segment[:])
	}
	w.bytes(tag+1, joinIDs(l.Nodes))
}

func joinIDs[T ~[32]byte](ids []T) []byte {
	b := make([]byte, 0, 32*len(ids))
	for _, id := range ids {
		raw := [32]byte(id)
		b = append(b, raw[:]...)
	}
	return b
}

// readFields calls field for every field of a value, in order of tag. The
// bytes handed over are only good during the call. What is malformed, or what
// field objects to, is a Corrupt error.
func readFields(op string, b []byte, field func(tag uint64, v []byte) error) error {
	if len(b) == 0 || b[0] != valueFormat {
		return cairn.NewError(op, cairn.Corrupt, errors.New("value of an unknown format"))
	}
	last := uint64(0)
	for b = b[1:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag < last || tag == 0 {
			return cairn.NewError(op, cairn.Corrupt, errMalformed)
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return cairn.NewError(op, cairn.Corrupt, errMalformed)
		}
		if err := field(tag, b[n:n+int(size)]); err != nil {
			return cairn.Errorf(op, cairn.Corrupt, "field %d: %w", tag, err)
		}
		b, last = b[n+int(size):], tag
	}
	return nil
}

func readInt[T ~int | ~int64 | ~uint8](dst *T, v []byte) error {
	u, n := binary.Uvarint(v)
	*dst = T(u)
	if n <= 0 || n != len(v) || uint64(*dst) != u {
		return errMalformed
	}
	return nil
}

func readBool(dst *bool, v []byte) error {
	*dst = true
	if len(v) != 1 || v[0] != 1 {
		return errMalformed
	}
	return nil
}

func readID(dst, v []byte) error {
	if len(v) != len(dst) {
		return errMalformed
	}
	copy(dst, v)
	return nil
}

func readIDs[T ~[32]byte](dst *[]T, v []byte) error {
	if len(v)%32 != 0 || len(*dst) > 0 {
		return errMalformed
	}
	for ; len(v) > 0; v = v[32:] {
		*dst = append(*dst, T(v[:32]))
	}
	return nil
}
