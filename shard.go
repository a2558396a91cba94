package cairn

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// ShardKind says what a record is.
type ShardKind uint8

const (
	KindData       ShardKind = 1 // a shard of a segment, its version record elsewhere or riding in the manifest
	KindSmall      ShardKind = 2 // a self-contained shard of a small object
	KindPacked     ShardKind = 3 // a shard of a segment that holds many small objects
	KindVersion    ShardKind = 4 // a version record on its own; no payload
	KindTombstone  ShardKind = 5 // a deletion; no payload
	KindBucket     ShardKind = 6 // a bucket's creation, settings or deletion; no payload
	KindCheckpoint ShardKind = 7 // a fast path for recovery
)

var kindText = [...]string{"", "data", "small", "packed", "version", "tombstone", "bucket", "checkpoint"}

func (k ShardKind) String() string {
	if int(k) < len(kindText) && k != 0 {
		return kindText[k]
	}
	return "unknown"
}

// Suite numbers a choice of cipher, hash and code. It is authenticated, never
// negotiated.
type Suite uint8

// SuiteAES is AES-256-GCM frames, BLAKE3 trees, Reed-Solomon over GF(2^8).
const SuiteAES Suite = 1

// Format constants of the shard record; docs/formats/shard.md has the table.
const (
	ShardFormat = 1
	HeaderSize  = 128
	TrailerSize = 128
	// MaxManifest bounds a sealed manifest, so that a node can size what it
	// reads from a stranger.
	MaxManifest = 8 << 20

	headerMagic  = "CAIRNSHD"
	trailerMagic = "CAIRNEND"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header opens a shard record. Everything in it is known before the payload,
// and visible to the node.
type Header struct {
	Suite       Suite
	Kind        ShardKind
	Shard       ShardID
	Data        int // k; 1 for records without a code
	Parity      int // m
	BlockSize   int
	PayloadLen  int64
	Owner       OwnerTag
	Created     int64 // Unix seconds
	RetainUntil int64 // Unix seconds; the node refuses to delete earlier; 0 is no lock
}

// Scheme returns the code the shard belongs to.
func (h Header) Scheme() Scheme {
	return Scheme{Data: h.Data, Parity: h.Parity, BlockSize: h.BlockSize}
}

// TreeTopLen is the length of the record's tree top: one hash per leaf.
func (h Header) TreeTopLen() int { return Leaves(h.PayloadLen) * len(Digest{}) }

// RecordLen returns the length of the whole record whose sealed manifest has
// manifestLen bytes.
func (h Header) RecordLen(manifestLen int) int64 {
	return HeaderSize + h.PayloadLen + int64(h.TreeTopLen()) + int64(manifestLen) + TrailerSize
}

// Validate returns an Invalid error when the header contradicts itself.
func (h Header) Validate() error {
	const op = "check shard header"
	switch {
	case h.Suite != SuiteAES:
		return Errorf(op, Invalid, "suite %d is not known to this version", h.Suite)
	case h.Kind < KindData || h.Kind > KindCheckpoint:
		return Errorf(op, Invalid, "kind %d is not known to this version", h.Kind)
	case int(h.Shard.Index) >= h.Data+h.Parity:
		return Errorf(op, Invalid, "shard index %d of a %d+%d segment", h.Shard.Index, h.Data, h.Parity)
	case h.PayloadLen < 0 || h.PayloadLen > MaxSegmentPlain+MaxSegmentPlain/64:
		return Errorf(op, Invalid, "payload of %d bytes", h.PayloadLen)
	case h.RetainUntil < 0 || h.Created < 0:
		return Errorf(op, Invalid, "negative time")
	}
	return h.Scheme().Validate()
}

// Append appends the HeaderSize bytes of the header to b.
func (h Header) Append(b []byte) []byte {
	start := len(b)
	b = append(b, headerMagic...)
	b = binary.LittleEndian.AppendUint16(b, ShardFormat)
	b = binary.LittleEndian.AppendUint16(b, ShardFormat) // minimum reader
	b = append(b, byte(h.Suite), byte(h.Kind), h.Shard.Index, byte(h.Data), byte(h.Parity), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.BlockSize))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.PayloadLen))
	b = append(b, h.Shard.Segment[:]...)
	b = append(b, h.Owner[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Created))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.RetainUntil))
	b = binary.LittleEndian.AppendUint32(b, LeafSize)
	b = append(b, make([]byte, start+HeaderSize-4-len(b))...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// ParseHeader reads a header. Damaged bytes are a Corrupt error; a header this
// version must not read, or that contradicts itself, is Invalid.
func ParseHeader(b []byte) (Header, error) {
	const op = "parse shard header"
	if len(b) < HeaderSize || string(b[:8]) != headerMagic {
		return Header{}, NewError(op, Corrupt, errors.New("no shard header here"))
	}
	b = b[:HeaderSize]
	if crc32.Checksum(b[:HeaderSize-4], castagnoli) != binary.LittleEndian.Uint32(b[HeaderSize-4:]) {
		return Header{}, NewError(op, Corrupt, errors.New("checksum does not match"))
	}
	if reader := binary.LittleEndian.Uint16(b[10:]); reader > ShardFormat {
		return Header{}, Errorf(op, Invalid, "needs a reader of format %d, this is %d", reader, ShardFormat)
	}
	if leaf := binary.LittleEndian.Uint32(b[112:]); leaf != LeafSize {
		return Header{}, Errorf(op, Invalid, "leaf size %d, want %d", leaf, LeafSize)
	}
	h := Header{
		Suite:       Suite(b[12]),
		Kind:        ShardKind(b[13]),
		Shard:       ShardID{Segment: SegmentID(b[32:64]), Index: b[14]},
		Data:        int(b[15]),
		Parity:      int(b[16]),
		BlockSize:   int(binary.LittleEndian.Uint32(b[20:])),
		PayloadLen:  int64(binary.LittleEndian.Uint64(b[24:])),
		Owner:       OwnerTag(b[64:96]),
		Created:     int64(binary.LittleEndian.Uint64(b[96:])),
		RetainUntil: int64(binary.LittleEndian.Uint64(b[104:])),
	}
	if err := h.Validate(); err != nil {
		return Header{}, err
	}
	// A record digest covers the header as this version writes it, so bytes it
	// would not write back are those of another version.
	var again [HeaderSize]byte
	if h.Append(again[:0]); string(again[:]) != string(b) {
		return Header{}, Errorf(op, Invalid, "reserved bytes are in use")
	}
	return h, nil
}

// Trailer closes a shard record: what is only known once the payload is.
type Trailer struct {
	ManifestLen int
	Root        Root   // of this shard's payload
	Roots       Digest // commitment to the roots of all n shards; see RootsDigest
	Record      Digest // binds header, roots and sealed manifest; see RecordDigest
}

// NewTrailer returns the trailer of a record.
func NewTrailer(h Header, root Root, roots Digest, sealedManifest []byte) Trailer {
	return Trailer{
		ManifestLen: len(sealedManifest),
		Root:        root,
		Roots:       roots,
		Record:      RecordDigest(h, root, roots, sealedManifest),
	}
}

// Append appends the TrailerSize bytes of the trailer to b.
func (t Trailer) Append(b []byte) []byte {
	start := len(b)
	b = append(b, trailerMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(t.ManifestLen))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, t.Root[:]...)
	b = append(b, t.Roots[:]...)
	b = append(b, t.Record[:]...)
	b = append(b, make([]byte, start+TrailerSize-4-len(b))...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// ParseTrailer reads a trailer; damaged bytes are a Corrupt error.
func ParseTrailer(b []byte) (Trailer, error) {
	const op = "parse shard trailer"
	if len(b) < TrailerSize || string(b[:8]) != trailerMagic {
		return Trailer{}, NewError(op, Corrupt, errors.New("no shard trailer here"))
	}
	b = b[:TrailerSize]
	if crc32.Checksum(b[:TrailerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[TrailerSize-4:]) {
		return Trailer{}, NewError(op, Corrupt, errors.New("checksum does not match"))
	}
	t := Trailer{
		ManifestLen: int(binary.LittleEndian.Uint32(b[8:])),
		Root:        Root(b[16:48]),
		Roots:       Digest(b[48:80]),
		Record:      Digest(b[80:112]),
	}
	if t.ManifestLen > MaxManifest {
		return Trailer{}, Errorf(op, Invalid, "manifest of %d bytes, at most %d", t.ManifestLen, MaxManifest)
	}
	var again [TrailerSize]byte
	if t.Append(again[:0]); string(again[:]) != string(b) {
		return Trailer{}, Errorf(op, Invalid, "reserved bytes are in use")
	}
	return t, nil
}

// RecordDigest binds a record's header, roots and sealed manifest together.
func RecordDigest(h Header, root Root, roots Digest, sealedManifest []byte) Digest {
	return hashRecord.sum(h.Append(nil), root[:], roots[:], sealedManifest)
}

// RootsDigest commits to the roots of all shards of a segment, in order.
func RootsDigest(roots []Root) Digest { return hashRoots.sum(joinIDs(roots)) }

// Tail is a shard record without its payload.
type Tail struct {
	Header   Header
	TreeTop  []byte // leaf hashes, 32 bytes each
	Manifest []byte // sealed
	Trailer  Trailer
}

// Verify returns a Corrupt error unless the trailer belongs to the header and
// manifest. The tree top is checked against Trailer.Root by proofs.
func (t Tail) Verify() error {
	if len(t.Manifest) != t.Trailer.ManifestLen || len(t.TreeTop) != t.Header.TreeTopLen() {
		return Errorf("verify shard record", Corrupt, "%v: lengths do not agree", t.Header.Shard)
	}
	if RecordDigest(t.Header, t.Trailer.Root, t.Trailer.Roots, t.Manifest) != t.Trailer.Record {
		return Errorf("verify shard record", Corrupt, "%v: digest does not match", t.Header.Shard)
	}
	return nil
}

// Receipt is a node's signed promise: the record with this digest and root is
// on stable storage here.
type Receipt struct {
	Node      NodeID
	Shard     ShardID
	Root      Root
	Record    Digest
	StoredAt  int64 // Unix seconds, the node's clock
	Signature [64]byte
}

const receiptPurpose = "cairn/receipt/1\x00"

// signed returns the bytes a receipt's signature covers.
func (r Receipt) signed() []byte {
	b := append(make([]byte, 0, 192), receiptPurpose...)
	b = append(b, r.Node[:]...)
	b = append(b, r.Shard.Segment[:]...)
	b = append(b, r.Shard.Index)
	b = append(b, r.Root[:]...)
	b = append(b, r.Record[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(r.StoredAt))
}

// Sign signs the receipt with the node's key.
func (r *Receipt) Sign(key ed25519.PrivateKey, now time.Time) {
	r.StoredAt = now.Unix()
	r.Signature = [64]byte(ed25519.Sign(key, r.signed()))
}

// Verify returns a Corrupt error unless the node signed the receipt.
func (r Receipt) Verify() error {
	if !ed25519.Verify(r.Node[:], r.signed(), r.Signature[:]) {
		return Errorf("verify receipt", Corrupt, "signature of node %v does not match", r.Node)
	}
	return nil
}
