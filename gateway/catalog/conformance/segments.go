package conformance

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

func testSegmentRoundTrip(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	bare := &catalog.SegmentEntry{Location: catalog.Location{Segment: segmentID(2)}}
	commit(t, c, &catalog.Batch{PutSegments: []*catalog.SegmentEntry{segment(1, 3), bare}})
	wantEqual(t, "segment", must(c.Segment(ctx, segmentID(1)))(t), segment(1, 3))
	wantEqual(t, "bare segment", must(c.Segment(ctx, segmentID(2)))(t), bare)
	_, err := c.Segment(ctx, segmentID(3))
	wantKind(t, "Segment that is not there", err, cairn.NotFound)
	replaced := segment(1, 9)
	replaced.PlainLen = 1 << 25
	commit(t, c, &catalog.Batch{PutSegments: []*catalog.SegmentEntry{replaced}})
	wantEqual(t, "replaced segment", must(c.Segment(ctx, segmentID(1)))(t), replaced)
	wantEqual(t, "segments", must(c.Stats(ctx))(t).Segments, int64(2))
}

func testSegmentsResume(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	const n = 700 // more than an implementation reads at once
	var want []cairn.SegmentID
	b := &catalog.Batch{}
	for i := range n {
		b.PutSegments = append(b.PutSegments, segment(i, 1))
		want = append(want, segmentID(i))
	}
	commit(t, c, b)
	slices.SortFunc(want, func(a, b cairn.SegmentID) int { return slices.Compare(a[:], b[:]) })
	var got []cairn.SegmentID
	list := func(after cairn.SegmentID, stop error) error {
		got = nil
		return c.Segments(ctx, after, func(e *catalog.SegmentEntry) error {
			got = append(got, e.Segment)
			if len(got) == 10 {
				return stop
			}
			// The catalog may be used from inside.
			_, err := c.Segment(ctx, e.Segment)
			return err
		})
	}
	if err := list(cairn.SegmentID{}, nil); err != nil {
		t.Fatalf("Segments() = %v, want nil", err)
	}
	// The zero id stands before every other and is never a segment's own.
	if want[0] == (cairn.SegmentID{}) {
		want = want[1:]
	}
	wantEqual(t, "all segments", got, want)
	if err := list(want[99], nil); err != nil {
		t.Fatalf("Segments(after) = %v, want nil", err)
	}
	wantEqual(t, "segments after the hundredth", got, want[100:])
	stop := errors.New("enough")
	if err := list(cairn.SegmentID{}, stop); !errors.Is(err, stop) {
		t.Errorf("Segments stopped by the callback = %v, want its error", err)
	}
	wantEqual(t, "segments before the stop", got, want[:10])
}

func testRefsOfNothing(t *testing.T, c catalog.Catalog) {
	commit(t, c, &catalog.Batch{Refs: map[cairn.SegmentID]int{segmentID(1): -1, segmentID(2): 0}})
	if stats, err := c.Stats(t.Context()); err != nil || stats != (catalog.Stats{}) {
		t.Errorf("Stats() = %+v, %v, want nothing", stats, err)
	}
}

func testRefs(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	before := time.Now().UnixNano()
	commit(t, c, &catalog.Batch{
		PutSegments: []*catalog.SegmentEntry{segment(1, 0), segment(2, 5)},
		Refs:        map[cairn.SegmentID]int{segmentID(1): 2, segmentID(2): -3},
	})
	refs := func(n int) int { t.Helper(); return must(c.Segment(ctx, segmentID(n)))(t).Refs }
	wantEqual(t, "refs of 1", refs(1), 2)
	wantEqual(t, "refs of 2", refs(2), 2)
	commit(t, c, &catalog.Batch{Refs: map[cairn.SegmentID]int{segmentID(1): 1, segmentID(2): 0}})
	wantEqual(t, "refs of 1", refs(1), 3)
	commit(t, c, &catalog.Batch{
		If:   []catalog.Condition{{Segment: new(segmentID(1))}},
		Refs: map[cairn.SegmentID]int{segmentID(1): -3, segmentID(2): -1},
	})
	_, err := c.Segment(ctx, segmentID(1))
	wantKind(t, "Segment without references", err, cairn.NotFound)
	refused(t, c, catalog.Condition{Segment: new(segmentID(1))})
	wantEqual(t, "refs of 2", refs(2), 1)

	garbage := must(c.Garbage(ctx, 0, 10))(t)
	if len(garbage) != 1 {
		t.Fatalf("got %d pieces of garbage, want 1", len(garbage))
	}
	wantEqual(t, "place of the garbage", garbage[0].Place, segment(1, 0).Location)
	if g := garbage[0]; g.Since < before || g.Since > time.Now().UnixNano() || g.ID == 0 {
		t.Errorf("garbage is %+v, want an id and a time between start and now", g)
	}
	wantEqual(t, "stats", must(c.Stats(ctx))(t), catalog.Stats{Segments: 1, Garbage: 1})

	// A segment put and dropped in one step is garbage, too.
	commit(t, c, &catalog.Batch{
		PutSegments: []*catalog.SegmentEntry{segment(3, 1)},
		Refs:        map[cairn.SegmentID]int{segmentID(3): -1},
	})
	wantEqual(t, "stats", must(c.Stats(ctx))(t), catalog.Stats{Segments: 1, Garbage: 2})
}

func testMoveShards(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	move := func(index uint8, to int) catalog.ShardMove {
		return catalog.ShardMove{Shard: cairn.ShardID{Segment: segmentID(1), Index: index}, To: nodeID(to)}
	}
	commit(t, c, &catalog.Batch{PutSegments: []*catalog.SegmentEntry{segment(1, 1)}, MoveShards: []catalog.ShardMove{move(0, 9)}})
	commit(t, c, &catalog.Batch{MoveShards: []catalog.ShardMove{move(2, 8), move(1, 6), move(1, 7)}})
	want := segment(1, 1)
	want.Nodes = nodes(9, 7, 8)
	wantEqual(t, "moved segment", must(c.Segment(ctx, segmentID(1)))(t), want)
}

func testFailedChange(t *testing.T, c catalog.Catalog) {
	ctx := t.Context()
	commit(t, c, &catalog.Batch{PutSegments: []*catalog.SegmentEntry{segment(1, 2), segment(2, 1)}})
	want := dumpText(t, c)
	for _, test := range []struct {
		name string
		kind cairn.Kind
		b    catalog.Batch
	}{
		{"references to a segment that is not there", cairn.NotFound, catalog.Batch{Refs: map[cairn.SegmentID]int{segmentID(2): -1, segmentID(9): 1}}},
		{"fewer than no references", cairn.Invalid, catalog.Batch{Refs: map[cairn.SegmentID]int{segmentID(1): -3, segmentID(2): -1}}},
		{"a move of a segment that is not there", cairn.NotFound, catalog.Batch{MoveShards: []catalog.ShardMove{{Shard: cairn.ShardID{Segment: segmentID(9)}}}}},
		{"a move of a segment that dies in the same step", cairn.NotFound, catalog.Batch{
			Refs:       map[cairn.SegmentID]int{segmentID(2): -1},
			MoveShards: []catalog.ShardMove{{Shard: cairn.ShardID{Segment: segmentID(2)}}},
		}},
		{"a move of a shard that is not there", cairn.Invalid, catalog.Batch{MoveShards: []catalog.ShardMove{{Shard: cairn.ShardID{Segment: segmentID(1), Index: 3}}}}},
		{"a condition that says nothing", cairn.Invalid, catalog.Batch{If: []catalog.Condition{{}}}},
	} {
		test.b.PutBuckets = []*catalog.BucketEntry{bucket("must-not-appear")}
		wantKind(t, "Commit of "+test.name, c.Commit(ctx, &test.b), test.kind)
		wantEqual(t, "catalog after "+test.name, dumpText(t, c), want)
	}
}
