package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
)

// worker does to a catalog what the engine does, in a bucket of its own, and to
// a twin of its own, in which it alone lives.
type worker struct {
	number    byte
	bucket    string
	rng       *rand.Rand
	neverSync bool
	twin      *memory.Catalog
	clock     uint64 // of ids

	mu      sync.Mutex // guards the fields below
	views   []string   // the worker's part of the catalog after each commit; the first is of nothing
	durable int        // number of the last commit that must survive
}

func newWorker(i int, seed uint64, neverSync bool) *worker {
	return &worker{
		number: byte(i + 1), bucket: fmt.Sprint("bucket-", i), neverSync: neverSync,
		rng: rand.New(rand.NewPCG(seed, uint64(i))), twin: memory.New(), views: []string{""},
	}
}

// next returns one commit, for the catalog and for the twin. They differ only
// in the ids of garbage.
func (w *worker) next(ctx context.Context, c catalog.Catalog) (mine, twins *catalog.Batch, err error) {
	if _, err := w.twin.Bucket(ctx, w.bucket); errors.Is(err, cairn.NotFound) {
		b := &catalog.Batch{
			If:         []catalog.Condition{{BucketAbsent: w.bucket}},
			PutBuckets: []*catalog.BucketEntry{{Bucket: cairn.Bucket{Name: w.bucket, Created: 1}}},
		}
		return b, b, nil
	}
	var b *catalog.Batch
	switch w.rng.IntN(10) {
	case 0:
		id := w.versionID()
		b = &catalog.Batch{PutIntents: []*catalog.Intent{{ID: id, Bucket: w.bucket, Key: w.key(), Places: w.places()}}}
	case 1:
		return w.dropGarbage(ctx, c)
	case 2, 3:
		b, err = w.uploadPart(ctx)
	case 4:
		b, err = w.complete(ctx)
	case 5:
		b, err = w.remove(ctx)
	case 6:
		b, err = w.copyObject(ctx)
	default:
		b, err = w.putObject(ctx)
	}
	return b, b, err
}

func (w *worker) key() string { return []string{"a", "a\x00", "b/c", "b/d"}[w.rng.IntN(4)] }

func (w *worker) versionID() cairn.VersionID {
	w.clock++
	return cairn.VersionID{0: w.number, 6: byte(w.clock >> 8), 7: byte(w.clock)}
}

func (w *worker) places() []catalog.Location {
	return []catalog.Location{{Segment: cairn.SegmentID{w.number, 0xff}, Nodes: []cairn.NodeID{{1}, {2}, {3}}}}
}

// segment returns a new segment and a part that uses it.
func (w *worker) segment(number, refs int) (*catalog.SegmentEntry, cairn.Part) {
	w.clock++
	id := cairn.SegmentID{0: w.number, 1: byte(w.clock >> 8), 2: byte(w.clock)}
	e := &catalog.SegmentEntry{
		Location: catalog.Location{Segment: id, Nodes: []cairn.NodeID{{1}, {2}, {3}}},
		Kind:     cairn.KindData, PlainLen: 9, Roots: make([]cairn.Root, 3), Refs: refs,
	}
	return e, cairn.Part{Number: number, Size: 9, Segments: []cairn.Segment{{ID: id, PlainLen: 9}}}
}

// version returns a version that is large enough for tables to fill up.
func (w *worker) version(key string, parts []cairn.Part) *catalog.VersionEntry {
	filler := make([]byte, 1500)
	for i := range filler {
		filler[i] = 'a' + byte(w.rng.IntN(26))
	}
	return &catalog.VersionEntry{Version: cairn.Version{
		Bucket: w.bucket, Key: key, ID: w.versionID(), Size: int64(9 * len(parts)), Parts: parts,
		Headers: []cairn.Attr{{Name: "x-amz-meta-filler", Value: string(filler)}},
	}}
}

// replace adds to b what overwriting key takes: a condition on what is there,
// and its removal.
func (w *worker) replace(ctx context.Context, b *catalog.Batch, key string) error {
	b.If = append(b.If, catalog.Condition{BucketExists: w.bucket})
	k := catalog.VersionKey{Bucket: w.bucket, Key: key}
	old, err := w.twin.Newest(ctx, w.bucket, key)
	if errors.Is(err, cairn.NotFound) {
		b.If = append(b.If, catalog.Condition{Newest: &k})
		return nil
	}
	if err != nil {
		return err
	}
	k.ID = old.Version.ID
	b.If = append(b.If, catalog.Condition{Newest: &k})
	b.DropVersions = append(b.DropVersions, k)
	addRefs(b, old.Version.Parts, -1)
	return nil
}

func addRefs(b *catalog.Batch, parts []cairn.Part, by int) {
	if b.Refs == nil {
		b.Refs = map[cairn.SegmentID]int{}
	}
	for _, p := range parts {
		for _, s := range p.Segments {
			if b.Refs[s.ID] += by; b.Refs[s.ID] == 0 {
				delete(b.Refs, s.ID)
			}
		}
	}
}

func (w *worker) putObject(ctx context.Context) (*catalog.Batch, error) {
	key := w.key()
	e, part := w.segment(0, 0)
	b := &catalog.Batch{PutSegments: []*catalog.SegmentEntry{e}, Refs: map[cairn.SegmentID]int{e.Segment: 1}}
	b.PutVersions = append(b.PutVersions, w.version(key, []cairn.Part{part}))
	return b, w.replace(ctx, b, key)
}

func (w *worker) remove(ctx context.Context) (*catalog.Batch, error) {
	b := &catalog.Batch{}
	return b, w.replace(ctx, b, w.key())
}

func (w *worker) copyObject(ctx context.Context) (*catalog.Batch, error) {
	source, err := w.twin.Newest(ctx, w.bucket, w.key())
	if errors.Is(err, cairn.NotFound) {
		return w.putObject(ctx)
	}
	if err != nil {
		return nil, err
	}
	key := w.key()
	b := &catalog.Batch{PutVersions: []*catalog.VersionEntry{w.version(key, source.Version.Parts)}}
	addRefs(b, source.Version.Parts, +1)
	return b, w.replace(ctx, b, key)
}

func (w *worker) uploadID() string { return w.bucket + "/upload" }

// uploadPart stores a part, possibly in place of another, and begins the
// upload when there is none.
func (w *worker) uploadPart(ctx context.Context) (*catalog.Batch, error) {
	number := 1 + w.rng.IntN(3)
	e, part := w.segment(number, 1)
	b := &catalog.Batch{
		PutSegments: []*catalog.SegmentEntry{e},
		PutUploads:  []*catalog.UploadEntry{{ID: w.uploadID(), Template: cairn.Version{Bucket: w.bucket, Key: "a"}}},
		PutParts:    []catalog.PartPut{{UploadID: w.uploadID(), Entry: &catalog.PartEntry{Part: part}}},
	}
	parts, err := w.twin.Parts(ctx, w.uploadID(), 0, 10)
	for _, p := range parts {
		if p.Part.Number == number {
			addRefs(b, []cairn.Part{p.Part}, -1)
		}
	}
	return b, err
}

// complete turns the upload into a version: the references stay, their holder
// changes.
func (w *worker) complete(ctx context.Context) (*catalog.Batch, error) {
	stored, err := w.twin.Parts(ctx, w.uploadID(), 0, 10)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return w.putObject(ctx)
	}
	k := catalog.UploadKey{Bucket: w.bucket, Key: "a", ID: w.uploadID()}
	b := &catalog.Batch{If: []catalog.Condition{{OpenUpload: &k}}, DropUploads: []catalog.UploadKey{k}}
	var parts []cairn.Part
	for _, p := range stored {
		parts = append(parts, p.Part)
	}
	b.PutVersions = append(b.PutVersions, w.version("a", parts))
	return b, w.replace(ctx, b, "a")
}

// dropGarbage drops the worker's oldest piece of garbage.
func (w *worker) dropGarbage(ctx context.Context, c catalog.Catalog) (mine, twins *catalog.Batch, err error) {
	mine, twins = &catalog.Batch{AddGarbage: w.places()}, &catalog.Batch{AddGarbage: w.places()}
	for _, side := range []struct {
		c catalog.Catalog
		b *catalog.Batch
	}{{c, mine}, {w.twin, twins}} {
		all, err := side.c.Garbage(ctx, 0, 1<<20)
		if err != nil {
			return nil, nil, err
		}
		i := slices.IndexFunc(all, func(g *catalog.Garbage) bool { return g.Place.Segment[0] == w.number })
		if i >= 0 {
			side.b.DropGarbage = []uint64{all[i].ID}
		}
	}
	return mine, twins, nil
}

// view returns the worker's part of a catalog as text.
func (w *worker) view(ctx context.Context, c catalog.Catalog) (string, error) {
	var out strings.Builder
	if e, err := c.Bucket(ctx, w.bucket); err == nil {
		fmt.Fprintf(&out, "bucket %x\n", e.Bucket.Encode())
	} else if !errors.Is(err, cairn.NotFound) {
		return "", err
	}
	it, err := c.Versions(ctx, w.bucket)
	if err != nil {
		return "", err
	}
	for ok := it.Seek(""); ok; ok = it.Next() {
		e, err := it.Entry()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "version %x\n", e.Version.Encode())
	}
	if err := errors.Join(it.Err(), it.Close()); err != nil {
		return "", err
	}
	err = c.Segments(ctx, cairn.SegmentID{}, func(e *catalog.SegmentEntry) error {
		if e.Segment[0] == w.number {
			fmt.Fprintf(&out, "segment %+v\n", *e)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return out.String() + w.viewRest(ctx, c, &err), err
}

func (w *worker) viewRest(ctx context.Context, c catalog.Catalog, failed *error) string {
	var out strings.Builder
	uploads, err1 := c.Uploads(ctx, w.bucket, "", "", "", 100)
	for _, u := range uploads {
		fmt.Fprintf(&out, "upload %+v\n", *u)
	}
	parts, err2 := c.Parts(ctx, w.uploadID(), 0, 100)
	for _, p := range parts {
		fmt.Fprintf(&out, "part %x\n", cairn.EncodePart(&p.Part))
	}
	intents, err3 := c.Intents(ctx)
	for _, e := range intents {
		if e.Bucket == w.bucket {
			fmt.Fprintf(&out, "intent %+v\n", *e)
		}
	}
	garbage, err4 := c.Garbage(ctx, 0, 1<<20)
	for _, g := range garbage {
		if g.Place.Segment[0] == w.number {
			fmt.Fprintf(&out, "garbage %v\n", g.Place)
		}
	}
	*failed = errors.Join(err1, err2, err3, err4)
	return out.String()
}
