package checksum

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/minio/crc64nvme"
)

// Combines reports whether the checksum of a concatenation follows from the
// checksums and lengths of its pieces.
func Combines(algorithm string) bool {
	_, ok := polynomials[algorithm]
	return ok
}

// polynomial is a reflected CRC polynomial: bit width-1 is x^0.
type polynomial struct {
	width int
	bits  uint64
}

var polynomials = map[string]polynomial{
	CRC32:     {32, crc32.IEEE},
	CRC32C:    {32, crc32.Castagnoli},
	CRC64NVME: {64, crc64nvme.NVME},
}

// Combine returns the checksum of a followed by b, given the checksums of both
// and the length of b. It reports false if the algorithm cannot be combined or
// a sum has the wrong length.
//
// A CRC is linear: appending n bytes multiplies the register by x^(8n) modulo
// the polynomial, and the initial and final complement cancel out of the sum
// of both. x^(8n) is found by squaring, so the cost is O(log n).
func Combine(algorithm string, a, b []byte, lenB int64) ([]byte, bool) {
	p, ok := polynomials[algorithm]
	if !ok || len(a) != p.width/8 || len(b) != p.width/8 || lenB < 0 {
		return nil, false
	}
	crc := p.multiply(p.power(uint64(lenB)), load(a)) ^ load(b)
	return store(crc, p.width), true
}

// multiply returns a*b modulo the polynomial.
func (p polynomial) multiply(a, b uint64) uint64 {
	var product uint64
	for top := uint64(1) << (p.width - 1); a != 0; a = a << 1 & p.mask() {
		if a&top != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= p.bits
		}
	}
	return product
}

func (p polynomial) mask() uint64 { return ^uint64(0) >> (64 - p.width) }

// power returns x^(8n) modulo the polynomial.
func (p polynomial) power(n uint64) uint64 {
	result := uint64(1) << (p.width - 1) // x^0
	square := result >> 8                // x^8
	for range bits.Len64(n) {
		if n&1 != 0 {
			result = p.multiply(result, square)
		}
		square = p.multiply(square, square)
		n >>= 1
	}
	return result
}

func load(sum []byte) uint64 {
	if len(sum) == 4 {
		return uint64(binary.BigEndian.Uint32(sum))
	}
	return binary.BigEndian.Uint64(sum)
}

func store(crc uint64, width int) []byte {
	if width == 32 {
		return binary.BigEndian.AppendUint32(nil, uint32(crc))
	}
	return binary.BigEndian.AppendUint64(nil, crc)
}
