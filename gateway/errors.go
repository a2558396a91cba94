package gateway

import (
	"errors"
	"fmt"
)

// What can be wrong with a request to the engine. s3api gives each its S3
// code; engine methods return them wrapped, so inspect with errors.Is and
// errors.As. Failures of nodes and disks carry a cairn.Kind instead.
var (
	ErrNoSuchBucket     = errors.New("bucket does not exist")
	ErrBucketExists     = errors.New("bucket exists already and is yours")
	ErrBucketNotEmpty   = errors.New("bucket is not empty")
	ErrNoSuchKey        = errors.New("key does not exist")
	ErrNoSuchVersion    = errors.New("version does not exist")
	ErrNoSuchSetting    = errors.New("bucket has no such setting")
	ErrNoSuchUpload     = errors.New("upload does not exist")
	ErrNotModified      = errors.New("not modified")
	ErrConflict         = errors.New("another write to the same key came first")
	ErrIncompleteBody   = errors.New("body is shorter or longer than announced")
	ErrBadDigest        = errors.New("body does not match Content-MD5")
	ErrInvalidPartOrder = errors.New("parts are not in ascending order")
	ErrInvalidPartNo    = errors.New("no such part number")
	ErrNoParts          = errors.New("no parts given")
	ErrCopyToSelf       = errors.New("copy onto itself without changing anything")
	ErrTooLarge         = errors.New("larger than allowed")
	ErrInvalidCopyRange = errors.New("copy source range is not inside the source")
	ErrSizeMismatch     = errors.New("size does not match the size announced")
	// ErrDeleteMarker: the version asked for is a delete marker.
	ErrDeleteMarker = errors.New("version is a delete marker")
)

// PreconditionError says which condition did not hold.
type PreconditionError struct{ Condition string } // "If-Match", "If-None-Match", …

func (e *PreconditionError) Error() string { return e.Condition + " does not hold" }

// RangeError says that no byte of the range is inside the object.
type RangeError struct{ Size int64 }

func (e *RangeError) Error() string {
	return fmt.Sprintf("range is outside of the object's %d bytes", e.Size)
}

// PartError says that a listed part is not there, has another ETag or
// checksum, or is too small for a part that is not the last.
type PartError struct {
	Number   int
	ETag     string
	TooSmall bool
	Size     int64
}

func (e *PartError) Error() string {
	if e.TooSmall {
		return fmt.Sprintf("part %d has %d bytes, less than the minimum", e.Number, e.Size)
	}
	return fmt.Sprintf("part %d is not there or has another ETag", e.Number)
}

// ChecksumError says that the body does not match the checksum claimed for it.
type ChecksumError struct{ Algorithm string }

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("body does not match its %s checksum", e.Algorithm)
}
