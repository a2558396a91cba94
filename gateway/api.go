package gateway

import (
	"io"
	"time"

	"github.com/cairn-store/cairn"
)

// Attributes are what a client stores beside the bytes of an object.
type Attributes struct {
	// Headers are lower-case names in ascending order: content-type,
	// cache-control, content-disposition, content-encoding, content-language,
	// expires, and x-amz-meta-*.
	Headers      []cairn.Attr
	Tags         []cairn.Attr
	StorageClass string // "" is STANDARD; "MIRRORED" writes a second group
}

// Digests is what a body must match. Nothing becomes visible unless it does.
type Digests struct {
	MD5 []byte // of Content-MD5; nil when not given
	// Algorithm of the additional checksum: CRC32, CRC32C, CRC64NVME, SHA1,
	// SHA256; "" stores CRC64NVME, as S3 does when none is asked for.
	Algorithm string
	// Expected returns the base64 checksum the client claims, or "" when it
	// claims none. It is called once, after the body's io.EOF, because the
	// claim may come in a trailer. Nil claims none.
	Expected func() (string, error)
}

// WriteCondition makes a write depend on what the key holds now.
// The zero value always writes.
type WriteCondition struct {
	IfNoneMatch bool   // "If-None-Match: *": only when there is no object
	IfMatch     string // only when the newest version has this ETag ("*": any)
}

// ReadCondition makes a read depend on ETag and Last-Modified, with the
// precedence of RFC 9110 and S3. The zero value always reads.
type ReadCondition struct {
	IfMatch, IfNoneMatch               []string // ETags without quotes; "*" matches any
	IfModifiedSince, IfUnmodifiedSince time.Time
}

// Range is a byte range as asked for: First to Last inclusive; Last < 0 means
// to the end; Suffix > 0 means the last Suffix bytes and ignores the others.
// SuffixZero is the unsatisfiable "-0".
type Range struct {
	First, Last int64
	Suffix      int64
	SuffixZero  bool
}

// PutRequest stores an object.
type PutRequest struct {
	Bucket, Key string
	Attributes
	Digests
	If   WriteCondition
	Body io.Reader
	Size int64 // exact length of Body; a body that ends elsewhere is ErrIncompleteBody
}

// Stored is the answer to a write.
type Stored struct {
	Version *cairn.Version
	// Durability is "written/wanted" shards of the least durable segment.
	Durability string
}

// GetRequest opens an object for reading.
type GetRequest struct {
	Bucket, Key string
	Version     cairn.VersionID // zero: the newest
	If          ReadCondition
	Range       *Range // nil: all of it
	PartNumber  int    // 0: not asked for; excludes Range
}

// Object is an object opened for reading. The caller closes it.
type Object struct {
	Version *cairn.Version
	Offset  int64 // of the first byte to be written
	Length  int64 // bytes to be written
	Partial bool  // a range or part was asked for: 206
	Parts   int   // number of parts when PartNumber was asked for on a multipart object
	Body    Body
}

// Body gives an object's bytes. WriteTo writes exactly Object.Length verified
// bytes or returns an error; no byte is written before it was verified. It is
// called at most once. Reading starts with WriteTo, so a HEAD costs nothing.
type Body interface {
	io.WriterTo
	io.Closer
}

// DeleteRequest removes an object.
type DeleteRequest struct {
	Bucket, Key string
	Version     cairn.VersionID // zero: the current object
	If          WriteCondition  // only IfMatch has a meaning
}

// Deleted is the answer to a delete. Deleting what is not there succeeds.
type Deleted struct {
	Marker  bool            // a delete marker was made or removed
	Version cairn.VersionID // of the marker or of what was removed
}

// DeleteOutcome is one line of a multi-object delete.
type DeleteOutcome struct {
	Deleted Deleted
	Err     error
}

// CopyRequest stores a copy of an object without moving its data.
type CopyRequest struct {
	Source      GetRequest // Range and PartNumber unused; If is copy-source-if-*
	Bucket, Key string
	// ReplaceHeaders and ReplaceTags take Attributes' instead of the source's.
	ReplaceHeaders, ReplaceTags bool
	Attributes
	Algorithm string // checksum to compute anew; "" keeps the source's
	If        WriteCondition
}

// TagsRequest replaces the tags of an object.
type TagsRequest struct {
	Bucket, Key string
	Version     cairn.VersionID // zero: the newest
	Tags        []cairn.Attr
}

// ListRequest asks for one page of keys in byte order.
type ListRequest struct {
	Bucket, Prefix, Delimiter string
	// After starts the page behind this key. With SkipPrefix, every key that
	// starts with After is behind it too (After is a common prefix that an
	// earlier page returned).
	After      string
	SkipPrefix bool
	Max        int // entries and prefixes together
}

// ListResult is one page.
type ListResult struct {
	Versions  []*cairn.Version // newest of each key
	Prefixes  []string         // common prefixes, in byte order
	Truncated bool
	// Next is the last key or prefix of the page, NextIsPrefix says which.
	Next         string
	NextIsPrefix bool
}

// BucketInfo is a bucket as listed.
type BucketInfo struct {
	Name    string
	Created time.Time
	Region  string
}

// ListBucketsRequest asks for one page of buckets in byte order.
type ListBucketsRequest struct {
	Prefix, After string
	Max           int
}

// ListBucketsResult is one page.
type ListBucketsResult struct {
	Buckets   []BucketInfo
	Truncated bool
}

// CreateUploadRequest begins a multipart upload.
type CreateUploadRequest struct {
	Bucket, Key string
	Attributes
	Algorithm  string // checksum algorithm of the parts; "" when none was asked for
	FullObject bool   // checksum type FULL_OBJECT instead of COMPOSITE
}

// Upload is a multipart upload in progress.
type Upload struct {
	ID          string // opaque
	Bucket, Key string
	Initiated   time.Time
	Attributes
	Algorithm  string
	FullObject bool
}

// PutPartRequest stores one part. A part stored again replaces the one before.
type PutPartRequest struct {
	Bucket, Key, UploadID string
	Number                int
	Digests
	Body io.Reader
	Size int64
}

// CopyPartRequest stores a range of an object as a part.
type CopyPartRequest struct {
	Source                GetRequest // Range nil: all of it; strict: must lie inside
	Bucket, Key, UploadID string
	Number                int
}

// PartInfo is a stored part.
type PartInfo struct {
	cairn.Part
	Modified   time.Time
	Durability string
}

// CompleteRequest ends a multipart upload. Completing twice with the same
// parts gives the same answer.
type CompleteRequest struct {
	Bucket, Key, UploadID string
	Parts                 []CompletedPart
	// Checksum is the full-object checksum the client claims (base64), or "".
	Checksum          string
	ChecksumAlgorithm string
	Size              int64 // x-amz-mp-object-size; negative when not given
	If                WriteCondition
}

// CompletedPart is a part as the client lists it.
type CompletedPart struct {
	Number   int
	ETag     string // without quotes
	Checksum string // base64; "" when not given
}

// UploadRef names a multipart upload.
type UploadRef struct{ Bucket, Key, UploadID string }

// ListPartsRequest asks for one page of parts in ascending number.
type ListPartsRequest struct {
	UploadRef
	After int
	Max   int
}

// ListPartsResult is one page.
type ListPartsResult struct {
	Upload    Upload
	Parts     []PartInfo
	Truncated bool
}

// ListUploadsRequest asks for one page of uploads, by key, then by initiation.
type ListUploadsRequest struct {
	Bucket, Prefix, Delimiter string
	AfterKey, AfterUpload     string
	SkipPrefix                bool // AfterKey is a common prefix already returned
	Max                       int
}

// ListUploadsResult is one page.
type ListUploadsResult struct {
	Uploads   []Upload
	Prefixes  []string
	Truncated bool
	// NextKey and NextUpload continue the listing; NextIsPrefix says that
	// NextKey is a common prefix.
	NextKey, NextUpload string
	NextIsPrefix        bool
}
