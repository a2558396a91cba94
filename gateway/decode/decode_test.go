package decode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/placement/erasure"
	"github.com/cairn-store/cairn/proofs"
)

const testPhrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

func testKeys(t *testing.T) *seal.Keys {
	t.Helper()
	k, err := seal.FromPhrase(testPhrase, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func randomBytes(n int, seed uint64) []byte {
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = rng.Read(b)
	return b
}

// written is one shard record in memory.
type written struct {
	index int
	bytes []byte
}

func (w written) file() File {
	return File{Name: fmt.Sprint("shard ", w.index), R: bytes.NewReader(w.bytes), Size: int64(len(w.bytes))}
}

// writeSegment seals and codes plain, the obvious way.
func writeSegment(t *testing.T, keys *seal.Keys, ck seal.ContentKey, scheme cairn.Scheme, plain []byte, m cairn.Manifest, version func(cairn.SegmentID) []byte) (cairn.SegmentID, []written) {
	t.Helper()
	id := cairn.NewSegmentID()
	l, err := cairn.NewLayout(scheme, int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ck.Segment(id, seal.Context{Owner: keys.Owner(), Object: m.Object, Part: m.Part, Number: m.Number, PartLen: m.PartLen}, l)
	if err != nil {
		t.Fatal(err)
	}
	code, err := erasure.New(scheme)
	if err != nil {
		t.Fatal(err)
	}
	payloads := make([][]byte, scheme.Shards())
	for i := range l.Stripes() {
		st := l.Stripe(i)
		blocks := make([][]byte, scheme.Shards())
		for j := range blocks {
			blocks[j] = make([]byte, st.BlockLen())
			for f := 0; j < scheme.Data && f < st.Frames; f++ {
				plain = plain[copy(blocks[j][f*st.FrameSize:f*st.FrameSize+st.FramePlain()], plain):]
			}
			if j < scheme.Data {
				if err := sealed.SealBlock(st, j, blocks[j]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := code.Encode(blocks); err != nil {
			t.Fatal(err)
		}
		for j := range blocks {
			sealed.Mask(j, st.ShardOffset, blocks[j])
			payloads[j] = append(payloads[j], blocks[j]...)
		}
	}
	return id, records(keys, id, scheme, l.PlainLen, keys.WrapKey(ck), payloads, m, version)
}

func records(keys *seal.Keys, id cairn.SegmentID, scheme cairn.Scheme, plainLen int64, wrapped []byte, payloads [][]byte, m cairn.Manifest, version func(cairn.SegmentID) []byte) (out []written) {
	var tops [][]byte
	for _, p := range payloads {
		tree := proofs.NewTreeHasher()
		_, _ = tree.Write(p)
		top, root := tree.Sum()
		tops, m.Roots = append(tops, bytes.Clone(top)), append(m.Roots, root)
	}
	m.PlainLen, m.Key = plainLen, wrapped
	if version != nil {
		m.Version = version(id)
	}
	manifest := keys.SealManifest(id, cairn.KindData, m.Encode())
	for i, p := range payloads {
		h := cairn.Header{
			Suite: cairn.SuiteAES, Kind: cairn.KindData, Shard: cairn.ShardID{Segment: id, Index: uint8(i)},
			Data: scheme.Data, Parity: scheme.Parity, BlockSize: scheme.BlockSize, PayloadLen: int64(len(p)), Owner: cairn.OwnerTag{byte(i)},
		}
		b := slices.Concat(h.Append(nil), p, tops[i], manifest)
		out = append(out, written{i, cairn.NewTrailer(h, m.Roots[i], cairn.RootsDigest(m.Roots), manifest).Append(b)})
	}
	return out
}

// memorySink keeps outputs in a map.
type memorySink struct {
	bytes.Buffer
	name string
	kept map[string][]byte
}

func (s *memorySink) Close() error { s.kept[s.name] = s.Bytes(); return nil }
func (s *memorySink) Abort()       {}

func decodeAll(t *testing.T, keys *seal.Keys, files []File) (map[string][]byte, Report, error) {
	t.Helper()
	kept := map[string][]byte{}
	r, err := Decode(t.Context(), files, keys, Options{Create: func(o Output) (Sink, error) {
		return &memorySink{name: o.Name(), kept: kept}, nil
	}})
	return kept, r, err
}

func object(key string, size int, object cairn.ObjectID) func(cairn.SegmentID) []byte {
	return func(id cairn.SegmentID) []byte {
		return (&cairn.Version{Bucket: "b", Key: key, ID: cairn.VersionID{1}, Size: int64(size), Parts: []cairn.Part{{
			Size: int64(size), Object: object, Segments: []cairn.Segment{{ID: id, PlainLen: int64(size)}},
		}}}).Encode()
	}
}

func TestAnyDataShardsGiveTheObject(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	keys := testKeys(t)
	for _, scheme := range []cairn.Scheme{{Data: 1, Parity: 2, BlockSize: cairn.FrameSize}, {Data: 2, Parity: 2, BlockSize: cairn.DefaultBlockSize}, {Data: 4, Parity: 2, BlockSize: 2 * cairn.FrameSize}} {
		for _, size := range []int{1, 65520, 1_000_000, 1_572_480} {
			plain := randomBytes(size, uint64(size))
			id := cairn.ObjectID{byte(size)}
			_, shards := writeSegment(t, keys, seal.NewContentKey(), scheme, plain, cairn.Manifest{Object: id, PartLen: int64(size)}, object("k", size, id))
			var files []File
			order := rng.Perm(len(shards))
			for _, i := range order[:scheme.Data] {
				files = append(files, shards[i].file())
			}
			got, _, err := decodeAll(t, keys, files)
			if err != nil || !bytes.Equal(got["b/k"], plain) {
				t.Fatalf("%v, %d bytes from shards %v: %d bytes, %v", scheme, size, order[:scheme.Data], len(got["b/k"]), err)
			}
			if _, _, err := decodeAll(t, keys, files[1:]); err == nil {
				t.Errorf("%v: decoded from %d shards", scheme, scheme.Data-1)
			}
		}
	}
}

func TestDamagedShardsMakeOneGoodObject(t *testing.T) {
	keys := testKeys(t)
	scheme := cairn.Scheme{Data: 4, Parity: 2, BlockSize: cairn.FrameSize}
	plain := randomBytes(10*4*cairn.FramePlain, 1)
	id := cairn.ObjectID{1}
	_, shards := writeSegment(t, keys, seal.NewContentKey(), scheme, plain, cairn.Manifest{Object: id, PartLen: int64(len(plain))}, object("k", len(plain), id))
	var files []File
	for i, s := range shards {
		// Each shard has damage in stripes of its own: two of six in any stripe.
		for _, stripe := range []int{i, (i + 5) % 6} {
			s.bytes[cairn.HeaderSize+stripe*cairn.FrameSize+100] ^= 1
		}
		files = append(files, s.file())
	}
	got, _, err := decodeAll(t, keys, files)
	if err != nil || !bytes.Equal(got["b/k"], plain) {
		t.Fatalf("Decode = %v, want the object", err)
	}
	shards[3].bytes[cairn.HeaderSize+100] ^= 2 // a third one in stripe 0
	if got, _, err := decodeAll(t, keys, files); !errors.Is(err, cairn.Corrupt) || len(got) != 0 {
		t.Errorf("Decode with three bad blocks = %v, %d objects, want Corrupt", err, len(got))
	}
}

// multipart writes an object of two parts, the second of two segments.
func multipart(t *testing.T, keys *seal.Keys) (plain []byte, version []byte, segments [][]written) {
	t.Helper()
	scheme := cairn.Scheme{Data: 4, Parity: 2, BlockSize: cairn.DefaultBlockSize}
	v := &cairn.Version{Bucket: "b", Key: "dir/multi", ID: cairn.VersionID{2}}
	for p, sizes := range [][]int{{300_000}, {500_000, 70_000}} {
		part := cairn.Part{Number: p + 1, Object: cairn.ObjectID{byte(p + 10)}, Written: p + 1}
		for _, n := range sizes {
			part.Size += int64(n)
		}
		ck := seal.NewContentKey()
		part.Key = keys.AtEpoch(3).WrapKey(ck) // as a copy in a later epoch has it
		for number, n := range sizes {
			b := randomBytes(n, uint64(n))
			plain = append(plain, b...)
			id, shards := writeSegment(t, keys, ck, scheme, b, cairn.Manifest{Object: part.Object, Part: p + 1, Number: number, PartLen: part.Size}, nil)
			part.Segments = append(part.Segments, cairn.Segment{ID: id, PlainLen: int64(n)})
			segments = append(segments, shards)
		}
		v.Parts, v.Size = append(v.Parts, part), v.Size+part.Size
	}
	id := cairn.NewSegmentID()
	sealed := keys.SealManifest(id, cairn.KindVersion, v.Encode())
	h := cairn.Header{Suite: cairn.SuiteAES, Kind: cairn.KindVersion, Shard: cairn.ShardID{Segment: id, Index: 1}, Data: 1, Parity: 2, BlockSize: cairn.DefaultBlockSize}
	empty := proofs.RootOf(nil, 0)
	version = cairn.NewTrailer(h, empty, cairn.RootsDigest([]cairn.Root{empty}), sealed).Append(slices.Concat(h.Append(nil), sealed))
	return plain, version, segments
}

func shardFiles(segments [][]written, want ...[]int) (files []File) {
	for i, list := range want {
		for _, j := range list {
			files = append(files, segments[i][j].file())
		}
	}
	return files
}

func TestMultipartObjectsFollowTheirVersionRecord(t *testing.T) {
	keys := testKeys(t)
	plain, version, segments := multipart(t, keys)
	record := File{Name: "version", R: bytes.NewReader(version), Size: int64(len(version))}
	files := append(shardFiles(segments, []int{0, 2, 3, 5}, []int{1, 2, 4, 5}, []int{0, 1, 2, 3}), record)
	got, r, err := decodeAll(t, keys, files)
	if err != nil || !bytes.Equal(got["b/dir/multi"], plain) || len(r.Restored) != 1 {
		t.Fatalf("Decode = %+v, %v, want the object", r, err)
	}
	files = append(shardFiles(segments, []int{0, 2, 3, 5}, []int{0, 4}, nil), record)
	_, _, err = decodeAll(t, keys, files)
	if err == nil || !strings.Contains(err.Error(), "part 2: segment 0: decode: have shards 0, 4; need 2 more") || !strings.Contains(err.Error(), "segment 1: decode: have no shard of") {
		t.Errorf("Decode = %v, want every missing shard named", err)
	}
}

func TestWithoutAVersionRecordPartsComeRaw(t *testing.T) {
	keys := testKeys(t)
	plain, _, segments := multipart(t, keys)
	got, _, err := decodeAll(t, keys, shardFiles(segments, []int{0, 2, 3, 5}, []int{1, 2, 4, 5}, []int{0, 1, 2, 3}))
	if err != nil {
		t.Fatal(err)
	}
	one, two := cairn.ObjectID{10}.String()+".00001", cairn.ObjectID{11}.String()+".00002"
	if !bytes.Equal(got[one], plain[:300_000]) || !bytes.Equal(got[two], plain[300_000:]) || len(got) != 2 {
		t.Errorf("raw parts %v of %d bytes, want both", len(got), len(got[one]))
	}
	got, r, err := decodeAll(t, keys, shardFiles(segments, []int{0, 2, 3, 5}, []int{1, 2, 4, 5}))
	if !errors.Is(err, cairn.Unavailable) || len(r.Failed) != 1 || !bytes.Equal(got[one], plain[:300_000]) {
		t.Errorf("Decode without the last segment = %+v, %v, want one part and one failure", r, err)
	}
}

func TestOtherFilesAreSkippedWithAReason(t *testing.T) {
	keys := testKeys(t)
	id := cairn.ObjectID{1}
	scheme := cairn.Scheme{Data: 2, Parity: 2, BlockSize: cairn.DefaultBlockSize}
	plain := randomBytes(5000, 1)
	_, shards := writeSegment(t, keys, seal.NewContentKey(), scheme, plain, cairn.Manifest{Object: id, PartLen: 5000}, object("k", 5000, id))
	other, err := seal.FromPhrase(testPhrase, "another")
	if err != nil {
		t.Fatal(err)
	}
	_, foreign := writeSegment(t, other, seal.NewContentKey(), scheme, plain, cairn.Manifest{Object: id, PartLen: 5000}, nil)
	forged := bytes.Clone(shards[2].bytes)
	forged[15] = 1 // another k
	bad := map[string][]byte{
		"empty": nil, "text": []byte(strings.Repeat("no record at all ", 100)), "cut": shards[2].bytes[:len(shards[2].bytes)-1],
		"foreign": foreign[0].bytes, "forged": forged, "longer": append(bytes.Clone(shards[2].bytes), 0),
	}
	files := []File{shards[1].file(), shards[3].file()}
	for name, b := range bad {
		files = append(files, File{name, bytes.NewReader(b), int64(len(b))})
	}
	got, r, err := decodeAll(t, keys, files)
	if err != nil || !bytes.Equal(got["b/k"], plain) {
		t.Errorf("Decode = %v, want the object", err)
	}
	if len(r.Skipped) != len(bad) {
		t.Errorf("%d files skipped, want %d: %v", len(r.Skipped), len(bad), r.Skipped)
	}
	if _, _, err := decodeAll(t, keys, files[2:]); !errors.Is(err, cairn.NotFound) {
		t.Errorf("Decode of nothing usable = %v, want NotFound", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Decode(ctx, files, keys, Options{Create: func(Output) (Sink, error) { return nil, nil }}); !errors.Is(err, context.Canceled) {
		t.Errorf("Decode after cancel = %v, want Canceled", err)
	}
}

func TestDirKeepsNamesInside(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	create := Dir(root)
	keys := map[string]string{
		"a/b": "b/a/b", "../../x": "b/%2E%2E/%2E%2E/x", "/abs": "b/%/abs", "a//c": "b/a/%/c", "dir/": "b/dir/%", ".": "b/%2E",
		"nul\x00": "b/nul%00", strings.Repeat("l", 300): "b/" + strings.Repeat("l", 200) + "%/" + strings.Repeat("l", 100),
	}
	for key, want := range keys {
		o := Output{Version: &cairn.Version{Bucket: "b", Key: key}}
		s, err := create(o)
		if err != nil {
			t.Fatalf("create %q: %v", key, err)
		}
		if _, err := s.Write([]byte(key)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("close %q: %v", key, err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, want)); err != nil || string(got) != key {
			t.Errorf("file of %q = %q, %v, want it at %s", key, got, err, want)
		}
		if _, err := create(o); !errors.Is(err, cairn.Exists) {
			t.Errorf("create %q twice = %v, want Exists", key, err)
		}
	}
	s, err := create(Output{Version: &cairn.Version{Bucket: "b", Key: "aborted"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Abort()
	list, err := filepath.Glob(filepath.Join(dir, "b", "aborted*"))
	if err != nil || len(list) != 0 {
		t.Errorf("after Abort: %v, %v", list, err)
	}
	above, err := os.ReadDir(base)
	if err != nil || len(above) != 1 {
		t.Errorf("files above the directory: %v, %v", above, err)
	}
}
