package conformance

import (
	"math"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

func testUploads(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	done := upload("b", "k", "u3")
	done.Completed, done.CompletedAt = versionID(5), 99
	commit(t, c, &catalog.Batch{PutUploads: []*catalog.UploadEntry{
		upload("b", "k\x00", "u0"), upload("b", "k", "u2"), upload("b", "k", "u1"), upload("b", "j", "u9"), upload("ba", "k", "u4"), done,
	}})
	list := func(prefix, afterKey, afterID string, limit int) []string {
		t.Helper()
		var ids []string
		for _, e := range must(c.Uploads(ctx, "b", prefix, afterKey, afterID, limit))(t) {
			ids = append(ids, e.ID)
		}
		return ids
	}
	wantEqual(t, "in progress", list("", "", "", 10), []string{"u9", "u1", "u2", "u0"})
	wantEqual(t, "with prefix", list("k", "", "", 10), []string{"u1", "u2", "u0"})
	wantEqual(t, "limited", list("", "", "", 2), []string{"u9", "u1"})
	wantEqual(t, "after a pair", list("", "k", "u1", 10), []string{"u2", "u0"})
	wantEqual(t, "after a key", list("", "k", "", 10), []string{"u1", "u2", "u0"})
	wantEqual(t, "after what is not there", list("", "k", "u5", 10), []string{"u0"})
	wantEqual(t, "after inside the prefix", list("k", "k", "u2", 10), []string{"u0"})
	wantEqual(t, "after behind the prefix", list("k", "l", "", 10), []string(nil))
	wantEqual(t, "limit 0", list("", "", "", 0), []string(nil))
	wantEqual(t, "one upload", must(c.Upload(ctx, "b", "k", "u1"))(t), upload("b", "k", "u1"))
	wantEqual(t, "completed upload", must(c.Upload(ctx, "b", "k", "u3"))(t), done)
	_, err := c.Upload(ctx, "b", "j", "u1")
	wantKind(t, "Upload under another key", err, cairn.NotFound)

	commit(t, c, &catalog.Batch{PutUploads: []*catalog.UploadEntry{
		upload("x", "\x81k", "1"), upload("x", "\xfak", "2"), upload("x", "\xff\xffk", "3"), upload("y", "", "4"),
	}})
	for prefix, want := range map[string]string{"\x81": "1", "\xfa": "2", "\xff": "3", "\xff\xff": "3"} {
		got := must(c.Uploads(ctx, "x", prefix, "", "", 10))(t)
		if len(got) != 1 || got[0].ID != want {
			t.Errorf("Uploads with prefix %q = %d uploads, want only upload %s", prefix, len(got), want)
		}
	}
	wantEqual(t, "uploads", must(c.Stats(ctx))(t).Uploads, int64(9))
	allowed(t, c, catalog.Condition{OpenUpload: new(uploadKey(upload("b", "k", "u1")))})
	refused(t, c, catalog.Condition{OpenUpload: new(uploadKey(done))})
	refused(t, c, catalog.Condition{OpenUpload: new(uploadKey(upload("b", "k", "u7")))})
	completed := upload("b", "k", "u1")
	completed.Completed = versionID(6)
	commit(t, c, &catalog.Batch{PutUploads: []*catalog.UploadEntry{completed}})
	wantEqual(t, "uploads after a completion", must(c.Stats(ctx))(t).Uploads, int64(8))
	commit(t, c, &catalog.Batch{DropUploads: []catalog.UploadKey{uploadKey(completed), uploadKey(upload("b", "j", "u9"))}})
	wantEqual(t, "uploads after drops", must(c.Stats(ctx))(t).Uploads, int64(7))
}

func testCompletedUploads(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	completed := func(id string, at int64) *catalog.UploadEntry {
		e := upload("b", "k\x00", id)
		e.Completed, e.CompletedAt = versionID(1), at
		return e
	}
	list := func(before int64, limit int) []string {
		t.Helper()
		var ids []string
		for _, e := range must(c.CompletedUploads(ctx, before, limit))(t) {
			ids = append(ids, e.ID)
		}
		return ids
	}
	commit(t, c, &catalog.Batch{PutUploads: []*catalog.UploadEntry{
		completed("u2", 500), completed("u1", 70000), completed("u0", 500), completed("u4", -3), upload("b", "k", "u3"),
	}})
	wantEqual(t, "before the last", list(70000, 10), []string{"u4", "u0", "u2"})
	wantEqual(t, "behind the last", list(70001, 10), []string{"u4", "u0", "u2", "u1"})
	wantEqual(t, "limited", list(70001, 2), []string{"u4", "u0"})
	wantEqual(t, "before the first", list(-3, 10), []string(nil))
	wantEqual(t, "limit 0", list(70001, 0), []string(nil))
	wantEqual(t, "one entry", must(c.CompletedUploads(ctx, 600, 2))(t)[1], completed("u0", 500))
	commit(t, c, &catalog.Batch{
		PutUploads:  []*catalog.UploadEntry{completed("u0", 90000), upload("b", "k\x00", "u1")}, // another time; open again
		DropUploads: []catalog.UploadKey{uploadKey(completed("u4", 0))},
	})
	wantEqual(t, "after changes", list(1<<60, 10), []string{"u2", "u0"})
	wantEqual(t, "open uploads", must(c.Stats(ctx))(t).Uploads, int64(2))
}

func testUploadParts(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	put := func(id string, n int) catalog.PartPut { return catalog.PartPut{UploadID: id, Entry: partEntry(n)} }
	commit(t, c, &catalog.Batch{
		PutUploads: []*catalog.UploadEntry{upload("b", "k", "u"), upload("b", "k", "u\x00")},
		PutParts:   []catalog.PartPut{put("u", 10000), put("u", 256), put("u", 1), put("u", 255), put("u\x00", 7)},
	})
	list := func(id string, after, limit int) []int {
		t.Helper()
		var numbers []int
		for _, e := range must(c.Parts(ctx, id, after, limit))(t) {
			numbers = append(numbers, e.Part.Number)
		}
		return numbers
	}
	wantEqual(t, "parts", list("u", 0, 10), []int{1, 255, 256, 10000})
	wantEqual(t, "parts after", list("u", 255, 10), []int{256, 10000})
	wantEqual(t, "parts limited", list("u", 1, 2), []int{255, 256})
	wantEqual(t, "parts after the last number", list("u", 10000, 2), []int(nil))
	wantEqual(t, "parts after what cannot be", list("u", 1<<40, 2), []int(nil))
	wantEqual(t, "limit 0", list("u", 0, 0), []int(nil))
	wantEqual(t, "whole part", must(c.Parts(ctx, "u", 0, 1))(t)[0], partEntry(1))

	is := func(id string, number, object int) catalog.Condition {
		return catalog.Condition{PartIs: &catalog.PartCondition{UploadID: id, Number: number, Object: objectID(object)}}
	}
	allowed(t, c, is("u", 255, 255))
	refused(t, c, is("u", 255, 256))
	refused(t, c, is("u", 2, 255))
	refused(t, c, is("u", 255, 0))
	allowed(t, c, is("u", 2, 0))
	replaced := partEntry(77)
	replaced.Part.Number = 255
	commit(t, c, &catalog.Batch{PutParts: []catalog.PartPut{{UploadID: "u", Entry: replaced}}})
	allowed(t, c, is("u", 255, 77))
	wantEqual(t, "parts after a replacement", list("u", 0, 10), []int{1, 255, 256, 10000})

	// Changes are in the order of the fields: drop, then put.
	commit(t, c, &catalog.Batch{
		DropUploads: []catalog.UploadKey{uploadKey(upload("b", "k", "u"))},
		PutParts:    []catalog.PartPut{put("u", 3)},
	})
	wantEqual(t, "parts after the drop", list("u", 0, 10), []int{3})
	wantEqual(t, "parts of the neighbour", list("u\x00", 0, 10), []int{7})
	_, err := c.Upload(ctx, "b", "k", "u")
	wantKind(t, "Upload that was dropped", err, cairn.NotFound)
}

func testIntents(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	intent := func(n int) *catalog.Intent {
		return &catalog.Intent{
			ID: versionID(n), Bucket: "b", Key: "k\x00", Started: int64(n), Delete: n == 2,
			Places: []catalog.Location{{Segment: segmentID(n), Nodes: nodes(1, 0, 2)}, {Segment: segmentID(n + 1)}},
		}
	}
	bare := &catalog.Intent{ID: versionID(300)}
	commit(t, c, &catalog.Batch{PutIntents: []*catalog.Intent{bare, intent(2), intent(1)}})
	wantEqual(t, "intents", must(c.Intents(ctx))(t), []*catalog.Intent{intent(1), intent(2), bare})
	longer := intent(2)
	longer.Places = append(longer.Places, catalog.Location{Segment: segmentID(9), Nodes: nodes(5)})
	commit(t, c, &catalog.Batch{PutIntents: []*catalog.Intent{longer}, DropIntents: []cairn.VersionID{versionID(1), versionID(44)}})
	wantEqual(t, "intents", must(c.Intents(ctx))(t), []*catalog.Intent{longer, bare})
	// Drops come after puts.
	commit(t, c, &catalog.Batch{PutIntents: []*catalog.Intent{intent(5)}, DropIntents: []cairn.VersionID{versionID(5), versionID(2), versionID(300)}})
	wantEqual(t, "intents", must(c.Intents(ctx))(t), []*catalog.Intent(nil))
}

func testFloor(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	for _, step := range []struct{ put, want int64 }{{0, 0}, {5, 5}, {3, 5}, {0, 5}, {1 << 62, 1 << 62}} {
		commit(t, c, &catalog.Batch{Floor: step.put})
		if got, err := c.Floor(ctx); err != nil || got != step.want {
			t.Errorf("Floor() after %d = %d, %v, want %d", step.put, got, err, step.want)
		}
	}
	refused := &catalog.Batch{If: []catalog.Condition{{BucketExists: "none"}}, Floor: math.MaxInt64}
	if err := c.Commit(ctx, refused); err == nil {
		t.Error("a condition that does not hold was passed over")
	}
	if got, err := c.Floor(ctx); err != nil || got != 1<<62 {
		t.Errorf("Floor() after a refused commit = %d, %v, want %d", got, err, int64(1<<62))
	}
}

func testGarbage(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	place := func(n int) catalog.Location { return catalog.Location{Segment: segmentID(n), Nodes: nodes(n, n+1)} }
	for i := range 300 {
		commit(t, c, &catalog.Batch{NoSync: true, AddGarbage: []catalog.Location{place(i)}})
	}
	all := must(c.Garbage(ctx, 0, 1000))(t)
	for i, g := range all {
		wantEqual(t, "place", g.Place, place(i))
		if i > 0 && (g.ID <= all[i-1].ID || g.Since < all[i-1].Since) {
			t.Fatalf("garbage %+v stands behind %+v", g, all[i-1])
		}
	}
	wantEqual(t, "garbage", len(all), 300)
	wantEqual(t, "limited", len(must(c.Garbage(ctx, 0, 7))(t)), 7)
	wantEqual(t, "limit 0", len(must(c.Garbage(ctx, 0, 0))(t)), 0)
	wantEqual(t, "after an id", must(c.Garbage(ctx, all[9].ID, 2))(t), all[10:12])
	wantEqual(t, "after the last id", len(must(c.Garbage(ctx, all[299].ID, 5))(t)), 0)
	wantEqual(t, "after the largest id", len(must(c.Garbage(ctx, 1<<64-1, 5))(t)), 0)

	changed := *all[0]
	changed.Place.Nodes = nodes(0, 1)
	gone := *all[1]
	commit(t, c, &catalog.Batch{
		PutGarbage:  []*catalog.Garbage{&changed, {ID: 1 << 40, Place: place(1)}}, // what is not there stays away
		DropGarbage: []uint64{gone.ID, 1 << 41},
	})
	commit(t, c, &catalog.Batch{PutGarbage: []*catalog.Garbage{&gone}})
	wantEqual(t, "garbage", must(c.Garbage(ctx, 0, 2))(t), []*catalog.Garbage{&changed, all[2]})
	wantEqual(t, "stats", must(c.Stats(ctx))(t).Garbage, int64(299))
	// An id is never used again.
	commit(t, c, &catalog.Batch{DropGarbage: []uint64{all[299].ID}})
	commit(t, c, &catalog.Batch{AddGarbage: []catalog.Location{place(5)}})
	now := must(c.Garbage(ctx, 0, 1000))(t)
	if last := now[len(now)-1]; last.ID <= all[299].ID {
		t.Errorf("new garbage has id %d, want more than %d", last.ID, all[299].ID)
	}
}
