package recovery

import (
	"context"
	"maps"
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// settle commits the segments that are referred to, turns the others into
// garbage, and commits the buckets.
func (r *run) settle(ctx context.Context, d *decision) error {
	r.state.Phase = PhaseSettle // told to Progress only: a crash decides again
	w := newWriter(r.cfg.Catalog)
	at := 0
	err := r.spool.each(func(f *found) error {
		switch f.header.Kind {
		case cairn.KindData, cairn.KindSmall, cairn.KindPacked:
			if err := r.settleSegment(d, w, f, &d.segments[at]); err != nil {
				return err
			}
			at++
		}
		for _, l := range r.extras(f) {
			w.garbage(l)
		}
		if !w.full() {
			return nil
		}
		r.progress()
		return w.commit(ctx, false)
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(d.buckets)) {
		r.settleBucket(ctx, d, w, name)
		if w.full() {
			if err := w.commit(ctx, false); err != nil {
				return err
			}
		}
	}
	w.floor(d.newest)
	return w.commit(ctx, true)
}

func (r *run) settleSegment(d *decision, w *writer, f *found, s *segment) error {
	switch {
	case s.refs > 0:
		plain, err := r.cfg.Keys.OpenManifest(f.header.Shard.Segment, f.header.Kind, f.manifest)
		if err != nil {
			return err
		}
		m, err := cairn.DecodeManifest(plain)
		if err != nil {
			return err
		}
		d.counts.segments++
		w.segment(&catalog.SegmentEntry{
			Location: r.withAway(r.location(f), m.Nodes), Kind: f.header.Kind, Scheme: f.header.Scheme(),
			PlainLen: m.PlainLen, Roots: m.Roots, Refs: int(s.refs),
		})
	case s.held || !r.state.certain():
		d.counts.orphansLeft++ // its version may be on a node that is away
	default:
		d.counts.orphans++
		w.garbage(r.location(f))
	}
	return nil
}

// withAway fills in, for shards that were not found, the nodes that the
// manifest meant them for, as far as nobody heard those: when they return, so
// do their shards.
func (r *run) withAway(l catalog.Location, meant []cairn.NodeID) catalog.Location {
	for i := range min(len(l.Nodes), len(meant)) {
		known, failed := r.state.node(meant[i])
		if l.Nodes[i].IsZero() && (failed || !known) && !slices.Contains(l.Nodes, meant[i]) {
			l.Nodes[i] = meant[i]
		}
	}
	return l
}

// settleBucket commits a bucket's newest record. A bucket that has objects and
// no record is made anew: its objects are worth more than its settings.
func (r *run) settleBucket(ctx context.Context, d *decision, w *writer, name string) {
	b := d.buckets[name]
	if b.newest == nil && !b.hasObjects {
		return
	}
	if b.newest == nil || b.newest.Bucket.Deleted && b.hasObjects {
		d.counts.bucketsMade++
		r.cfg.Log.WarnContext(ctx, "bucket made anew, its record was not found", "bucket", name)
		b.newest = &catalog.BucketEntry{Bucket: cairn.Bucket{Name: name, Created: r.state.Started.UnixNano()}}
	}
	for _, l := range b.outdated {
		w.garbage(l)
	}
	if b.newest.Bucket.Deleted {
		return // its record stays on the nodes, so that it stays deleted
	}
	d.counts.buckets++
	w.bucket(b.newest)
}

// Bounds of one commit.
const (
	writerOps   = 512
	writerBytes = 8 << 20
)

// writer gathers changes into batches. The last commit of a phase is synced
// and makes the earlier ones durable.
type writer struct {
	catalog catalog.Catalog
	batch   catalog.Batch
	ops     int
	size    int
	pending bool   // something was committed without sync
	again   func() // adds the last thing once more, which changes nothing
}

func newWriter(c catalog.Catalog) *writer { return &writer{catalog: c} }

func (w *writer) version(v *catalog.VersionEntry) {
	w.again = func() { w.version(v) }
	w.batch.PutVersions = append(w.batch.PutVersions, v)
	w.ops++
	w.size += 256 + len(v.Version.Key)
	for i := range v.Version.Parts {
		w.size += 256 + 128*len(v.Version.Parts[i].Segments)
	}
}

func (w *writer) segment(s *catalog.SegmentEntry) {
	w.again = func() { w.segment(s) }
	w.batch.PutSegments = append(w.batch.PutSegments, s)
	w.ops++
	w.size += 64 * (1 + len(s.Roots))
}

func (w *writer) bucket(b *catalog.BucketEntry) {
	w.again = func() { w.bucket(b) }
	w.batch.PutBuckets = append(w.batch.PutBuckets, b)
	w.ops++
	w.size += 4 << 10
}

// floor keeps ids from being made that are older than one found: a tombstone
// would delete what is written from now on.
func (w *writer) floor(newest cairn.VersionID) {
	if !newest.IsZero() {
		w.batch.Floor = newest.Time().UnixNano()
		w.ops++
	}
}

// garbage adds a place, unless nothing is there.
func (w *writer) garbage(l catalog.Location) {
	for _, n := range l.Nodes {
		if !n.IsZero() {
			w.batch.AddGarbage = append(w.batch.AddGarbage, l)
			w.ops++
			w.size += 64 + 32*len(l.Nodes)
			return
		}
	}
}

func (w *writer) full() bool { return w.ops >= writerOps || w.size >= writerBytes }

// commit applies what was gathered. A synced commit must hold something to make
// what came before it durable.
func (w *writer) commit(ctx context.Context, sync bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if sync && w.ops == 0 && w.pending && w.again != nil {
		w.again()
	}
	if w.ops == 0 {
		return nil
	}
	w.batch.NoSync, w.pending = !sync, !sync
	err := w.catalog.Commit(ctx, &w.batch)
	w.batch, w.ops, w.size = catalog.Batch{}, 0, 0
	return err
}
