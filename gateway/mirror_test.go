package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/internal/testnet"
	"github.com/cairn-store/cairn/placement"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

func putClass(t *testing.T, e *gateway.Engine, key, class string, data []byte) gateway.Stored {
	t.Helper()
	s, err := e.Put(t.Context(), gateway.PutRequest{
		Bucket: "b", Key: key, Body: bytes.NewReader(data), Size: int64(len(data)),
		Attributes: gateway.Attributes{StorageClass: class},
	})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return s
}

func putParts(t *testing.T, e *gateway.Engine, key, class string, parts ...[]byte) {
	t.Helper()
	u, err := e.CreateUpload(t.Context(), gateway.CreateUploadRequest{Bucket: "b", Key: key, Attributes: gateway.Attributes{StorageClass: class}})
	if err != nil {
		t.Fatal(err)
	}
	complete := gateway.CompleteRequest{Bucket: "b", Key: key, UploadID: u.ID, Size: -1}
	for i, data := range parts {
		p, err := e.PutPart(t.Context(), gateway.PutPartRequest{
			Bucket: "b", Key: key, UploadID: u.ID, Number: i + 1, Body: bytes.NewReader(data), Size: int64(len(data)),
		})
		if err != nil {
			t.Fatal(err)
		}
		complete.Parts = append(complete.Parts, gateway.CompletedPart{Number: i + 1, ETag: p.ETag})
	}
	if _, err := e.CompleteUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
}

// groupsOf returns the nodes of an object's two groups, over all its segments.
func groupsOf(t *testing.T, m *testnet.Mem, key string) (first, second map[cairn.NodeID]bool) {
	t.Helper()
	v, err := m.Catalog.Newest(t.Context(), "b", key)
	if err != nil {
		t.Fatal(err)
	}
	groups := [2]map[cairn.NodeID]bool{{}, {}}
	for _, p := range v.Version.Parts {
		for _, s := range p.Segments {
			for i, id := range []cairn.SegmentID{s.ID, s.Mirror} {
				if id == (cairn.SegmentID{}) {
					continue
				}
				entry, err := m.Catalog.Segment(t.Context(), id)
				if err != nil {
					t.Fatalf("%s: segment of group %d: %v", key, i, err)
				}
				for _, n := range entry.Nodes {
					groups[i][n] = true
				}
			}
		}
	}
	return groups[0], groups[1]
}

// without calls f while the nodes are down.
func without(m *testnet.Mem, nodes map[cairn.NodeID]bool, f func()) {
	set := func(down bool) {
		for _, n := range m.Nodes {
			if nodes[n.ID()] {
				n.SetDown(down)
			}
		}
	}
	set(true)
	defer set(false)
	f()
}

// TestEitherGroupServesAMirroredObject takes each group away in turn, from
// objects of every shape; the copy to and from the class keeps the bytes.
func TestEitherGroupServesAMirroredObject(t *testing.T) {
	for _, nodes := range []int{6, 8, 12} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			m, e := newEngine(t, nodes)
			want := map[string][]byte{}
			sizes := []int{0, 1, 5000, 300_000}
			if nodes == 12 && !testing.Short() {
				sizes = append(sizes, 65<<20)
			}
			for _, n := range sizes {
				key := fmt.Sprint("size ", n)
				want[key] = body(1, n)
				putClass(t, e, key, "MIRRORED", want[key])
			}
			parts := [][]byte{body(2, 5<<20), body(3, 5<<20), body(4, 77)}
			want["parts"] = bytes.Join(parts, nil)
			putParts(t, e, "parts", "MIRRORED", parts...)
			putParts(t, e, "plain parts", "", parts...)
			copies := map[string]string{"copied in": "plain parts", "copied": "parts", "copied small": "size 5000", "copied empty": "size 0"}
			for to, from := range copies {
				copyTo(t, e, from, to, "MIRRORED")
				want[to] = get(t, e, gateway.GetRequest{Key: from})
			}
			for key, data := range want {
				first, second := groupsOf(t, m, key)
				for n := range first {
					if second[n] {
						t.Errorf("%s: node %v is in both groups", key, n.Short())
					}
				}
				for i, group := range []map[cairn.NodeID]bool{first, second} {
					without(m, group, func() {
						got, err := tryGet(t, e, gateway.GetRequest{Key: key})
						if err != nil || !bytes.Equal(got, data) {
							t.Errorf("%s without group %d: %d of %d bytes, %v", key, i, len(got), len(data), err)
						}
					})
				}
			}
			copyTo(t, e, "parts", "back", "")
			without(m, nil, func() {
				if got := get(t, e, gateway.GetRequest{Key: "back"}); !bytes.Equal(got, want["parts"]) {
					t.Error("the copy back differs")
				}
			})
			if v, err := m.Catalog.Newest(t.Context(), "b", "back"); err != nil || v.Version.Parts[0].Segments[0].Mirror != (cairn.SegmentID{}) {
				t.Errorf("the copy to STANDARD has a mirror, or %v", err)
			}
		})
	}
}

func copyTo(t *testing.T, e *gateway.Engine, from, to, class string) {
	t.Helper()
	_, err := e.Copy(t.Context(), gateway.CopyRequest{
		Source: gateway.GetRequest{Bucket: "b", Key: from}, Bucket: "b", Key: to, Attributes: gateway.Attributes{StorageClass: class},
	})
	if err != nil {
		t.Fatalf("copy %q to %q: %v", from, to, err)
	}
}

// TestAMirroredObjectIsRecoveredFromEitherGroup loses a whole group, the records
// on it included, and the catalog.
func TestAMirroredObjectIsRecoveredFromEitherGroup(t *testing.T) {
	m := testnet.NewMem(t, 12)
	e, stop := m.Engine(t, fastEngine())
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"k": body(1, 300_000), "s": body(2, 700)}
	for key, data := range want {
		putClass(t, e, key, "MIRRORED", data)
	}
	stop()
	was := m.Catalog
	for key, data := range want {
		m.Catalog = was
		first, second := groupsOf(t, m, key)
		for i, group := range []map[cairn.NodeID]bool{first, second} {
			without(m, group, func() {
				recoverCatalog(t, m)
				e, stop := m.Engine(t, gateway.Config{})
				defer stop()
				if got, err := tryGet(t, e, gateway.GetRequest{Key: key}); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s without group %d: %d of %d bytes, %v", key, i, len(got), len(data), err)
				}
			})
		}
	}
}

// TestWhatRecoveryFoundHalfOrNotAtAllCanBeReplaced recovers while half of a
// mirrored object is away, and a plain object altogether.
func TestWhatRecoveryFoundHalfOrNotAtAllCanBeReplaced(t *testing.T) {
	m := testnet.NewMem(t, 12)
	e, stop := m.Engine(t, fastEngine())
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	data := body(1, 300_000)
	putClass(t, e, "k", "MIRRORED", data)
	putParts(t, e, "plain", "", body(1, 400_000))
	stop()
	first, _ := groupsOf(t, m, "k")
	lost, _ := groupsOf(t, m, "plain")
	for _, n := range m.Nodes { // its shards, but not the records on the same nodes
		if lost[n.ID()] {
			n.Lose(shardOn(t, m, "plain", n.ID()))
		}
	}
	was := m.Catalog
	without(m, first, func() {
		recoverCatalog(t, m)
		e, stop := m.Engine(t, gateway.Config{}) // which collects nothing so soon
		defer stop()
		copyTo(t, e, "k", "copied", "MIRRORED")
		if _, err := e.SetTags(t.Context(), gateway.TagsRequest{Bucket: "b", Key: "k", Tags: []cairn.Attr{{Name: "a", Value: "b"}}}); err != nil {
			t.Errorf("tag: %v", err)
		}
		if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "k"}); err != nil {
			t.Errorf("delete: %v", err)
		}
		if got := get(t, e, gateway.GetRequest{Key: "copied"}); !bytes.Equal(got, data) {
			t.Error("the copy differs")
		}
	})
	m.Catalog = was
	if v := recoverCatalog(t, m); v.Unreadable != 1 {
		t.Errorf("verdict %v: %+v, want one unreadable object", v, v)
	}
	e, _ = m.Engine(t, fastEngine())
	if _, err := tryGet(t, e, gateway.GetRequest{Key: "plain"}); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("get of an object no node has = %v, want Unavailable", err)
	}
	if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "plain"}); err != nil {
		t.Errorf("delete of an object no node has: %v", err)
	}
}

// shardOn returns the shard of a one-segment object that a node holds.
func shardOn(t *testing.T, m *testnet.Mem, key string, node cairn.NodeID) cairn.ShardID {
	t.Helper()
	v, err := m.Catalog.Newest(t.Context(), "b", key)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := m.Catalog.Segment(t.Context(), v.Version.Parts[0].Segments[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return cairn.ShardID{Segment: entry.Segment, Index: uint8(slices.Index(entry.Nodes, node))}
}

func TestAMirrorNeedsTwiceTheDomains(t *testing.T) {
	_, e := newEngine(t, 5)
	for _, size := range []int{10, 300_000} {
		_, err := e.Put(t.Context(), gateway.PutRequest{
			Bucket: "b", Key: "k", Body: bytes.NewReader(body(1, size)), Size: int64(size),
			Attributes: gateway.Attributes{StorageClass: "MIRRORED"},
		})
		if !errors.Is(err, cairn.Unavailable) {
			t.Errorf("put of %d bytes on five nodes = %v, want Unavailable", size, err)
		}
	}
	put(t, e, "k", body(1, 300_000))
}

// TestLoweredDurabilityIsTold loses two of six nodes while a write is under way.
func TestLoweredDurabilityIsTold(t *testing.T) {
	m := testnet.NewMem(t, 6)
	cfg := fastEngine()
	cfg.MinDurability = 3
	e, _ := m.Engine(t, cfg)
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		size, sick int
		op         memnode.Op
		want       string
	}{
		{3 << 20, 0, memnode.OpCommit, "6/6"},
		{3 << 20, 2, memnode.OpCommit, "4/6"},
		{3 << 20, 1, memnode.OpWrite, "5/6"},
		{700, 0, memnode.OpPutRecord, "4/4"},
		{700, 3, memnode.OpPutRecord, "3/4"},
	} {
		for _, n := range m.Nodes[:c.sick] {
			n.Before(memnode.FailAll(cairn.Unavailable, c.op))
		}
		data := body(1, c.size)
		s, err := tryPut(t, e, "k", data)
		for _, n := range m.Nodes {
			n.Before(nil)
		}
		if err != nil || s.Durability != c.want {
			t.Errorf("%d bytes with %d nodes failing: durability %q, %v, want %q", c.size, c.sick, s.Durability, err, c.want)
			continue
		}
		if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
			t.Errorf("%d bytes with %d nodes failing: the object differs", c.size, c.sick)
		}
	}
}

// vetted is a cluster some of whose nodes are not proven yet.
type vetted struct {
	*testnet.Mem
	vetting int // the first so many
}

func (v vetted) Candidates() []placement.Candidate {
	cands := v.Mem.Candidates()
	for i := range cands[:v.vetting] {
		cands[i].State = placement.Vetting
	}
	return cands
}

func TestNodesInVettingHoldNoMoreThanMayBeLost(t *testing.T) {
	m := testnet.NewMem(t, 8)
	cfg := fastEngine()
	cfg.Keys, cfg.Catalog, cfg.Cluster = m.Keys, m.Catalog, vetted{m, 4}
	e, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	fresh := map[cairn.NodeID]bool{}
	for _, n := range m.Nodes[:4] {
		fresh[n.ID()] = true
	}
	for i, size := range []int{700, 3 << 20, 700, 3 << 20} {
		key := fmt.Sprint(i)
		data := body(uint64(i), size)
		put(t, e, key, data)
		first, _ := groupsOf(t, m, key)
		held := 0
		for n := range first {
			if fresh[n] {
				held++
			}
		}
		if held > 2 {
			t.Errorf("%d bytes: %d shards on nodes in vetting, want at most 2", size, held)
		}
		without(m, fresh, func() {
			if got := get(t, e, gateway.GetRequest{Key: key}); !bytes.Equal(got, data) {
				t.Error("the object differs")
			}
		})
	}
}
