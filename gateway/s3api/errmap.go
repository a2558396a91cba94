package s3api

import (
	"context"
	"errors"
	"net/http"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/form"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

// sentinels gives the engine's sentinels their codes.
var sentinels = []struct {
	err  error
	code string
}{
	{gateway.ErrNoSuchBucket, "NoSuchBucket"},
	{gateway.ErrBucketExists, "BucketAlreadyOwnedByYou"},
	{gateway.ErrBucketNotEmpty, "BucketNotEmpty"},
	{gateway.ErrNoSuchKey, "NoSuchKey"},
	{gateway.ErrNoSuchVersion, "NoSuchVersion"},
	{gateway.ErrNoSuchUpload, "NoSuchUpload"},
	{gateway.ErrNotModified, "NotModified"},
	{gateway.ErrConflict, "ConditionalRequestConflict"},
	{gateway.ErrIncompleteBody, "IncompleteBody"},
	{gateway.ErrBadDigest, "BadDigest"},
	{gateway.ErrInvalidPartOrder, "InvalidPartOrder"},
	{gateway.ErrInvalidPartNo, "InvalidPartNumber"},
	{gateway.ErrNoParts, "MalformedXML"},
	{gateway.ErrTooLarge, "EntityTooLarge"},
}

// ErrorOf returns the S3 error that err stands for, whatever layer it comes
// from. It reports false if S3 has no code for it: then the answer is
// InternalError and err needs a person.
func ErrorOf(err error) (e *Error, ok bool) {
	var own *Error
	if errors.As(err, &own) {
		return own, true
	}
	var auth *sigv4.Error
	if errors.As(err, &auth) {
		e := failf(auth.Code, auth.Message)
		for _, f := range auth.Fields {
			e.Fields = append(e.Fields, Field(f))
		}
		return e, true
	}
	var upload *form.Error
	if errors.As(err, &upload) {
		return failf(upload.Code, upload.Message), true
	}
	if e := engineError(err); e != nil {
		return e, true
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return fail(s.code), true
		}
	}
	return kindError(err)
}

// engineError translates the engine's errors that need more than a code.
func engineError(err error) *Error {
	var (
		condition *gateway.PreconditionError
		outside   *gateway.RangeError
		part      *gateway.PartError
		sum       *gateway.ChecksumError
	)
	switch {
	case errors.As(err, &condition):
		return fail("PreconditionFailed", Field{"Condition", condition.Condition})
	case errors.As(err, &outside):
		return fail("InvalidRange", Field{"ActualObjectSize", number(outside.Size)}).
			withHeader("Content-Range", "bytes */"+number(outside.Size))
	case errors.As(err, &part) && part.TooSmall:
		return fail("EntityTooSmall", Field{"ProposedSize", number(part.Size)}, Field{"MinSizeAllowed", number(minPartSize)},
			Field{"PartNumber", number(part.Number)}, Field{"ETag", part.ETag})
	case errors.As(err, &part):
		return fail("InvalidPart", Field{"PartNumber", number(part.Number)}, Field{"ETag", part.ETag})
	case errors.As(err, &sum):
		return failf("BadDigest", "The "+sum.Algorithm+" you specified did not match the calculated checksum.")
	case errors.Is(err, gateway.ErrCopyToSelf):
		return failf("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing "+
			"the object's metadata, storage class, website redirect location or encryption attributes.")
	case errors.Is(err, gateway.ErrInvalidCopyRange):
		return invalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "+
			"the zero-based offsets of the first and last bytes to copy, inside the source object", "x-amz-copy-source-range", "")
	case errors.Is(err, gateway.ErrSizeMismatch):
		return failf("InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed.")
	case errors.Is(err, gateway.ErrDeleteMarker):
		return fail("MethodNotAllowed").withHeader("Allow", http.MethodDelete).withHeader("X-Amz-Delete-Marker", "true")
	}
	return nil
}

// kindError translates failures of nodes and disks.
func kindError(err error) (*Error, bool) {
	if errors.Is(err, context.Canceled) { // nobody reads the answer
		return fail("RequestTimeout"), true
	}
	switch cairn.KindOf(err) {
	case cairn.Unavailable:
		return slowDown(), true
	case cairn.Full:
		return slowDown().withHeader("Retry-After", "30"), true
	case cairn.Denied:
		return fail("AccessDenied"), true
	case cairn.Invalid:
		var e *cairn.Error
		if errors.As(err, &e) && e.Err != nil {
			return failf("InvalidRequest", clip(e.Err.Error())), true
		}
		return fail("InvalidRequest"), true
	}
	return fail("InternalError"), false
}
