package cairn

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// NodeID names a storage node. It is the node's Ed25519 public key, from which
// the libp2p peer id is derived, so an id can be checked against a TLS
// handshake and against a signature without a lookup.
type NodeID [32]byte

// SegmentID names a segment. It is random to everyone but the owner.
type SegmentID [32]byte

// ObjectID names the bytes of one PUT or one uploaded part for as long as they
// exist. Copies of an object share the ObjectID of what was written first,
// because it is part of what every frame authenticates.
type ObjectID [16]byte

// VersionID orders the versions of a key: the larger id, compared as bytes, is
// the newer version. The first eight bytes are nanoseconds since the Unix
// epoch, big-endian; the rest is random.
type VersionID [16]byte

// OwnerTag is what a node sees of an owner. It differs on every node, so two
// nodes cannot tell that they hold data of the same owner.
type OwnerTag [32]byte

// Root is the root of the BLAKE3 tree over a shard's payload.
type Root [32]byte

// Digest is a BLAKE3-256 hash whose purpose is stated where it is used.
type Digest [32]byte

// KeyEpoch numbers the generations of an owner's sealing keys.
type KeyEpoch uint32

// ShardID names one shard: shard Index of segment Segment.
type ShardID struct {
	Segment SegmentID
	Index   uint8
}

// shardText is the text form of ids that people copy by hand: lower-case
// base32 without padding.
var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewSegmentID returns a random segment id.
func NewSegmentID() SegmentID {
	var id SegmentID
	_, _ = rand.Read(id[:]) // crypto/rand.Read never fails
	return id
}

// NewObjectID returns a random object id.
func NewObjectID() ObjectID {
	var id ObjectID
	_, _ = rand.Read(id[:])
	return id
}

func (id SegmentID) String() string { return idText.EncodeToString(id[:]) }

// Short returns the first characters of the id, enough for a log line.
func (id SegmentID) Short() string { return id.String()[:10] }

func (id ObjectID) String() string  { return hex.EncodeToString(id[:]) }
func (id VersionID) String() string { return hex.EncodeToString(id[:]) }
func (r Root) String() string       { return hex.EncodeToString(r[:]) }
func (d Digest) String() string     { return hex.EncodeToString(d[:]) }
func (t OwnerTag) String() string   { return hex.EncodeToString(t[:]) }

// String returns "segment/index".
func (id ShardID) String() string { return fmt.Sprintf("%s/%d", id.Segment, id.Index) }

// Time returns the moment the version was made, to the nanosecond.
func (id VersionID) Time() time.Time {
	var ns uint64
	for _, b := range id[:8] {
		ns = ns<<8 | uint64(b)
	}
	return time.Unix(0, int64(ns)).UTC()
}

// IsZero reports whether the id is unset.
func (id VersionID) IsZero() bool { return id == VersionID{} }

// Compare returns -1, 0 or +1 as id is older than, equal to or newer than o.
func (id VersionID) Compare(o VersionID) int {
	for i := range id {
		switch {
		case id[i] < o[i]:
			return -1
		case id[i] > o[i]:
			return 1
		}
	}
	return 0
}

// MarshalText returns the text form.
func (id VersionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form; see ParseVersionID.
func (id *VersionID) UnmarshalText(text []byte) error {
	parsed, err := ParseVersionID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseVersionID reads the text form of a version id.
// A malformed text is an Invalid error.
func ParseVersionID(s string) (VersionID, error) {
	var id VersionID
	if len(s) != hex.EncodedLen(len(id)) {
		return VersionID{}, NewError("parse version id", Invalid, errors.New("want 32 hexadecimal digits"))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return VersionID{}, NewError("parse version id", Invalid, err)
	}
	return id, nil
}

// ParseSegmentID reads the text form of a segment id.
// A malformed text is an Invalid error.
func ParseSegmentID(s string) (SegmentID, error) {
	b, err := idText.DecodeString(s)
	if err != nil || len(b) != len(SegmentID{}) {
		return SegmentID{}, NewError("parse segment id", Invalid, fmt.Errorf("%q is not 52 base32 characters", s))
	}
	return SegmentID(b), nil
}

// VersionClock hands out version ids that only grow, even when the wall clock
// steps back. The zero value is ready; it is safe for concurrent use.
type VersionClock struct {
	// Now returns wall time; nil means time.Now.
	Now func() time.Time

	mu   sync.Mutex // guards last
	last uint64     // nanoseconds in the newest id handed out or observed
}

// Next returns a version id newer than every id returned or observed before.
func (c *VersionClock) Next() VersionID {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.mu.Lock()
	ns := max(uint64(now().UnixNano()), c.last+1)
	c.last = ns
	c.mu.Unlock()

	var id VersionID
	_, _ = rand.Read(id[8:])
	for i := 7; i >= 0; i-- {
		id[i] = byte(ns)
		ns >>= 8
	}
	return id
}

// Observe makes every later id newer than seen.
func (c *VersionClock) Observe(seen VersionID) {
	ns := uint64(seen.Time().UnixNano())
	c.mu.Lock()
	c.last = max(c.last, ns)
	c.mu.Unlock()
}
