package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

var errClosed = errors.New("the catalog is closed")

// Catalog implements catalog.Catalog. What lies in the maps is never changed,
// only replaced, so a reader may clone it after letting go of the lock.
type Catalog struct {
	mu     sync.Mutex // guards everything below
	closed bool

	buckets  map[string]*catalog.BucketEntry
	versions map[catalog.VersionKey]*catalog.VersionEntry
	segments map[cairn.SegmentID]*catalog.SegmentEntry
	uploads  map[catalog.UploadKey]*catalog.UploadEntry
	parts    map[string]map[int]*catalog.PartEntry // by upload id, then number
	intents  map[cairn.VersionID]*catalog.Intent
	garbage  map[uint64]*catalog.Garbage

	lastGarbage uint64 // highest id handed out
	floor       int64
}

var _ catalog.Catalog = (*Catalog)(nil)

// New returns an empty catalog.
func New() *Catalog {
	return &Catalog{
		buckets:  map[string]*catalog.BucketEntry{},
		versions: map[catalog.VersionKey]*catalog.VersionEntry{},
		segments: map[cairn.SegmentID]*catalog.SegmentEntry{},
		uploads:  map[catalog.UploadKey]*catalog.UploadEntry{},
		parts:    map[string]map[int]*catalog.PartEntry{},
		intents:  map[cairn.VersionID]*catalog.Intent{},
		garbage:  map[uint64]*catalog.Garbage{},
	}
}

// lock takes the lock, or says why nothing may be done. Requires an unlock
// when the error is nil.
func (c *Catalog) lock(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return cairn.NewError(op, cairn.Unavailable, errClosed)
	}
	return nil
}

// Bucket implements catalog.Catalog.
func (c *Catalog) Bucket(ctx context.Context, name string) (*catalog.BucketEntry, error) {
	const op = "look up bucket"
	if err := c.lock(ctx, op); err != nil {
		return nil, err
	}
	e := c.buckets[name]
	c.mu.Unlock()
	if e == nil {
		return nil, cairn.Errorf(op, cairn.NotFound, "bucket %q is not there", name)
	}
	return cloneBucket(e)
}

// Buckets implements catalog.Catalog.
func (c *Catalog) Buckets(ctx context.Context, prefix, after string, limit int) ([]*catalog.BucketEntry, error) {
	if err := c.lock(ctx, "list buckets"); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	var out []*catalog.BucketEntry
	for _, name := range slices.Sorted(maps.Keys(c.buckets)) {
		if len(out) >= limit {
			break
		}
		if !strings.HasPrefix(name, prefix) || name <= after {
			continue
		}
		e, err := cloneBucket(c.buckets[name])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// newest returns the newest version of a key, or nil. Requires the lock.
func (c *Catalog) newest(bucket, key string) *catalog.VersionEntry {
	var found *catalog.VersionEntry
	for k, e := range c.versions {
		if k.Bucket == bucket && k.Key == key && (found == nil || k.ID.Compare(found.Version.ID) > 0) {
			found = e
		}
	}
	return found
}

// Newest implements catalog.Catalog.
func (c *Catalog) Newest(ctx context.Context, bucket, key string) (*catalog.VersionEntry, error) {
	const op = "look up key"
	if err := c.lock(ctx, op); err != nil {
		return nil, err
	}
	e := c.newest(bucket, key)
	c.mu.Unlock()
	if e == nil {
		return nil, cairn.Errorf(op, cairn.NotFound, "the key has no version")
	}
	return cloneVersion(e)
}

// Version implements catalog.Catalog.
func (c *Catalog) Version(ctx context.Context, bucket, key string, id cairn.VersionID) (*catalog.VersionEntry, error) {
	const op = "look up version"
	if err := c.lock(ctx, op); err != nil {
		return nil, err
	}
	e := c.versions[catalog.VersionKey{Bucket: bucket, Key: key, ID: id}]
	c.mu.Unlock()
	if e == nil {
		return nil, cairn.Errorf(op, cairn.NotFound, "version %v is not there", id)
	}
	return cloneVersion(e)
}

// Segment implements catalog.Catalog.
func (c *Catalog) Segment(ctx context.Context, id cairn.SegmentID) (*catalog.SegmentEntry, error) {
	const op = "look up segment"
	if err := c.lock(ctx, op); err != nil {
		return nil, err
	}
	e := c.segments[id]
	c.mu.Unlock()
	if e == nil {
		return nil, cairn.Errorf(op, cairn.NotFound, "segment %s is not in the index", id.Short())
	}
	return cloneSegment(e), nil
}

// Segments implements catalog.Catalog.
func (c *Catalog) Segments(ctx context.Context, after cairn.SegmentID, f func(*catalog.SegmentEntry) error) error {
	const op = "list segments"
	if err := c.lock(ctx, op); err != nil {
		return err
	}
	all := slices.Collect(maps.Values(c.segments))
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *catalog.SegmentEntry) int { return compareSegments(a.Segment, b.Segment) })
	for _, e := range all {
		if compareSegments(e.Segment, after) <= 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if err := f(cloneSegment(e)); err != nil {
			return err
		}
	}
	return nil
}

// Upload implements catalog.Catalog.
func (c *Catalog) Upload(ctx context.Context, bucket, key, id string) (*catalog.UploadEntry, error) {
	const op = "look up upload"
	if err := c.lock(ctx, op); err != nil {
		return nil, err
	}
	e := c.uploads[catalog.UploadKey{Bucket: bucket, Key: key, ID: id}]
	c.mu.Unlock()
	if e == nil {
		return nil, cairn.Errorf(op, cairn.NotFound, "upload %q is not there", id)
	}
	return cloneUpload(e)
}

// Uploads implements catalog.Catalog.
func (c *Catalog) Uploads(ctx context.Context, bucket, prefix, afterKey, afterID string, limit int) ([]*catalog.UploadEntry, error) {
	if err := c.lock(ctx, "list uploads"); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	order := func(a, b catalog.UploadKey) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID))
	}
	after := catalog.UploadKey{Key: afterKey, ID: afterID}
	var out []*catalog.UploadEntry
	for _, k := range slices.SortedFunc(maps.Keys(c.uploads), order) {
		if len(out) >= limit {
			break
		}
		e := c.uploads[k]
		if k.Bucket != bucket || !strings.HasPrefix(k.Key, prefix) || order(k, after) <= 0 || !e.Completed.IsZero() {
			continue
		}
		e, err := cloneUpload(e)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// CompletedUploads implements catalog.Catalog.
func (c *Catalog) CompletedUploads(ctx context.Context, before int64, limit int) ([]*catalog.UploadEntry, error) {
	if err := c.lock(ctx, "list completed uploads"); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	order := func(a, b *catalog.UploadEntry) int {
		return cmp.Or(cmp.Compare(a.CompletedAt, b.CompletedAt), cmp.Compare(a.Template.Bucket, b.Template.Bucket),
			cmp.Compare(a.Template.Key, b.Template.Key), cmp.Compare(a.ID, b.ID))
	}
	var out []*catalog.UploadEntry
	for _, e := range slices.SortedFunc(maps.Values(c.uploads), order) {
		if len(out) >= limit {
			break
		}
		if e.Completed.IsZero() || e.CompletedAt >= before {
			continue
		}
		e, err := cloneUpload(e)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Parts implements catalog.Catalog.
func (c *Catalog) Parts(ctx context.Context, uploadID string, after, limit int) ([]*catalog.PartEntry, error) {
	if err := c.lock(ctx, "list parts"); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	parts := c.parts[uploadID]
	var out []*catalog.PartEntry
	for _, number := range slices.Sorted(maps.Keys(parts)) {
		if len(out) >= limit {
			break
		}
		if number <= after {
			continue
		}
		e, err := clonePart(parts[number])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Intents implements catalog.Catalog.
func (c *Catalog) Intents(ctx context.Context) ([]*catalog.Intent, error) {
	if err := c.lock(ctx, "list intents"); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	var out []*catalog.Intent
	for _, id := range slices.SortedFunc(maps.Keys(c.intents), cairn.VersionID.Compare) {
		out = append(out, cloneIntent(c.intents[id]))
	}
	return out, nil
}

// Floor implements catalog.Catalog.
func (c *Catalog) Floor(ctx context.Context) (int64, error) {
	if err := c.lock(ctx, "read the floor"); err != nil {
		return 0, err
	}
	defer c.mu.Unlock()
	return c.floor, nil
}

// Garbage implements catalog.Catalog.
func (c *Catalog) Garbage(ctx context.Context, after uint64, limit int) ([]*catalog.Garbage, error) {
	if err := c.lock(ctx, "list garbage"); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	var out []*catalog.Garbage
	for _, id := range slices.Sorted(maps.Keys(c.garbage)) {
		if len(out) >= limit {
			break
		}
		if id <= after {
			continue
		}
		out = append(out, cloneGarbage(c.garbage[id]))
	}
	return out, nil
}

// Stats implements catalog.Catalog.
func (c *Catalog) Stats(ctx context.Context) (catalog.Stats, error) {
	if err := c.lock(ctx, "count"); err != nil {
		return catalog.Stats{}, err
	}
	defer c.mu.Unlock()
	s := catalog.Stats{
		Buckets:  int64(len(c.buckets)),
		Versions: int64(len(c.versions)),
		Segments: int64(len(c.segments)),
		Garbage:  int64(len(c.garbage)),
	}
	for _, e := range c.versions {
		s.PlainBytes += e.Version.Size
	}
	for _, e := range c.uploads {
		if e.Completed.IsZero() {
			s.Uploads++
		}
	}
	return s, nil
}

// Close implements catalog.Catalog.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}
