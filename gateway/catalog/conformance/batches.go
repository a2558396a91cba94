package conformance

import (
	"context"
	"errors"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

func testConditions(t *testing.T, c catalog.Catalog) {
	commit(t, c, &catalog.Batch{
		PutBuckets:  []*catalog.BucketEntry{bucket("b")},
		PutVersions: []*catalog.VersionEntry{version("b", "k", 1)},
	})
	has := func(n int) catalog.Condition {
		return catalog.Condition{HasVersion: &catalog.VersionKey{Bucket: "b", Key: "k", ID: versionID(n)}}
	}
	allowed(t, c, has(1))
	refused(t, c, has(2))
	allowed(t, c, catalog.Condition{BucketExists: "b"})
	refused(t, c, catalog.Condition{BucketExists: "a"})
	allowed(t, c, catalog.Condition{BucketAbsent: "a"})
	refused(t, c, catalog.Condition{BucketAbsent: "b"})

	// Conditions speak of the state before the batch, and all must hold.
	want := dumpText(t, c)
	err := c.Commit(t.Context(), &catalog.Batch{
		If:          []catalog.Condition{{BucketExists: "b"}, {BucketExists: "a"}, has(1)},
		PutBuckets:  []*catalog.BucketEntry{bucket("a")},
		PutVersions: []*catalog.VersionEntry{version("b", "k", 2)},
		AddGarbage:  []catalog.Location{{Segment: segmentID(1)}},
	})
	var failed *catalog.ConditionError
	if !errors.As(err, &failed) || failed.Condition.BucketExists != "a" {
		t.Errorf("Commit = %v, want the second condition to fail", err)
	}
	wantEqual(t, "catalog after a failed condition", dumpText(t, c), want)
	commit(t, c, &catalog.Batch{
		If:         []catalog.Condition{{BucketAbsent: "a"}, {BucketExists: "b"}},
		PutBuckets: []*catalog.BucketEntry{bucket("a")},
	})
	allowed(t, c, catalog.Condition{BucketExists: "a"})
}

func testUnstorable(t *testing.T, c catalog.Catalog) {
	bad := version("b", "k", 1)
	bad.Version.Size = -1
	wantKind(t, "Commit of a negative size", c.Commit(t.Context(), &catalog.Batch{PutVersions: []*catalog.VersionEntry{bad}}), cairn.Invalid)
	wantEqual(t, "stats", must(c.Stats(t.Context()))(t), catalog.Stats{})
}

func testOwnership(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	put := fullVersion("b", "k", 3)
	seg := segment(1, 1)
	commit(t, c, &catalog.Batch{PutVersions: []*catalog.VersionEntry{put}, PutSegments: []*catalog.SegmentEntry{seg}})
	spoil := func(v *catalog.VersionEntry, s *catalog.SegmentEntry) {
		v.Version.Headers[0].Value = "spoilt"
		v.Version.Parts[0].Key[0] ^= 0xff
		v.Version.Parts[0].Segments[0].PlainLen++
		v.Record.Nodes[0] = nodeID(99)
		s.Nodes[0], s.Roots[0], s.Refs = nodeID(99), cairn.Root{9}, 99
	}
	spoil(put, seg)
	spoil(must(c.Newest(ctx, "b", "k"))(t), must(c.Segment(ctx, segmentID(1)))(t))
	wantEqual(t, "version", must(c.Newest(ctx, "b", "k"))(t), fullVersion("b", "k", 3))
	wantEqual(t, "segment", must(c.Segment(ctx, segmentID(1)))(t), segment(1, 1))
}

func testStats(t *testing.T, c catalog.Catalog) {
	wantStats := func(want catalog.Stats) {
		t.Helper()
		wantEqual(t, "stats", must(c.Stats(t.Context()))(t), want)
	}
	wantStats(catalog.Stats{})
	larger := version("b", "k", 2)
	larger.Version.Size = 1000
	commit(t, c, &catalog.Batch{
		PutBuckets:  []*catalog.BucketEntry{bucket("b"), bucket("b"), bucket("c")},
		PutVersions: []*catalog.VersionEntry{version("b", "k", 1), version("b", "k", 2), larger, version("c", "k", 4)},
		PutUploads:  []*catalog.UploadEntry{upload("b", "k", "u"), upload("b", "k", "u")},
		PutSegments: []*catalog.SegmentEntry{segment(1, 1), segment(1, 1)},
		AddGarbage:  []catalog.Location{{Segment: segmentID(5)}, {Segment: segmentID(6)}},
	})
	wantStats(catalog.Stats{Buckets: 2, Versions: 3, PlainBytes: 1050, Uploads: 1, Segments: 1, Garbage: 2})
	// Put and dropped in one step; dropped twice; dropped though never there.
	commit(t, c, &catalog.Batch{
		PutVersions:  []*catalog.VersionEntry{version("b", "new", 9)},
		DropVersions: []catalog.VersionKey{versionKey(version("b", "new", 9)), versionKey(larger), versionKey(larger), versionKey(version("c", "k", 5))},
		DropUploads:  []catalog.UploadKey{uploadKey(upload("b", "k", "u")), uploadKey(upload("b", "k", "u"))},
	})
	wantStats(catalog.Stats{Buckets: 2, Versions: 2, PlainBytes: 50, Segments: 1, Garbage: 2})
}

func testContext(t *testing.T, c catalog.Catalog) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Bucket(ctx, "b")
	wantKindOf(t, "Bucket", err, cairn.Unavailable)
	_, err = c.Versions(ctx, "b")
	wantKindOf(t, "Versions", err, cairn.Unavailable)
	err = c.Commit(ctx, &catalog.Batch{PutBuckets: []*catalog.BucketEntry{bucket("b")}})
	wantKindOf(t, "Commit", err, cairn.Unavailable)
}

func wantKindOf(t *testing.T, what string, err error, kind cairn.Kind) {
	t.Helper()
	if err == nil || cairn.KindOf(err) != kind {
		t.Errorf("%s: got error %v of kind %v, want kind %v", what, err, cairn.KindOf(err), kind)
	}
}

func testClosed(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	if err := c.Close(); err != nil {
		t.Fatalf("Close() = %v, want nil", err)
	}
	_, err := c.Newest(ctx, "b", "k")
	wantKind(t, "Newest after Close", err, cairn.Unavailable)
	_, err = c.Versions(ctx, "b")
	wantKind(t, "Versions after Close", err, cairn.Unavailable)
	wantKind(t, "Commit after Close", c.Commit(ctx, &catalog.Batch{}), cairn.Unavailable)
	_, err = c.Stats(ctx)
	wantKind(t, "Stats after Close", err, cairn.Unavailable)
}
