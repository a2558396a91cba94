package pebble_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/conformance"
	"github.com/cairn-store/cairn/gateway/catalog/pebble"
	db "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var otherKey = bytes.Repeat([]byte{0xa5}, pebble.KeySize)

// putKeys commits one bucket and a version of each key.
func putKeys(t testing.TB, c catalog.Catalog, bucket string, keys ...string) {
	t.Helper()
	b := &catalog.Batch{PutBuckets: []*catalog.BucketEntry{{Bucket: cairn.Bucket{Name: bucket}}}}
	for _, key := range keys {
		b.PutVersions = append(b.PutVersions, &catalog.VersionEntry{Version: cairn.Version{Bucket: bucket, Key: key, ID: cairn.VersionID{7: 1}, Size: 5}})
	}
	if err := c.Commit(context.Background(), b); err != nil {
		t.Fatalf("Commit = %v, want nil", err)
	}
}

func closeCatalog(t *testing.T, c catalog.Catalog) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatalf("Close() = %v, want nil", err)
	}
}

func TestReopenedCatalogIsTheSame(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "encrypted": testKey} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "cat")
			scope := conformance.Scope{Buckets: []string{"b"}}
			c := open(t, dir, pebble.Config{Key: key})
			putKeys(t, c, "b", "k", "secret-name")
			want := must(conformance.Dump(t.Context(), c, scope))(t)
			closeCatalog(t, c)
			closeCatalog(t, c) // once more does nothing
			for range 3 {
				c := open(t, dir, pebble.Config{Key: key})
				if got := must(conformance.Dump(t.Context(), c, scope))(t); got != want {
					t.Errorf("after reopening:\n got %s\nwant %s", got, want)
				}
				closeCatalog(t, c)
			}
		})
	}
}

func TestSecondOpenerIsToldWhy(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, pebble.Config{})
	_, err := pebble.Open(dir, pebble.Config{})
	if !errors.Is(err, cairn.Unavailable) || !strings.Contains(cairn.HintOf(err), "another gateway uses this directory") {
		t.Errorf("second Open = %v (hint %q), want Unavailable and a hint at another gateway", err, cairn.HintOf(err))
	}
	putKeys(t, c, "b", "k") // the first is not disturbed
	closeCatalog(t, c)
	closeCatalog(t, open(t, dir, pebble.Config{}))
}

func TestWrongKeyIsDenied(t *testing.T) {
	encrypted, plain := vfs.NewMem(), vfs.NewMem()
	for fs, key := range map[*vfs.MemFS][]byte{encrypted: testKey, plain: nil} {
		c := open(t, "/cat", pebble.Config{FS: fs, Key: key})
		putKeys(t, c, "b", "k")
		closeCatalog(t, c)
	}
	for _, test := range []struct {
		name string
		fs   *vfs.MemFS
		key  []byte
		want cairn.Kind
	}{
		{"another key", encrypted, otherKey, cairn.Denied},
		{"no key for an encrypted catalog", encrypted, nil, cairn.Denied},
		{"a key for a plain catalog", plain, testKey, cairn.Denied},
		{"a key of the wrong length", encrypted, testKey[:16], cairn.Invalid},
		{"an empty key", encrypted, []byte{}, cairn.Invalid},
	} {
		_, err := pebble.Open("/cat", pebble.Config{FS: test.fs, Key: test.key})
		if !errors.Is(err, test.want) {
			t.Errorf("Open with %s = %v, want %v", test.name, err, test.want)
		}
	}
	// Nothing of this did harm, and no lock was left behind.
	for fs, key := range map[*vfs.MemFS][]byte{encrypted: testKey, plain: nil} {
		c := open(t, "/cat", pebble.Config{FS: fs, Key: key})
		if _, err := c.Newest(t.Context(), "b", "k"); err != nil {
			t.Errorf("Newest = %v, want nil", err)
		}
		closeCatalog(t, c)
	}
}

func TestNamesAreNotOnTheDisk(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "encrypted": testKey} {
		fs := vfs.NewMem()
		c := open(t, "/cat", pebble.Config{FS: fs, Key: key})
		putKeys(t, c, "secret-bucket", "secret-key")
		closeCatalog(t, c)
		seen := false
		for _, file := range must(fs.List("/cat"))(t) {
			content := must(fs.UnsafeGetFileDataBuffer("/cat/" + file))(t)
			seen = seen || bytes.Contains(content, []byte("secret-"))
		}
		if want := key == nil; seen != want {
			t.Errorf("%s: the disk shows names: %v, want %v", name, seen, want)
		}
	}
}

// withDatabase changes a catalog behind its back.
func withDatabase(t *testing.T, fs vfs.FS, change func(*db.DB) error) {
	t.Helper()
	d, err := db.Open("/cat", &db.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(change(d), d.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	closeCatalog(t, open(t, "/cat", pebble.Config{FS: fs}))
	withDatabase(t, fs, func(d *db.DB) error { return d.Set([]byte("Mformat"), []byte{2}, db.Sync) })
	if _, err := pebble.Open("/cat", pebble.Config{FS: fs}); !errors.Is(err, cairn.Invalid) || cairn.HintOf(err) == "" {
		t.Errorf("Open of a newer format = %v, want Invalid with a hint", err)
	}
	withDatabase(t, fs, func(d *db.DB) error { return d.Set([]byte("Mformat"), []byte{0x80}, db.Sync) })
	if _, err := pebble.Open("/cat", pebble.Config{FS: fs}); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Open of a malformed format mark = %v, want Corrupt", err)
	}
	withDatabase(t, fs, func(d *db.DB) error { return d.Delete([]byte("Mformat"), db.Sync) })
	if _, err := pebble.Open("/cat", pebble.Config{FS: fs}); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Open of a catalog without a format mark = %v, want Corrupt", err)
	}
}

func TestMalformedValueIsCorrupt(t *testing.T) {
	fs := vfs.NewMem()
	c := open(t, "/cat", pebble.Config{FS: fs})
	putKeys(t, c, "b", "k")
	closeCatalog(t, c)
	var moved []byte
	withDatabase(t, fs, func(d *db.DB) error {
		it, err := d.NewIter(&db.IterOptions{LowerBound: []byte("v"), UpperBound: []byte("w")})
		if err != nil {
			return err
		}
		if it.First() { // a version that stands under the key of another object
			moved = bytes.Replace(it.Key(), []byte("k"), []byte("l"), 1)
			err = d.Set(moved, it.Value(), db.Sync)
		}
		return errors.Join(err, it.Close(), d.Set([]byte("bb"), []byte{9, 9}, db.Sync), d.Set([]byte("s0123"), []byte{1}, db.Sync))
	})
	c = open(t, "/cat", pebble.Config{FS: fs})
	defer closeCatalog(t, c)
	if _, err := c.Bucket(t.Context(), "b"); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Bucket = %v, want Corrupt", err)
	}
	if _, err := c.Buckets(t.Context(), "", "", 10); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Buckets = %v, want Corrupt", err)
	}
	if _, err := c.Newest(t.Context(), "b", "l"); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Newest of a version under another's key = %v, want Corrupt", err)
	}
	err := c.Segments(t.Context(), cairn.SegmentID{}, func(*catalog.SegmentEntry) error { return nil })
	if !errors.Is(err, cairn.Corrupt) {
		t.Errorf("Segments with a key of the wrong length = %v, want Corrupt", err)
	}
}

func TestInterruptedFirstOpeningIsForgotten(t *testing.T) {
	for size := range 130 {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/cat", 0o700); err != nil {
			t.Fatal(err)
		}
		f := must(fs.Create("/cat/ENCRYPTED", vfs.WriteCategoryUnspecified))(t)
		if _, err := f.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := pebble.Open("/cat", pebble.Config{FS: fs, Key: testKey})
		if size <= 128 && err != nil {
			t.Errorf("Open with %d bytes of a mark = %v, want nil", size, err)
		}
		if size > 128 && !errors.Is(err, cairn.Corrupt) {
			t.Errorf("Open with a zeroed mark = %v, want Corrupt", err)
		}
		if err == nil {
			closeCatalog(t, c)
		}
	}
}

func TestDatabaseIsQuiet(t *testing.T) {
	var out bytes.Buffer
	c := open(t, t.TempDir(), pebble.Config{Key: testKey, Log: slog.New(slog.NewTextHandler(&out, nil))})
	putKeys(t, c, "b", "k")
	closeCatalog(t, c)
	if out.Len() > 0 {
		t.Errorf("a healthy catalog logged at Info or above:\n%s", out.String())
	}
	if _, err := pebble.Open(t.TempDir(), pebble.Config{CacheBytes: -1}); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Open with a negative cache = %v, want Invalid", err)
	}
}
