package conformance

import (
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

func bucketNames(t *testing.T, c catalog.Catalog, prefix, after string, limit int) []string {
	t.Helper()
	var names []string
	for _, e := range must(c.Buckets(t.Context(), prefix, after, limit))(t) {
		names = append(names, e.Bucket.Name)
	}
	return names
}

func testBuckets(t *testing.T, c catalog.Catalog) {
	b := &catalog.Batch{}
	for _, name := range []string{"cat", "dog", "a.b", "a-b", "ab", "cats"} {
		b.PutBuckets = append(b.PutBuckets, bucket(name))
	}
	commit(t, c, b)
	wantEqual(t, "all", bucketNames(t, c, "", "", 100), []string{"a-b", "a.b", "ab", "cat", "cats", "dog"})
	wantEqual(t, "with prefix", bucketNames(t, c, "ca", "", 100), []string{"cat", "cats"})
	wantEqual(t, "after", bucketNames(t, c, "", "ab", 2), []string{"cat", "cats"})
	wantEqual(t, "after what is not there", bucketNames(t, c, "", "b", 1), []string{"cat"})
	wantEqual(t, "after inside the prefix", bucketNames(t, c, "ca", "cat", 100), []string{"cats"})
	wantEqual(t, "after behind the prefix", bucketNames(t, c, "ca", "cb", 100), []string(nil))
	wantEqual(t, "after before the prefix", bucketNames(t, c, "ca", "a", 100), []string{"cat", "cats"})
	wantEqual(t, "limit 0", bucketNames(t, c, "", "", 0), []string(nil))
	wantEqual(t, "one bucket", must(c.Bucket(t.Context(), "dog"))(t), bucket("dog"))

	changed := bucket("dog")
	changed.Bucket.Settings, changed.Record = nil, catalog.Location{}
	commit(t, c, &catalog.Batch{PutBuckets: []*catalog.BucketEntry{changed}})
	wantEqual(t, "changed bucket", must(c.Bucket(t.Context(), "dog"))(t), changed)
}

func testBucketDeletion(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	commit(t, c, &catalog.Batch{PutBuckets: []*catalog.BucketEntry{bucket("gone"), bucket("kept")}})
	deleted := bucket("gone")
	deleted.Bucket.Deleted = true
	commit(t, c, &catalog.Batch{PutBuckets: []*catalog.BucketEntry{deleted}})
	_, err := c.Bucket(ctx, "gone")
	wantKind(t, "Bucket of a deleted bucket", err, cairn.NotFound)
	wantEqual(t, "names", bucketNames(t, c, "", "", 10), []string{"kept"})
	commit(t, c, &catalog.Batch{PutBuckets: []*catalog.BucketEntry{deleted}}) // again: nothing to do
	wantEqual(t, "buckets", must(c.Stats(ctx))(t).Buckets, int64(1))
}

func testBucketEmpty(t *testing.T, c catalog.Catalog) {
	commit(t, c, &catalog.Batch{PutBuckets: []*catalog.BucketEntry{bucket("b"), bucket("bb")}})
	empty := catalog.Condition{BucketEmpty: "b"}
	allowed(t, c, empty)
	commit(t, c, &catalog.Batch{
		PutVersions: []*catalog.VersionEntry{version("bb", "k", 1)},
		PutUploads:  []*catalog.UploadEntry{upload("b", "k", "u")},
	})
	allowed(t, c, empty)
	commit(t, c, &catalog.Batch{PutVersions: []*catalog.VersionEntry{version("b", "k", 1), version("b", "k", 2)}})
	refused(t, c, empty)
	commit(t, c, &catalog.Batch{PutVersions: []*catalog.VersionEntry{version("b", "k", 1)}}) // once more: still two
	commit(t, c, &catalog.Batch{DropVersions: []catalog.VersionKey{versionKey(version("b", "k", 1))}})
	refused(t, c, empty)
	commit(t, c, &catalog.Batch{DropVersions: []catalog.VersionKey{versionKey(version("b", "k", 1))}}) // gone already
	refused(t, c, empty)
	commit(t, c, &catalog.Batch{DropVersions: []catalog.VersionKey{versionKey(version("b", "k", 2))}})
	allowed(t, c, empty)
	refused(t, c, catalog.Condition{BucketEmpty: "bb"})
}
