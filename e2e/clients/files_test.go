package clients

import (
	"bytes"
	"crypto/sha256"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bytesOf returns n bytes that depend on the name and nothing else.
func bytesOf(name string, n int) []byte {
	b := make([]byte, n)
	if _, err := streamOf(name).Read(b); err != nil {
		panic(err) // ChaCha8 never fails
	}
	return b
}

func streamOf(name string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

// sizes are where something changes: nothing, a byte, around a sealed frame
// (65,520 bytes), around a block (1 MiB), and past what clients send in one
// request (5 to 16 MiB).
func sizes() map[string]int {
	all := map[string]int{
		"empty": 0, "one": 1, "below-frame": 65519, "frame": 65520, "above-frame": 65521,
		"block": 1 << 20, "above-block": 1<<20 + 1, "parts": 17<<20 + 3,
	}
	if testing.Short() {
		delete(all, "parts")
	}
	return all
}

const large = 200 << 20

// tree is the files of a directory: contents by slash-separated name.
type tree map[string][]byte

// sizeTree is a directory with a file of every size.
func sizeTree() tree {
	files := tree{}
	for name, n := range sizes() {
		files[name] = bytesOf(name, n)
	}
	return files
}

// fileNames are names that a file may have and that make clients and servers
// stumble: what URLs, XML, shells and Unicode treat in their own way.
func fileNames() []string {
	return []string{
		"plain.txt", "two words.txt", " leading and trailing ", "plus+plus", "percent%20literal", "percent%", "100%25",
		"äöü-日本語-🗿", "composed-\u00e9", "decomposed-e\u0301", "query?x=1&y=2", "hash#tag", "quotes'\"", "back\\slash",
		"semi;colon:comma,", "(round)[square]{curly}", "<xml>&amp;", "dollar$at@equals=star*", "tilde~caret^tick`bar|",
		"..two-dots", "...", ".hidden", "sub dir/ä+b/file", longName(1024),
	}
}

// keyNames are names that only an object can have.
func keyNames() []string {
	return []string{
		"a//b", "double//slash//", "/leading slash", "//", "dots/../up", "dots/./here", "..", ".", "../..", "folder/",
		"tab\tkey", "newline\nkey", "control-\u0001", strings.Repeat("ü", 512), strings.Repeat("/", 1024),
	}
}

// longName is a name of n bytes, of which no element is longer than a file
// system takes.
func longName(n int) string {
	return strings.Repeat(strings.Repeat("long-name.", 20)+"/", n/201+1)[:n-1] + "x"
}

// nameTree is a directory with an odd name for each file.
func nameTree() tree {
	files := tree{}
	for _, name := range fileNames() {
		files[name] = []byte("content of " + name)
	}
	return files
}

// write makes the files below dir.
func (w tree) write(t testing.TB, dir string) {
	t.Helper()
	for name, content := range w {
		path := filepath.Join(dir, filepath.FromSlash(name))
		mkdir(t, filepath.Dir(path))
		must(t, os.WriteFile(path, content, 0o600))
	}
}

// readTree returns the files below dir.
func readTree(t testing.TB, dir string) tree {
	t.Helper()
	files := tree{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))] = content
		return err
	}))
	return files
}

// same fails t unless both hold the same names with the same bytes.
func same(t testing.TB, what string, got, want tree) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if content, ok := got[name]; !ok {
			t.Errorf("%s: %q is missing", what, name)
		} else if !bytes.Equal(content, want[name]) {
			t.Errorf("%s: %q has %d bytes that differ from the %d wanted", what, name, len(content), len(want[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q should not be there", what, name)
		}
	}
}

// sameBytes fails t unless got is want.
func sameBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %d bytes (%.60q), want %d (%.60q)", what, len(got), got, len(want), want)
	}
}

// writeLarge makes a file of 200 MiB.
func writeLarge(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	_, err = io.CopyN(f, streamOf("large"), large)
	must(t, err)
	must(t, f.Close())
}

// sumFile hashes a file, which may be large.
func sumFile(t testing.TB, path string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	must(t, err)
	return [sha256.Size]byte(h.Sum(nil))
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
