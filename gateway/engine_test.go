package gateway_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/internal/testnet"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// body returns n bytes that differ from object to object.
func body(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func put(t testing.TB, e *gateway.Engine, key string, data []byte) gateway.Stored {
	t.Helper()
	s, err := tryPut(t, e, key, data)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return s
}

func tryPut(t testing.TB, e *gateway.Engine, key string, data []byte) (gateway.Stored, error) {
	t.Helper()
	return e.Put(t.Context(), gateway.PutRequest{Bucket: "b", Key: key, Body: bytes.NewReader(data), Size: int64(len(data))})
}

func get(t testing.TB, e *gateway.Engine, req gateway.GetRequest) []byte {
	t.Helper()
	b, err := tryGet(t, e, req)
	if err != nil {
		t.Fatalf("get %q: %v", req.Key, err)
	}
	return b
}

func tryGet(t testing.TB, e *gateway.Engine, req gateway.GetRequest) ([]byte, error) {
	t.Helper()
	req.Bucket = "b"
	o, err := e.Get(t.Context(), req)
	if err != nil {
		return nil, err
	}
	defer o.Body.Close()
	var out bytes.Buffer
	if _, err := o.Body.WriteTo(&out); err != nil {
		return nil, err
	}
	if int64(out.Len()) != o.Length {
		return nil, fmt.Errorf("wrote %d bytes, announced %d", out.Len(), o.Length)
	}
	return out.Bytes(), nil
}

func newEngine(t testing.TB, nodes int) (*testnet.Mem, *gateway.Engine) {
	t.Helper()
	m := testnet.NewMem(t, nodes)
	e, _ := m.Engine(t, gateway.Config{GarbageGrace: time.Nanosecond, CollectInterval: 10 * time.Millisecond})
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatalf("create bucket: %v", err)
	}
	return m, e
}

// sizes around every boundary of the layout under 4+2.
var sizes = []int{0, 1, 4095, 65519, 65520, 65521, 131071, 131072, 131073, 262080, 262081, 1 << 20, 4193279, 4193280, 4193281, 9 << 20, 64<<20 + 12345}

func TestPutThenGetGivesTheSameBytes(t *testing.T) {
	_, e := newEngine(t, 6)
	for _, n := range sizesUnlessShort(sizes...) {
		data := body(1, n)
		key := fmt.Sprint("k", n)
		s := put(t, e, key, data)
		sum := md5.Sum(data)
		if want := hex.EncodeToString(sum[:]); s.Version.ETag != want {
			t.Errorf("put %d bytes: ETag %s, want %s", n, s.Version.ETag, want)
		}
		if got := get(t, e, gateway.GetRequest{Key: key}); !bytes.Equal(got, data) {
			t.Errorf("get of %d bytes differs", n)
		}
	}
}

func TestRangesAreSlices(t *testing.T) {
	_, e := newEngine(t, 6)
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	for _, n := range sizesUnlessShort(1, 70000, 131073, 5<<20, 64<<20+12345) {
		data := body(2, n)
		put(t, e, "r", data)
		for range 30 {
			a := r.IntN(n)
			b := a + r.IntN(min(n-a, 3<<20))
			got := get(t, e, gateway.GetRequest{Key: "r", Range: &gateway.Range{First: int64(a), Last: int64(b)}})
			if !bytes.Equal(got, data[a:b+1]) {
				t.Fatalf("seed %d: range %d-%d of %d bytes differs", seed, a, b, n)
			}
		}
	}
}

func TestReadsSurviveAnyTwoLostNodes(t *testing.T) {
	m, e := newEngine(t, 6)
	contents := map[string][]byte{}
	for _, n := range []int{1, 70000, 131073, 5 << 20, 9 << 20} {
		key := fmt.Sprint("k", n)
		contents[key] = body(3, n)
		if s := put(t, e, key, contents[key]); s.Durability == "" {
			t.Errorf("put of %d bytes says nothing of its durability", n)
		}
	}
	for i := range m.Nodes {
		for j := range i {
			m.Nodes[i].SetDown(true)
			m.Nodes[j].SetDown(true)
			for key, data := range contents {
				if got := get(t, e, gateway.GetRequest{Key: key}); !bytes.Equal(got, data) {
					t.Errorf("nodes %d and %d down: %s differs", i, j, key)
				}
			}
			m.Nodes[i].SetDown(false)
			m.Nodes[j].SetDown(false)
		}
	}
}

func TestReadsSurviveCorruptAndPausedNodes(t *testing.T) {
	for name, fault := range map[string]func(*memnode.Node, bool){
		"corrupt": func(n *memnode.Node, on bool) { n.CorruptReads(on) },
		"paused": func(n *memnode.Node, on bool) {
			if on {
				n.Pause()
			} else {
				n.Resume()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, e := newEngine(t, 6)
			data := body(4, 9<<20)
			put(t, e, "k", data)
			small := body(5, 1000)
			put(t, e, "s", small)
			for i := range m.Nodes {
				j := (i + 2) % len(m.Nodes)
				fault(m.Nodes[i], true)
				fault(m.Nodes[j], true)
				if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
					t.Errorf("nodes %d and %d: object differs", i, j)
				}
				if got := get(t, e, gateway.GetRequest{Key: "s"}); !bytes.Equal(got, small) {
					t.Errorf("nodes %d and %d: small object differs", i, j)
				}
				fault(m.Nodes[i], false)
				fault(m.Nodes[j], false)
			}
		})
	}
}

func TestTooManyLossesIsACleanError(t *testing.T) {
	m, e := newEngine(t, 6)
	put(t, e, "k", body(6, 5<<20))
	for i := range 3 {
		m.Nodes[i].SetDown(true)
	}
	if _, err := tryGet(t, e, gateway.GetRequest{Key: "k"}); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("get with three nodes down = %v, want Unavailable", err)
	}
}

// allHealthy reports whether every shard the catalog knows of is at its node.
func allHealthy(t *testing.T, m *testnet.Mem, key string) string {
	t.Helper()
	v, err := m.Catalog.Newest(t.Context(), "b", key)
	if err != nil {
		t.Fatalf("look up %q: %v", key, err)
	}
	schemes := ""
	for _, p := range v.Version.Parts {
		for _, s := range p.Segments {
			entry, err := m.Catalog.Segment(t.Context(), s.ID)
			if err != nil {
				t.Fatalf("look up segment: %v", err)
			}
			schemes += entry.Scheme.String() + " "
			seen := map[cairn.NodeID]bool{}
			for i, id := range entry.Nodes {
				if seen[id] {
					t.Errorf("%s: two shards on node %v", key, id.Short())
				}
				seen[id] = true
				n, err := m.Node(id)
				if err != nil {
					t.Errorf("%s: shard %d: %v", key, i, err)
					continue
				}
				tails, err := n.Tails(t.Context(), []cairn.ShardID{{Segment: s.ID, Index: uint8(i)}})
				if err != nil || len(tails) != 1 || tails[0].Trailer.Root != entry.Roots[i] {
					t.Errorf("%s: shard %d is not at node %v: %v", key, i, id.Short(), err)
				}
			}
		}
	}
	return schemes
}

func TestAWriteThatLosesNodesIsWholeBeforeItIsAnswered(t *testing.T) {
	for _, nodes := range []int{6, 8} {
		for _, op := range []memnode.Op{memnode.OpWrite, memnode.OpCommit, memnode.OpPut} {
			for _, size := range sizesUnlessShort(5<<20, 70<<20) {
				t.Run(fmt.Sprintf("%d nodes, %s, %d bytes", nodes, op, size), func(t *testing.T) {
					m, e := newEngine(t, nodes)
					for i := range 2 {
						m.Nodes[i*2].Before(memnode.FailAll(cairn.Unavailable, op))
					}
					data := body(8, size)
					s := put(t, e, "k", data)
					schemes := allHealthy(t, m, "k")
					t.Logf("%s: %s", s.Durability, schemes)
					if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
						t.Error("object differs")
					}
				})
			}
		}
	}
}

func TestASmallWriteThatLosesNodesIsWholeBeforeItIsAnswered(t *testing.T) {
	m, e := newEngine(t, 6)
	for i := range 2 {
		m.Nodes[i*3].Before(memnode.FailAll(cairn.Full, memnode.OpPutRecord))
	}
	for i := range 40 {
		data := body(9, 1000+i)
		key := fmt.Sprint("k", i)
		put(t, e, key, data)
		if schemes := allHealthy(t, m, key); schemes != "2+2 " {
			t.Errorf("scheme %q, want 2+2", schemes)
		}
		if got := get(t, e, gateway.GetRequest{Key: key}); !bytes.Equal(got, data) {
			t.Error("object differs")
		}
	}
}

func TestTooFewNodesIsUnavailableAndLosesNothing(t *testing.T) {
	m, e := newEngine(t, 6)
	old := body(10, 5<<20)
	put(t, e, "k", old)
	for i := range 4 {
		m.Nodes[i].Before(memnode.FailAll(cairn.Unavailable, memnode.OpWrite, memnode.OpPutRecord, memnode.OpPut))
	}
	if _, err := tryPut(t, e, "k", body(11, 5<<20)); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("put with two nodes left = %v, want Unavailable", err)
	}
	if _, err := tryPut(t, e, "k", body(11, 100)); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("small put with two nodes left = %v, want Unavailable", err)
	}
	for i := range 4 {
		m.Nodes[i].Before(nil)
	}
	if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, old) {
		t.Error("the object from before differs")
	}
}
