package directory

import (
	"encoding/binary"
	"errors"
)

// The body of a record is a canonical tag-length-value list like those of the
// root package: `uvarint tag | uvarint length | bytes` in ascending tag order,
// varints minimal, repeated fields next to each other.

var errMalformed = errors.New("malformed field")

// field is a field this version does not know.
type field struct {
	tag   uint64
	value string
}

// fieldWriter appends fields in ascending order, weaving unknown ones in.
type fieldWriter struct {
	out     []byte
	unknown []field
}

func (w *fieldWriter) put(tag uint64, v string) {
	for len(w.unknown) > 0 && w.unknown[0].tag < tag {
		w.raw(w.unknown[0])
		w.unknown = w.unknown[1:]
	}
	w.raw(field{tag, v})
}

func (w *fieldWriter) raw(f field) {
	w.out = binary.AppendUvarint(w.out, f.tag)
	w.out = binary.AppendUvarint(w.out, uint64(len(f.value)))
	w.out = append(w.out, f.value...)
}

// text leaves an empty string out.
func (w *fieldWriter) text(tag uint64, v string) {
	if v != "" {
		w.put(tag, v)
	}
}

// number leaves a zero out.
func (w *fieldWriter) number(tag, v uint64) {
	if v != 0 {
		w.put(tag, string(binary.AppendUvarint(nil, v)))
	}
}

// optional leaves nil out and writes a zero.
func (w *fieldWriter) optional(tag uint64, v *uint64) {
	if v != nil {
		w.put(tag, string(binary.AppendUvarint(nil, *v)))
	}
}

func (w *fieldWriter) list(tag uint64, list []string) {
	for _, v := range list {
		w.put(tag, v)
	}
}

func (w *fieldWriter) finish() []byte {
	for _, f := range w.unknown {
		w.raw(f)
	}
	w.unknown = nil
	return w.out
}

// splitField returns the first field of b and what follows it. tag > 0.
func splitField(b []byte) (tag uint64, v, rest []byte, err error) {
	tag, n := minimalUvarint(b)
	if n <= 0 || tag == 0 {
		return 0, nil, nil, errMalformed
	}
	b = b[n:]
	size, n := minimalUvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return 0, nil, nil, errMalformed
	}
	return tag, b[n : n+int(size)], b[n+int(size):], nil
}

// minimalUvarint is binary.Uvarint that refuses encodings longer than needed.
func minimalUvarint(b []byte) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n > 1 && b[n-1] == 0 {
		return 0, -1
	}
	return v, n
}

// wholeNumber decodes a whole field as a number.
func wholeNumber(v []byte) (uint64, error) {
	u, n := minimalUvarint(v)
	if n <= 0 || n != len(v) {
		return 0, errMalformed
	}
	return u, nil
}
