package memory

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// Commit implements catalog.Catalog. What can go wrong is tried on copies
// first; the second half cannot fail.
func (c *Catalog) Commit(ctx context.Context, b *catalog.Batch) error {
	const op = "commit"
	copied, err := cloneBatch(b)
	if err != nil {
		return err
	}
	if err := c.lock(ctx, op); err != nil {
		return err
	}
	defer c.mu.Unlock()
	for _, cond := range b.If {
		holds, err := c.holds(cond)
		if err != nil {
			return err
		}
		if !holds {
			return &catalog.ConditionError{Condition: cond}
		}
	}
	segments, dead, err := c.planSegments(copied)
	if err != nil {
		return err
	}
	for id, e := range segments {
		if e == nil {
			delete(c.segments, id)
		} else {
			c.segments[id] = e
		}
	}
	for _, place := range dead {
		c.addGarbage(place)
	}
	c.apply(copied)
	return nil
}

// holds evaluates one condition. Requires the lock.
func (c *Catalog) holds(cond catalog.Condition) (bool, error) {
	switch {
	case cond.BucketExists != "":
		return c.buckets[cond.BucketExists] != nil, nil
	case cond.BucketAbsent != "":
		return c.buckets[cond.BucketAbsent] == nil, nil
	case cond.BucketEmpty != "":
		for k := range c.versions {
			if k.Bucket == cond.BucketEmpty {
				return false, nil
			}
		}
		return true, nil
	case cond.Newest != nil:
		var id cairn.VersionID
		if e := c.newest(cond.Newest.Bucket, cond.Newest.Key); e != nil {
			id = e.Version.ID
		}
		return id == cond.Newest.ID, nil
	case cond.HasVersion != nil:
		return c.versions[*cond.HasVersion] != nil, nil
	case cond.OpenUpload != nil:
		e := c.uploads[*cond.OpenUpload]
		return e != nil && e.Completed.IsZero(), nil
	case cond.PartIs != nil:
		var object cairn.ObjectID
		if e := c.parts[cond.PartIs.UploadID][cond.PartIs.Number]; e != nil {
			object = e.Part.Object
		}
		return object == cond.PartIs.Object, nil
	case cond.Segment != nil:
		return c.segments[*cond.Segment] != nil, nil
	}
	return false, cairn.NewError("commit", cairn.Invalid, errors.New("a condition says nothing"))
}

// planSegments returns what becomes of the segments the batch touches (nil: it
// leaves the index) and the places of those that die. Requires the lock.
func (c *Catalog) planSegments(b *catalog.Batch) (map[cairn.SegmentID]*catalog.SegmentEntry, []catalog.Location, error) {
	const op = "commit"
	plan := map[cairn.SegmentID]*catalog.SegmentEntry{}
	get := func(id cairn.SegmentID) (*catalog.SegmentEntry, error) {
		e, touched := plan[id]
		if !touched && c.segments[id] != nil {
			e = cloneSegment(c.segments[id])
		}
		if e == nil {
			return nil, cairn.Errorf(op, cairn.NotFound, "segment %s is not in the index", id.Short())
		}
		plan[id] = e
		return e, nil
	}
	for _, e := range b.PutSegments {
		plan[e.Segment] = e
	}
	var dead []catalog.Location
	for _, id := range slices.SortedFunc(maps.Keys(b.Refs), compareSegments) {
		e, err := get(id)
		if errors.Is(err, cairn.NotFound) && b.Refs[id] <= 0 {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		e.Refs += b.Refs[id]
		switch {
		case e.Refs < 0:
			return nil, nil, cairn.Errorf(op, cairn.Invalid, "segment %s would have %d references", id.Short(), e.Refs)
		case e.Refs == 0:
			dead = append(dead, e.Location)
			plan[id] = nil
		}
	}
	for _, m := range b.MoveShards {
		e, err := get(m.Shard.Segment)
		if err != nil {
			return nil, nil, err
		}
		if int(m.Shard.Index) >= len(e.Nodes) {
			return nil, nil, cairn.Errorf(op, cairn.Invalid, "segment %s has no shard %d", m.Shard.Segment.Short(), m.Shard.Index)
		}
		e.Nodes[m.Shard.Index] = m.To
	}
	return plan, dead, nil
}

// apply makes the changes that do not concern segments. Requires the lock.
func (c *Catalog) apply(b *catalog.Batch) {
	for _, e := range b.PutBuckets {
		if e.Bucket.Deleted {
			delete(c.buckets, e.Bucket.Name)
		} else {
			c.buckets[e.Bucket.Name] = e
		}
	}
	for _, e := range b.PutVersions {
		c.versions[catalog.VersionKey{Bucket: e.Version.Bucket, Key: e.Version.Key, ID: e.Version.ID}] = e
	}
	for _, k := range b.DropVersions {
		delete(c.versions, k)
	}
	for _, e := range b.PutUploads {
		c.uploads[catalog.UploadKey{Bucket: e.Template.Bucket, Key: e.Template.Key, ID: e.ID}] = e
	}
	for _, k := range b.DropUploads {
		delete(c.uploads, k)
		delete(c.parts, k.ID)
	}
	for _, p := range b.PutParts {
		if c.parts[p.UploadID] == nil {
			c.parts[p.UploadID] = map[int]*catalog.PartEntry{}
		}
		c.parts[p.UploadID][p.Entry.Part.Number] = p.Entry
	}
	for _, e := range b.PutIntents {
		c.intents[e.ID] = e
	}
	for _, id := range b.DropIntents {
		delete(c.intents, id)
	}
	for _, place := range b.AddGarbage {
		c.addGarbage(place)
	}
	for _, g := range b.PutGarbage {
		if c.garbage[g.ID] != nil {
			c.garbage[g.ID] = g
		}
	}
	for _, id := range b.DropGarbage {
		delete(c.garbage, id)
	}
	c.floor = max(c.floor, b.Floor)
}

func compareSegments(a, b cairn.SegmentID) int { return bytes.Compare(a[:], b[:]) }

func (c *Catalog) addGarbage(place catalog.Location) {
	c.lastGarbage++
	c.garbage[c.lastGarbage] = &catalog.Garbage{ID: c.lastGarbage, Since: time.Now().UnixNano(), Place: place}
}

// cloneBatch copies what the catalog is going to keep.
func cloneBatch(b *catalog.Batch) (*catalog.Batch, error) {
	out := *b
	var err error
	if out.PutBuckets, err = cloneAll(b.PutBuckets, cloneBucket); err != nil {
		return nil, err
	}
	if out.PutVersions, err = cloneAll(b.PutVersions, cloneVersion); err != nil {
		return nil, err
	}
	if out.PutUploads, err = cloneAll(b.PutUploads, cloneUpload); err != nil {
		return nil, err
	}
	out.PutParts = nil
	for _, p := range b.PutParts {
		e, err := clonePart(p.Entry)
		if err != nil {
			return nil, err
		}
		out.PutParts = append(out.PutParts, catalog.PartPut{UploadID: p.UploadID, Entry: e})
	}
	out.PutSegments, out.PutIntents, out.PutGarbage = nil, nil, nil
	for _, e := range b.PutSegments {
		out.PutSegments = append(out.PutSegments, cloneSegment(e))
	}
	for _, e := range b.PutIntents {
		out.PutIntents = append(out.PutIntents, cloneIntent(e))
	}
	for _, e := range b.PutGarbage {
		out.PutGarbage = append(out.PutGarbage, cloneGarbage(e))
	}
	out.AddGarbage = cloneLocations(b.AddGarbage)
	return &out, nil
}

func cloneAll[T any](in []T, clone func(T) (T, error)) ([]T, error) {
	var out []T
	for _, e := range in {
		e, err := clone(e)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
