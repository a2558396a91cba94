package refmodel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

const (
	maxPut  = 5 << 30
	minPart = 5 << 20
)

// Config changes what the model takes for granted. The zero value is S3.
type Config struct {
	// MinPart is the smallest size of a part that is not the last. Zero means
	// 5 MiB.
	MinPart int64
	// Now returns the time. Nil means time.Now.
	Now func() time.Time
}

// Store is the model.
type Store struct {
	minPart int64
	now     func() time.Time
	clock   cairn.VersionClock

	mu      sync.Mutex // guards the fields below; not held while a body is read
	buckets map[string]*bucket
}

type bucket struct {
	info     gateway.BucketInfo
	settings map[string]string
	objects  map[string]*object
	uploads  map[string]*upload // by id
}

type object struct {
	version *cairn.Version // never changed once stored
	data    []byte
}

type upload struct {
	gateway.Upload
	parts map[int]*part
	// done and doneParts are set when the upload was completed.
	done      *cairn.Version
	doneParts []gateway.CompletedPart
}

type part struct {
	gateway.PartInfo
	data []byte
}

// New returns an empty model.
func New(cfg Config) *Store {
	s := &Store{minPart: cfg.MinPart, now: cfg.Now, buckets: map[string]*bucket{}}
	if s.minPart == 0 {
		s.minPart = minPart
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.clock.Now = s.now
	return s
}

// CreateBucket makes a bucket.
func (s *Store) CreateBucket(_ context.Context, name, region string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return fmt.Errorf("create bucket %q: %w", name, gateway.ErrBucketExists)
	}
	s.buckets[name] = &bucket{
		info:     gateway.BucketInfo{Name: name, Created: s.now().UTC(), Region: region},
		settings: map[string]string{},
		objects:  map[string]*object{},
		uploads:  map[string]*upload{},
	}
	return nil
}

// bucket is called with mu held.
func (s *Store) bucket(name string) (*bucket, error) {
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("bucket %q: %w", name, gateway.ErrNoSuchBucket)
}

// HeadBucket describes a bucket.
func (s *Store) HeadBucket(_ context.Context, name string) (gateway.BucketInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(name)
	if err != nil {
		return gateway.BucketInfo{}, err
	}
	return b.info, nil
}

// DeleteBucket removes an empty bucket and its unfinished uploads.
func (s *Store) DeleteBucket(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(name)
	if err != nil {
		return err
	}
	if len(b.objects) > 0 {
		return fmt.Errorf("delete bucket %q: %w", name, gateway.ErrBucketNotEmpty)
	}
	delete(s.buckets, name)
	return nil
}

// ListBuckets lists buckets in byte order.
func (s *Store) ListBuckets(_ context.Context, req gateway.ListBucketsRequest) (gateway.ListBucketsResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var res gateway.ListBucketsResult
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		if !strings.HasPrefix(name, req.Prefix) || name <= req.After {
			continue
		}
		if len(res.Buckets) == req.Max {
			res.Truncated = true
			break
		}
		res.Buckets = append(res.Buckets, s.buckets[name].info)
	}
	return res, nil
}
