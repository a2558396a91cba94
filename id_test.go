package cairn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestVersionIDsOnlyGrow(t *testing.T) {
	now := time.Unix(1790000000, 0)
	var mu sync.Mutex
	c := VersionClock{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(-time.Second) // a wall clock that runs backwards
		return now
	}}
	var last VersionID
	for range 1000 {
		id := c.Next()
		if id.Compare(last) <= 0 {
			t.Fatalf("Next = %v after %v", id, last)
		}
		last = id
	}
	future := VersionID{0x7f}
	c.Observe(future)
	if id := c.Next(); id.Compare(future) <= 0 {
		t.Errorf("Next = %v after observing %v", id, future)
	}
	ids := make(chan VersionID, 400)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				ids <- c.Next()
			}
		})
	}
	wg.Wait()
	close(ids)
	seen := map[VersionID]bool{}
	for id := range ids {
		if seen[id] || seen[VersionID(append(id[:8:8], make([]byte, 8)...))] {
			t.Fatalf("%v was handed out twice", id)
		}
		seen[id] = true
	}
}

func TestIDsSurviveTheirText(t *testing.T) {
	id := sampleVersionID(3)
	if got, err := ParseVersionID(id.String()); err != nil || got != id {
		t.Errorf("ParseVersionID(%v) = %v, %v", id, got, err)
	}
	seg := SegmentID(sampleID(9))
	if got, err := ParseSegmentID(seg.String()); err != nil || got != seg {
		t.Errorf("ParseSegmentID(%v) = %v, %v", seg, got, err)
	}
	type both struct {
		Version VersionID
		Node    NodeID
	}
	in := both{id, NodeID(sampleID(1))}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out both
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("%s reads as %v, %v", text, out, err)
	}
	for _, bad := range []string{"", "zz", id.String() + "00", id.String()[:31] + "x"} {
		if _, err := ParseVersionID(bad); !errors.Is(err, Invalid) {
			t.Errorf("ParseVersionID(%q) = %v, want Invalid", bad, err)
		}
		if _, err := ParseSegmentID(bad); !errors.Is(err, Invalid) {
			t.Errorf("ParseSegmentID(%q) = %v, want Invalid", bad, err)
		}
	}
}

func TestShardIDsSortBySegmentThenIndex(t *testing.T) {
	ids := []ShardID{{}, {Index: 1}, {Index: 200}, {Segment: SegmentID{0, 1}}, {Segment: SegmentID{1}}, {Segment: SegmentID{1}, Index: 5}}
	for i, a := range ids {
		for j, b := range ids {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestErrorsKeepTheirKindThroughWrapping(t *testing.T) {
	inner := Errorf("read shard", Corrupt, "leaf %d", 3).WithHint("repair the shard")
	err := fmt.Errorf("get object: %w", fmt.Errorf("segment: %w", inner))
	if !errors.Is(err, Corrupt) || errors.Is(err, NotFound) || KindOf(err) != Corrupt {
		t.Errorf("kind of %v = %v, want Corrupt", err, KindOf(err))
	}
	if HintOf(err) != "repair the shard" || HintOf(errors.New("x")) != "" || HintOf(nil) != "" {
		t.Errorf("hint = %q", HintOf(err))
	}
	if got, want := err.Error(), "get object: segment: read shard: leaf 3"; got != want {
		t.Errorf("error = %q, want %q", got, want)
	}
	outer := NewError("put", Unavailable, inner)
	if KindOf(outer) != Unavailable || HintOf(outer) != "repair the shard" {
		t.Errorf("outer kind %v, hint %q", KindOf(outer), HintOf(outer))
	}
	for err, want := range map[error]Kind{context.Canceled: Unavailable, context.DeadlineExceeded: Unavailable, errors.New("x"): Internal, Full: Full} {
		if got := KindOf(err); got != want {
			t.Errorf("KindOf(%v) = %v, want %v", err, got, want)
		}
	}
	if got := Kind(99).String(); got != "kind 99" {
		t.Errorf("Kind(99) = %q", got)
	}
}
