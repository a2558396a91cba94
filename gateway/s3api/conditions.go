package s3api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-store/cairn/gateway"
)

// trimETag returns an ETag without weakness prefix and quotes.
func trimETag(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "W/")
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return s
}

func quoteETag(s string) string { return `"` + s + `"` }

// etagList reads the value of If-Match or If-None-Match.
func etagList(values []string) []string {
	var list []string
	for _, v := range values {
		for tag := range strings.SplitSeq(v, ",") {
			if tag = trimETag(tag); tag != "" {
				list = append(list, tag)
			}
		}
	}
	return list
}

// readCondition reads the conditions of a GET or HEAD, or with a prefix those of
// a copy on its source. Dates that cannot be read are ignored, as RFC 9110 asks.
func readCondition(h http.Header, prefix string) gateway.ReadCondition {
	return gateway.ReadCondition{
		IfMatch:           etagList(h[prefix+"If-Match"]),
		IfNoneMatch:       etagList(h[prefix+"If-None-Match"]),
		IfModifiedSince:   httpTime(h.Get(prefix + "If-Modified-Since")),
		IfUnmodifiedSince: httpTime(h.Get(prefix + "If-Unmodified-Since")),
	}
}

func httpTime(s string) time.Time {
	if s == "" {
		return time.Time{} // as is usual: to try every format takes a while
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// writeCondition reads the conditions of a write. What S3 does not implement is
// refused rather than ignored: a client relies on it.
func writeCondition(h http.Header) (gateway.WriteCondition, error) {
	var c gateway.WriteCondition
	none, match := h["If-None-Match"], h["If-Match"]
	switch {
	case none != nil && match != nil:
		return c, notImplemented("If-Match, If-None-Match", "We do not support multiple conditions")
	case h["If-Modified-Since"] != nil:
		return c, notImplemented("If-Modified-Since", "")
	case h["If-Unmodified-Since"] != nil:
		return c, notImplemented("If-Unmodified-Since", "")
	case none != nil:
		if len(none) > 1 || strings.TrimSpace(none[0]) != "*" {
			return c, notImplemented("If-None-Match", "We don't accept the provided value of If-None-Match header for this API")
		}
		c.IfNoneMatch = true
	case match != nil:
		if c.IfMatch = trimETag(match[0]); len(match) > 1 || c.IfMatch == "" {
			return c, notImplemented("If-Match", "We don't accept the provided value of If-Match header for this API")
		}
	}
	return c, nil
}

// parseRange reads a Range header. Whatever is not exactly one range of bytes
// is ignored, and the whole object is sent: nil.
func parseRange(header string) *gateway.Range {
	spec, ok := strings.CutPrefix(strings.TrimSpace(header), "bytes=")
	if !ok {
		return nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return nil
	}
	if first == "" {
		n, ok := offset(last)
		if !ok {
			return nil
		}
		return &gateway.Range{Suffix: n, SuffixZero: n == 0}
	}
	r := &gateway.Range{Last: -1}
	if r.First, ok = offset(first); !ok {
		return nil
	}
	if last != "" {
		if r.Last, ok = offset(last); !ok || r.Last < r.First {
			return nil
		}
	}
	return r
}

// parseCopyRange reads x-amz-copy-source-range, which allows one form only.
func parseCopyRange(header string) (*gateway.Range, error) {
	if header == "" {
		return nil, nil
	}
	r := parseRange(header)
	if r == nil || r.Last < 0 || r.Suffix > 0 || r.SuffixZero {
		return nil, invalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "+
			"the zero-based offsets of the first and last bytes to copy", "x-amz-copy-source-range", header)
	}
	return r, nil
}

// offset reads digits only. A number too large for a file is the largest there is.
func offset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}
