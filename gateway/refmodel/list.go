package refmodel

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/cairn-store/cairn/gateway"
)

// List returns a page of keys.
func (s *Store) List(_ context.Context, req gateway.ListRequest) (gateway.ListResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var res gateway.ListResult
	b, err := s.bucket(req.Bucket)
	if err != nil {
		return res, err
	}
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if !strings.HasPrefix(key, req.Prefix) || key <= req.After || req.SkipPrefix && strings.HasPrefix(key, req.After) {
			continue
		}
		entry, isPrefix := rollUp(key, req.Prefix, req.Delimiter)
		if isPrefix && res.NextIsPrefix && res.Next == entry {
			continue
		}
		if len(res.Versions)+len(res.Prefixes) == req.Max {
			res.Truncated = true
			break
		}
		if isPrefix {
			res.Prefixes = append(res.Prefixes, entry)
		} else {
			res.Versions = append(res.Versions, b.objects[key].version)
		}
		res.Next, res.NextIsPrefix = entry, isPrefix
	}
	return res, nil
}

// rollUp returns what a key is listed as.
func rollUp(key, prefix, delimiter string) (entry string, isPrefix bool) {
	if delimiter == "" {
		return key, false
	}
	at := strings.Index(key[len(prefix):], delimiter)
	if at < 0 {
		return key, false
	}
	return key[:len(prefix)+at+len(delimiter)], true
}

// ListUploads returns a page of uploads in progress.
func (s *Store) ListUploads(_ context.Context, req gateway.ListUploadsRequest) (gateway.ListUploadsResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var res gateway.ListUploadsResult
	b, err := s.bucket(req.Bucket)
	if err != nil {
		return res, err
	}
	var open []*upload
	for _, u := range b.uploads {
		if u.done == nil && strings.HasPrefix(u.Key, req.Prefix) && !behind(u, req) {
			open = append(open, u)
		}
	}
	slices.SortFunc(open, func(a, b *upload) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID) // ids grow with time
	})
	for _, u := range open {
		entry, isPrefix := rollUp(u.Key, req.Prefix, req.Delimiter)
		if isPrefix && res.NextIsPrefix && res.NextKey == entry {
			continue
		}
		if len(res.Uploads)+len(res.Prefixes) == req.Max {
			res.Truncated = true
			break
		}
		if isPrefix {
			res.Prefixes = append(res.Prefixes, entry)
			res.NextKey, res.NextUpload, res.NextIsPrefix = entry, "", true
		} else {
			res.Uploads = append(res.Uploads, u.Upload)
			res.NextKey, res.NextUpload, res.NextIsPrefix = u.Key, u.ID, false
		}
	}
	return res, nil
}

// behind reports whether an earlier page has shown u.
func behind(u *upload, req gateway.ListUploadsRequest) bool {
	switch {
	case req.SkipPrefix && strings.HasPrefix(u.Key, req.AfterKey):
		return true
	case u.Key == req.AfterKey:
		return req.AfterUpload == "" || u.ID <= req.AfterUpload
	}
	return u.Key < req.AfterKey
}
