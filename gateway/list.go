package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/cairn-store/cairn/gateway/catalog"
)

// List returns one page of the newest versions of a bucket's keys. A common
// prefix costs one seek, however many keys it stands for.
func (e *Engine) List(ctx context.Context, req ListRequest) (ListResult, error) {
	if _, err := e.bucket(ctx, req.Bucket); err != nil {
		return ListResult{}, err
	}
	var out ListResult
	if req.Max <= 0 {
		return out, nil
	}
	it, err := e.catalog.Versions(ctx, req.Bucket)
	if err != nil {
		return ListResult{}, fmt.Errorf("list %q: %w", req.Bucket, err)
	}
	defer func() { _ = it.Close() }() // its errors are Err's
	for ok := seekAfter(it, req); ok; {
		if err := ctx.Err(); err != nil {
			return ListResult{}, err
		}
		key := it.Key()
		if !strings.HasPrefix(key, req.Prefix) {
			break
		}
		entry, err := it.Entry()
		if err != nil {
			return ListResult{}, fmt.Errorf("list %q: %w", req.Bucket, err)
		}
		if entry.Version.Marker {
			ok = it.NextKey()
			continue
		}
		if len(out.Versions)+len(out.Prefixes) == req.Max {
			out.Truncated = true
			break
		}
		if common, rolled := rollUp(key, req.Prefix, req.Delimiter); rolled {
			out.Prefixes = append(out.Prefixes, common)
			out.Next, out.NextIsPrefix = common, true
			ok = seekBehind(it, common)
			continue
		}
		out.Versions = append(out.Versions, &entry.Version)
		out.Next, out.NextIsPrefix = key, false
		ok = it.NextKey()
	}
	if err := it.Err(); err != nil {
		return ListResult{}, fmt.Errorf("list %q: %w", req.Bucket, err)
	}
	return out, nil
}

// seekAfter moves to the first key of the page.
func seekAfter(it catalog.VersionIterator, req ListRequest) bool {
	switch {
	case req.After == "" || req.After < req.Prefix && !(req.SkipPrefix && strings.HasPrefix(req.Prefix, req.After)):
		return it.Seek(req.Prefix)
	case req.SkipPrefix:
		return seekBehind(it, req.After)
	}
	return it.Seek(req.After + "\x00")
}

// seekBehind moves to the first key that sorts behind every key with prefix.
func seekBehind(it catalog.VersionIterator, prefix string) bool {
	after, ok := successor(prefix)
	return ok && it.Seek(after)
}

// successor returns the smallest string above every string that starts with
// prefix; there is none when prefix is all 0xff bytes.
func successor(prefix string) (string, bool) {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1]), true
		}
	}
	return "", false
}

// rollUp returns the common prefix that key belongs to: everything up to the
// first delimiter behind prefix.
func rollUp(key, prefix, delimiter string) (common string, rolled bool) {
	if delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}
