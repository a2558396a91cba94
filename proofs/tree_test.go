package proofs

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/cairn-store/cairn"
)

var update = flag.Bool("update", false, "rewrite the vectors")

// Slow twin: the tree written down as the definition reads.

func slowHash(context string, parts ...[]byte) []byte {
	var in []byte
	for _, p := range parts {
		in = append(in, p...)
	}
	out := make([]byte, 32)
	blake3.DeriveKey(context, in, out)
	return out
}

func slowNode(leaves [][]byte) []byte {
	switch len(leaves) {
	case 0:
		return make([]byte, 32)
	case 1:
		return leaves[0]
	}
	left := 1
	for left*2 < len(leaves) {
		left *= 2
	}
	return slowHash("cairn 2026 shard tree node v1", slowNode(leaves[:left]), slowNode(leaves[left:]))
}

func slowTree(payload []byte) (top []byte, root cairn.Root) {
	var leaves [][]byte
	for off := 0; off < len(payload); off += 65536 {
		leaf := slowHash("cairn 2026 shard tree leaf v1", payload[off:min(off+65536, len(payload))])
		leaves = append(leaves, leaf)
		top = append(top, leaf...)
	}
	size := binary.LittleEndian.AppendUint32(nil, 65536)
	size = binary.LittleEndian.AppendUint64(size, uint64(len(payload)))
	return top, cairn.Root(slowHash("cairn 2026 shard tree root v1", size, slowNode(leaves)))
}

// pattern is the payload of the vectors: byte i is i*7 + i/251.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/251)
	}
	return b
}

var sizes = []int{0, 1, 63, 1024, 65535, 65536, 65537, 131072, 200000, 5 * 65536, 5*65536 + 1, 7*65536 - 1, 16 * 65536, 1 << 21}

func TestTreeHasherEqualsTheDefinition(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	h := NewTreeHasher()
	for _, n := range sizes {
		payload := pattern(n)
		wantTop, wantRoot := slowTree(payload)
		h.Reset()
		for rest := payload; len(rest) > 0; {
			k := min(len(rest), 1+rng.IntN(1+rng.IntN(100000)))
			_, _ = h.Write(rest[:k])
			rest = rest[k:]
		}
		top, root := h.Sum()
		if string(top) != string(wantTop) || root != wantRoot {
			t.Errorf("Sum of %d bytes = root %v, want %v", n, root, wantRoot)
		}
		if _, again := h.Sum(); again != root {
			t.Errorf("second Sum of %d bytes = %v, want %v", n, again, root)
		}
		if err := VerifyTop(top, int64(n), root); err != nil {
			t.Errorf("VerifyTop(%d bytes) = %v, want nil", n, err)
		}
	}
}

func TestRootBindsEveryBitAndTheLength(t *testing.T) {
	payload := pattern(3*65536 + 100)
	top, root := slowTree(payload)
	for i := 0; i < len(top); i += 5 {
		bad := append([]byte{}, top...)
		bad[i] ^= 1
		if err := VerifyTop(bad, int64(len(payload)), root); !errors.Is(err, cairn.Corrupt) {
			t.Fatalf("VerifyTop with byte %d flipped = %v, want Corrupt", i, err)
		}
	}
	for _, n := range []int64{int64(len(payload)) - 1, int64(len(payload)) + 1, 0, -1, 4 * 65536} {
		if err := VerifyTop(top, n, root); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("VerifyTop(length %d) = %v, want Corrupt", n, err)
		}
	}
	for _, bad := range [][]byte{nil, top[:len(top)-1], top[:96], append(append([]byte{}, top...), top[:32]...)} {
		if err := VerifyTop(bad, int64(len(payload)), root); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("VerifyTop(%d bytes of top) = %v, want Corrupt", len(bad), err)
		}
	}
}

func TestVerifyLeavesFindsTheBadLeaf(t *testing.T) {
	payload := pattern(4*65536 + 1000)
	top, _ := slowTree(payload)
	n := int64(len(payload))
	for first := 0; first < 5; first++ {
		for last := first + 1; last <= 5; last++ {
			b := append([]byte{}, payload[first*65536:min(last*65536, len(payload))]...)
			if err := VerifyLeaves(top, first, b, n); err != nil {
				t.Errorf("VerifyLeaves(%d to %d) = %v, want nil", first, last, err)
			}
			b[len(b)-1] ^= 0x80
			if err := VerifyLeaves(top, first, b, n); !errors.Is(err, cairn.Corrupt) {
				t.Errorf("VerifyLeaves(%d to %d, flipped) = %v, want Corrupt", first, last, err)
			}
		}
	}
	for _, c := range []struct{ first, from, to int }{{0, 0, 100}, {0, 0, 0}, {4, 4 * 65536, 4*65536 + 999}, {-1, 0, 65536}, {5, 0, 65536}} {
		if err := VerifyLeaves(top, c.first, payload[c.from:c.to], n); !errors.Is(err, cairn.Invalid) {
			t.Errorf("VerifyLeaves(leaf %d, %d bytes) = %v, want Invalid", c.first, c.to-c.from, err)
		}
	}
}

func TestInclusionPathProvesOneLeafOnly(t *testing.T) {
	for leaves := 1; leaves <= 20; leaves++ {
		payload := pattern(leaves*65536 - 7)
		top, root := slowTree(payload)
		n := int64(len(payload))
		leaf := func(i int) []byte { return payload[i*65536 : min((i+1)*65536, len(payload))] }
		for i := range leaves {
			path := Prove(top, i)
			if err := VerifyLeaf(root, n, i, leaf(i), path); err != nil {
				t.Fatalf("VerifyLeaf(%d of %d) = %v, want nil", i, leaves, err)
			}
			if j := (i + 1) % leaves; j != i {
				if err := VerifyLeaf(root, n, j, leaf(j), path); !errors.Is(err, cairn.Corrupt) {
					t.Fatalf("VerifyLeaf(%d with the path of %d, of %d) = %v, want Corrupt", j, i, leaves, err)
				}
			}
			if err := VerifyLeaf(root, n, i, leaf(i), append(path, cairn.Digest{})); !errors.Is(err, cairn.Corrupt) {
				t.Fatalf("VerifyLeaf(path too long) = %v, want Corrupt", err)
			}
			if len(path) > 0 {
				if err := VerifyLeaf(root, n, i, leaf(i), path[:len(path)-1]); !errors.Is(err, cairn.Corrupt) {
					t.Fatalf("VerifyLeaf(path too short) = %v, want Corrupt", err)
				}
			}
		}
	}
}

type vector struct {
	Bytes int    `json:"bytes"` // of the pattern i*7 + i/251
	Root  string `json:"root"`
	Last  string `json:"last_leaf"` // empty for an empty payload
}

func TestVectors(t *testing.T) {
	file := filepath.Join("testdata", "vectors", "tree.json")
	var got []vector
	for _, n := range sizes {
		h := NewTreeHasher()
		_, _ = h.Write(pattern(n))
		top, root := h.Sum()
		v := vector{Bytes: n, Root: root.String()}
		if len(top) > 0 {
			v.Last = hex.EncodeToString(top[len(top)-32:])
		}
		got = append(got, v)
	}
	if *update {
		b, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []vector
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(got) {
		t.Fatalf("%d vectors, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("vector of %d bytes = %+v, want %+v", want[i].Bytes, got[i], want[i])
		}
	}
}

func TestHashingAllocatesNothingPerLeaf(t *testing.T) {
	h := NewTreeHasher()
	payload := pattern(1 << 20)
	_, _ = h.Write(payload)
	if n := testing.AllocsPerRun(20, func() {
		h.Reset()
		_, _ = h.Write(payload)
	}); n != 0 {
		t.Errorf("Write of 16 leaves allocates %v times, want 0", n)
	}
}

func FuzzVerifyLeafNeverPanics(f *testing.F) {
	f.Add(int64(65536), 0, []byte("leaf"), []byte("path"))
	f.Add(int64(-1), -1, []byte{}, []byte{})
	f.Add(int64(1)<<62, 1<<40, []byte{1}, make([]byte, 64))
	f.Fuzz(func(t *testing.T, n int64, index int, leaf, raw []byte) {
		var path []cairn.Digest
		for len(raw) >= 32 {
			path = append(path, cairn.Digest(raw))
			raw = raw[32:]
		}
		if VerifyLeaf(cairn.Root{}, n, index, leaf, path) == nil {
			t.Fatalf("VerifyLeaf accepted the zero root")
		}
	})
}

func BenchmarkTreeHasher(b *testing.B) {
	h := NewTreeHasher()
	payload := pattern(4 << 20)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		h.Reset()
		_, _ = h.Write(payload)
		h.Sum()
	}
}
