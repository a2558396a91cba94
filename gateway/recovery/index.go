package recovery

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
)

// segment is what deciding needs to know of a segment. The slice of them is in
// order of id, as the spool is.
type segment struct {
	id     cairn.SegmentID
	need   uint8 // k
	total  uint8 // n
	living uint8 // shards on nodes that answer
	held   bool  // by a version that nothing was decided about
	refs   uint32
}

// keyHash stands for a bucket and a key.
type keyHash [16]byte

func hashKey(bucket, key string) keyHash {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%s", len(bucket), bucket, key)
	return keyHash(h.Sum(nil))
}

// fact is a version or a tombstone of a key, and where it stands in the spool.
type fact struct {
	key       keyHash
	id        cairn.VersionID
	target    cairn.VersionID // of a tombstone
	offset    int64
	tombstone bool
}

// bucketFacts are what is known of a bucket name.
type bucketFacts struct {
	newest     *catalog.BucketEntry
	deleted    cairn.VersionID    // of the newest deletion
	outdated   []catalog.Location // older records
	versioned  bool
	hasObjects bool // a version was kept
}

// index is the spool in short.
type index struct {
	segments []segment
	facts    []fact // by key, newest first
	buckets  map[string]*bucketFacts
	newest   cairn.VersionID // of everything
	epoch    cairn.KeyEpoch  // highest in use
}

// buildIndex reads the whole spool once.
func (r *run) buildIndex(ctx context.Context) (*index, error) {
	x := &index{buckets: map[string]*bucketFacts{}}
	count := 0
	err := r.spool.each(func(f *found) error {
		if count++; count%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		epoch, err := seal.SealedEpoch(f.manifest)
		if err != nil {
			return err
		}
		x.epoch = max(x.epoch, epoch)
		plain, err := r.cfg.Keys.OpenManifest(f.header.Shard.Segment, f.header.Kind, f.manifest)
		if err != nil {
			return err
		}
		return x.add(r, f, plain)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(x.facts, func(a, b fact) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), b.id.Compare(a.id), cmp.Compare(a.offset, b.offset))
	})
	return x, nil
}

func (x *index) add(r *run, f *found, plain []byte) error {
	switch f.header.Kind {
	case cairn.KindData, cairn.KindSmall, cairn.KindPacked:
		x.segments = append(x.segments, segment{
			id: f.header.Shard.Segment, need: uint8(f.header.Data), total: uint8(f.header.Scheme().Shards()), living: uint8(r.living(f)),
		})
		m, err := cairn.DecodeManifest(plain)
		if err != nil || len(m.Version) == 0 {
			return err
		}
		return x.addVersion(f, m.Version)
	case cairn.KindVersion:
		return x.addVersion(f, plain)
	case cairn.KindTombstone:
		t, err := cairn.DecodeTombstone(plain)
		if err != nil {
			return err
		}
		x.addFact(fact{key: hashKey(t.Bucket, t.Key), id: t.ID, target: t.Target, offset: f.offset, tombstone: true})
	case cairn.KindBucket:
		k, err := cairn.DecodeBucket(plain)
		if err != nil {
			return err
		}
		x.addBucket(k, r.location(f))
	}
	return nil
}

func (x *index) addFact(f fact) {
	x.facts = append(x.facts, f)
	if f.id.Compare(x.newest) > 0 {
		x.newest = f.id
	}
}

func (x *index) addVersion(f *found, encoded []byte) error {
	v, err := cairn.DecodeVersion(encoded)
	if err != nil {
		return err
	}
	x.addFact(fact{key: hashKey(v.Bucket, v.Key), id: v.ID, offset: f.offset})
	if x.buckets[v.Bucket] == nil {
		x.buckets[v.Bucket] = &bucketFacts{}
	}
	return nil
}

// addBucket keeps the newest record of a name; of two with one id, the first.
func (x *index) addBucket(k *cairn.Bucket, at catalog.Location) {
	b := x.buckets[k.Name]
	if b == nil {
		b = &bucketFacts{}
		x.buckets[k.Name] = b
	}
	if k.Deleted && k.ID.Compare(b.deleted) > 0 {
		b.deleted = k.ID
	}
	if k.ID.Compare(x.newest) > 0 {
		x.newest = k.ID
	}
	entry := &catalog.BucketEntry{Bucket: *k, Record: at}
	switch {
	case b.newest == nil:
		b.newest = entry
	case k.ID.Compare(b.newest.Bucket.ID) > 0:
		b.outdated = append(b.outdated, b.newest.Record)
		b.newest = entry
	default:
		b.outdated = append(b.outdated, at)
	}
	b.versioned = b.newest.Bucket.Setting("versioning") != ""
}

// segment returns what is known of a segment, or nil.
func (x *index) segment(id cairn.SegmentID) *segment {
	i, ok := slices.BinarySearchFunc(x.segments, id, func(s segment, id cairn.SegmentID) int { return bytes.Compare(s.id[:], id[:]) })
	if !ok {
		return nil
	}
	return &x.segments[i]
}

// location returns where a record or a segment's shards are.
func (r *run) location(f *found) catalog.Location {
	l := catalog.Location{Segment: f.header.Shard.Segment, Nodes: make([]cairn.NodeID, f.header.Scheme().Shards())}
	for _, p := range f.places {
		if p.role == rolePrimary {
			l.Nodes[p.index] = r.state.Nodes[p.node].ID
		}
	}
	return l
}

// extras returns further copies of shards, which are not needed.
func (r *run) extras(f *found) (out []catalog.Location) {
	for _, p := range f.places {
		if p.role == roleExtra {
			l := catalog.Location{Segment: f.header.Shard.Segment, Nodes: make([]cairn.NodeID, f.header.Scheme().Shards())}
			l.Nodes[p.index] = r.state.Nodes[p.node].ID
			out = append(out, l)
		}
	}
	return out
}

// living counts the shards that are on nodes which were not given up.
func (r *run) living(f *found) (n int) {
	for _, p := range f.places {
		if p.role == rolePrimary && r.state.Nodes[p.node].Failed == "" {
			n++
		}
	}
	return n
}
