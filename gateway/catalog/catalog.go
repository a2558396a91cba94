package catalog

import (
	"context"
	"fmt"

	"github.com/cairn-store/cairn"
)

// Catalog is safe for concurrent use. What is not there is a cairn.NotFound
// error. Returned values belong to the caller.
type Catalog interface {
	// Bucket returns a living bucket.
	Bucket(ctx context.Context, name string) (*BucketEntry, error)
	// Buckets returns living buckets with the prefix in byte order, after the given name.
	Buckets(ctx context.Context, prefix, after string, limit int) ([]*BucketEntry, error)

	// Newest returns the newest version of a key, which may be a delete marker.
	Newest(ctx context.Context, bucket, key string) (*VersionEntry, error)
	// Version returns one version of a key.
	Version(ctx context.Context, bucket, key string, id cairn.VersionID) (*VersionEntry, error)
	// Versions iterates over a bucket's versions, keys in UTF-8 byte order, the
	// newest version of a key first, seeing the state of the moment it was
	// made. A first Seek is required. The caller closes it.
	Versions(ctx context.Context, bucket string) (VersionIterator, error)

	// Segment returns what is known of a segment.
	Segment(ctx context.Context, id cairn.SegmentID) (*SegmentEntry, error)
	// Segments calls f for every segment in order of id, starting after the given one.
	Segments(ctx context.Context, after cairn.SegmentID, f func(*SegmentEntry) error) error

	// Upload returns a multipart upload in progress, or one completed not long
	// ago (UploadEntry.Completed).
	Upload(ctx context.Context, bucket, key, id string) (*UploadEntry, error)
	// Uploads returns uploads in progress with the prefix, ordered by key, then
	// id, after the given pair.
	Uploads(ctx context.Context, bucket, prefix, afterKey, afterID string, limit int) ([]*UploadEntry, error)
	// CompletedUploads returns up to limit uploads completed before a moment,
	// in Unix nanoseconds, the earliest first.
	CompletedUploads(ctx context.Context, before int64, limit int) ([]*UploadEntry, error)
	// Parts returns the stored parts of an upload in ascending number, after the given one.
	Parts(ctx context.Context, uploadID string, after, limit int) ([]*PartEntry, error)

	// Intents returns every intent on record.
	Intents(ctx context.Context) ([]*Intent, error)
	// Floor returns the largest Batch.Floor ever committed, or zero.
	Floor(ctx context.Context) (int64, error)
	// Garbage returns up to limit entries waiting to be deleted from nodes, in
	// ascending order of id, after the given one. Ids start at 1.
	Garbage(ctx context.Context, after uint64, limit int) ([]*Garbage, error)

	// Commit checks the batch's conditions and applies it, atomically with
	// respect to every other Commit. It is durable on return, unless
	// batch.NoSync. A condition that does not hold is a *ConditionError and
	// nothing is changed. ctx ends the wait, not the commit.
	Commit(ctx context.Context, b *Batch) error

	// Stats returns counts, exact or nearly so, in O(1) or O(buckets).
	Stats(ctx context.Context) (Stats, error)
	// Close flushes and releases everything.
	Close() error
}

// VersionIterator walks a bucket. It is used by one goroutine.
type VersionIterator interface {
	// Seek moves to the newest version of the first key >= key, in O(log n).
	Seek(key string) bool
	// Next moves to the next version, possibly of the same key.
	Next() bool
	// NextKey moves to the newest version of the next key.
	NextKey() bool
	// Entry decodes the version the iterator stands at.
	// Requires the last move to have returned true.
	Entry() (*VersionEntry, error)
	// Key returns the key the iterator stands at, without decoding the entry.
	Key() string
	// Err returns what ended the iteration early, if anything did.
	Err() error
	Close() error
}

// Location says which nodes hold a record or the shards of a segment: Nodes[i]
// holds shard i; the zero NodeID marks a shard that is nowhere.
type Location struct {
	Segment cairn.SegmentID
	Nodes   []cairn.NodeID
}

// BucketEntry is a bucket and where its record lies.
type BucketEntry struct {
	Bucket cairn.Bucket
	Record Location
}

// VersionEntry is a version and where its record lies: the zero Location when
// it rides in the manifest of its only segment.
type VersionEntry struct {
	Version cairn.Version
	Record  Location
}

// SegmentEntry is what a reader needs to find and decode a segment. Object,
// part and keys stand in the version record.
type SegmentEntry struct {
	Location
	Kind     cairn.ShardKind
	Scheme   cairn.Scheme
	PlainLen int64
	Roots    []cairn.Root // one per shard
	Refs     int          // parts of versions and uploads that use it
}

// UploadEntry is a multipart upload. Template holds key, bucket, headers,
// tags and storage class of the object to be.
type UploadEntry struct {
	ID         string
	Initiated  int64 // Unix nanoseconds
	Template   cairn.Version
	Algorithm  string
	FullObject bool
	// Completed is the version an earlier Complete made, kept for a while so
	// that a retry gets the same answer; zero while in progress.
	Completed   cairn.VersionID
	CompletedAt int64 // Unix nanoseconds
}

// PartEntry is a stored part of an upload.
type PartEntry struct {
	Part     cairn.Part
	Modified int64 // Unix nanoseconds
}

// Intent says that a write is under way, before any node hears of it. One
// that is still there at start belongs to a write nobody was told about.
type Intent struct {
	ID      cairn.VersionID // also the version or tombstone to be, if Key is set
	Bucket  string
	Key     string // empty while only segments or a bucket's record are written
	Started int64  // Unix nanoseconds
	// Delete says that the write deletes the key or, without Key, that it
	// writes a record of the bucket itself: its creation, change or deletion.
	Delete bool
	// Places are the segments and records the write may have left on nodes.
	Places []Location
}

// Garbage is what should be deleted from nodes. Nodes that confirmed are
// replaced by the zero id.
type Garbage struct {
	ID    uint64 // assigned by the catalog
	Since int64  // Unix nanoseconds
	Place Location
}

// Stats are totals.
type Stats struct {
	Buckets, Versions, Segments, Uploads, Garbage int64
	PlainBytes                                    int64 // of versions
}

// Batch is a set of changes and the conditions they depend on. The zero value
// is an empty batch. Changes are applied in the order of the fields.
type Batch struct {
	// NoSync leaves durability to a later synced commit.
	NoSync bool

	If []Condition

	PutBuckets  []*BucketEntry // a Bucket with Deleted set removes it from the index
	PutSegments []*SegmentEntry
	// Refs changes reference counts; a segment that falls to zero leaves the
	// index and becomes garbage in the same step. What takes references from a
	// segment that is not in the index changes nothing: a recovery that did not
	// find a segment keeps the versions that refer to it.
	Refs map[cairn.SegmentID]int
	// MoveShards replaces node ids of existing segments.
	MoveShards   []ShardMove
	PutVersions  []*VersionEntry
	DropVersions []VersionKey
	PutUploads   []*UploadEntry
	DropUploads  []UploadKey // with its parts
	PutParts     []PartPut   // replaces the part of that number
	PutIntents   []*Intent
	DropIntents  []cairn.VersionID
	AddGarbage   []Location
	PutGarbage   []*Garbage // changed
	DropGarbage  []uint64

	// Floor is a moment, in Unix nanoseconds, at or before which no version id
	// is to be made any more, whatever the clock of the machine says.
	Floor int64
}

// VersionKey names a version.
type VersionKey struct {
	Bucket, Key string
	ID          cairn.VersionID
}

// UploadKey names an upload.
type UploadKey struct{ Bucket, Key, ID string }

// PartPut stores a part of an upload.
type PartPut struct {
	UploadID string
	Entry    *PartEntry
}

// ShardMove says that a shard of a segment now lies on another node.
type ShardMove struct {
	Shard cairn.ShardID
	To    cairn.NodeID
}

// Condition is something that must hold for a batch to be applied. Exactly one
// field group is used.
type Condition struct {
	// BucketExists: the bucket is there.
	BucketExists string
	// BucketAbsent: the bucket is not there.
	BucketAbsent string
	// BucketEmpty: the bucket has no versions. Uploads do not count.
	BucketEmpty string
	// Newest: the newest version of Newest.Key is exactly Newest.ID; the zero
	// id means that the key has no version.
	Newest *VersionKey
	// HasVersion: this version is there.
	HasVersion *VersionKey
	// OpenUpload: the upload is there and not completed.
	OpenUpload *UploadKey
	// PartIs: the part stored under Number has this object id; the zero id
	// means that no such part is there.
	PartIs *PartCondition
	// Segment: the segment is in the index.
	Segment *cairn.SegmentID
}

// PartCondition names the bytes a part must consist of.
type PartCondition struct {
	UploadID string
	Number   int
	Object   cairn.ObjectID
}

// ConditionError is the answer of Commit when a condition does not hold.
type ConditionError struct{ Condition Condition }

func (e *ConditionError) Error() string {
	c := e.Condition
	switch {
	case c.BucketExists != "":
		return fmt.Sprintf("commit: bucket %q is not there", c.BucketExists)
	case c.BucketAbsent != "":
		return fmt.Sprintf("commit: bucket %q is there", c.BucketAbsent)
	case c.BucketEmpty != "":
		return fmt.Sprintf("commit: bucket %q is not empty", c.BucketEmpty)
	case c.Newest != nil:
		return "commit: the key has another newest version"
	case c.HasVersion != nil:
		return "commit: the version is gone"
	case c.OpenUpload != nil:
		return "commit: the upload is not open"
	case c.PartIs != nil:
		return "commit: the part has been replaced"
	case c.Segment != nil:
		return "commit: the segment is gone"
	}
	return "commit: empty condition"
}
