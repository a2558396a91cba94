package pebble

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cockroachdb/pebble/v2"
)

// change is a batch under construction. It reads what it has written itself,
// and keeps the counts in step with every entry that comes or goes.
type change struct {
	c       *Catalog
	batch   *pebble.Batch // indexed
	now     int64         // Unix nanoseconds
	totals  totals
	buckets map[string]counts // changes to the counts of buckets
}

// begin requires the turn.
func (c *Catalog) begin() *change {
	return &change{
		c: c, batch: c.db.NewIndexedBatch(), now: time.Now().UnixNano(),
		totals: *c.totals.Load(), buckets: map[string]counts{},
	}
}

// change records everything b asks for, in the order of its fields.
func (t *change) change(b *catalog.Batch) error {
	for _, step := range []func(*catalog.Batch) error{
		t.putBuckets, t.changeSegments, t.changeVersions, t.changeUploads, t.changeIntents, t.changeGarbage,
	} {
		if err := step(b); err != nil {
			return err
		}
	}
	return nil
}

// finish adds the counts and the floor. The database would pass over an empty batch without
// a sync, but the commits before it may be waiting for one: it gets a line in
// the log that means nothing.
func (t *change) finish(floor int64) error {
	t.totals.floor = max(t.totals.floor, floor)
	for bucket, more := range t.buckets {
		key := tableKey(tableCounts, bucket)
		v, err := t.get(key)
		if err != nil {
			return err
		}
		sum := more
		if v != nil {
			before, err := decodeCounts(v)
			if err != nil {
				return err
			}
			sum = counts{before.versions + more.versions, before.bytes + more.bytes}
		}
		if sum.versions == 0 {
			err = t.batch.Delete(key, nil)
		} else {
			err = t.batch.Set(key, sum.encode(), nil)
		}
		if err != nil {
			return wrap(opCommit, err)
		}
	}
	if t.totals != *t.c.totals.Load() {
		return wrap(opCommit, t.batch.Set(totalsKey, t.totals.encode(), nil))
	}
	if t.batch.Empty() {
		return wrap(opCommit, t.batch.LogData([]byte{0}, nil))
	}
	return nil
}

// get returns a copy of a value, nil when there is none. No value is empty.
func (t *change) get(key []byte) ([]byte, error) {
	v, closer, err := t.batch.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap(opCommit, err)
	}
	v = bytes.Clone(v)
	return v, wrap(opCommit, closer.Close())
}

// put writes an entry and counts it if it is new.
func (t *change) put(key, value []byte, count *int64) error {
	old, err := t.get(key)
	if err != nil {
		return err
	}
	if old == nil {
		*count++
	}
	return wrap(opCommit, t.batch.Set(key, value, nil))
}

// drop removes an entry, if it is there, and returns what it was.
func (t *change) drop(key []byte, count *int64) ([]byte, error) {
	old, err := t.get(key)
	if err != nil || old == nil {
		return nil, err
	}
	*count--
	return old, wrap(opCommit, t.batch.Delete(key, nil))
}

func (t *change) putBuckets(b *catalog.Batch) error {
	for _, e := range b.PutBuckets {
		key := tableKey(tableBucket, e.Bucket.Name)
		value, err := encodeBucket(e)
		switch {
		case err != nil:
		case e.Bucket.Deleted:
			_, err = t.drop(key, &t.totals.Buckets)
		default:
			err = t.put(key, value, &t.totals.Buckets)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *change) changeSegments(b *catalog.Batch) error {
	for _, e := range b.PutSegments {
		if err := t.put(segmentKey(e.Segment), encodeSegment(e), &t.totals.Segments); err != nil {
			return err
		}
	}
	// In order of id, so that equal batches leave equal catalogs.
	ids := slices.SortedFunc(maps.Keys(b.Refs), func(x, y cairn.SegmentID) int { return bytes.Compare(x[:], y[:]) })
	for _, id := range ids {
		if err := t.changeRefs(id, b.Refs[id]); err != nil {
			return err
		}
	}
	for _, m := range b.MoveShards {
		e, err := t.segment(m.Shard.Segment)
		if err != nil {
			return err
		}
		if int(m.Shard.Index) >= len(e.Nodes) {
			return cairn.Errorf(opCommit, cairn.Invalid, "segment %s has no shard %d", e.Segment.Short(), m.Shard.Index)
		}
		e.Nodes[m.Shard.Index] = m.To
		if err := t.put(segmentKey(e.Segment), encodeSegment(e), &t.totals.Segments); err != nil {
			return err
		}
	}
	return nil
}

// segment returns a segment as the batch leaves it so far.
func (t *change) segment(id cairn.SegmentID) (*catalog.SegmentEntry, error) {
	v, err := t.get(segmentKey(id))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, cairn.Errorf(opCommit, cairn.NotFound, "segment %s is not in the index", id.Short())
	}
	return decodeSegment(id, v)
}

func (t *change) changeRefs(id cairn.SegmentID, by int) error {
	e, err := t.segment(id)
	if errors.Is(err, cairn.NotFound) && by <= 0 {
		return nil
	}
	if err != nil {
		return err
	}
	e.Refs += by
	switch {
	case e.Refs < 0:
		return cairn.Errorf(opCommit, cairn.Invalid, "segment %s would have %d references", id.Short(), e.Refs)
	case e.Refs > 0:
		return t.put(segmentKey(id), encodeSegment(e), &t.totals.Segments)
	}
	if _, err := t.drop(segmentKey(id), &t.totals.Segments); err != nil {
		return err
	}
	return t.addGarbage(e.Location)
}

func (t *change) changeVersions(b *catalog.Batch) error {
	for _, e := range b.PutVersions {
		value, err := encodeVersion(e)
		if err != nil {
			return err
		}
		k := catalog.VersionKey{Bucket: e.Version.Bucket, Key: e.Version.Key, ID: e.Version.ID}
		if err := t.dropVersion(k); err != nil { // it may be there with another size
			return err
		}
		if err := t.batch.Set(versionKey(k), value, nil); err != nil {
			return wrap(opCommit, err)
		}
		t.countVersion(k.Bucket, 1, e.Version.Size)
	}
	for _, k := range b.DropVersions {
		if err := t.dropVersion(k); err != nil {
			return err
		}
	}
	return nil
}

func (t *change) dropVersion(k catalog.VersionKey) error {
	key := versionKey(k)
	old, err := t.get(key)
	if err != nil || old == nil {
		return err
	}
	e, err := decodeVersion(old)
	if err != nil {
		return err
	}
	t.countVersion(k.Bucket, -1, -e.Version.Size)
	return wrap(opCommit, t.batch.Delete(key, nil))
}

func (t *change) countVersion(bucket string, versions, bytes int64) {
	n := t.buckets[bucket]
	t.buckets[bucket] = counts{n.versions + versions, n.bytes + bytes}
	t.totals.Versions += versions
	t.totals.PlainBytes += bytes
}

func (t *change) changeUploads(b *catalog.Batch) error {
	for _, e := range b.PutUploads {
		if err := t.putUpload(e); err != nil {
			return err
		}
	}
	for _, k := range b.DropUploads {
		if err := errors.Join(t.dropUpload(k), t.dropParts(k.ID)); err != nil {
			return err
		}
	}
	for _, p := range b.PutParts {
		value, err := encodePart(p.Entry)
		if err == nil {
			err = t.batch.Set(partKey(p.UploadID, p.Entry.Part.Number), value, nil)
		}
		if err != nil {
			return wrap(opCommit, err)
		}
	}
	return nil
}

// putUpload keeps uploads in progress apart from completed ones, which stand
// in the order of their completion, too.
func (t *change) putUpload(e *catalog.UploadEntry) error {
	value, err := encodeUpload(e)
	if err != nil {
		return err
	}
	k := catalog.UploadKey{Bucket: e.Template.Bucket, Key: e.Template.Key, ID: e.ID}
	if err := t.dropUpload(k); err != nil {
		return err
	}
	if e.Completed.IsZero() {
		t.totals.Uploads++
		return wrap(opCommit, t.batch.Set(uploadKey(tableUpload, k), value, nil))
	}
	return wrap(opCommit, errors.Join(
		t.batch.Set(uploadKey(tableCompleted, k), value, nil),
		t.batch.Set(endedKey(e.CompletedAt, k), []byte{valueFormat}, nil),
	))
}

// dropUpload removes an upload in either state, without its parts.
func (t *change) dropUpload(k catalog.UploadKey) error {
	if _, err := t.drop(uploadKey(tableUpload, k), &t.totals.Uploads); err != nil {
		return err
	}
	var completed int64 // not part of the totals
	old, err := t.drop(uploadKey(tableCompleted, k), &completed)
	if err != nil || old == nil {
		return err
	}
	e, err := decodeUpload(old)
	if err != nil {
		return err
	}
	return wrap(opCommit, t.batch.Delete(endedKey(e.CompletedAt, k), nil))
}

// dropParts requires that the batch has put no parts yet.
func (t *change) dropParts(uploadID string) error {
	prefix := partPrefix(uploadID)
	return t.c.scan(context.Background(), opCommit, prefix, prefix, func(key, _ []byte) (bool, error) {
		return true, t.batch.Delete(key, nil)
	})
}

func (t *change) changeIntents(b *catalog.Batch) error {
	for _, e := range b.PutIntents {
		if err := t.batch.Set(intentKey(e.ID), encodeIntent(e), nil); err != nil {
			return wrap(opCommit, err)
		}
	}
	for _, id := range b.DropIntents {
		if err := t.batch.Delete(intentKey(id), nil); err != nil {
			return wrap(opCommit, err)
		}
	}
	return nil
}

func (t *change) changeGarbage(b *catalog.Batch) error {
	for _, place := range b.AddGarbage {
		if err := t.addGarbage(place); err != nil {
			return err
		}
	}
	for _, g := range b.PutGarbage {
		old, err := t.get(garbageKey(g.ID))
		if err == nil && old != nil {
			err = t.batch.Set(garbageKey(g.ID), encodeGarbage(g), nil)
		}
		if err != nil {
			return wrap(opCommit, err)
		}
	}
	for _, id := range b.DropGarbage {
		if _, err := t.drop(garbageKey(id), &t.totals.Garbage); err != nil {
			return err
		}
	}
	return nil
}

func (t *change) addGarbage(place catalog.Location) error {
	t.totals.lastGarbage++
	t.totals.Garbage++
	id := uint64(t.totals.lastGarbage)
	return wrap(opCommit, t.batch.Set(garbageKey(id), encodeGarbage(&catalog.Garbage{ID: id, Since: t.now, Place: place}), nil))
}
