package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"

	"github.com/cairn-store/cairn"
)

// ContentKey is the random key of one PUT or one uploaded part. It prints as a
// placeholder.
type ContentKey [32]byte

// NewContentKey returns a random content key.
func NewContentKey() ContentKey {
	var ck ContentKey
	_, _ = rand.Read(ck[:])
	return ck
}

const hiddenContentKey = "[content key]"

// String returns a placeholder.
func (ck ContentKey) String() string { return hiddenContentKey }

// GoString returns a placeholder.
func (ck ContentKey) GoString() string { return hiddenContentKey }

// Format writes a placeholder, whatever the verb.
func (ck ContentKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenContentKey) }

// LogValue returns a placeholder.
func (ck ContentKey) LogValue() slog.Value { return slog.StringValue(hiddenContentKey) }

// MarshalText returns a placeholder.
func (ck ContentKey) MarshalText() ([]byte, error) { return []byte(hiddenContentKey), nil }

// Context is what a segment's frames authenticate of where they belong.
type Context struct {
	Owner   [32]byte
	Object  cairn.ObjectID // under which the bytes were written
	Part    int            // under which the bytes were written
	Number  int            // of the segment in the part
	PartLen int64          // of the whole part, bytes
}

// Segment seals, opens and masks the blocks of one segment. It is safe for
// concurrent use, and derives each key when it is first needed: for a small
// object that is much of what a read costs.
type Segment struct {
	layout cairn.Layout
	id     cairn.SegmentID
	aad    frameAAD // of frame 0 of shard 0; each frame fills in its own numbers
	frames []frameCipher

	frameSecret func() [32]byte
	masks       func() *Masks
}

// frameCipher is the cipher of one data shard, made once.
type frameCipher struct {
	once sync.Once
	aead cipher.AEAD
}

// Segment prepares the segment id, laid out as l, at the place c. A place that
// cannot be is an Invalid error.
//
// A segment id belongs to one write: sealing two different plaintexts as the
// same segment under the same content key would betray both.
func (ck ContentKey) Segment(id cairn.SegmentID, c Context, l cairn.Layout) (*Segment, error) {
	const op = "prepare segment"
	if err := l.Scheme.Validate(); err != nil {
		return nil, err
	}
	switch {
	case c.Part < 0 || c.Part > cairn.MaxPartNumber:
		return nil, cairn.Errorf(op, cairn.Invalid, "part number %d", c.Part)
	case c.Number < 0 || c.Number > math.MaxInt32:
		return nil, cairn.Errorf(op, cairn.Invalid, "segment number %d", c.Number)
	case c.PartLen < l.PlainLen:
		return nil, cairn.Errorf(op, cairn.Invalid, "a segment of %d bytes in a part of %d", l.PlainLen, c.PartLen)
	}
	return &Segment{
		layout: l,
		id:     id,
		aad:    newFrameAAD(c, l),
		frames: make([]frameCipher, l.Scheme.Data),

		frameSecret: sync.OnceValue(func() [32]byte { return frameSecret(ck, id) }),
		masks:       sync.OnceValue(func() *Masks { return maskSecret(ck, id).Masks(l.Scheme) }),
	}, nil
}

// cipher returns the cipher of a data shard.
func (s *Segment) cipher(shard int) cipher.AEAD {
	f := &s.frames[shard]
	f.once.Do(func() {
		key := frameKey(s.frameSecret(), shard)
		f.aead = newGCM(key[:])
	})
	return f.aead
}

// FrameKey returns the key of one data shard's frames. It opens that shard and
// no other, which is what a grant on a single shard hands out.
func FrameKey(ck ContentKey, id cairn.SegmentID, shard int) [32]byte {
	return frameKey(frameSecret(ck, id), shard)
}

// frameSecret returns what the frame keys of a segment derive from.
func frameSecret(ck ContentKey, id cairn.SegmentID) [32]byte {
	return derive(ck[:], labelFrames, id[:])
}

func frameKey(secret [32]byte, shard int) [32]byte {
	return derive(secret[:], labelFrameKey, []byte{byte(shard)})
}

// SealBlock seals a block of the data shard in place. block has st.BlockLen()
// bytes, and each frame's plaintext already stands at its place: st.FramePlain()
// bytes, then 16 that are overwritten. It does not allocate.
func (s *Segment) SealBlock(st cairn.Stripe, shard int, block []byte) error {
	const op = "seal block"
	if err := s.check(op, st, shard); err != nil {
		return err
	}
	if len(block) != st.BlockLen() {
		return cairn.Errorf(op, cairn.Invalid, "%d bytes, want %d", len(block), st.BlockLen())
	}
	w := s.begin(shard)
	defer scratches.Put(w)
	aead, plain := s.cipher(shard), st.FramePlain()
	for f := range st.Frames {
		frame := block[f*st.FrameSize : (f+1)*st.FrameSize : (f+1)*st.FrameSize]
		w.number(st.FirstFrame+f, s.isFinal(st, f))
		aead.Seal(frame[:0], w.nonce[:], frame[:plain], w.aad[:])
	}
	return nil
}

// OpenFrames opens n frames of a block of the data shard in place, from frame
// firstFrame of the block on; afterwards the plaintext of the i-th of them
// stands at i*st.FrameSize. A frame that is not what was sealed there is a
// Corrupt error naming it, and none of sealed may be used.
func (s *Segment) OpenFrames(st cairn.Stripe, shard, firstFrame, n int, sealed []byte) error {
	const op = "open frames"
	if err := s.check(op, st, shard); err != nil {
		return err
	}
	if firstFrame < 0 || n < 0 || firstFrame > st.Frames-n || len(sealed) != n*st.FrameSize {
		return cairn.Errorf(op, cairn.Invalid, "frames %d to %d of %d in %d bytes", firstFrame, firstFrame+n, st.Frames, len(sealed))
	}
	w := s.begin(shard)
	defer scratches.Put(w)
	aead := s.cipher(shard)
	for i := range n {
		frame := sealed[i*st.FrameSize : (i+1)*st.FrameSize : (i+1)*st.FrameSize]
		number := st.FirstFrame + firstFrame + i
		w.number(number, s.isFinal(st, firstFrame+i))
		if _, err := aead.Open(frame[:0], w.nonce[:], frame, w.aad[:]); err != nil {
			return cairn.Errorf(op, cairn.Corrupt, "seal of frame %d of shard %d of segment %s is broken", number, shard, s.id.Short())
		}
	}
	return nil
}

// Mask adds or removes the mask of parity shard shard on the bytes b from
// offset off of its payload on. Data shards have no mask.
// Requires 0 <= shard < n and off >= 0.
func (s *Segment) Mask(shard int, off int64, b []byte) { s.masks().Apply(shard, off, b) }

// check refuses stripes that are not of this segment: a made-up frame number
// could use a nonce twice.
func (s *Segment) check(op string, st cairn.Stripe, shard int) error {
	if shard < 0 || shard >= s.layout.Scheme.Data {
		return cairn.Errorf(op, cairn.Invalid, "shard %d is not a data shard of %v", shard, s.layout.Scheme)
	}
	if st.Index < 0 || st.Index >= s.layout.Stripes() || st != s.layout.Stripe(st.Index) {
		return cairn.Errorf(op, cairn.Invalid, "stripe %d is not of this segment", st.Index)
	}
	return nil
}

// isFinal reports whether frame f of the stripe's block ends its shard.
func (s *Segment) isFinal(st cairn.Stripe, f int) bool {
	return st.Index == s.layout.Stripes()-1 && f == st.Frames-1
}
