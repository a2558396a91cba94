package nodeapi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode"
	"unicode/utf8"

	"github.com/cairn-store/cairn"
)

// Encodings are canonical because nothing in them can be written two ways:
// numbers have a fixed width, booleans are 0 or 1, lists and strings carry
// their length, and no byte may be left over.

const shardIDSize = 33

var (
	errShort     = errors.New("message ends too early")
	errLeftOver  = errors.New("message has bytes left over")
	errCanonical = errors.New("message is not in canonical form")
	errTooMany   = errors.New("message names more than its type allows")
	errText      = errors.New("message holds text that cannot be shown")
)

// decoder takes a message apart; the first failure sticks.
type decoder struct {
	b   []byte
	err error
}

// take returns the next n bytes, which point into the message.
func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) u8() uint8 {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if v := d.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) bool() bool {
	v := d.u8()
	if v > 1 {
		d.fail(errCanonical)
	}
	return v == 1
}

func (d *decoder) hash() (h [32]byte) {
	copy(h[:], d.take(len(h)))
	return h
}

func (d *decoder) shardID() cairn.ShardID {
	return cairn.ShardID{Segment: cairn.SegmentID(d.hash()), Index: d.u8()}
}

// shardIDs reads a counted list of at most limit ids.
func (d *decoder) shardIDs(limit int) []cairn.ShardID {
	n := int(d.u32())
	if n > limit {
		d.fail(errTooMany)
	}
	if d.err != nil || n > len(d.b)/shardIDSize {
		d.fail(errShort)
		return nil
	}
	ids := make([]cairn.ShardID, n)
	for i := range ids {
		ids[i] = d.shardID()
	}
	return ids
}

// blob reads counted bytes, which point into the message.
func (d *decoder) blob() []byte { return d.take(int(d.u32())) }

// text reads a string that is safe to show on a terminal and in a log.
func (d *decoder) text(limit int) string {
	n := int(d.u16())
	if n > limit {
		d.fail(errTooMany)
	}
	v := d.take(n)
	if !showable(v) {
		d.fail(errText)
		return ""
	}
	return string(v)
}

func (d *decoder) auth() cairn.Authorization {
	v := d.take(cairn.AuthorizationSize)
	if v == nil {
		return cairn.Authorization{}
	}
	a, err := cairn.ParseAuthorization(v)
	if err != nil {
		d.fail(err)
	}
	return a
}

// header reads a shard header and insists on its canonical bytes.
func (d *decoder) header() cairn.Header {
	v := d.take(cairn.HeaderSize)
	if v == nil {
		return cairn.Header{}
	}
	h, err := cairn.ParseHeader(v)
	if err == nil && !bytes.Equal(h.Append(nil), v) {
		err = errCanonical
	}
	if err != nil {
		d.fail(err)
	}
	return h
}

// trailer reads a shard trailer and insists on its canonical bytes.
func (d *decoder) trailer() cairn.Trailer {
	v := d.take(cairn.TrailerSize)
	if v == nil {
		return cairn.Trailer{}
	}
	t, err := cairn.ParseTrailer(v)
	if err == nil && !bytes.Equal(t.Append(nil), v) {
		err = errCanonical
	}
	if err != nil {
		d.fail(err)
	}
	return t
}

// finish reports the first failure, or bytes left over, as an Invalid error.
func (d *decoder) finish(t MessageType) error {
	if d.err == nil && len(d.b) > 0 {
		d.err = errLeftOver
	}
	if d.err == nil {
		return nil
	}
	return cairn.NewError("parse "+t.String()+" message", cairn.Invalid, d.err)
}

func appendShardID(b []byte, id cairn.ShardID) []byte {
	return append(append(b, id.Segment[:]...), id.Index)
}

func appendShardIDs(b []byte, ids []cairn.ShardID) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ids)))
	for _, id := range ids {
		b = appendShardID(b, id)
	}
	return b
}

func appendBlob(b, v []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendText writes s, cut to limit bytes; what cannot be shown becomes '?'.
func appendText(b []byte, s string, limit int) []byte {
	s = showableText(s, limit)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// showable reports whether v is UTF-8 without control characters.
func showable(v []byte) bool {
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			return false
		}
		v = v[n:]
	}
	return true
}

func showableText(s string, limit int) string {
	if len(s) <= limit && showable([]byte(s)) {
		return s
	}
	out := make([]byte, 0, min(len(s), limit))
	for _, r := range s {
		if r == '\n' || r == '\t' {
			r = ' '
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		if len(out)+utf8.RuneLen(r) > limit {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
