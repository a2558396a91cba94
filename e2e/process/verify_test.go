package process

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// verify compares listings, bytes, headers and metadata with the model, and
// looks for what must not be there.
func (s *story) verify(t *testing.T) {
	t.Helper()
	s.verifyListing(t, "")
	for _, prefix := range []string{"write/w3/", "write/w5/a/", "none/"} {
		s.verifyListing(t, prefix)
	}
	s.each(s.m.keys(), s.checkObject)
	s.each(s.m.gone(), s.checkAbsent)
	t.Logf("%d objects, %d MiB, %d deleted keys: all as they must be", len(s.m.keys()), s.m.bytes()>>20, len(s.m.gone()))
}

// verifyListing walks the pages below prefix, of odd lengths.
func (s *story) verifyListing(t *testing.T, prefix string) {
	t.Helper()
	var want []string
	for _, key := range s.m.keys() {
		if strings.HasPrefix(key, prefix) {
			want = append(want, key)
		}
	}
	var got []string
	pages := s3.NewListObjectsV2Paginator(s.s3, &s3.ListObjectsV2Input{
		Bucket: aws.String(bucket), Prefix: aws.String(prefix), MaxKeys: aws.Int32(97),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		for _, entry := range page.Contents {
			got = append(got, aws.ToString(entry.Key))
			if err := s.checkEntry(entry); err != nil {
				t.Errorf("list %q: %v", prefix, err)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("list %q gives %d keys, want %d; %s", prefix, len(got), len(want), difference(got, want))
	}
}

func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("first missing: %q", want[i])
		case i >= len(want):
			return fmt.Sprintf("first that should not be there: %q", got[i])
		case got[i] != want[i]:
			return fmt.Sprintf("entry %d is %q, want %q", i, got[i], want[i])
		}
	}
	return "equal"
}

func (s *story) checkEntry(e types.Object) error {
	o := s.m.get(aws.ToString(e.Key))
	if o == nil {
		return nil // the comparison of keys says it
	}
	if aws.ToInt64(e.Size) != o.size || aws.ToString(e.ETag) != o.etag {
		return fmt.Errorf("%q has size %d and ETag %s, want %d and %s",
			aws.ToString(e.Key), aws.ToInt64(e.Size), aws.ToString(e.ETag), o.size, o.etag)
	}
	return nil
}

// checkObject reads a key whole, and a range of it, and compares.
func (s *story) checkObject(key string) error {
	ctx, cancel := opContext()
	defer cancel()
	o := s.m.get(key)
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return err
	}
	got, err := io.ReadAll(out.Body)
	closeErr := out.Body.Close()
	if err != nil || closeErr != nil {
		return fmt.Errorf("read body of %d bytes: %w, %v", o.size, err, closeErr)
	}
	if int64(len(got)) != o.size {
		return fmt.Errorf("%d bytes, want %d", len(got), o.size)
	}
	if err := o.same(got, 0); err != nil {
		return err
	}
	if !maps.Equal(out.Metadata, o.meta) || aws.ToString(out.ContentType) != o.contentType || aws.ToString(out.CacheControl) != o.cache {
		return fmt.Errorf("metadata %v, content type %q, cache control %q, want %v, %q, %q", out.Metadata,
			aws.ToString(out.ContentType), aws.ToString(out.CacheControl), o.meta, o.contentType, o.cache)
	}
	if aws.ToString(out.ETag) != o.etag {
		return fmt.Errorf("ETag %s, want %s", aws.ToString(out.ETag), o.etag)
	}
	return s.checkRange(ctx, key, o)
}

func (s *story) checkRange(ctx context.Context, key string, o *object) error {
	if o.size == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(s.seed, o.id))
	first := random.Int64N(o.size)
	last := first + random.Int64N(min(o.size-first, 256<<10))
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Range: aws.String(fmt.Sprintf("bytes=%d-%d", first, last)),
	})
	if err != nil {
		return err
	}
	got, err := io.ReadAll(out.Body)
	closeErr := out.Body.Close()
	if err != nil || closeErr != nil {
		return fmt.Errorf("read bytes %d to %d of %d: %w, %v", first, last, o.size, err, closeErr)
	}
	if int64(len(got)) != last-first+1 {
		return fmt.Errorf("bytes %d to %d gives %d bytes", first, last, len(got))
	}
	return o.same(got, first)
}

// checkAbsent looks for a key that was deleted.
func (s *story) checkAbsent(key string) error {
	ctx, cancel := opContext()
	defer cancel()
	_, err := s.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	switch {
	case err == nil:
		return fmt.Errorf("is there, but was deleted")
	case !isAbsent(err):
		return err
	}
	return nil
}

// resolve ends the doubts that a crash left: each key holds what it did or
// what was being written, whole.
func (s *story) resolve(t *testing.T) {
	t.Helper()
	keys := s.m.doubtful()
	written := 0
	s.each(keys, func(key string) error {
		ctx, cancel := opContext()
		defer cancel()
		out, err := s.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		if err != nil && !isAbsent(err) {
			return err
		}
		var found uint64
		if err == nil {
			if _, err := fmt.Sscan(out.Metadata["id"], &found); err != nil {
				return fmt.Errorf("metadata %v: %w", out.Metadata, err)
			}
		}
		if err := s.m.resolve(key, found); err != nil {
			return err
		}
		if o := s.m.get(key); o != nil && o.etag == "" {
			o.etag = aws.ToString(out.ETag)
		}
		return nil
	})
	for _, key := range keys {
		if s.m.get(key) != nil {
			written++
		}
	}
	t.Logf("%d changes were under way; %d of their keys hold an object", len(keys), written)
}
