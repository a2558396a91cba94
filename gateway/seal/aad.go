package seal

import (
	"encoding/binary"
	"sync"

	"github.com/cairn-store/cairn"
)

// frameAAD is what each frame authenticates beside its bytes. Segment id and
// shard index are in the frame's key. All numbers are big-endian.
//
//	offset  bytes
//	0       8      "CAIRNFRM"
//	8       2      format, 1
//	10      1      suite
//	11      1      1 in the last frame of a shard, else 0
//	12      4      frame number in the shard
//	16      32     owner
//	48      16     object id
//	64      4      part number
//	68      4      segment number in the part
//	72      8      part length
//	80      8      plaintext length of the segment
//	88      4      block size
//	92      1      data shards, k
//	93      1      shard index
//	94      2      zero
//
// With the plaintext length, k and the block size the whole layout is
// authenticated, although nodes can lie in the header they hand out.
type frameAAD [96]byte

const (
	frameMagic  = "CAIRNFRM"
	frameFormat = 1
	aadFinal    = 11
	aadNumber   = 12
	aadShard    = 93
)

func newFrameAAD(c Context, l cairn.Layout) frameAAD {
	var a frameAAD
	copy(a[:], frameMagic)
	binary.BigEndian.PutUint16(a[8:], frameFormat)
	a[10] = byte(cairn.SuiteAES)
	copy(a[16:], c.Owner[:])
	copy(a[48:], c.Object[:])
	binary.BigEndian.PutUint32(a[64:], uint32(c.Part))
	binary.BigEndian.PutUint32(a[68:], uint32(c.Number))
	binary.BigEndian.PutUint64(a[72:], uint64(c.PartLen))
	binary.BigEndian.PutUint64(a[80:], uint64(l.PlainLen))
	binary.BigEndian.PutUint32(a[88:], uint32(l.Scheme.BlockSize))
	a[92] = byte(l.Scheme.Data)
	return a
}

// scratch is what one call needs in memory the cipher may keep a pointer to.
type scratch struct {
	aad   frameAAD
	nonce [12]byte // four zero bytes and the frame number, big-endian
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// begin returns scratch for frames of a shard.
func (s *Segment) begin(shard int) *scratch {
	w := scratches.Get().(*scratch)
	w.aad = s.aad
	w.aad[aadShard] = byte(shard)
	return w
}

// number sets the frame number and the final flag.
func (w *scratch) number(frame int, isFinal bool) {
	binary.BigEndian.PutUint64(w.nonce[4:], uint64(frame))
	binary.BigEndian.PutUint32(w.aad[aadNumber:], uint32(frame))
	w.aad[aadFinal] = 0
	if isFinal {
		w.aad[aadFinal] = 1
	}
}
