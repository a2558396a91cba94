package cairn

import (
	"encoding/json"
	"fmt"
)

// Sizes every format-1 segment shares.
const (
	// FrameSize is the stored size of a full frame, in bytes.
	FrameSize = 64 << 10
	// FrameOverhead is the authentication tag at the end of each frame.
	FrameOverhead = 16
	// FramePlain is what a full frame holds of the object.
	FramePlain = FrameSize - FrameOverhead
	// FrameStep is the granularity to which the frames of a last stripe shrink.
	FrameStep = 512
	// LeafSize is the unit of the hash tree over a shard's payload.
	LeafSize = 64 << 10
	// DefaultBlockSize is the size of a block in every stripe but the last.
	DefaultBlockSize = 1 << 20
	// MaxSegmentPlain is the most bytes of an object that one segment holds.
	MaxSegmentPlain = 64 << 20
	// MaxShards bounds data plus parity shards of a scheme.
	MaxShards = 64
)

// Scheme says how a segment becomes shards: any Data of Data+Parity shards
// give it back.
type Scheme struct {
	Data      int `json:"data"`       // k, at least 1
	Parity    int `json:"parity"`     // m, at least 0
	BlockSize int `json:"block_size"` // bytes; a multiple of FrameSize
}

// Shards returns n = k + m.
func (s Scheme) Shards() int { return s.Data + s.Parity }

// String returns "k+m".
func (s Scheme) String() string { return fmt.Sprintf("%d+%d", s.Data, s.Parity) }

// IsZero reports whether the scheme is unset.
func (s Scheme) IsZero() bool { return s == Scheme{} }

// Validate returns an Invalid error unless s describes a possible code.
func (s Scheme) Validate() error {
	if s.Data < 1 || s.Parity < 0 || s.Shards() > MaxShards {
		return Errorf("check scheme", Invalid, "%d data and %d parity shards: want at least 1 data and at most %d in all", s.Data, s.Parity, MaxShards)
	}
	if s.BlockSize < FrameSize || s.BlockSize%FrameSize != 0 || s.BlockSize > MaxSegmentPlain {
		return Errorf("check scheme", Invalid, "block size %d is not a multiple of %d up to %d", s.BlockSize, FrameSize, MaxSegmentPlain)
	}
	return nil
}

// framesPerBlock is the number of full frames in a full block.
func (s Scheme) framesPerBlock() int { return s.BlockSize / FrameSize }

// stripePlain is what a full stripe holds of the object, in bytes.
func (s Scheme) stripePlain() int64 {
	return int64(s.Data) * int64(s.framesPerBlock()) * FramePlain
}

// Stripe is a run of k blocks, and where it stands in its segment.
type Stripe struct {
	Index       int
	PlainOffset int64 // of its first byte in the segment's plaintext
	PlainLen    int   // bytes of plaintext; what the frames hold beyond it is zero padding
	FrameSize   int   // stored bytes of each frame, tag included
	Frames      int   // frames in each block
	FirstFrame  int   // number, in each shard, of the first frame of the block
	ShardOffset int64 // of each block in its shard's payload
}

// BlockLen is the stored length of each of the stripe's blocks.
func (s Stripe) BlockLen() int { return s.FrameSize * s.Frames }

// FramePlain is what each frame of the stripe holds, in bytes.
func (s Stripe) FramePlain() int { return s.FrameSize - FrameOverhead }

// BlockPlain is what each block of the stripe holds, in bytes.
func (s Stripe) BlockPlain() int { return s.FramePlain() * s.Frames }

// Layout places the plaintext of one segment into frames, blocks and shards.
// It is a pure function of the scheme and the plaintext length, so it needs no
// storage:
//
//	plaintext   | block 0 | block 1 | … | block k-1 | block k | …
//	shard 0       block 0, block k, block 2k, …
//	shard 1       block 1, block k+1, …
//
// Full stripes have blocks of Scheme.BlockSize. What remains forms one last
// stripe whose blocks have as few frames as can hold it, each shrunk to the
// next multiple of FrameStep.
type Layout struct {
	Scheme   Scheme
	PlainLen int64
	full     int // full stripes
	tail     Stripe
}

// NewLayout returns the layout of plainLen bytes under scheme.
// Requires 0 <= plainLen <= MaxSegmentPlain and a valid scheme; otherwise an
// Invalid error.
func NewLayout(scheme Scheme, plainLen int64) (Layout, error) {
	if err := scheme.Validate(); err != nil {
		return Layout{}, err
	}
	if plainLen < 0 || plainLen > MaxSegmentPlain {
		return Layout{}, Errorf("lay out segment", Invalid, "%d bytes of plaintext: want 0 to %d", plainLen, MaxSegmentPlain)
	}
	l := Layout{Scheme: scheme, PlainLen: plainLen}
	l.full = int(plainLen / scheme.stripePlain())
	rest := plainLen % scheme.stripePlain()
	if rest == 0 {
		return l, nil
	}
	perFrameRow := int64(scheme.Data) * FramePlain
	frames := (rest + perFrameRow - 1) / perFrameRow
	plain := (rest + int64(scheme.Data)*frames - 1) / (int64(scheme.Data) * frames)
	stored := (plain + FrameOverhead + FrameStep - 1) / FrameStep * FrameStep
	l.tail = Stripe{
		Index:       l.full,
		PlainOffset: plainLen - rest,
		PlainLen:    int(rest),
		FrameSize:   int(stored),
		Frames:      int(frames),
		FirstFrame:  l.full * scheme.framesPerBlock(),
		ShardOffset: int64(l.full) * int64(scheme.BlockSize),
	}
	return l, nil
}

// Stripes returns the number of stripes; 0 for an empty segment.
func (l Layout) Stripes() int {
	if l.tail.PlainLen > 0 {
		return l.full + 1
	}
	return l.full
}

// Stripe returns stripe i. Requires 0 <= i < Stripes().
func (l Layout) Stripe(i int) Stripe {
	if i == l.full && l.tail.PlainLen > 0 {
		return l.tail
	}
	return Stripe{
		Index:       i,
		PlainOffset: int64(i) * l.Scheme.stripePlain(),
		PlainLen:    int(l.Scheme.stripePlain()),
		FrameSize:   FrameSize,
		Frames:      l.Scheme.framesPerBlock(),
		FirstFrame:  i * l.Scheme.framesPerBlock(),
		ShardOffset: int64(i) * int64(l.Scheme.BlockSize),
	}
}

// StripeAt returns the stripe that holds plaintext offset off.
// Requires 0 <= off < PlainLen.
func (l Layout) StripeAt(off int64) Stripe {
	return l.Stripe(int(off / l.Scheme.stripePlain()))
}

// ShardLen returns the payload length of every shard of the segment, in bytes.
func (l Layout) ShardLen() int64 {
	return int64(l.full)*int64(l.Scheme.BlockSize) + int64(l.tail.BlockLen())
}

// Leaves returns the number of hash-tree leaves over a payload of n bytes.
func Leaves(n int64) int { return int((n + LeafSize - 1) / LeafSize) }

// Bytes is a size that prints itself for people ("1.5 GiB") and stays a
// number in JSON.
type Bytes int64

func (b Bytes) String() string {
	const units = "KMGTPE"
	if b < 1024 && b > -1024 {
		return fmt.Sprintf("%d B", int64(b))
	}
	v, i := float64(b)/1024, 0
	for (v >= 1024 || v <= -1024) && i < len(units)-1 {
		v /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

// MarshalJSON writes the number of bytes.
func (b Bytes) MarshalJSON() ([]byte, error) { return json.Marshal(int64(b)) }
