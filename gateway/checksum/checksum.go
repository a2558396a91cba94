package checksum

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// The algorithms, spelled as S3 spells them.
const (
	CRC32     = "CRC32"
	CRC32C    = "CRC32C"
	CRC64NVME = "CRC64NVME"
	SHA1      = "SHA1"
	SHA256    = "SHA256"

	// Default is stored when a client asks for none.
	Default = CRC64NVME
)

// Algorithms lists all algorithms in the order S3 documents them.
func Algorithms() []string { return []string{CRC32, CRC32C, CRC64NVME, SHA1, SHA256} }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// New returns a hash, or nil if there is no such algorithm. Sum gives the bytes
// whose base64 is S3's value.
func New(algorithm string) hash.Hash {
	switch algorithm {
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(castagnoli)
	case CRC64NVME:
		return crc64nvme.New()
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	}
	return nil
}

// Size returns the length of a sum in bytes, 0 if there is no such algorithm.
func Size(algorithm string) int {
	switch algorithm {
	case CRC32, CRC32C:
		return crc32.Size
	case CRC64NVME:
		return crc64nvme.Size
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	}
	return 0
}

// Known reports whether there is an algorithm of that name.
func Known(algorithm string) bool { return Size(algorithm) > 0 }

// Encode returns S3's text form of a sum.
func Encode(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// Decode reads the text form of a sum. It reports false if value is not the
// canonical base64 of a sum of that algorithm.
func Decode(algorithm, value string) ([]byte, bool) {
	n := Size(algorithm)
	if n == 0 || len(value) != base64.StdEncoding.EncodedLen(n) {
		return nil, false
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(value)
	return sum, err == nil && len(sum) == n
}

// Of returns the text form of the checksum of data. Requires a known algorithm.
func Of(algorithm string, data []byte) string {
	h := New(algorithm)
	h.Write(data)
	return Encode(h.Sum(nil))
}
