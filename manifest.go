package cairn

import "math"

// Manifest says what a segment is part of. It is sealed, and the same in every
// shard of the segment.
type Manifest struct {
	Object   ObjectID // whose bytes these are; authenticated by every frame
	Part     int      // 0 for an object put whole, else the part number
	Number   int      // of the segment in the part, from 0
	PlainLen int64    // of the segment, bytes
	PartLen  int64    // of the part, bytes; authenticated by every frame
	// Key is the wrapped content key the segment's keys derive from.
	Key []byte
	// Roots has one root per shard.
	Roots []Root
	// Nodes says where each shard was meant to go. A hint: a shard that had to
	// be placed elsewhere at the last moment is found by asking the nodes.
	Nodes []NodeID
	// Version is the encoded version record when it rides along, else empty.
	Version []byte

	unknown []field
}

// Encode returns the canonical encoding.
func (m *Manifest) Encode() []byte {
	var e encoder
	e.bytes(1, m.Object[:])
	e.uint(2, uint64(m.Part))
	e.uint(3, uint64(m.Number))
	e.uint(4, uint64(m.PlainLen))
	e.uint(5, uint64(m.PartLen))
	e.bytes(6, m.Key)
	e.bytes(7, joinIDs(m.Roots))
	e.bytes(8, joinIDs(m.Nodes))
	e.bytes(9, m.Version)
	return e.finish(m.unknown)
}

// DecodeManifest reads what Encode wrote. Anything else is a Corrupt error.
func DecodeManifest(b []byte) (*Manifest, error) {
	m := &Manifest{}
	var err error
	m.unknown, err = decodeFields("decode manifest", b, rules{required: tagSet(1)}, func(tag uint64, v []byte) (bool, error) {
		switch tag {
		case 1:
			return true, readFixed(m.Object[:], v)
		case 2:
			return true, readInt(&m.Part, v, MaxPartNumber)
		case 3:
			return true, readInt(&m.Number, v, math.MaxInt32)
		case 4:
			return true, readInt(&m.PlainLen, v, MaxSegmentPlain)
		case 5:
			return true, readInt(&m.PartLen, v, math.MaxInt64)
		case 6:
			return true, readBytes(&m.Key, v)
		case 7:
			return true, splitIDs(&m.Roots, v)
		case 8:
			return true, splitIDs(&m.Nodes, v)
		case 9:
			return true, readBytes(&m.Version, v)
		}
		return false, nil
	})
	return m, err
}

// Bounds on what a record may hold.
const (
	// MaxPartNumber is the highest part number of a multipart upload.
	MaxPartNumber = 10000
	// MaxKeyLen is the longest object key, in bytes.
	MaxKeyLen = 1024
)

// joinIDs writes 32-byte ids one after the other.
func joinIDs[T ~[32]byte](ids []T) []byte {
	b := make([]byte, 0, 32*len(ids))
	for _, id := range ids {
		raw := [32]byte(id)
		b = append(b, raw[:]...)
	}
	return b
}

func splitIDs[T ~[32]byte](dst *[]T, v []byte) error {
	if len(v) == 0 || len(v)%32 != 0 || len(*dst) > 0 {
		return errMalformed
	}
	for ; len(v) > 0; v = v[32:] {
		*dst = append(*dst, T(v[:32]))
	}
	return nil
}

func readInt[T ~int | ~int64 | ~uint32](dst *T, v []byte, limit uint64) error {
	u, err := readUint(v, limit)
	if err == nil {
		*dst = T(u)
	}
	return err
}

func readBytes(dst *[]byte, v []byte) error {
	if len(v) == 0 || len(*dst) > 0 {
		return errMalformed
	}
	*dst = append([]byte{}, v...)
	return nil
}
