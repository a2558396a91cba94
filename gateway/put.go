package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// MaxPut is the largest object of one PUT and the largest part, in bytes.
const MaxPut = 5 << 30

// Put stores an object. The body is read only once the bucket and the
// condition have been checked, so a refusal costs the client no upload.
func (e *Engine) Put(ctx context.Context, req PutRequest) (Stored, error) {
	if req.Size < 0 || req.Size > MaxPut {
		return Stored{}, fmt.Errorf("put %d bytes: %w", req.Size, ErrTooLarge)
	}
	if _, err := e.bucket(ctx, req.Bucket); err != nil {
		return Stored{}, err
	}
	if req.If != (WriteCondition{}) {
		prev, err := e.newest(ctx, req.Bucket, req.Key)
		if err != nil {
			return Stored{}, err
		}
		if err := req.If.check(prev); err != nil {
			return Stored{}, err
		}
	}
	w := e.beginWrite(req.Bucket, req.Key)
	p, err := e.writePart(ctx, w, 0, req.Size, req.StorageClass, req.Digests, req.Body)
	if err != nil {
		w.undo()
		return Stored{}, fmt.Errorf("put %q/%q: %w", req.Bucket, req.Key, err)
	}
	v := &cairn.Version{
		Bucket: req.Bucket, Key: req.Key, Size: req.Size, ETag: p.part.ETag,
		Headers: req.Headers, Tags: req.Tags, StorageClass: req.StorageClass,
		Checksums: p.part.Checksums, Null: true,
	}
	stored, err := e.commitObject(ctx, w, v, p, req.If)
	if err != nil {
		p.abort()
		w.undo()
		return Stored{}, fmt.Errorf("put %q/%q: %w", req.Bucket, req.Key, err)
	}
	e.metrics.wrote(req.Size)
	return stored, nil
}

// commitObject makes v, whose only part is p, the newest version of its key.
func (e *Engine) commitObject(ctx context.Context, w *write, v *cairn.Version, p *writtenPart, cond WriteCondition) (Stored, error) {
	unlock := e.lockKey(v.Bucket, v.Key)
	defer unlock()
	prev, err := e.admit(ctx, v, cond)
	if err != nil {
		return Stored{}, err
	}
	if p.part.Size > 0 {
		v.Parts = []cairn.Part{p.part}
	}
	b := e.replaceBatch(v, prev)
	entry := &catalog.VersionEntry{Version: *v}
	if p.pending != nil {
		if err := w.planVersion(ctx, v.Key, v.ID, p.pending.id()); err != nil {
			return Stored{}, err
		}
		seg, left, err := p.pending.commit(ctx, func(id cairn.SegmentID) []byte {
			v.Parts[0].Segments[0].ID = id
			return v.Encode()
		})
		w.leave(left...)
		if err != nil {
			return Stored{}, err
		}
		v.Parts[0].Segments[0].ID = seg.Segment
		p.entries = append(p.entries, seg)
		entry.Version = *v
	} else if entry.Record, err = e.recordVersion(ctx, w, v, p.entries); err != nil {
		return Stored{}, err
	}
	b.PutSegments = p.entries
	b.PutVersions = []*catalog.VersionEntry{entry}
	if err := e.commitVersion(ctx, w, b); err != nil {
		return Stored{}, err
	}
	return Stored{Version: v, Durability: durability(p.entries, entry.Record)}, nil
}

// recordVersion writes v's record of its own. entries are v's segments as far
// as they are new; those of a mirrored object say which nodes its groups are.
func (e *Engine) recordVersion(ctx context.Context, w *write, v *cairn.Version, entries []*catalog.SegmentEntry) (catalog.Location, error) {
	id := cairn.NewSegmentID()
	if err := w.planVersion(ctx, v.Key, v.ID, id); err != nil {
		return catalog.Location{}, err
	}
	var groups [][]cairn.NodeID
	if first, mirrored := firstMirrored(v); mirrored {
		for _, id := range []cairn.SegmentID{first.ID, first.Mirror} {
			seg, err := e.segment(ctx, id, entries)
			if errors.Is(err, cairn.NotFound) {
				continue // a recovery has not found this group
			}
			if err != nil {
				return catalog.Location{}, err
			}
			groups = append(groups, seg.Nodes)
		}
	}
	return e.writeRecord(ctx, id, cairn.KindVersion, v.Encode(), groups)
}

// firstMirrored returns the first segment of v that has a mirror. An empty
// part has no segment at all.
func firstMirrored(v *cairn.Version) (cairn.Segment, bool) {
	for _, p := range v.Parts {
		for _, s := range p.Segments {
			if s.Mirror != (cairn.SegmentID{}) {
				return s, true
			}
		}
	}
	return cairn.Segment{}, false
}

// segment returns the entry of a segment, new or in the catalog.
func (e *Engine) segment(ctx context.Context, id cairn.SegmentID, fresh []*catalog.SegmentEntry) (*catalog.SegmentEntry, error) {
	for _, s := range fresh {
		if s.Segment == id {
			return s, nil
		}
	}
	s, err := e.catalog.Segment(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("look up segment %s: %w", id.Short(), err)
	}
	return s, nil
}

// admit checks the condition against the key's newest version and gives v its
// id, newer than that. The caller holds the key's lock.
func (e *Engine) admit(ctx context.Context, v *cairn.Version, cond WriteCondition) (prev *catalog.VersionEntry, err error) {
	prev, err = e.newest(ctx, v.Bucket, v.Key)
	if err != nil {
		return nil, err
	}
	if err := cond.check(prev); err != nil {
		return nil, err
	}
	if prev != nil {
		e.clock.Observe(prev.Version.ID)
	}
	v.ID = e.clock.Next()
	return prev, nil
}

// replaceBatch begins the batch that puts v in the place of prev, which leaves
// the catalog with everything only it needed.
func (e *Engine) replaceBatch(v *cairn.Version, prev *catalog.VersionEntry) *catalog.Batch {
	was := catalog.VersionKey{Bucket: v.Bucket, Key: v.Key}
	b := &catalog.Batch{Refs: map[cairn.SegmentID]int{}}
	if prev != nil {
		was.ID = prev.Version.ID
		dropVersion(b, prev)
	}
	b.If = []catalog.Condition{{BucketExists: v.Bucket}, {Newest: &was}}
	return b
}

// dropVersion takes a version out of the catalog and gives up what it refers to.
func dropVersion(b *catalog.Batch, v *catalog.VersionEntry) {
	b.DropVersions = append(b.DropVersions, catalog.VersionKey{Bucket: v.Version.Bucket, Key: v.Version.Key, ID: v.Version.ID})
	addRefs(b, v.Version.Parts, -1)
	if len(v.Record.Nodes) > 0 {
		b.AddGarbage = append(b.AddGarbage, v.Record)
	}
}

// addRefs changes the reference counts of everything that parts refer to.
func addRefs(b *catalog.Batch, parts []cairn.Part, n int) {
	for _, p := range parts {
		for _, s := range p.Segments {
			b.Refs[s.ID] += n
			if s.Mirror != (cairn.SegmentID{}) {
				b.Refs[s.Mirror] += n
			}
		}
	}
}

// commitVersion commits b and translates what its conditions say.
func (e *Engine) commitVersion(ctx context.Context, w *write, b *catalog.Batch) error {
	err := w.commit(ctx, b)
	var cond *catalog.ConditionError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &cond):
		return fmt.Errorf("commit to catalog: %w", err)
	case cond.Condition.BucketExists != "":
		return ErrNoSuchBucket
	case cond.Condition.OpenUpload != nil:
		return ErrNoSuchUpload
	}
	return ErrConflict
}

// durability says how many shards of the least durable segment or record are
// on stable storage.
func durability(segments []*catalog.SegmentEntry, record catalog.Location) string {
	have, want := len(record.Nodes), len(record.Nodes)
	for i, s := range segments {
		if n := stored(s); i == 0 || n*want < have*len(s.Nodes) {
			have, want = n, len(s.Nodes)
		}
	}
	return fmt.Sprintf("%d/%d", have, want)
}
