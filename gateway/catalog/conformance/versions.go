package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

func testVersionRoundTrip(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	want := []*catalog.VersionEntry{fullVersion("b", "full", 7), version("b", "bare", 1)}
	commit(t, c, &catalog.Batch{PutVersions: want})
	for _, w := range want {
		wantEqual(t, "Newest", must(c.Newest(ctx, "b", w.Version.Key))(t), w)
		wantEqual(t, "Version", must(c.Version(ctx, "b", w.Version.Key, w.Version.ID))(t), w)
	}
	it := must(c.Versions(ctx, "b"))(t)
	defer closeIterator(t, it)
	if !it.Seek("full") {
		t.Fatal("Seek(full) = false, want true")
	}
	wantEqual(t, "Entry", must(it.Entry())(t), want[0])
	_, err := c.Version(ctx, "b", "bare", versionID(2))
	wantKind(t, "Version of another id", err, cairn.NotFound)
	_, err = c.Version(ctx, "c", "bare", versionID(1))
	wantKind(t, "Version of another bucket", err, cairn.NotFound)
}

func testNewest(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	newest := func(key string) int {
		t.Helper()
		e := must(c.Newest(ctx, "b", key))(t)
		return int(e.Version.Size / 10)
	}
	// The newest is the largest id, not the last written.
	for _, n := range []int{2, 300, 1} {
		commit(t, c, &catalog.Batch{PutVersions: []*catalog.VersionEntry{version("b", "k", n), version("b", "k\x00", n+1000)}})
	}
	wantEqual(t, "newest of k", newest("k"), 300)
	commit(t, c, &catalog.Batch{DropVersions: []catalog.VersionKey{versionKey(version("b", "k", 300))}})
	wantEqual(t, "newest after a drop", newest("k"), 2)
	wantEqual(t, "newest of the neighbour", newest("k\x00"), 1300)
	for _, key := range []string{"", "j", "k\x00\x00", "kk"} {
		_, err := c.Newest(ctx, "b", key)
		wantKind(t, fmt.Sprintf("Newest of %q", key), err, cairn.NotFound)
	}
	zero := cairn.VersionID{}
	for _, id := range []cairn.VersionID{zero, versionID(1), versionID(300)} {
		refused(t, c, catalog.Condition{Newest: &catalog.VersionKey{Bucket: "b", Key: "k", ID: id}})
	}
	allowed(t, c, catalog.Condition{Newest: &catalog.VersionKey{Bucket: "b", Key: "k", ID: versionID(2)}})
	allowed(t, c, catalog.Condition{Newest: &catalog.VersionKey{Bucket: "b", Key: "new", ID: zero}})
}

func testKeyOrder(t *testing.T, c catalog.Catalog) {
	if !slices.IsSorted(awkwardKeys) {
		t.Fatal("the suite's own keys are out of order")
	}
	b := &catalog.Batch{}
	for _, i := range []int{7, 3} { // two versions each, not in order
		for _, k := range slices.Backward(awkwardKeys) {
			b.PutVersions = append(b.PutVersions, version("b", k, i))
		}
	}
	commit(t, c, b)
	var want []string
	for _, k := range awkwardKeys {
		want = append(want, k, k)
	}
	wantEqual(t, "keys", keysOf(t.Context(), t, c, "b"), want)

	it := must(c.Versions(t.Context(), "b"))(t)
	defer closeIterator(t, it)
	for i, k := range awkwardKeys {
		if !it.Seek(k) || it.Key() != k || must(it.Entry())(t).Version.ID != versionID(7) {
			t.Fatalf("Seek(%q) does not stand at the newest version of that key", k)
		}
		// The first key behind k in byte order is k + NUL.
		wantNext := i+1 < len(awkwardKeys)
		if got := it.Seek(k + "\x00"); got != wantNext || got && it.Key() != awkwardKeys[i+1] {
			t.Errorf("Seek just behind %q = %v, want the next key", k, got)
		}
		if e := must(c.Newest(t.Context(), "b", k))(t); e.Version.Key != k || e.Version.ID != versionID(7) {
			t.Errorf("Newest(%q) = key %q, version %v", k, e.Version.Key, e.Version.ID)
		}
	}
}

func testIteratorSnapshot(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	commit(t, c, &catalog.Batch{PutVersions: []*catalog.VersionEntry{version("b", "a", 1), version("b", "c", 1)}})
	it := must(c.Versions(ctx, "b"))(t)
	commit(t, c, &catalog.Batch{
		PutVersions:  []*catalog.VersionEntry{version("b", "a", 2), version("b", "b", 1)},
		DropVersions: []catalog.VersionKey{versionKey(version("b", "c", 1))},
	})
	if it.Next() || it.NextKey() {
		t.Error("an iterator moved before its first Seek")
	}
	var got []string
	for ok := it.Seek(""); ok; ok = it.Next() {
		got = append(got, fmt.Sprint(it.Key(), must(it.Entry())(t).Version.Size))
	}
	closeIterator(t, it)
	wantEqual(t, "old iterator", got, []string{"a10", "c10"})
	wantEqual(t, "new iterator", keysOf(ctx, t, c, "b"), []string{"a", "a", "b"})
}

func testNextKey(t *testing.T, c catalog.Catalog) {
	b := &catalog.Batch{}
	for i := range 40 {
		b.PutVersions = append(b.PutVersions, version("b", "many", i+1))
	}
	b.PutVersions = append(b.PutVersions, version("b", "a", 1), version("b", "many\x00", 1), version("b", "z", 2), version("b", "z", 1))
	commit(t, c, b)
	it := must(c.Versions(t.Context(), "b"))(t)
	defer closeIterator(t, it)
	var got []string
	for ok := it.Seek(""); ok; ok = it.NextKey() {
		got = append(got, fmt.Sprint(it.Key(), must(it.Entry())(t).Version.Size))
	}
	wantEqual(t, "keys by NextKey", got, []string{"a10", "many400", "many\x0010", "z20"})
	if it.Next() || it.NextKey() {
		t.Error("an iterator moved past its end")
	}
	// From the middle of a key's versions, and back.
	if !it.Seek("many") || !it.Next() || !it.Next() || must(it.Entry())(t).Version.ID != versionID(38) {
		t.Error("two steps from the newest version do not lead to the third newest")
	}
	if !it.NextKey() || it.Key() != "many\x00" {
		t.Errorf("NextKey from an old version leads to %q", it.Key())
	}
	if !it.Seek("") || it.Key() != "a" {
		t.Error("Seek backwards does not work")
	}
	if it.Seek("zz") {
		t.Error("Seek behind the last key = true")
	}
	if !it.Seek("z") || !it.Next() || it.Next() {
		t.Error("the last key does not have two versions")
	}
}

func testIteratorBounds(t *testing.T, c catalog.Catalog) {
	b := &catalog.Batch{}
	for _, name := range []string{"a", "b", "b\x00", "b.b", "ba", "c"} {
		b.PutVersions = append(b.PutVersions, version(name, "k-"+name, 1))
	}
	commit(t, c, b)
	wantEqual(t, "keys of b", keysOf(t.Context(), t, c, "b"), []string{"k-b"})
	wantEqual(t, "keys of b.b", keysOf(t.Context(), t, c, "b.b"), []string{"k-b.b"})
	wantEqual(t, "keys of a missing bucket", keysOf(t.Context(), t, c, "bb"), []string(nil))
}
