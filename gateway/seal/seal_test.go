package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	mrand "math/rand/v2"
	"testing"

	"github.com/cairn-store/cairn"
)

const testPhrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

func testKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := FromPhrase(testPhrase, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testLayout(t testing.TB, data, parity int, plain int64) cairn.Layout {
	t.Helper()
	l, err := cairn.NewLayout(cairn.Scheme{Data: data, Parity: parity, BlockSize: cairn.DefaultBlockSize}, plain)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func testSegment(t testing.TB, l cairn.Layout, change func(*cairn.SegmentID, *Context)) *Segment {
	t.Helper()
	id := cairn.SegmentID{1, 2, 3}
	c := Context{Owner: [32]byte{9}, Object: cairn.ObjectID{7}, Part: 3, Number: 2, PartLen: 1 << 30}
	if change != nil {
		change(&id, &c)
	}
	s, err := ContentKey{5}.Segment(id, c, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealed returns a block of random plaintext, and its seal.
func sealed(t testing.TB, s *Segment, st cairn.Stripe, shard int) (plain, block []byte) {
	t.Helper()
	block = make([]byte, st.BlockLen())
	for f := range st.Frames {
		piece := make([]byte, st.FramePlain())
		_, _ = rand.Read(piece)
		copy(block[f*st.FrameSize:], piece)
		plain = append(plain, piece...)
	}
	if err := s.SealBlock(st, shard, block); err != nil {
		t.Fatal(err)
	}
	return plain, block
}

func opened(t testing.TB, s *Segment, st cairn.Stripe, shard, first, n int, block []byte) ([]byte, error) {
	t.Helper()
	b := bytes.Clone(block[first*st.FrameSize : (first+n)*st.FrameSize])
	err := s.OpenFrames(st, shard, first, n, b)
	var plain []byte
	for f := range n {
		plain = append(plain, b[f*st.FrameSize:f*st.FrameSize+st.FramePlain()]...)
	}
	return plain, err
}

func TestFramesOpenWhereTheyWereSealed(t *testing.T) {
	for _, size := range []int64{1, 511, 65520, 65521, 1 << 20, 5<<20 + 77, 64 << 20} {
		l := testLayout(t, 4, 2, size)
		s := testSegment(t, l, nil)
		for _, i := range []int{0, l.Stripes() - 1} {
			st := l.Stripe(i)
			for shard := range 4 {
				plain, block := sealed(t, s, st, shard)
				for first := range st.Frames {
					n := 1 + first%(st.Frames-first)
					got, err := opened(t, s, st, shard, first, n, block)
					want := plain[first*st.FramePlain() : (first+n)*st.FramePlain()]
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("OpenFrames(%d bytes, stripe %d, shard %d, frames %d+%d) = %v, want the plaintext", size, i, shard, first, n, err)
					}
				}
			}
		}
	}
}

func TestMaskIsTheSameFromAnyOffset(t *testing.T) {
	seed := mrand.Uint64()
	t.Logf("seed %d", seed)
	rng := mrand.New(mrand.NewPCG(seed, 0))
	l := testLayout(t, 2, 2, 1<<20)
	s := testSegment(t, l, nil)
	for shard := 2; shard < 4; shard++ {
		whole := make([]byte, 100000)
		s.Mask(shard, 0, whole)
		if bytes.Count(whole, []byte{0}) > 1000 {
			t.Fatalf("mask of shard %d is mostly zero", shard)
		}
		for range 200 {
			from := rng.IntN(len(whole))
			to := from + rng.IntN(len(whole)-from)
			piece := bytes.Clone(whole[from:to])
			s.Mask(shard, int64(from), piece)
			if len(bytes.Trim(piece, "\x00")) != 0 {
				t.Fatalf("Mask(shard %d, offset %d, %d bytes) differs from the whole mask", shard, from, to-from)
			}
		}
	}
	data := []byte("data shards have no mask")
	s.Mask(1, 0, data)
	if string(data) != "data shards have no mask" {
		t.Error("Mask changed a data shard")
	}
}

func TestBoxesOpenForTheirPlaceOnly(t *testing.T) {
	k := testKeys(t)
	seg := cairn.SegmentID{1}
	box := k.SealManifest(seg, cairn.KindData, []byte("manifest"))
	if len(box) != len("manifest")+ManifestOverhead {
		t.Errorf("sealed manifest has %d bytes, want %d more than the plaintext", len(box), ManifestOverhead)
	}
	for _, keys := range []*Keys{k, k.AtEpoch(9)} {
		if got, err := keys.OpenManifest(seg, cairn.KindData, box); err != nil || string(got) != "manifest" {
			t.Errorf("OpenManifest = %q, %v, want the manifest", got, err)
		}
	}
	wrapped := k.AtEpoch(7).WrapKey(ContentKey{3})
	if got, err := k.UnwrapKey(wrapped); err != nil || got != (ContentKey{3}) || len(wrapped) != WrappedKeySize {
		t.Errorf("UnwrapKey = %x, %v, want the key", got[:], err)
	}
	if e, err := SealedEpoch(wrapped); e != 7 || err != nil {
		t.Errorf("SealedEpoch = %d, %v, want 7", e, err)
	}
	other, err := FromPhrase(testPhrase, "another passphrase")
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[string]func() error{
		"another segment": func() error { _, err := k.OpenManifest(cairn.SegmentID{2}, cairn.KindData, box); return err },
		"another kind":    func() error { _, err := k.OpenManifest(seg, cairn.KindVersion, box); return err },
		"another owner":   func() error { _, err := other.OpenManifest(seg, cairn.KindData, box); return err },
		"a wrapped key":   func() error { _, err := k.OpenManifest(seg, cairn.KindData, wrapped); return err },
		"a manifest":      func() error { _, err := k.UnwrapKey(box); return err },
		"another's key":   func() error { _, err := other.UnwrapKey(wrapped); return err },
		"nothing":         func() error { _, err := k.OpenManifest(seg, cairn.KindData, nil); return err },
	}
	for name, open := range wrong {
		if err := open(); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("opening as %s = %v, want Corrupt", name, err)
		}
	}
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		if _, err := k.OpenManifest(seg, cairn.KindData, bad); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("OpenManifest with byte %d changed = %v, want Corrupt", i, err)
		}
	}
	for i := range wrapped {
		bad := bytes.Clone(wrapped)
		bad[i] ^= 1
		if _, err := k.UnwrapKey(bad); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("UnwrapKey with byte %d changed = %v, want Corrupt", i, err)
		}
	}
}

func BenchmarkSealBlock(b *testing.B) {
	l := testLayout(b, 4, 2, 64<<20)
	s, st := testSegment(b, l, nil), l.Stripe(0)
	block := make([]byte, st.BlockLen())
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.SealBlock(st, 1, block); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenBlock(b *testing.B) {
	l := testLayout(b, 4, 2, 64<<20)
	s, st := testSegment(b, l, nil), l.Stripe(0)
	block, work := make([]byte, st.BlockLen()), make([]byte, st.BlockLen())
	if err := s.SealBlock(st, 1, block); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		copy(work, block)
		if err := s.OpenFrames(st, 1, 0, st.Frames, work); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMask(b *testing.B) {
	l := testLayout(b, 4, 2, 64<<20)
	s := testSegment(b, l, nil)
	block := make([]byte, 1<<20)
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		s.Mask(4, 12345, block)
	}
}
