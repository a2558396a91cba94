package pebble

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cockroachdb/pebble/v2"
)

// Catalog implements catalog.Catalog.
type Catalog struct {
	db   *pebble.DB
	lock *pebble.Lock
	gate gate

	// turn holds one token while a batch is checked and applied, never while
	// the disk is waited for. A channel, so that a context can end the wait.
	turn chan struct{}
	// totals is what is applied; stored by whoever has the turn.
	totals atomic.Pointer[totals]

	closing  sync.Once
	closeErr error
}

var _ catalog.Catalog = (*Catalog)(nil)

// get returns a copy of a value.
func (c *Catalog) get(op string, key []byte) ([]byte, error) {
	v, closer, err := c.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, cairn.NewError(op, cairn.NotFound, errors.New("it is not in the catalog"))
	}
	if err != nil {
		return nil, wrap(op, err)
	}
	v = slices.Clone(v)
	return v, wrap(op, closer.Close())
}

// getEntry reads and decodes one value.
func getEntry[T any](ctx context.Context, c *Catalog, op string, key []byte, decode func([]byte) (T, error)) (T, error) {
	var none T
	if err := c.gate.enter(ctx, op); err != nil {
		return none, err
	}
	defer c.gate.leave()
	v, err := c.get(op, key)
	if err != nil {
		return none, err
	}
	return decode(v)
}

// scan calls f for the entries from start up to the end of prefix, in order,
// until f returns false. Key and value are only good during the call.
func (c *Catalog) scan(ctx context.Context, op string, prefix, start []byte, f func(key, value []byte) (bool, error)) error {
	it, err := c.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: start, UpperBound: endOf(prefix)})
	if err != nil {
		return wrap(op, err)
	}
	for more := it.First(); more; more = more && it.Next() {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			more, err = f(it.Key(), v)
		}
		if err == nil {
			err = ctx.Err()
		}
		more = more && err == nil
	}
	return wrap(op, errors.Join(err, it.Error(), it.Close()))
}

// list decodes up to limit entries from start up to the end of prefix.
func list[T any](ctx context.Context, c *Catalog, op string, prefix, start []byte, limit int, decode func(key, value []byte) (T, error)) ([]T, error) {
	if err := c.gate.enter(ctx, op); err != nil {
		return nil, err
	}
	defer c.gate.leave()
	if limit <= 0 {
		return nil, nil
	}
	var out []T
	err := c.scan(ctx, op, prefix, start, func(key, value []byte) (bool, error) {
		e, err := decode(key, value)
		out = append(out, e)
		return len(out) < limit, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Bucket implements catalog.Catalog.
func (c *Catalog) Bucket(ctx context.Context, name string) (*catalog.BucketEntry, error) {
	return getEntry(ctx, c, "look up bucket", tableKey(tableBucket, name), decodeBucket)
}

// Buckets implements catalog.Catalog.
func (c *Catalog) Buckets(ctx context.Context, prefix, after string, limit int) ([]*catalog.BucketEntry, error) {
	all := tableKey(tableBucket, prefix)
	start := maxKey(all, append(tableKey(tableBucket, after), 0))
	return list(ctx, c, "list buckets", all, start, limit, func(_, v []byte) (*catalog.BucketEntry, error) {
		return decodeBucket(v)
	})
}

func maxKey(a, b []byte) []byte {
	if slices.Compare(a, b) > 0 {
		return a
	}
	return b
}

// Newest implements catalog.Catalog.
func (c *Catalog) Newest(ctx context.Context, bucket, key string) (*catalog.VersionEntry, error) {
	const op = "look up key"
	prefix := versionPrefix(bucket, key)
	found, err := list(ctx, c, op, prefix, prefix, 1, decodeVersionAt)
	if err == nil && len(found) == 0 {
		err = cairn.NewError(op, cairn.NotFound, errors.New("the key has no version"))
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// decodeVersionAt also checks that the version stands where it belongs.
func decodeVersionAt(key, value []byte) (*catalog.VersionEntry, error) {
	e, err := decodeVersion(value)
	if err != nil {
		return nil, err
	}
	v := &e.Version
	if !slices.Equal(key, versionKey(catalog.VersionKey{Bucket: v.Bucket, Key: v.Key, ID: v.ID})) {
		return nil, cairn.NewError("decode version entry", cairn.Corrupt, errors.New("it stands under the key of another"))
	}
	return e, nil
}

// Version implements catalog.Catalog.
func (c *Catalog) Version(ctx context.Context, bucket, key string, id cairn.VersionID) (*catalog.VersionEntry, error) {
	at := versionKey(catalog.VersionKey{Bucket: bucket, Key: key, ID: id})
	return getEntry(ctx, c, "look up version", at, func(v []byte) (*catalog.VersionEntry, error) {
		return decodeVersionAt(at, v)
	})
}

// Segment implements catalog.Catalog.
func (c *Catalog) Segment(ctx context.Context, id cairn.SegmentID) (*catalog.SegmentEntry, error) {
	return getEntry(ctx, c, "look up segment", segmentKey(id), func(v []byte) (*catalog.SegmentEntry, error) {
		return decodeSegment(id, v)
	})
}

// segmentChunk is how many segments are read at once, so that a slow callback
// does not make the database keep old files.
const segmentChunk = 256

// Segments implements catalog.Catalog. It sees changes made while it runs,
// except to the few hundred segments it has read ahead.
func (c *Catalog) Segments(ctx context.Context, after cairn.SegmentID, f func(*catalog.SegmentEntry) error) error {
	for {
		start := append(segmentKey(after), 0)
		chunk, err := list(ctx, c, "list segments", []byte{tableSegment}, start, segmentChunk, decodeSegmentAt)
		if err != nil {
			return err
		}
		for _, e := range chunk {
			if err := f(e); err != nil {
				return err
			}
		}
		if len(chunk) < segmentChunk {
			return nil
		}
		after = chunk[len(chunk)-1].Segment
	}
}

func decodeSegmentAt(key, value []byte) (*catalog.SegmentEntry, error) {
	var id cairn.SegmentID
	if err := readID(id[:], key[1:]); err != nil {
		return nil, cairn.NewError("decode segment entry", cairn.Corrupt, err)
	}
	return decodeSegment(id, value)
}

// Upload implements catalog.Catalog.
func (c *Catalog) Upload(ctx context.Context, bucket, key, id string) (*catalog.UploadEntry, error) {
	const op = "look up upload"
	k := catalog.UploadKey{Bucket: bucket, Key: key, ID: id}
	e, err := getEntry(ctx, c, op, uploadKey(tableUpload, k), decodeUpload)
	if errors.Is(err, cairn.NotFound) {
		return getEntry(ctx, c, op, uploadKey(tableCompleted, k), decodeUpload)
	}
	return e, err
}

// Uploads implements catalog.Catalog.
func (c *Catalog) Uploads(ctx context.Context, bucket, prefix, afterKey, afterID string, limit int) ([]*catalog.UploadEntry, error) {
	all := appendEscaped(bucketPrefix(tableUpload, bucket), prefix)
	after := uploadKey(tableUpload, catalog.UploadKey{Bucket: bucket, Key: afterKey, ID: afterID})
	start := maxKey(all, append(after, 0))
	return list(ctx, c, "list uploads", all, start, limit, func(_, v []byte) (*catalog.UploadEntry, error) {
		return decodeUpload(v)
	})
}

// CompletedUploads implements catalog.Catalog.
func (c *Catalog) CompletedUploads(ctx context.Context, before int64, limit int) ([]*catalog.UploadEntry, error) {
	const op = "list completed uploads"
	if err := c.gate.enter(ctx, op); err != nil {
		return nil, err
	}
	defer c.gate.leave()
	if limit <= 0 {
		return nil, nil
	}
	var out []*catalog.UploadEntry
	end := endedPrefix(before)
	all := []byte{tableEnded}
	err := c.scan(ctx, op, all, all, func(key, _ []byte) (bool, error) {
		if slices.Compare(key, end) >= 0 {
			return false, nil
		}
		v, err := c.get(op, key[len(end):])
		if errors.Is(err, cairn.NotFound) {
			return true, nil // dropped since the scan began
		}
		if err != nil {
			return false, err
		}
		e, err := decodeUpload(v)
		out = append(out, e)
		return len(out) < limit, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Parts implements catalog.Catalog.
func (c *Catalog) Parts(ctx context.Context, uploadID string, after, limit int) ([]*catalog.PartEntry, error) {
	if after >= math.MaxUint16 {
		limit = 0
	}
	start := partPrefix(uploadID)
	if after >= 0 && limit > 0 {
		start = partKey(uploadID, after+1)
	}
	return list(ctx, c, "list parts", partPrefix(uploadID), start, limit, func(_, v []byte) (*catalog.PartEntry, error) {
		return decodePart(v)
	})
}

// Intents implements catalog.Catalog.
func (c *Catalog) Intents(ctx context.Context) ([]*catalog.Intent, error) {
	all := []byte{tableIntent}
	return list(ctx, c, "list intents", all, all, math.MaxInt, func(key, v []byte) (*catalog.Intent, error) {
		var id cairn.VersionID
		if err := readID(id[:], key[1:]); err != nil {
			return nil, cairn.NewError("decode intent", cairn.Corrupt, err)
		}
		return decodeIntent(id, v)
	})
}

// Floor implements catalog.Catalog.
func (c *Catalog) Floor(ctx context.Context) (int64, error) {
	if err := c.gate.enter(ctx, "read the floor"); err != nil {
		return 0, err
	}
	defer c.gate.leave()
	return c.totals.Load().floor, nil
}

// Garbage implements catalog.Catalog.
func (c *Catalog) Garbage(ctx context.Context, after uint64, limit int) ([]*catalog.Garbage, error) {
	start := append(garbageKey(after), 0)
	return list(ctx, c, "list garbage", []byte{tableGarbage}, start, limit, func(key, v []byte) (*catalog.Garbage, error) {
		id, err := garbageID(key)
		if err != nil {
			return nil, err
		}
		return decodeGarbage(id, v)
	})
}

// Stats implements catalog.Catalog. It is exact and costs nothing.
func (c *Catalog) Stats(ctx context.Context) (catalog.Stats, error) {
	if err := c.gate.enter(ctx, "count"); err != nil {
		return catalog.Stats{}, err
	}
	defer c.gate.leave()
	return c.totals.Load().Stats, nil
}

// Close waits for what is going on, iterators included, and closes the
// database. Whatever comes after it is refused as Unavailable.
func (c *Catalog) Close() error {
	c.closing.Do(func() {
		c.gate.shut(errClosed)
		c.gate.inside.Wait()
		if err := errors.Join(c.db.Close(), c.lock.Close()); err != nil {
			c.closeErr = fmt.Errorf("close catalog: %w", err)
		}
	})
	return c.closeErr
}
