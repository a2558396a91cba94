package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
	"github.com/cairn-store/cairn/gateway/seal"
)

// dump writes a catalog down, one line per fact.
func dump(t *testing.T, c catalog.Catalog) (lines []string) {
	t.Helper()
	ctx := t.Context()
	buckets, err := c.Buckets(ctx, "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range buckets {
		lines = append(lines, fmt.Sprintf("bucket %s %v", b.Bucket.Name, b.Bucket.Settings))
		it, err := c.Versions(ctx, b.Bucket.Name)
		if err != nil {
			t.Fatal(err)
		}
		for ok := it.Seek(""); ok; ok = it.Next() {
			e, err := it.Entry()
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("object %s/%s @%d %d bytes %d parts record on %d", b.Bucket.Name, e.Version.Key, e.Version.ID.Time().UnixNano()-1790000000000000000, e.Version.Size, len(e.Version.Parts), present(e.Record.Nodes)))
		}
		if err := errors.Join(it.Err(), it.Close()); err != nil {
			t.Fatal(err)
		}
	}
	err = c.Segments(ctx, cairn.SegmentID{}, func(s *catalog.SegmentEntry) error {
		lines = append(lines, fmt.Sprintf("segment %s %v %d bytes refs %d on %d", s.Segment.Short(), s.Scheme, s.PlainLen, s.Refs, present(s.Nodes)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func present(nodes []cairn.NodeID) (n int) {
	for _, id := range nodes {
		if !id.IsZero() {
			n++
		}
	}
	return n
}

func objects(t *testing.T, c catalog.Catalog) (out []string) {
	t.Helper()
	for _, l := range dump(t, c) {
		if rest, ok := strings.CutPrefix(l, "object "); ok {
			f := strings.Fields(rest)
			out = append(out, f[0]+f[1])
		}
	}
	return out
}

func garbage(t *testing.T, c catalog.Catalog) map[cairn.SegmentID]int {
	t.Helper()
	all, err := c.Garbage(t.Context(), 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	out := map[cairn.SegmentID]int{}
	for _, g := range all {
		out[g.Place.Segment] = present(g.Place.Nodes)
	}
	return out
}

func wantObjects(t *testing.T, c catalog.Catalog, want ...string) {
	t.Helper()
	if got := objects(t, c); !reflect.DeepEqual(got, want) {
		t.Errorf("objects = %q, want %q", got, want)
	}
}

func TestEverythingACatalogHeldComesBack(t *testing.T) {
	w := newNetwork(t, 6)
	w.bucket("b", 1, nil)
	old := w.bucket("docs", 2, nil)
	w.bucket("docs", 9, func(b *cairn.Bucket) { b.Settings = []cairn.Attr{{Name: "cors", Value: "<C/>"}} })
	w.put("b", "one", 10, 6)
	first := w.put("b", "over", 11, 6)
	w.put("b", "over", 12, 6)
	gone := w.put("b", "gone", 13, 6)
	w.tombstone("b", "gone", 14, cairn.VersionID{}, 3, 4, 5)
	v := w.putParts("docs", "multi", 15, 2)
	// A copy is a version record that refers to segments of another.
	copied := v
	copied.Bucket, copied.Key, copied.ID = "b", "copy", at(16)
	w.record(cairn.KindVersion, copied.Encode(), 3, 0, 1, 2)
	// A change of metadata replaces the record, not the segments.
	changed := v
	changed.ID, changed.Headers = at(17), []cairn.Attr{{Name: "cache-control", Value: "no"}}
	w.record(cairn.KindVersion, changed.Encode(), 3, 1, 2, 3)
	orphan := w.segment(cairn.KindData, 4, 2, 6, 100, cairn.Manifest{Part: 5}, nil)
	w.record(cairn.KindVersion, (&cairn.Version{Bucket: "b", Key: "empty", ID: at(18)}).Encode(), 3, 0, 2, 4)

	c, got := w.recover()
	wantObjects(t, c, "b/copy@16", "b/empty@18", "b/one@10", "b/over@12", "docs/multi@17")
	if text := got.String(); text != "5 objects, 1 version deleted, 0 degraded, 0 unreadable" {
		t.Errorf("verdict %q", text)
	}
	if got.Superseded != 2 || got.Orphans != 3 || got.Buckets != 2 || got.Newest != at(18) || got.Epoch != 1 || got.Nodes != 6 {
		t.Errorf("verdict %+v", got)
	}
	for _, p := range v.Parts {
		s, err := c.Segment(t.Context(), p.Segments[0].ID)
		if err != nil || s.Refs != 2 || present(s.Nodes) != 6 || len(s.Roots) != 6 || s.PlainLen != 500 {
			t.Errorf("segment of part %d = %+v, %v, want two references and six shards", p.Number, s, err)
		}
	}
	bin := garbage(t, c)
	for _, id := range []cairn.SegmentID{first, gone, orphan, old} {
		if bin[id] == 0 {
			t.Errorf("segment %s is not garbage", id.Short())
		}
	}
	if len(bin) != 5 { // and the replaced version record
		t.Errorf("%d places of garbage, want 5", len(bin))
	}
	e, err := c.Newest(t.Context(), "docs", "multi")
	if err != nil || e.Version.Header("cache-control") != "no" || present(e.Record.Nodes) != 3 {
		t.Errorf("docs/multi = %+v, %v", e, err)
	}
	b, err := c.Bucket(t.Context(), "docs")
	if err != nil || b.Bucket.Setting("cors") != "<C/>" || b.Bucket.Region != "eu" || present(b.Record.Nodes) != 3 {
		t.Errorf("bucket docs = %+v, %v", b, err)
	}
	text, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(text), `"objects":5`) {
		t.Errorf("verdict as JSON = %s, %v", text, err)
	}
}

func TestAnyTwoNodesMayBeGone(t *testing.T) {
	for i := range 6 {
		for j := range i {
			w := newNetwork(t, 6)
			w.bucket("b", 1, nil)
			w.put("b", "one", 10, 6)
			w.put("b", "dead", 11, 6)
			w.tombstone("b", "dead", 12, cairn.VersionID{}, 0, 2, 4)
			w.putParts("b", "multi", 13, 2)
			for _, n := range []int{i, j} {
				w.nodes[n].fail(func(string) error { return errDead })
			}
			c, v := w.recover()
			wantObjects(t, c, "b/multi@13", "b/one@10")
			if v.Degraded != 2 || v.Unreadable != 0 || v.Deleted != 1 || len(v.Unanswered) != 2 || v.DeletionsMayBeHidden {
				t.Errorf("without nodes %d and %d: verdict %+v", i, j, v)
			}
			if want := "2 objects, 1 version deleted, 2 degraded, 0 unreadable, 2 of 6 nodes did not answer"; v.String() != want {
				t.Errorf("verdict %q, want %q", v, want)
			}
		}
	}
}

func TestDeletionsHoldWhateverTheNodesBringBack(t *testing.T) {
	w := newNetwork(t, 6)
	w.bucket("b", 1, nil)
	w.put("b", "all", 10, 6)
	w.put("b", "all", 11, 6)
	w.tombstone("b", "all", 12, cairn.VersionID{}, 5) // its only copy is on one node
	w.put("b", "one", 20, 6)
	w.put("b", "one", 21, 6)
	w.tombstone("b", "one", 22, at(21), 0)
	w.put("b", "again", 30, 6)
	w.tombstone("b", "again", 31, cairn.VersionID{}, 1)
	w.put("b", "again", 32, 6)
	// A bucket that was deleted and has a node that kept its objects.
	w.bucket("gone", 2, nil)
	w.put("gone", "x", 40, 6)
	w.bucket("gone", 41, func(b *cairn.Bucket) { b.Deleted = true })
	// One that was made again after that.
	w.bucket("back", 3, nil)
	w.put("back", "before", 50, 6)
	w.bucket("back", 51, func(b *cairn.Bucket) { b.Deleted = true })
	w.bucket("back", 52, nil)
	w.put("back", "after", 53, 6)

	c, v := w.recover()
	wantObjects(t, c, "b/again@32", "b/one@20", "back/after@53")
	if v.Deleted != 6 || v.Buckets != 2 {
		t.Errorf("verdict %+v, want 6 versions deleted and 2 buckets", v)
	}
	if _, err := c.Bucket(t.Context(), "gone"); !errors.Is(err, cairn.NotFound) {
		t.Errorf("the deleted bucket = %v, want NotFound", err)
	}
}

func TestWritesThatNeverEndedDoNotHideWhatWasThere(t *testing.T) {
	w := newNetwork(t, 6)
	w.bucket("b", 1, nil)
	w.put("b", "k", 10, 6)
	leftover := w.put("b", "k", 11, 3) // 3 shards of 4 needed
	w.put("b", "new", 12, 1)
	c, v := w.recover()
	wantObjects(t, c, "b/k@10", "b/new@12")
	if v.Unfinished != 1 || v.Unreadable != 1 || garbage(t, c)[leftover] != 3 {
		t.Errorf("verdict %+v, want one write unfinished, one object unreadable", v)
	}

	// With a node missing the newer one might be whole: nothing is deleted.
	w.nodes[5].fail(func(string) error { return errDead })
	c, v = w.recover()
	wantObjects(t, c, "b/k@11", "b/new@12")
	if v.Undecided != 1 || v.Unreadable != 2 || v.OrphansLeft != 1 || len(garbage(t, c)) != 0 {
		t.Errorf("verdict %+v, garbage %v; want one version undecided and nothing deleted", v, garbage(t, c))
	}
}

func TestTheCopyThatCanBeReadWins(t *testing.T) {
	w := newNetwork(t, 6)
	w.bucket("b", 1, nil)
	for _, shards := range [][2]int{{3, 6}, {6, 3}} {
		key := fmt.Sprint(shards)
		attempts := [2]cairn.SegmentID{w.put("b", key, 10, shards[0]), w.put("b", key, 10, shards[1])}
		c, _ := w.recover()
		e, err := c.Newest(t.Context(), "b", key)
		whole := attempts[0]
		if shards[1] == 6 {
			whole = attempts[1]
		}
		if err != nil || e.Version.Parts[0].Segments[0].ID != whole {
			t.Errorf("attempts with %v shards: version = %+v, %v, want the whole attempt", shards, e, err)
		}
	}
}

func TestCorruptTailsAreReplacedByGoodOnes(t *testing.T) {
	for name, change := range map[string]func(*cairn.Tail){
		"manifest":       func(x *cairn.Tail) { x.Manifest = append([]byte{1}, x.Manifest[1:]...); x.Manifest[80] ^= 1 },
		"root":           func(x *cairn.Tail) { x.Trailer.Root[0] ^= 1 },
		"header":         func(x *cairn.Tail) { x.Header.Data = 3 },
		"another record": func(x *cairn.Tail) { x.Header.Shard.Segment[3] ^= 1 },
		"its own record": func(x *cairn.Tail) { // consistent, but not sealed by the owner
			x.Manifest = append([]byte{}, x.Manifest...)
			x.Manifest[80] ^= 1
			x.Trailer = cairn.NewTrailer(x.Header, x.Trailer.Root, x.Trailer.Roots, x.Manifest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNetwork(t, 6)
			w.bucket("b", 1, nil)
			w.put("b", "one", 10, 6)
			w.put("b", "dead", 11, 6)
			w.tombstone("b", "dead", 12, cairn.VersionID{}, 0, 1, 2)
			w.nodes[0].change(change)
			w.nodes[1].change(change)
			for _, strict := range []bool{false, true} { // as a client that checks answers
				w.nodes[0].strict, w.nodes[1].strict = strict, strict
				c, v := w.recover()
				wantObjects(t, c, "b/one@10")
				if v.Unreadable != 0 || v.Deleted != 1 || v.Corrupt == 0 {
					t.Errorf("verdict %+v, want shards found corrupt and nothing unreadable", v)
				}
			}
		})
	}
}

func TestOneBadRecordDoesNotHideOthers(t *testing.T) {
	w := newNetwork(t, 6)
	w.bucket("b", 1, nil)
	for i := range uint64(30) {
		w.put("b", fmt.Sprint("k", i), 10+i, 6)
	}
	for i, n := range w.nodes {
		n.strict = true
		bad := 0
		for id, tail := range n.tails { // on each node another record
			if id.Segment[0]%6 == byte(i) && bad == 0 {
				tail.Trailer.Roots[0] ^= 1
				n.tails[id] = tail
				bad++
			}
		}
	}
	cfg := w.config(memory.New(), t.TempDir())
	cfg.PageEntries, cfg.BatchSegments = 1000, 1000
	v, err := Run(t.Context(), cfg)
	if err != nil || v.Objects != 30 || v.Unreadable != 0 || v.Lost != 0 || len(v.Unanswered) != 0 {
		t.Errorf("Run = %+v, %v, want every object and every node", v, err)
	}
}

func TestShardsAreFoundWhereTheyAre(t *testing.T) {
	w := newNetwork(t, 8)
	w.bucket("b", 1, nil)
	id := w.put("b", "k", 10, 6)
	// Shard 2 was repaired onto node 7, and shard 3 is on node 6 as well.
	for shard, to := range map[uint8]int{2: 7, 3: 6} {
		from, sid := w.nodes[shard], cairn.ShardID{Segment: id, Index: shard}
		tail := from.tails[sid]
		h := tail.Header
		var roots []cairn.Root
		m, err := w.keys.OpenManifest(id, h.Kind, tail.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := cairn.DecodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		roots = decoded.Roots
		payload := make([]byte, 0, h.PayloadLen)
		for int64(len(payload)) < h.PayloadLen {
			payload = append(payload, id[0], shard)
		}
		h.RetainUntil = 5 // so that its digest is another, and the tail itself has to convince
		w.store(w.nodes[to], h, payload, roots, tail.Manifest)
		if shard == 2 {
			delete(from.tails, sid)
		}
	}
	c, v := w.recover()
	s, err := c.Segment(t.Context(), id)
	if err != nil || s.Nodes[2] != w.nodes[7].id || s.Nodes[3] != w.nodes[3].id || present(s.Nodes) != 6 {
		t.Errorf("segment = %+v, %v, want shard 2 on node 7", s, err)
	}
	if v.Corrupt != 0 || v.Degraded != 0 {
		t.Errorf("verdict %+v", v)
	}
	if garbage(t, c)[id] != 1 {
		t.Errorf("garbage %v, want the second copy of shard 3", garbage(t, c))
	}
}

func TestBucketsWithoutARecordAreMadeAnew(t *testing.T) {
	w := newNetwork(t, 6)
	w.put("lost", "k", 10, 6)
	c, v := w.recover()
	wantObjects(t, c, "lost/k@10")
	if v.BucketsMade != 1 {
		t.Errorf("verdict %+v, want one bucket made anew", v)
	}
}

func TestVersionsOfAVersionedBucketAllComeBack(t *testing.T) {
	w := newNetwork(t, 6)
	w.bucket("b", 1, func(b *cairn.Bucket) { b.Settings = []cairn.Attr{{Name: "versioning", Value: "Enabled"}} })
	for v := range uint64(3) {
		w.put("b", "k", 10+v, 6)
	}
	w.tombstone("b", "k", 20, at(11), 0, 1, 2)
	c, _ := w.recover()
	wantObjects(t, c, "b/k@12", "b/k@10")
}

func TestALiarCannotStopARecovery(t *testing.T) {
	for name, lie := range map[string]func(n *fakeNode) Node{
		"endless empty pages": func(n *fakeNode) Node { return liar{n, func([]cairn.Entry) ([]cairn.Entry, bool) { return nil, true }} },
		"out of order": func(n *fakeNode) Node {
			return liar{n, func(e []cairn.Entry) ([]cairn.Entry, bool) { return append(e, e[0]), true }}
		},
		"shards it has not": func(n *fakeNode) Node {
			return liar{n, func(e []cairn.Entry) ([]cairn.Entry, bool) {
				var id cairn.SegmentID
				id[0] = 0xff
				for i := range 20 {
					id[31] = byte(i)
					e = append(e, cairn.Entry{Shard: cairn.ShardID{Segment: id, Index: 200}, Kind: 99, Size: 1 << 60})
				}
				return e, false
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNetwork(t, 6)
			w.bucket("b", 1, nil)
			w.put("b", "k", 10, 6)
			cfg := w.config(memory.New(), t.TempDir())
			cfg.PageEntries = 100
			honest := cfg.Nodes
			cfg.Nodes = func() []Node {
				nodes := honest()
				nodes[2] = lie(w.nodes[2])
				return nodes
			}
			v, err := Run(t.Context(), cfg)
			if err != nil || v.Objects != 1 || v.Unreadable != 0 {
				t.Errorf("Run = %+v, %v, want the object", v, err)
			}
		})
	}
}

// liar is a node that changes what it lists.
type liar struct {
	*fakeNode
	lie func([]cairn.Entry) ([]cairn.Entry, bool)
}

func (l liar) List(ctx context.Context, after cairn.ShardID, limit int) ([]cairn.Entry, bool, error) {
	e, _, err := l.fakeNode.List(ctx, after, limit)
	if err != nil {
		return nil, false, err
	}
	e, more := l.lie(e)
	return e, more, nil
}

func TestNoNodeAndWrongDirectoriesAreErrors(t *testing.T) {
	w := newNetwork(t, 3)
	w.bucket("b", 1, nil)
	dir := t.TempDir()
	for _, n := range w.nodes {
		n.fail(func(string) error { return errDead })
	}
	if _, err := Run(t.Context(), w.config(memory.New(), dir)); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Run without a living node = %v, want Unavailable", err)
	}
	for _, n := range w.nodes {
		n.fail(nil)
	}
	other, err := seal.FromPhrase(testPhrase, "another")
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.config(memory.New(), dir)
	cfg.Keys = other
	if _, err := Run(t.Context(), cfg); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Run with another owner's state = %v, want Invalid", err)
	}
	full := memory.New()
	if err := full.Commit(t.Context(), &catalog.Batch{PutBuckets: []*catalog.BucketEntry{{Bucket: cairn.Bucket{Name: "there"}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), w.config(full, t.TempDir())); !errors.Is(err, cairn.Exists) {
		t.Errorf("Run into a catalog in use = %v, want Exists", err)
	}
	if _, err := Run(t.Context(), Config{}); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Run of nothing = %v, want Invalid", err)
	}
}
