package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"

	"github.com/cairn-store/cairn"
)

// A box is a small secret sealed under an epoch key:
//
//	offset  bytes
//	0       1      format, 1
//	1       1      suite, cairn.SuiteAES
//	2       2      zero
//	4       4      epoch, big-endian
//	8       32     salt, random
//	40      32     commitment
//	72      n+16   AES-256-GCM of n bytes, nonce zero
//
// HKDF of the epoch's key, the salt and the purpose gives the box's key and
// its commitment, so a key seals one box only and a box opens under one key
// only. The first 8 bytes are authenticated as associated data, with the
// purpose's context.
const (
	boxFormat   = 1
	boxSalt     = 8
	boxCommit   = 40
	boxBody     = 72
	boxOverhead = boxBody + 16
)

// Sizes of what is sealed under an epoch key.
const (
	// WrappedKeySize is the length of a wrapped content key.
	WrappedKeySize = len(ContentKey{}) + boxOverhead
	// ManifestOverhead is what SealManifest adds, in bytes.
	ManifestOverhead = boxOverhead
)

var boxNonce [12]byte // each key seals one box

// sealBox seals plain under secret, which belongs to epoch.
func sealBox(secret [32]byte, epoch cairn.KeyEpoch, context, plain, salt []byte) []byte {
	b := make([]byte, boxBody, boxBody+len(plain)+16)
	b[0], b[1] = boxFormat, byte(cairn.SuiteAES)
	binary.BigEndian.PutUint32(b[4:], uint32(epoch))
	copy(b[boxSalt:], salt)
	key, commitment := boxKeys(secret, b[boxSalt:boxCommit], context)
	copy(b[boxCommit:], commitment)
	return newGCM(key).Seal(b, boxNonce[:], plain, boxAAD(b, context))
}

// boxKeys returns the key of a box and the commitment that stands in it.
func boxKeys(secret [32]byte, salt, context []byte) (key, commitment []byte) {
	return deriveBytes(secret[:], salt, 32, labelBox, context),
		deriveBytes(secret[:], salt, 32, labelCommit, context)
}

func boxAAD(b, context []byte) []byte { return append(append([]byte{}, b[:boxSalt]...), context...) }

// boxEpoch checks the head of a box and returns its epoch.
func boxEpoch(op string, b []byte) (cairn.KeyEpoch, error) {
	switch {
	case len(b) < boxOverhead:
		return 0, cairn.Errorf(op, cairn.Corrupt, "%d bytes are too few", len(b))
	case b[0] != boxFormat || b[1] != byte(cairn.SuiteAES) || b[2] != 0 || b[3] != 0:
		return 0, cairn.Errorf(op, cairn.Corrupt, "format %d, suite %d: not known to this version", b[0], b[1])
	}
	return cairn.KeyEpoch(binary.BigEndian.Uint32(b[4:])), nil
}

// openBox opens what sealBox made. The head was checked by boxEpoch.
func openBox(op string, secret [32]byte, context, b []byte) ([]byte, error) {
	key, commitment := boxKeys(secret, b[boxSalt:boxCommit], context)
	if subtle.ConstantTimeCompare(commitment, b[boxCommit:boxBody]) != 1 {
		return nil, cairn.Errorf(op, cairn.Corrupt, "not sealed under these keys for this place")
	}
	plain, err := newGCM(key).Open(nil, boxNonce[:], b[boxBody:], boxAAD(b, context))
	if err != nil {
		return nil, cairn.Errorf(op, cairn.Corrupt, "seal is broken")
	}
	return plain, nil
}

// newGCM returns AES-256-GCM under a key of 32 bytes.
func newGCM(key []byte) cipher.AEAD {
	aead, err := cipher.NewGCM(newAES(key))
	if err != nil {
		panic("seal: set up AES-GCM: " + err.Error())
	}
	return aead
}

// newAES returns AES-256. It panics unless the key has 32 bytes.
func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil || len(key) != 32 {
		panic("seal: set up AES-256: wrong key length")
	}
	return block
}

func newSalt() []byte {
	salt := make([]byte, boxCommit-boxSalt)
	_, _ = rand.Read(salt)
	return salt
}

// manifestContext binds a manifest to the segment and kind it stands in.
func manifestContext(segment cairn.SegmentID, kind cairn.ShardKind) []byte {
	return append(append([]byte{}, segment[:]...), byte(kind))
}

// SealManifest seals the manifest of a segment, or the record of a kind that
// has no payload, under the current epoch.
func (k *Keys) SealManifest(segment cairn.SegmentID, kind cairn.ShardKind, plain []byte) []byte {
	return k.sealManifest(segment, kind, plain, newSalt())
}

func (k *Keys) sealManifest(segment cairn.SegmentID, kind cairn.ShardKind, plain, salt []byte) []byte {
	return sealBox(k.epochKeys(k.epoch).manifest, k.epoch, manifestContext(segment, kind), plain, salt)
}

// OpenManifest opens what SealManifest sealed for the same segment and kind,
// under any epoch. Anything else is a Corrupt error.
func (k *Keys) OpenManifest(segment cairn.SegmentID, kind cairn.ShardKind, sealed []byte) ([]byte, error) {
	const op = "open manifest"
	epoch, err := boxEpoch(op, sealed)
	if err != nil {
		return nil, err
	}
	return openBox(op, k.epochKeys(epoch).manifest, manifestContext(segment, kind), sealed)
}

// SealedEpoch returns the epoch a sealed manifest or wrapped key names. It is
// a claim until the box has been opened.
func SealedEpoch(sealed []byte) (cairn.KeyEpoch, error) { return boxEpoch("read key epoch", sealed) }

// WrapKey wraps a content key under the current epoch.
func (k *Keys) WrapKey(ck ContentKey) []byte { return k.wrapKey(ck, newSalt()) }

func (k *Keys) wrapKey(ck ContentKey, salt []byte) []byte {
	return sealBox(k.epochKeys(k.epoch).wrap, k.epoch, nil, ck[:], salt)
}

// UnwrapKey returns the content key that WrapKey wrapped, under any epoch.
// Anything else is a Corrupt error.
func (k *Keys) UnwrapKey(wrapped []byte) (ContentKey, error) {
	const op = "unwrap content key"
	if len(wrapped) != WrappedKeySize {
		return ContentKey{}, cairn.Errorf(op, cairn.Corrupt, "%d bytes, want %d", len(wrapped), WrappedKeySize)
	}
	epoch, err := boxEpoch(op, wrapped)
	if err != nil {
		return ContentKey{}, err
	}
	plain, err := openBox(op, k.epochKeys(epoch).wrap, nil, wrapped)
	if err != nil {
		return ContentKey{}, err
	}
	defer clear(plain)
	return ContentKey(plain), nil
}
