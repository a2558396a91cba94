package checksum

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/cairn-store/cairn"
)

// Values of "123456789" (the check values of the CRC catalogue) and of "hello"
// as the AWS clients send them.
func TestKnownValues(t *testing.T) {
	for _, c := range []struct{ algorithm, data, want string }{
		{CRC32, "123456789", "y/Q5Jg=="},
		{CRC32C, "123456789", "4waSgw=="},        // e3069283
		{CRC64NVME, "123456789", "rosUhgp5mIg="}, // ae8b14860a799888
		{SHA1, "", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
		{SHA256, "", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
		{CRC32, "hello", "NhCmhg=="},
	} {
		if got := Of(c.algorithm, []byte(c.data)); got != c.want {
			t.Errorf("%s of %q = %s, want %s", c.algorithm, c.data, got, c.want)
		}
	}
}

func TestDecodeRefusesOtherSpellings(t *testing.T) {
	if _, ok := Decode(CRC32, "NhCmhg=="); !ok {
		t.Fatal("a right value was refused")
	}
	for _, v := range []string{"", "NhCmhg", "NhCmhh==", "NhCmhg==\n", "rosUhgoKUho=", "NhCm\nhg==", "????????"} {
		if _, ok := Decode(CRC32, v); ok {
			t.Errorf("Decode(CRC32, %q) was accepted", v)
		}
	}
	if _, ok := Decode("MD5", "NhCmhg=="); ok {
		t.Error("an unknown algorithm was accepted")
	}
}

// The slow obvious twin of Combine is hashing the concatenation.
func TestCombineEqualsHashOfConcatenation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	sizes := []int{0, 1, 2, 7, 8, 255, 256, 65519, 65520, 65521, 1 << 18}
	for _, algorithm := range []string{CRC32, CRC32C, CRC64NVME} {
		for _, m := range sizes {
			for _, n := range sizes {
				a, b := random(rnd, m), random(rnd, n)
				sa, sb := sum(algorithm, a), sum(algorithm, b)
				got, ok := Combine(algorithm, sa, sb, int64(n))
				if want := sum(algorithm, append(a, b...)); !ok || !bytes.Equal(got, want) {
					t.Fatalf("Combine(%s, %d bytes, %d bytes) = %x, %v, want %x", algorithm, m, n, got, ok, want)
				}
			}
		}
	}
	for _, algorithm := range []string{SHA1, SHA256, "MD5", ""} {
		if _, ok := Combine(algorithm, nil, nil, 0); ok || Combines(algorithm) {
			t.Errorf("%q claims to combine", algorithm)
		}
	}
}

// Long lengths cannot be hashed; appending b twice must equal appending bb.
func TestCombineIsAssociativeForLongLengths(t *testing.T) {
	a, b, c := []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{9, 8, 7, 6, 5, 4, 3, 2}, []byte{3, 1, 4, 1, 5, 9, 2, 6}
	const lenB, lenC = 5<<40 + 7, 3<<33 + 1
	ab, _ := Combine(CRC64NVME, a, b, lenB)
	left, _ := Combine(CRC64NVME, ab, c, lenC)
	bc, _ := Combine(CRC64NVME, b, c, lenC)
	right, _ := Combine(CRC64NVME, a, bc, lenB+lenC)
	if !bytes.Equal(left, right) {
		t.Fatalf("(ab)c = %x, a(bc) = %x", left, right)
	}
}

func TestMultipartShapes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	whole := random(rnd, 300_000)
	cuts := [][]byte{whole[:100_000], whole[100_000:200_001], whole[200_001:]}
	for _, c := range []struct {
		algorithm string
		full      bool
		composite bool
		valid     bool
	}{
		{"", false, false, true}, {"", true, false, true},
		{CRC64NVME, false, false, true}, {CRC64NVME, true, false, true},
		{CRC32, false, true, true}, {CRC32, true, false, true},
		{CRC32C, false, true, true}, {CRC32C, true, false, true},
		{SHA1, false, true, true}, {SHA1, true, false, false},
		{SHA256, false, true, true}, {SHA256, true, false, false},
		{"MD5", false, false, false},
	} {
		var parts []cairn.Part
		algorithm := PartAlgorithm(c.algorithm)
		for i, data := range cuts {
			p := cairn.Part{Number: i + 1, Size: int64(len(data))}
			if Known(algorithm) {
				p.Checksums = []cairn.Checksum{{Algorithm: algorithm, Value: Of(algorithm, data)}}
			}
			parts = append(parts, p)
		}
		got, err := Multipart(c.algorithm, c.full, parts)
		if (err == nil) != c.valid {
			t.Fatalf("Multipart(%q, full %v): error %v, want valid %v", c.algorithm, c.full, err, c.valid)
		}
		if !c.valid {
			continue
		}
		want := Of(algorithm, whole)
		if c.composite {
			var sums []byte
			for _, data := range cuts {
				sums = append(sums, sum(algorithm, data)...)
			}
			want = Of(algorithm, sums) + "-3"
		}
		if got.Value != want || got.Composite != c.composite || got.Algorithm != algorithm {
			t.Errorf("Multipart(%q, full %v) = %+v, want %s composite %v", c.algorithm, c.full, got, want, c.composite)
		}
		if _, err := Multipart(c.algorithm, c.full, append(parts, cairn.Part{Number: 4})); err == nil {
			t.Errorf("Multipart(%q) accepted a part without a checksum", c.algorithm)
		}
	}
}

func TestMultipartETag(t *testing.T) {
	one, two := md5.Sum([]byte("one")), md5.Sum([]byte("two"))
	both := md5.Sum(append(one[:], two[:]...))
	parts := []cairn.Part{{Number: 1, ETag: hex.EncodeToString(one[:])}, {Number: 5, ETag: hex.EncodeToString(two[:])}}
	got, err := MultipartETag(parts)
	if want := hex.EncodeToString(both[:]) + "-2"; err != nil || got != want {
		t.Fatalf("MultipartETag = %q, %v, want %q", got, err, want)
	}
	if _, err := MultipartETag([]cairn.Part{{ETag: "xyz"}}); err == nil {
		t.Error("an ETag that is no MD5 was accepted")
	}
}

func sum(algorithm string, data []byte) []byte {
	h := New(algorithm)
	h.Write(data)
	return h.Sum(nil)
}

func random(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}
