package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/cairn-store/cairn"
)

// MaskSecret is what the mask keys of one segment derive from. Whoever has it
// can rebuild the segment's shards and read nothing: frame keys do not derive
// from it. It prints as a placeholder.
type MaskSecret [32]byte

func maskSecret(ck ContentKey, id cairn.SegmentID) MaskSecret {
	return MaskSecret(derive(ck[:], labelMasks, id[:]))
}

// MaskSecret returns the secret to hand to a repairer of the segment.
func (s *Segment) MaskSecret() MaskSecret { return s.masks().secret }

const hiddenMaskSecret = "[mask secret]"

// String returns a placeholder.
func (m MaskSecret) String() string { return hiddenMaskSecret }

// GoString returns a placeholder.
func (m MaskSecret) GoString() string { return hiddenMaskSecret }

// Format writes a placeholder, whatever the verb.
func (m MaskSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenMaskSecret) }

// LogValue returns a placeholder.
func (m MaskSecret) LogValue() slog.Value { return slog.StringValue(hiddenMaskSecret) }

// MarshalText returns a placeholder.
func (m MaskSecret) MarshalText() ([]byte, error) { return []byte(hiddenMaskSecret), nil }

// Masks are the keystreams of a segment's parity shards. Safe for concurrent use.
type Masks struct {
	data   int
	secret MaskSecret
	blocks []maskCipher // one per parity shard
}

type maskCipher struct {
	once  sync.Once
	block cipher.Block
}

// Masks returns the masks of a segment of the given scheme.
func (m MaskSecret) Masks(scheme cairn.Scheme) *Masks {
	return &Masks{data: scheme.Data, secret: m, blocks: make([]maskCipher, scheme.Parity)}
}

// Apply adds or removes the mask of a shard on the bytes b from offset off of
// its payload on: AES-256-CTR whose counter, big-endian, is off/16. Data shards
// have no mask. Requires 0 <= shard < n and off >= 0.
func (m *Masks) Apply(shard int, off int64, b []byte) {
	if shard < m.data || len(b) == 0 {
		return
	}
	c := &m.blocks[shard-m.data]
	c.once.Do(func() {
		key := derive(m.secret[:], labelMaskKey, []byte{byte(shard)})
		c.block = newAES(key[:])
	})
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], uint64(off)/aes.BlockSize)
	stream := cipher.NewCTR(c.block, iv[:])
	if skip := off % aes.BlockSize; skip > 0 {
		var discard [aes.BlockSize]byte
		stream.XORKeyStream(discard[:skip], discard[:skip])
	}
	stream.XORKeyStream(b, b)
}
