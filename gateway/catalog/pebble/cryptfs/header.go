package cryptfs

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cairn-store/cairn"
)

// KeySize is the length of a catalog key, in bytes.
const KeySize = 32

// The header, all numbers little-endian:
//
//	 0   8  magic "CAIRNCFS"
//	 8   1  format, 1
//	 9   1  suite, 1: AES-256-CTR, file key sealed with AES-256-GCM
//	10   6  zero
//	16   8  key check: tells a wrong catalog key from a damaged header
//	24  12  nonce of the seal
//	36  64  sealed: file key 32 | first counter block 16 | tag 16; AAD is bytes 0 to 24
//	100 24  zero
//	124  4  CRC-32C of bytes 0 to 124
const (
	headerSize  = 128
	headerMagic = "CAIRNCFS"
	format      = 1
	suiteAESCTR = 1

	checkAt, checkSize   = 16, 8
	nonceAt, nonceSize   = checkAt + checkSize, 12
	sealedAt, sealedSize = nonceAt + nonceSize, KeySize + aes.BlockSize + 16
	crcAt                = headerSize - 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keyring seals and opens file keys. It is safe for concurrent use.
type keyring struct {
	seal  cipher.AEAD
	check [checkSize]byte
}

func newKeyring(catalogKey []byte) (*keyring, error) {
	const op = "prepare catalog key"
	if len(catalogKey) != KeySize {
		return nil, cairn.Errorf(op, cairn.Invalid, "the key has %d bytes, want %d", len(catalogKey), KeySize)
	}
	wrapping, err := hkdf.Key(sha256.New, catalogKey, nil, "cairn/catalog/file-keys/1", KeySize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	check, err := hkdf.Key(sha256.New, catalogKey, nil, "cairn/catalog/key-check/1", checkSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	block, err := aes.NewCipher(wrapping)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	r := &keyring{check: [checkSize]byte(check)}
	if r.seal, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return r, nil
}

// create returns the stream of a new file and its header.
func (r *keyring) create() (*stream, []byte, error) {
	h := make([]byte, headerSize)
	copy(h, headerMagic)
	h[8], h[9] = format, suiteAESCTR
	copy(h[checkAt:], r.check[:])
	_, _ = rand.Read(h[nonceAt:sealedAt]) // crypto/rand.Read never fails
	var secret [KeySize + aes.BlockSize]byte
	_, _ = rand.Read(secret[:])
	r.seal.Seal(h[sealedAt:sealedAt], h[nonceAt:sealedAt], secret[:], h[:nonceAt])
	binary.LittleEndian.PutUint32(h[crcAt:], crc32.Checksum(h[:crcAt], castagnoli))
	s, err := newStream(secret[:])
	return s, h, err
}

// open returns the stream of the file that begins with h.
// Requires len(h) == headerSize.
func (r *keyring) open(h []byte) (*stream, error) {
	const op = "open catalog file"
	if crc32.Checksum(h[:crcAt], castagnoli) != binary.LittleEndian.Uint32(h[crcAt:]) || !bytes.HasPrefix(h, []byte(headerMagic)) {
		return nil, cairn.NewError(op, cairn.Corrupt, errors.New("the header of an encrypted file is damaged or missing"))
	}
	if h[8] != format || h[9] != suiteAESCTR {
		return nil, cairn.Errorf(op, cairn.Invalid, "file format %d, suite %d is not known", h[8], h[9]).
			WithHint("the catalog was written by a newer version")
	}
	if subtle.ConstantTimeCompare(h[checkAt:checkAt+checkSize], r.check[:]) != 1 {
		return nil, cairn.NewError(op, cairn.Denied, errors.New("the catalog is encrypted under another key")).
			WithHint("the catalog belongs to another owner; use its own key, or recover into a new directory")
	}
	secret, err := r.seal.Open(nil, h[nonceAt:sealedAt], h[sealedAt:sealedAt+sealedSize], h[:nonceAt])
	if err != nil {
		return nil, cairn.NewError(op, cairn.Corrupt, errors.New("the sealed file key does not open"))
	}
	return newStream(secret)
}

// stream is the key stream of one file. It is safe for concurrent use.
type stream struct {
	block cipher.Block
	// The first counter block as two big-endian halves.
	high, low uint64
}

func newStream(secret []byte) (*stream, error) {
	block, err := aes.NewCipher(secret[:KeySize])
	if err != nil {
		return nil, fmt.Errorf("prepare file key: %w", err)
	}
	first := secret[KeySize:]
	return &stream{block: block, high: binary.BigEndian.Uint64(first), low: binary.BigEndian.Uint64(first[8:])}, nil
}

// xor encrypts or decrypts p, which stands at offset off of the contents, in
// place. Requires off >= 0.
func (s *stream) xor(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	skip := int(off % aes.BlockSize)
	low := s.low + uint64(off/aes.BlockSize)
	high := s.high
	if low < s.low {
		high++
	}
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[:], high)
	binary.BigEndian.PutUint64(counter[8:], low)
	ctr := cipher.NewCTR(s.block, counter[:])
	if skip > 0 {
		var unused [aes.BlockSize]byte
		ctr.XORKeyStream(unused[:skip], unused[:skip])
	}
	ctr.XORKeyStream(p, p)
}
