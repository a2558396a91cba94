package process

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// randomSize is between nothing and about 20 MiB, mostly small.
func randomSize(random *rand.Rand) int64 {
	switch p := random.IntN(100); {
	case p < 5:
		return 0
	case p < 30:
		return random.Int64N(200)
	case p < 65:
		return random.Int64N(64 << 10)
	case p < 92:
		return random.Int64N(1 << 20)
	case p < 98:
		return random.Int64N(5 << 20)
	default:
		return 5<<20 + random.Int64N(15<<20)
	}
}

// writer is one client with keys of its own.
type writer struct {
	s      *story
	random *rand.Rand
	number int
	prefix string
	keys   []string // that it ever wrote
}

// newKey returns a key nobody used.
func (w *writer) newKey() string {
	w.number++
	if w.random.IntN(5) == 0 {
		odd := oddKeys[w.random.IntN(len(oddKeys))]
		return fmt.Sprintf("%s%d/%s", w.prefix, w.number, odd[:min(len(odd), 1024-len(w.prefix)-8)])
	}
	return fmt.Sprintf("%s%c/%04d", w.prefix, 'a'+rune(w.random.IntN(4)), w.number)
}

// oldKey returns a key written before, or a new one when there is none.
func (w *writer) oldKey() string {
	if len(w.keys) == 0 {
		return w.newKey()
	}
	return w.keys[w.random.IntN(len(w.keys))]
}

// next makes one random change. An error leaves the change in doubt.
func (w *writer) next(ctx context.Context) error {
	m := w.s.m
	switch p := w.random.IntN(100); {
	case p < 62:
		key := w.newKey()
		w.keys = append(w.keys, key)
		return w.s.put(ctx, key, m.fresh(w.random, randomSize(w.random)))
	case p < 74:
		return w.s.put(ctx, w.oldKey(), m.fresh(w.random, randomSize(w.random)))
	case p < 86:
		return w.s.remove(ctx, w.oldKey())
	case p < 95:
		from := w.oldKey()
		if m.get(from) == nil {
			return w.s.remove(ctx, from)
		}
		to := w.newKey()
		w.keys = append(w.keys, to)
		return w.s.copy(ctx, from, to)
	default:
		key := w.newKey()
		w.keys = append(w.keys, key)
		return w.s.multipart(ctx, key, m.fresh(w.random, 5<<20+w.random.Int64N(6<<20)))
	}
}

// write makes changes with several writers until each has made its share or,
// with stop, until stop is closed. Errors fail the test unless tolerated, when
// they end their writer. name sets the keys of one call apart.
func (s *story) write(name string, changes int, stop <-chan struct{}, tolerate bool) {
	s.t.Helper()
	var left atomic.Int64
	left.Store(int64(changes))
	var group sync.WaitGroup
	for i := range workers {
		w := &writer{s: s, random: rand.New(rand.NewPCG(s.seed, uint64(i)<<32|uint64(len(name))<<16|uint64(changes))),
			prefix: fmt.Sprintf("%s/w%d/", name, i)}
		group.Go(func() {
			for left.Add(-1) >= 0 {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := opContext()
				err := w.next(ctx)
				cancel()
				if err != nil && !tolerate {
					s.t.Errorf("writer %d: %v", i, err)
				}
				if err != nil {
					return
				}
			}
		})
	}
	group.Wait()
}

func (s *story) put(ctx context.Context, key string, o *object) error {
	s.m.begin(key, o)
	in := &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(o.body(0, o.size)),
		ContentType: aws.String(o.contentType), Metadata: o.meta,
	}
	if o.cache != "" {
		in.CacheControl = aws.String(o.cache)
	}
	out, err := s.s3.PutObject(ctx, in)
	if err != nil {
		return fmt.Errorf("put %q, %d bytes: %w", key, o.size, err)
	}
	o.etag = aws.ToString(out.ETag)
	s.m.done(key)
	return nil
}

func (s *story) remove(ctx context.Context, key string) error {
	s.m.begin(key, nil)
	_, err := s.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	s.m.done(key)
	return nil
}

// copy copies an object of the model, with metadata of its own so that it can
// be told from its source.
func (s *story) copy(ctx context.Context, from, to string) error {
	source := s.m.get(from)
	o := s.m.fresh(rand.New(rand.NewPCG(source.id, 1)), source.size)
	o.bytesOf = source.bytesOf
	s.m.begin(to, o)
	in := &s3.CopyObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(to), CopySource: aws.String(bucket + "/" + escape(from)),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String(o.contentType), Metadata: o.meta,
	}
	if o.cache != "" {
		in.CacheControl = aws.String(o.cache)
	}
	out, err := s.s3.CopyObject(ctx, in)
	if err != nil {
		return fmt.Errorf("copy %q to %q: %w", from, to, err)
	}
	o.etag = aws.ToString(out.CopyObjectResult.ETag)
	s.m.done(to)
	return nil
}

// escape escapes a key for a URL, slashes left alone.
func escape(key string) string {
	parts := strings.Split(key, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

func (s *story) multipart(ctx context.Context, key string, o *object) error {
	const partSize = 5 << 20
	s.m.begin(key, o)
	in := &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String(key), ContentType: aws.String(o.contentType), Metadata: o.meta,
	}
	if o.cache != "" {
		in.CacheControl = aws.String(o.cache)
	}
	up, err := s.s3.CreateMultipartUpload(ctx, in)
	if err != nil {
		return fmt.Errorf("create upload of %q: %w", key, err)
	}
	var done []types.CompletedPart
	body := o.body(0, o.size)
	for number := int32(1); len(body) > 0; number++ {
		part := body[:min(len(body), partSize)]
		body = body[len(part):]
		out, err := s.s3.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId,
			PartNumber: aws.Int32(number), Body: bytes.NewReader(part),
		})
		if err != nil {
			return fmt.Errorf("put part %d of %q: %w", number, key, err)
		}
		done = append(done, types.CompletedPart{PartNumber: aws.Int32(number), ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	}
	out, err := s.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		return fmt.Errorf("complete upload of %q: %w", key, err)
	}
	o.etag = aws.ToString(out.ETag)
	s.m.done(key)
	return nil
}
