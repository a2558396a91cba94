package cryptfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func newFS(t testing.TB, base vfs.FS, key []byte) *FS {
	t.Helper()
	fs, err := New(base, key)
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	return fs
}

func write(t testing.TB, fs vfs.FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatalf("Create(%q) = %v, want nil", name, err)
	}
	if _, err := f.Write(bytes.Clone(content)); err != nil {
		t.Fatalf("Write = %v, want nil", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatalf("Sync and Close = %v, want nil", err)
	}
}

func read(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatalf("Open(%q) = %v, want nil", name, err)
	}
	content, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatalf("read %q: %v", name, err)
	}
	return content
}

func TestContentsAreNotOnTheDisk(t *testing.T) {
	base := vfs.NewMem()
	fs := newFS(t, base, testKey(1))
	secret := bytes.Repeat([]byte("bucket/key "), 1000)
	write(t, fs, "a", secret)
	write(t, fs, "b", secret)
	a, b := read(t, base, "a"), read(t, base, "b")
	if bytes.Contains(a, []byte("bucket")) || bytes.Contains(a, testKey(1)[:8]) {
		t.Error("the stored file shows its contents or the key")
	}
	if len(a) != headerSize+len(secret) {
		t.Errorf("the stored file has %d bytes, want %d", len(a), headerSize+len(secret))
	}
	if bytes.Equal(a[headerSize:headerSize+64], b[headerSize:headerSize+64]) {
		t.Error("two files with equal contents are stored alike: they share a key stream")
	}
	if got := read(t, fs, "a"); !bytes.Equal(got, secret) {
		t.Error("the contents do not come back")
	}
}

// TestRangesMatchAPlainFile compares random appends and reads with the same
// calls on a plain filesystem, in memory and on disk.
func TestRangesMatchAPlainFile(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	for round := range 20 {
		plain := vfs.NewMem()
		fs, name := newFS(t, vfs.NewMem(), testKey(1)), "f"
		if round%2 == 0 {
			fs, name = newFS(t, vfs.Default, testKey(1)), filepath.Join(dir, "f")
		}
		data := make([]byte, rng.IntN(70000))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		compareFiles(t, rng, plain, fs, name, data)
	}
}

func FuzzRangesMatchAPlainFile(f *testing.F) {
	for _, n := range []int{0, 1, 15, 16, 17, 127, 128, 129, 4096, 5000} {
		f.Add(make([]byte, n), uint64(n))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		compareFiles(t, rand.New(rand.NewPCG(seed, 0)), vfs.NewMem(), newFS(t, vfs.NewMem(), testKey(1)), "f", data)
	})
}

// compareFiles writes data in random pieces, half of them through a handle
// opened again, and reads random ranges from both files.
func compareFiles(t *testing.T, rng *rand.Rand, plain, crypt vfs.FS, name string, data []byte) {
	t.Helper()
	plainFile, err := plain.Create("f", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	cryptFile, err := crypt.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	rest := data
	half := rng.IntN(len(data) + 1)
	for len(rest) > 0 {
		if len(data)-len(rest) >= half && half >= 0 {
			if err := cryptFile.Close(); err != nil {
				t.Fatal(err)
			}
			if cryptFile, err = crypt.OpenReadWrite(name, vfs.WriteCategoryUnspecified); err != nil {
				t.Fatal(err)
			}
			half = -1
		}
		n := 1 + rng.IntN(len(rest))
		for _, f := range []vfs.File{plainFile, cryptFile} {
			if _, err := f.Write(bytes.Clone(rest[:n])); err != nil {
				t.Fatal(err)
			}
		}
		rest = rest[n:]
	}
	if err := errors.Join(plainFile.Close(), cryptFile.Close()); err != nil {
		t.Fatal(err)
	}
	compareReads(t, rng, plain, crypt, name, data)
}

func compareReads(t *testing.T, rng *rand.Rand, plain, crypt vfs.FS, name string, data []byte) {
	t.Helper()
	if got := read(t, crypt, name); !bytes.Equal(got, data) {
		t.Fatalf("read of the whole file gives %d bytes that differ from the %d written", len(got), len(data))
	}
	info, err := crypt.Stat(name)
	if err != nil || info.Size() != int64(len(data)) {
		t.Fatalf("Stat = size %v, %v, want %d", info.Size(), err, len(data))
	}
	plainFile, err := plain.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	cryptFile, err := crypt.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		off := rng.Int64N(int64(len(data) + 40))
		want := make([]byte, rng.IntN(len(data)+40))
		got := make([]byte, len(want))
		wantN, wantErr := plainFile.ReadAt(want, off)
		gotN, gotErr := cryptFile.ReadAt(got, off)
		if len(want) == 0 {
			continue // what an empty read at the end returns is not agreed upon
		}
		if gotN != wantN || gotErr != wantErr || !bytes.Equal(got[:gotN], want[:wantN]) {
			t.Fatalf("ReadAt(%d bytes, %d) of %d = %d, %v, want %d, %v and equal bytes", len(got), off, len(data), gotN, gotErr, wantN, wantErr)
		}
	}
	if err := errors.Join(plainFile.Close(), cryptFile.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestCounterCarriesIntoItsUpperHalf(t *testing.T) {
	secret := make([]byte, KeySize+16)
	for i := KeySize; i < len(secret); i++ {
		secret[i] = 0xff // one before zero
	}
	s, err := newStream(secret)
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, 64)
	s.xor(whole, 0)
	for off := range whole {
		piece := make([]byte, len(whole)-off)
		s.xor(piece, int64(off))
		if !bytes.Equal(piece, whole[off:]) {
			t.Errorf("key stream from offset %d differs from the whole", off)
		}
	}
}

func TestAnotherKeyIsDenied(t *testing.T) {
	base := vfs.NewMem()
	write(t, newFS(t, base, testKey(1)), "f", []byte("content"))
	other := newFS(t, base, testKey(2))
	if _, err := other.Open("f"); !errors.Is(err, cairn.Denied) || cairn.HintOf(err) == "" {
		t.Errorf("Open with another key = %v, want Denied with a hint", err)
	}
	if _, err := other.OpenReadWrite("f", vfs.WriteCategoryUnspecified); !errors.Is(err, cairn.Denied) {
		t.Errorf("OpenReadWrite with another key = %v, want Denied", err)
	}
	if _, err := other.Check("f"); !errors.Is(err, cairn.Denied) {
		t.Errorf("Check with another key = %v, want Denied", err)
	}
	if _, err := New(base, testKey(1)[:31]); !errors.Is(err, cairn.Invalid) {
		t.Errorf("New with a short key = %v, want Invalid", err)
	}
}

func TestDamagedHeaderIsCorrupt(t *testing.T) {
	base := vfs.NewMem()
	fs := newFS(t, base, testKey(1))
	write(t, fs, "f", []byte("content"))
	whole := read(t, base, "f")
	for i := range headerSize {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		write(t, base, "bad", bad)
		if _, err := fs.Open("bad"); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("Open with byte %d of the header flipped = %v, want Corrupt", i, err)
		}
	}
	write(t, base, "bad", make([]byte, len(whole)))
	if _, err := fs.Open("bad"); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Open of a zeroed file = %v, want Corrupt", err)
	}
}

func TestInterruptedCreationReadsAsEmpty(t *testing.T) {
	base := vfs.NewMem()
	fs := newFS(t, base, testKey(1))
	write(t, fs, "f", nil)
	header := read(t, base, "f")
	for name, stored := range map[string][]byte{"nothing": nil, "torn": header[:77], "zeroed": make([]byte, headerSize)} {
		write(t, base, name, stored)
		if got := read(t, fs, name); len(got) != 0 {
			t.Errorf("%s header: read %d bytes, want none", name, len(got))
		}
		if info, err := fs.Stat(name); err != nil || info.Size() != 0 {
			t.Errorf("%s header: Stat = %v, %v, want size 0", name, info, err)
		}
		if found, err := fs.Check(name); found || err != nil {
			t.Errorf("%s header: Check = %v, %v, want false, nil", name, found, err)
		}
		f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatalf("%s header: OpenReadWrite = %v, want nil", name, err)
		}
		if _, err := f.WriteAt([]byte("new"), 0); err != nil {
			t.Errorf("%s header: WriteAt = %v, want nil", name, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got := read(t, fs, name); string(got) != "new" {
			t.Errorf("%s header: read %q, want %q", name, got, "new")
		}
	}
	if found, err := fs.Check("f"); !found || err != nil {
		t.Errorf("Check of a whole file = %v, %v, want true, nil", found, err)
	}
}

// TestHeaderOutlivesACrash: whatever a crash takes, a file that was handed out
// opens.
func TestHeaderOutlivesACrash(t *testing.T) {
	base := vfs.NewCrashableMem()
	fs := newFS(t, base, testKey(1))
	f, err := fs.Create("/f", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(50) {
		after := base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 60, RNG: rand.New(rand.NewPCG(seed, 0))})
		_, err := newFS(t, after, testKey(1)).Open("/f")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("seed %d: Open after a crash = %v, want nil or no such file", seed, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestKeyStreamIsNeverUsedTwice(t *testing.T) {
	base := vfs.NewMem()
	fs := newFS(t, base, testKey(1))
	content := bytes.Repeat([]byte("x"), 300)
	write(t, fs, "old", content)
	before := read(t, base, "old")

	reused, err := fs.ReuseForWrite("old", "new", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatalf("ReuseForWrite = %v, want nil", err)
	}
	if _, err := reused.Write(bytes.Clone(content)); err != nil {
		t.Fatal(err)
	}
	if err := reused.Close(); err != nil {
		t.Fatal(err)
	}
	if after := read(t, base, "new"); bytes.Equal(before[headerSize:], after[headerSize:]) {
		t.Error("a reused file is encrypted with the key stream of the old one")
	}
	if _, err := fs.Stat("old"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat of the old name = %v, want that it is gone", err)
	}

	f, err := fs.OpenReadWrite("new", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{-1, 0, 299, 301} {
		if _, err := f.WriteAt([]byte("y"), off); err == nil {
			t.Errorf("WriteAt(%d) into 300 bytes succeeded, want a refusal", off)
		}
	}
	if _, err := f.WriteAt([]byte("y"), 300); err != nil {
		t.Errorf("WriteAt at the end = %v, want nil", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := string(read(t, fs, "new")), string(content)+"y"; got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

// failingFS makes writes of file contents fail after some bytes.
type failingFS struct {
	vfs.FS
	accept int
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

var errDisk = errors.New("the disk failed")

func (fs *failingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return failingFile{f, fs}, err
}

func (f failingFile) Write(p []byte) (int, error) {
	if n := min(len(p), f.fs.accept); n < len(p) {
		n, _ = f.File.Write(p[:n])
		f.fs.accept = 1 << 20
		return n, errDisk
	}
	f.fs.accept -= len(p)
	return f.File.Write(p)
}

func TestFailedWriteEndsTheFile(t *testing.T) {
	fs := newFS(t, &failingFS{FS: vfs.NewMem(), accept: headerSize + 10}, testKey(1))
	f, err := fs.Create("f", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(make([]byte, 20)); n != 10 || !errors.Is(err, errDisk) {
		t.Errorf("Write = %d, %v, want 10 and the disk's error", n, err)
	}
	if n, err := f.Write([]byte("other")); n != 0 || !errors.Is(err, errDisk) {
		t.Errorf("Write after a failure = %d, %v, want 0 and the disk's error", n, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := newFS(t, &failingFS{FS: vfs.NewMem()}, testKey(1)).Create("f", vfs.WriteCategoryUnspecified); !errors.Is(err, errDisk) {
		t.Errorf("Create whose header fails = %v, want the disk's error", err)
	}
}

func TestNamesAndLinksAreTheBaseFilesystems(t *testing.T) {
	fs := newFS(t, vfs.Default, testKey(1))
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, fs, path("a"), []byte("content"))
	if err := errors.Join(fs.Link(path("a"), path("b")), fs.Rename(path("a"), path("c"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b", "c"} {
		if got := read(t, fs, path(name)); string(got) != "content" {
			t.Errorf("%s holds %q, want %q", name, got, "content")
		}
	}
	copied := newFS(t, vfs.Default, testKey(2))
	if err := vfs.CopyAcrossFS(fs, path("b"), copied, path("d")); err != nil {
		t.Fatalf("CopyAcrossFS = %v, want nil", err)
	}
	if got := read(t, copied, path("d")); string(got) != "content" {
		t.Errorf("the copy holds %q, want %q", got, "content")
	}
	if found, err := fs.Check(path("nothing")); found || err != nil {
		t.Errorf("Check of a missing file = %v, %v, want false, nil", found, err)
	}
	f, err := fs.Open(path("b"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("Write to a file open for reading succeeded")
	}
	if _, err := f.ReadAt(make([]byte, 4), -headerSize); err == nil {
		t.Error("ReadAt before the contents succeeded: it would show the header")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
