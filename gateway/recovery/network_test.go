package recovery

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/proofs"
)

const testPhrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

var errDead = cairn.NewError("call", cairn.Unavailable, errors.New("dead"))

// fakeNode keeps tails.
type fakeNode struct {
	id  cairn.NodeID
	key *seal.Keys

	mu     sync.Mutex // guards the fields below
	tails  map[cairn.ShardID]cairn.Tail
	before func(op string) error // called before every operation
	strict bool                  // answers nothing when one of the tails is bad
}

func (n *fakeNode) ID() cairn.NodeID { return n.id }

func (n *fakeNode) enter(ctx context.Context, op string) error {
	n.mu.Lock()
	before := n.before
	n.mu.Unlock()
	if before != nil {
		if err := before(op); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (n *fakeNode) fail(f func(op string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = f
}

func (n *fakeNode) List(ctx context.Context, after cairn.ShardID, limit int) ([]cairn.Entry, bool, error) {
	if err := n.enter(ctx, "list"); err != nil {
		return nil, false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []cairn.Entry
	for id, t := range n.tails {
		if id.Compare(after) > 0 {
			out = append(out, cairn.Entry{Shard: id, Kind: t.Header.Kind, Size: t.Header.RecordLen(len(t.Manifest)), Created: t.Header.Created, Record: t.Trailer.Record})
		}
	}
	slices.SortFunc(out, func(a, b cairn.Entry) int { return a.Shard.Compare(b.Shard) })
	if len(out) > limit {
		return out[:limit], true, nil
	}
	return out, false, nil
}

// Tails answers at most five ids at a time, as a node with long records would.
func (n *fakeNode) Tails(ctx context.Context, ids []cairn.ShardID) ([]cairn.Tail, error) {
	if err := n.enter(ctx, "tails"); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []cairn.Tail
	for _, id := range ids {
		if t, ok := n.tails[id]; ok && len(out) < 5 {
			if err := t.Verify(); err != nil && n.strict {
				return nil, err
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// change alters every stored tail.
func (n *fakeNode) change(f func(*cairn.Tail)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, t := range n.tails {
		f(&t)
		n.tails[id] = t
	}
}

// network is a handful of nodes and the writing half of a gateway.
type network struct {
	t     *testing.T
	keys  *seal.Keys
	nodes []*fakeNode
	next  uint64
}

func newNetwork(t *testing.T, nodes int) *network {
	t.Helper()
	keys, err := seal.FromPhrase(testPhrase, "")
	if err != nil {
		t.Fatal(err)
	}
	w := &network{t: t, keys: keys}
	for i := range nodes {
		w.nodes = append(w.nodes, &fakeNode{id: cairn.NodeID{byte(i + 1)}, key: keys, tails: map[cairn.ShardID]cairn.Tail{}})
	}
	return w
}

// at returns version ids in order of n.
func at(n uint64) (id cairn.VersionID) {
	binary.BigEndian.PutUint64(id[:], 1790000000000000000+n)
	return id
}

// segmentID returns ids that look random and do not depend on the run.
func (w *network) segmentID() (id cairn.SegmentID) {
	w.next++
	binary.BigEndian.PutUint64(id[:], w.next*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(id[24:], w.next)
	return id
}

func (w *network) store(n *fakeNode, h cairn.Header, payload []byte, roots []cairn.Root, sealed []byte) {
	h.Owner = cairn.Tag([32]byte(w.keys.NodeKey(n.id).Public().(ed25519.PublicKey)))
	h.Created = 1790000000 + int64(n.id[0])
	tree := proofs.NewTreeHasher()
	_, _ = tree.Write(payload)
	top, root := tree.Sum()
	n.tails[h.Shard] = cairn.Tail{Header: h, TreeTop: bytes.Clone(top), Manifest: sealed, Trailer: cairn.NewTrailer(h, root, cairn.RootsDigest(roots), sealed)}
}

// segment stores a segment of plain bytes: shard i on node i, for i < shards.
func (w *network) segment(kind cairn.ShardKind, data, parity, shards int, plain int64, m cairn.Manifest, version func(cairn.SegmentID) []byte) cairn.SegmentID {
	w.t.Helper()
	id := w.segmentID()
	scheme := cairn.Scheme{Data: data, Parity: parity, BlockSize: cairn.DefaultBlockSize}
	l, err := cairn.NewLayout(scheme, plain)
	if err != nil {
		w.t.Fatal(err)
	}
	payload := func(i int) []byte { return bytes.Repeat([]byte{id[0], byte(i)}, int(l.ShardLen()/2)) }
	for i := range scheme.Shards() {
		tree := proofs.NewTreeHasher()
		_, _ = tree.Write(payload(i))
		_, root := tree.Sum()
		m.Roots = append(m.Roots, root)
	}
	m.PlainLen = plain
	m.PartLen = max(m.PartLen, plain)
	if version != nil {
		m.Version = version(id)
	}
	sealed := w.keys.SealManifest(id, kind, m.Encode())
	for i := range shards {
		h := cairn.Header{
			Suite: cairn.SuiteAES, Kind: kind, Shard: cairn.ShardID{Segment: id, Index: uint8(i)},
			Data: data, Parity: parity, BlockSize: scheme.BlockSize, PayloadLen: l.ShardLen(),
		}
		w.store(w.nodes[i], h, payload(i), m.Roots, sealed)
	}
	return id
}

// record stores a record without payload on the given nodes of copies.
func (w *network) record(kind cairn.ShardKind, plain []byte, copies int, on ...int) cairn.SegmentID {
	id := w.segmentID()
	sealed := w.keys.SealManifest(id, kind, plain)
	empty := proofs.RootOf(nil, 0)
	for i, n := range on {
		h := cairn.Header{
			Suite: cairn.SuiteAES, Kind: kind, Shard: cairn.ShardID{Segment: id, Index: uint8(i)},
			Data: 1, Parity: copies - 1, BlockSize: cairn.DefaultBlockSize,
		}
		w.store(w.nodes[n], h, nil, []cairn.Root{empty}, sealed)
	}
	return id
}

func (w *network) bucket(name string, version uint64, change func(*cairn.Bucket)) cairn.SegmentID {
	b := cairn.Bucket{Name: name, ID: at(version), Created: int64(version) + 1, Region: "eu"}
	if change != nil {
		change(&b)
	}
	return w.record(cairn.KindBucket, b.Encode(), 3, 0, 1, 2)
}

func (w *network) tombstone(bucket, key string, version uint64, target cairn.VersionID, on ...int) cairn.SegmentID {
	return w.record(cairn.KindTombstone, (&cairn.Tombstone{Bucket: bucket, Key: key, ID: at(version), Target: target}).Encode(), 3, on...)
}

// put stores an object of one segment, 4+2, on the first shards nodes.
func (w *network) put(bucket, key string, version uint64, shards int) cairn.SegmentID {
	object := cairn.ObjectID{byte(version)}
	return w.segment(cairn.KindData, 4, 2, shards, 1000, cairn.Manifest{Object: object}, func(id cairn.SegmentID) []byte {
		return (&cairn.Version{
			Bucket: bucket, Key: key, ID: at(version), Size: 1000, ETag: "e", Headers: []cairn.Attr{{Name: "content-type", Value: key}}, Null: true,
			Parts: []cairn.Part{{Size: 1000, Object: object, Segments: []cairn.Segment{{ID: id, PlainLen: 1000}}}},
		}).Encode()
	})
}

// putParts stores a multipart object: a version record of its own.
func (w *network) putParts(bucket, key string, version uint64, parts int) cairn.Version {
	v := cairn.Version{Bucket: bucket, Key: key, ID: at(version), Size: int64(parts) * 500, ETag: "e-2", Null: true}
	for p := 1; p <= parts; p++ {
		id := w.segment(cairn.KindData, 4, 2, 6, 500, cairn.Manifest{Object: cairn.ObjectID{byte(p)}, Part: p}, nil)
		v.Parts = append(v.Parts, cairn.Part{Number: p, Size: 500, Object: cairn.ObjectID{byte(p)}, Written: p, Segments: []cairn.Segment{{ID: id, PlainLen: 500}}})
	}
	w.record(cairn.KindVersion, v.Encode(), 3, 3, 4, 5)
	return v
}

func (w *network) config(c catalog.Catalog, dir string) Config {
	return Config{
		Keys: w.keys, Catalog: c, Dir: dir,
		Nodes: func() (out []Node) {
			for _, n := range w.nodes {
				out = append(out, n)
			}
			return out
		},
		Attempts: 2, Pause: time.Microsecond, Timeout: 10 * time.Second, PageEntries: 3, BatchSegments: 4,
	}
}

// recover runs a recovery into a new catalog.
func (w *network) recover() (*memory.Catalog, Verdict) {
	w.t.Helper()
	c := memory.New()
	v, err := Run(w.t.Context(), w.config(c, w.t.TempDir()))
	if err != nil {
		w.t.Fatalf("Run = %v", err)
	}
	return c, v
}
