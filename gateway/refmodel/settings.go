package refmodel

import (
	"context"
	"fmt"
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

// BucketSetting returns a bucket's document of that name.
func (s *Store) BucketSetting(_ context.Context, bucket, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return "", err
	}
	if doc := b.settings[name]; doc != "" {
		return doc, nil
	}
	return "", fmt.Errorf("%q of bucket %q: %w", name, bucket, gateway.ErrNoSuchSetting)
}

// PutBucketSetting replaces a bucket's document; an empty one removes it.
func (s *Store) PutBucketSetting(_ context.Context, bucket, name, document string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return err
	}
	b.settings[name] = document
	return nil
}

// SetTags replaces the tags of an object. Its ETag and Last-Modified stay.
func (s *Store) SetTags(_ context.Context, req gateway.TagsRequest) (*cairn.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(gateway.GetRequest{Bucket: req.Bucket, Key: req.Key, Version: req.Version})
	if err != nil {
		return nil, err
	}
	v := *o.version
	v.Modified = o.version.LastModified().UnixNano()
	v.ID = s.clock.Next()
	v.Tags = slices.Clone(req.Tags)
	o.version = &v
	return &v, nil
}
