package cairn

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Records are canonical tag-length-value lists: fields in ascending tag order,
// each `uvarint tag | uvarint length | bytes`, zero values left out, repeated
// fields next to each other. A field this version does not know is kept byte
// for byte and written back in its place, so that an older program repairs
// what a newer one wrote without loss.

// field is one undecoded field.
type field struct {
	tag   uint64
	value []byte
}

// encoder writes fields; callers write them in ascending tag order and hand
// unknown fields to merge.
type encoder struct {
	fields []field
}

func (e *encoder) bytes(tag uint64, v []byte) {
	if len(v) > 0 {
		e.fields = append(e.fields, field{tag, v})
	}
}

// element writes one element of a repeated field, empty or not.
func (e *encoder) element(tag uint64, v []byte) { e.fields = append(e.fields, field{tag, v}) }

func (e *encoder) string(tag uint64, v string) { e.bytes(tag, []byte(v)) }

func (e *encoder) uint(tag, v uint64) {
	if v != 0 {
		e.bytes(tag, binary.AppendUvarint(nil, v))
	}
}

func (e *encoder) bool(tag uint64, v bool) {
	if v {
		e.uint(tag, 1)
	}
}

// finish returns the canonical encoding of what was written and of unknown,
// both of which are in ascending tag order and share no tag.
func (e *encoder) finish(unknown []field) []byte {
	var out []byte
	put := func(f field) {
		out = binary.AppendUvarint(out, f.tag)
		out = binary.AppendUvarint(out, uint64(len(f.value)))
		out = append(out, f.value...)
	}
	for _, f := range e.fields {
		for len(unknown) > 0 && unknown[0].tag < f.tag {
			put(unknown[0])
			unknown = unknown[1:]
		}
		put(f)
	}
	for _, f := range unknown {
		put(f)
	}
	return out
}

var errMalformed = errors.New("malformed field")

// tags is a set of field numbers below 64.
type tags uint64

func tagSet(list ...uint) tags {
	var s tags
	for _, t := range list {
		s |= 1 << t
	}
	return s
}

func (s tags) has(tag uint64) bool { return tag < 64 && s>>tag&1 == 1 }

// rules say which known fields may repeat, and which must be there because
// encoders always write them.
type rules struct{ repeated, required tags }

// decodeFields calls known for each field; what known reports as unknown is
// returned. Tags must ascend and varints be minimal; with the rules this makes
// whatever decodes encode to the same bytes again.
func decodeFields(op string, b []byte, r rules, known func(tag uint64, v []byte) (bool, error)) ([]field, error) {
	var unknown []field
	var last uint64
	var seen tags
	for len(b) > 0 {
		tag, n := uvarint(b)
		if n <= 0 || tag == 0 || tag < last {
			return nil, NewError(op, Corrupt, errMalformed)
		}
		isRepeat := tag == last
		b = b[n:]
		size, n := uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, NewError(op, Corrupt, errMalformed)
		}
		v := b[n : n+int(size)]
		b = b[n+int(size):]
		last = tag
		ok, err := known(tag, v)
		if err != nil {
			return nil, Errorf(op, Corrupt, "field %d: %w", tag, err)
		}
		if !ok {
			unknown = append(unknown, field{tag, append([]byte{}, v...)})
		} else if isRepeat && !r.repeated.has(tag) {
			return nil, Errorf(op, Corrupt, "field %d stands twice", tag)
		}
		if tag < 64 {
			seen |= 1 << tag
		}
	}
	if missing := r.required &^ seen; missing != 0 {
		return nil, Errorf(op, Corrupt, "field %d is missing", bits.TrailingZeros64(uint64(missing)))
	}
	return unknown, nil
}

// uvarint is binary.Uvarint that refuses encodings longer than needed.
func uvarint(b []byte) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n > 1 && b[n-1] == 0 {
		return 0, -1
	}
	return v, n
}

// readUint decodes a whole field as an unsigned number up to limit.
func readUint(v []byte, limit uint64) (uint64, error) {
	u, n := uvarint(v)
	if n != len(v) || n <= 0 || u == 0 || u > limit {
		return 0, errMalformed
	}
	return u, nil
}

// readFixed decodes a whole field into dst, whose length it must have.
func readFixed(dst, v []byte) error {
	if len(v) != len(dst) {
		return errMalformed
	}
	copy(dst, v)
	return nil
}

// readID is readFixed for ids whose zero value is left out.
func readID(dst, v []byte) error {
	if err := readFixed(dst, v); err != nil {
		return err
	}
	for _, c := range v {
		if c != 0 {
			return nil
		}
	}
	return errMalformed
}

// readString decodes a whole, non-empty field.
func readString(dst *string, v []byte) error {
	if len(v) == 0 {
		return errMalformed
	}
	*dst = string(v)
	return nil
}
