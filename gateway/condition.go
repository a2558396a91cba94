package gateway

import (
	"slices"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// check returns the error a write must answer when the key's newest version is
// v (nil for none); nil when the condition holds.
func (c WriteCondition) check(v *catalog.VersionEntry) error {
	absent := v == nil || v.Version.Marker
	if c.IfNoneMatch && !absent {
		return &PreconditionError{Condition: "If-None-Match"}
	}
	if c.IfMatch == "" {
		return nil
	}
	if absent {
		return ErrNoSuchKey
	}
	if c.IfMatch != "*" && c.IfMatch != v.Version.ETag {
		return &PreconditionError{Condition: "If-Match"}
	}
	return nil
}

// matchesETag reports whether one of the ETags stands for etag.
func matchesETag(list []string, etag string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, etag)
}

// Check returns nil when v may be sent, ErrNotModified, or a
// *PreconditionError. If-Match makes If-Unmodified-Since irrelevant, and
// If-None-Match makes If-Modified-Since irrelevant (RFC 9110, 13.2.2). Times
// count in whole seconds; dates in the future of now are ignored.
func (c ReadCondition) Check(v *cairn.Version, now time.Time) error {
	modified := v.LastModified().Truncate(time.Second)
	switch {
	case len(c.IfMatch) > 0:
		if !matchesETag(c.IfMatch, v.ETag) {
			return &PreconditionError{Condition: "If-Match"}
		}
	case !c.IfUnmodifiedSince.IsZero() && modified.After(c.IfUnmodifiedSince):
		return &PreconditionError{Condition: "If-Unmodified-Since"}
	}
	switch {
	case len(c.IfNoneMatch) > 0:
		if matchesETag(c.IfNoneMatch, v.ETag) {
			return ErrNotModified
		}
	case !c.IfModifiedSince.IsZero() && !c.IfModifiedSince.After(now) && !modified.After(c.IfModifiedSince):
		return ErrNotModified
	}
	return nil
}

// Resolve returns the first byte and the number of bytes that r means of an
// object of size bytes, or a *RangeError.
func (r Range) Resolve(size int64) (first, length int64, err error) {
	switch {
	case r.SuffixZero:
		return 0, 0, &RangeError{Size: size}
	case r.Suffix > 0:
		n := min(r.Suffix, size)
		return size - n, n, nil
	case r.First >= size:
		return 0, 0, &RangeError{Size: size}
	case r.Last < 0 || r.Last >= size:
		return r.First, size - r.First, nil
	}
	return r.First, r.Last - r.First + 1, nil
}
