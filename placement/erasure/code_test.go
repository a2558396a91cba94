package erasure

import (
	"bytes"
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

// Slow twin: arithmetic in GF(2^8) bit by bit, and the matrix as the
// definition reads: the Vandermonde matrix r^c, times the inverse of its top
// square, so that the top becomes the identity.

func slowMul(a, b byte) byte {
	var p byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			p ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x1d
		}
	}
	return p
}

func slowInverse(a byte) byte {
	for b := 1; b < 256; b++ {
		if slowMul(a, byte(b)) == 1 {
			return byte(b)
		}
	}
	return 0
}

func slowInvert(m [][]byte) [][]byte {
	n := len(m)
	w := make([][]byte, n)
	for i := range w {
		w[i] = append(bytes.Clone(m[i]), make([]byte, n)...)
		w[i][n+i] = 1
	}
	for col := range n {
		pivot := col
		for w[pivot][col] == 0 {
			pivot++
		}
		w[col], w[pivot] = w[pivot], w[col]
		scale := slowInverse(w[col][col])
		for j := range w[col] {
			w[col][j] = slowMul(w[col][j], scale)
		}
		for i := range w {
			if factor := w[i][col]; i != col && factor != 0 {
				for j := range w[i] {
					w[i][j] ^= slowMul(factor, w[col][j])
				}
			}
		}
	}
	for i := range w {
		w[i] = w[i][n:]
	}
	return w
}

func slowMatrix(data, shards int) [][]byte {
	v := make([][]byte, shards)
	for r := range v {
		power := byte(1)
		for range data {
			v[r] = append(v[r], power)
			power = slowMul(power, byte(r))
		}
	}
	inverse := slowInvert(v[:data])
	out := make([][]byte, shards)
	for r := range out {
		for c := range data {
			var sum byte
			for i := range data {
				sum ^= slowMul(v[r][i], inverse[i][c])
			}
			out[r] = append(out[r], sum)
		}
	}
	return out
}

func slowEncode(blocks [][]byte, data int) {
	m := slowMatrix(data, len(blocks))
	for p := data; p < len(blocks); p++ {
		for i := range blocks[p] {
			var sum byte
			for c := range data {
				sum ^= slowMul(m[p][c], blocks[c][i])
			}
			blocks[p][i] = sum
		}
	}
}

func scheme(data, parity int) cairn.Scheme {
	return cairn.Scheme{Data: data, Parity: parity, BlockSize: cairn.DefaultBlockSize}
}

// pattern fills the data blocks of a stripe: byte i of block j is i*7 + j*31.
func pattern(data, parity, size int) [][]byte {
	blocks := make([][]byte, data+parity)
	for j := range blocks {
		blocks[j] = make([]byte, size)
		for i := range blocks[j] {
			if j < data {
				blocks[j][i] = byte(i*7 + j*31)
			}
		}
	}
	return blocks
}

func code(t testing.TB, data, parity int) *Code {
	t.Helper()
	c, err := New(scheme(data, parity))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var shapes = []shape{{1, 0}, {1, 2}, {1, 5}, {2, 2}, {3, 0}, {3, 2}, {4, 2}, {8, 8}, {10, 10}, {16, 16}, {11, 3}, {40, 24}}

func TestEncodeEqualsTheDefinition(t *testing.T) {
	for _, s := range shapes {
		got, want := pattern(s.data, s.parity, 1000), pattern(s.data, s.parity, 1000)
		c := code(t, s.data, s.parity)
		if err := c.Encode(got); err != nil {
			t.Fatal(err)
		}
		slowEncode(want, s.data)
		for j := range want {
			if !bytes.Equal(got[j], want[j]) {
				t.Errorf("%d+%d: block %d = %x…, want %x…", s.data, s.parity, j, got[j][:8], want[j][:8])
			}
		}
		if err := c.Verify(got); err != nil {
			t.Errorf("%d+%d: Verify = %v, want nil", s.data, s.parity, err)
		}
	}
}

func TestAnyDataBlocksGiveBackTheWantedOnes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, s := range shapes {
		c := code(t, s.data, s.parity)
		whole := pattern(s.data, s.parity, 777)
		if err := c.Encode(whole); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			order := rng.Perm(c.Shards())
			lost := order[:s.parity]
			want := lost[:rng.IntN(len(lost)+1)]
			blocks := make([][]byte, c.Shards())
			room := make(map[int]*byte)
			for i := range blocks {
				blocks[i] = bytes.Clone(whole[i])
			}
			for _, i := range lost {
				blocks[i] = nil
				if rng.IntN(2) == 0 {
					buf := make([]byte, 800)
					blocks[i], room[i] = buf[:0], &buf[0]
				}
			}
			if err := c.Reconstruct(blocks, want); err != nil {
				t.Fatalf("%d+%d: Reconstruct(lost %v, want %v) = %v", s.data, s.parity, lost, want, err)
			}
			for _, i := range want {
				if !bytes.Equal(blocks[i], whole[i]) {
					t.Fatalf("%d+%d: Reconstruct(lost %v, want %v): block %d is wrong", s.data, s.parity, lost, want, i)
				}
				if p := room[i]; p != nil && p != &blocks[i][0] {
					t.Errorf("%d+%d: block %d was not rebuilt in its own memory", s.data, s.parity, i)
				}
			}
			for _, i := range lost[len(want):] {
				if len(blocks[i]) != 0 {
					t.Errorf("%d+%d: block %d was filled, and nobody wanted it", s.data, s.parity, i)
				}
			}
		}
	}
}

func TestTooFewBlocksAndWrongBlocksAreRefused(t *testing.T) {
	c := code(t, 4, 2)
	tests := []struct {
		name string
		err  error
		want cairn.Kind
	}{
		{"3 of 4 blocks", c.Reconstruct([][]byte{{1}, {2}, {3}, nil, nil, nil}, []int{3}), cairn.Unavailable},
		{"lengths differ", c.Reconstruct([][]byte{{1}, {2}, {3}, {4, 5}, nil, nil}, []int{4}), cairn.Invalid},
		{"index out of range", c.Reconstruct([][]byte{{1}, {2}, {3}, {4}, nil, nil}, []int{6}), cairn.Invalid},
		{"five blocks", c.Encode(make([][]byte, 5)), cairn.Invalid},
		{"empty blocks", c.Encode(make([][]byte, 6)), cairn.Invalid},
		{"wrong parity", c.Verify([][]byte{{1}, {2}, {3}, {4}, {5}, {6}}), cairn.Corrupt},
		{"wrong copy", code(t, 1, 1).Verify([][]byte{{1}, {2}}), cairn.Corrupt},
		{"no copy", code(t, 1, 1).Reconstruct([][]byte{nil, nil}, []int{0}), cairn.Unavailable},
	}
	for _, tt := range tests {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, tt.err, tt.want)
		}
	}
	if _, err := New(scheme(0, 2)); !errors.Is(err, cairn.Invalid) {
		t.Errorf("New(0+2) = %v, want Invalid", err)
	}
	if again := code(t, 4, 2); again != c {
		t.Error("New made the same code twice")
	}
}

type vector struct {
	Data, Parity, Size int
	Parities           []string // BLAKE3 of each parity block
}

func TestVectorsHold(t *testing.T) {
	path := filepath.Join("testdata", "vectors", "parity.json")
	var got []vector
	for _, s := range shapes {
		blocks := pattern(s.data, s.parity, 4096)
		if err := code(t, s.data, s.parity).Encode(blocks); err != nil {
			t.Fatal(err)
		}
		v := vector{Data: s.data, Parity: s.parity, Size: 4096}
		for _, b := range blocks[s.data:] {
			sum := blake3.Sum256(b)
			v.Parities = append(v.Parities, hex.EncodeToString(sum[:]))
		}
		got = append(got, v)
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("parity of the vectors changed: shards written earlier could not be rebuilt\ngot %s", text)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, s := range []shape{{4, 2}, {8, 2}, {16, 16}} {
		b.Run(scheme(s.data, s.parity).String(), func(b *testing.B) {
			c, blocks := code(b, s.data, s.parity), pattern(s.data, s.parity, 1<<20)
			b.SetBytes(int64(s.data) << 20)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Encode(blocks); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReconstruct(b *testing.B) {
	c, blocks := code(b, 4, 2), pattern(4, 2, 1<<20)
	if err := c.Encode(blocks); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 << 20)
	b.ReportAllocs()
	for b.Loop() {
		blocks[1] = blocks[1][:0]
		if err := c.Reconstruct(blocks, []int{1}); err != nil {
			b.Fatal(err)
		}
	}
}
