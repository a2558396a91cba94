package refmodel

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/checksum"
)

// Put stores an object.
func (s *Store) Put(_ context.Context, req gateway.PutRequest) (gateway.Stored, error) {
	if req.Size < 0 || req.Size > maxPut {
		return gateway.Stored{}, gateway.ErrTooLarge
	}
	if err := s.checkWrite(req.Bucket, req.Key, req.If); err != nil {
		return gateway.Stored{}, err
	}
	data, etag, sum, err := readBody(req.Body, req.Size, req.Digests)
	if err != nil {
		return gateway.Stored{}, fmt.Errorf("put %q/%q: %w", req.Bucket, req.Key, err)
	}
	v := &cairn.Version{
		Bucket: req.Bucket, Key: req.Key, Size: req.Size, ETag: etag, Null: true,
		Headers: slices.Clone(req.Headers), Tags: slices.Clone(req.Tags), StorageClass: req.StorageClass,
		Checksums: []cairn.Checksum{sum},
	}
	if req.Size > 0 {
		v.Parts = []cairn.Part{{Size: req.Size, ETag: etag, Checksums: v.Checksums}}
	}
	return s.store(v, data, req.If)
}

// checkWrite refuses what can be refused before a body is read.
func (s *Store) checkWrite(bucket, key string, c gateway.WriteCondition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return err
	}
	return checkWrite(c, b.objects[key])
}

// store makes v visible, if the condition still holds.
func (s *Store) store(v *cairn.Version, data []byte, c gateway.WriteCondition) (gateway.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(v.Bucket)
	if err != nil {
		return gateway.Stored{}, err
	}
	if err := checkWrite(c, b.objects[v.Key]); err != nil {
		return gateway.Stored{}, err
	}
	v.ID = s.clock.Next()
	b.objects[v.Key] = &object{version: v, data: data}
	return gateway.Stored{Version: v}, nil
}

// readBody reads a body and checks everything that was said about it.
func readBody(body io.Reader, size int64, said gateway.Digests) (data []byte, etag string, sum cairn.Checksum, err error) {
	data, err = io.ReadAll(io.LimitReader(body, size+1))
	if err != nil {
		return nil, "", sum, fmt.Errorf("read body: %w", err)
	}
	if int64(len(data)) != size {
		return nil, "", sum, gateway.ErrIncompleteBody
	}
	md := md5.Sum(data)
	if said.MD5 != nil && !bytes.Equal(md[:], said.MD5) {
		return nil, "", sum, gateway.ErrBadDigest
	}
	algorithm := checksum.PartAlgorithm(said.Algorithm)
	if !checksum.Known(algorithm) {
		return nil, "", sum, cairn.Errorf("compute checksum", cairn.Invalid, "%q is not a checksum algorithm", algorithm)
	}
	sum = cairn.Checksum{Algorithm: algorithm, Value: checksum.Of(algorithm, data)}
	if said.Expected != nil {
		want, err := said.Expected()
		if err != nil {
			return nil, "", sum, err
		}
		if want != "" && want != sum.Value {
			return nil, "", sum, &gateway.ChecksumError{Algorithm: algorithm}
		}
	}
	return data, hex.EncodeToString(md[:]), sum, nil
}

// checkWrite evaluates a condition against what the key holds; nil is nothing.
func checkWrite(c gateway.WriteCondition, o *object) error {
	if c.IfNoneMatch && o != nil {
		return &gateway.PreconditionError{Condition: "If-None-Match"}
	}
	if c.IfMatch != "" && o == nil {
		return gateway.ErrNoSuchKey
	}
	if c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != o.version.ETag {
		return &gateway.PreconditionError{Condition: "If-Match"}
	}
	return nil
}

// checkRead evaluates conditions in the order of RFC 9110, 13.2.2.
func (s *Store) checkRead(c gateway.ReadCondition, v *cairn.Version) error {
	matches := func(tags []string) bool {
		return slices.ContainsFunc(tags, func(t string) bool { return t == "*" || t == v.ETag })
	}
	modified := v.LastModified().Truncate(time.Second)
	if c.IfMatch != nil && !matches(c.IfMatch) {
		return &gateway.PreconditionError{Condition: "If-Match"}
	}
	if c.IfMatch == nil && !c.IfUnmodifiedSince.IsZero() && modified.After(c.IfUnmodifiedSince) {
		return &gateway.PreconditionError{Condition: "If-Unmodified-Since"}
	}
	if c.IfNoneMatch != nil && matches(c.IfNoneMatch) {
		return gateway.ErrNotModified
	}
	future := c.IfModifiedSince.After(s.now())
	if c.IfNoneMatch == nil && !c.IfModifiedSince.IsZero() && !future && !modified.After(c.IfModifiedSince) {
		return gateway.ErrNotModified
	}
	return nil
}

// find returns the object a read asks for. It is called with mu held.
func (s *Store) find(req gateway.GetRequest) (*object, error) {
	b, err := s.bucket(req.Bucket)
	if err != nil {
		return nil, err
	}
	o := b.objects[req.Key]
	if !req.Version.IsZero() && (o == nil || o.version.ID != req.Version) {
		return nil, fmt.Errorf("%q/%q: %w", req.Bucket, req.Key, gateway.ErrNoSuchVersion)
	}
	if o == nil {
		return nil, fmt.Errorf("%q/%q: %w", req.Bucket, req.Key, gateway.ErrNoSuchKey)
	}
	return o, s.checkRead(req.If, o.version)
}

// Get opens an object.
func (s *Store) Get(_ context.Context, req gateway.GetRequest) (*gateway.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(req)
	if err != nil {
		return nil, err
	}
	out := &gateway.Object{Version: o.version, Length: o.version.Size}
	switch {
	case req.PartNumber > 0:
		err = selectPart(out, req.PartNumber)
	case req.Range != nil:
		err = selectRange(out, *req.Range)
	}
	if err != nil {
		return nil, err
	}
	out.Body = &body{data: o.data[out.Offset : out.Offset+out.Length]}
	return out, nil
}

func selectRange(o *gateway.Object, r gateway.Range) error {
	size := o.Version.Size
	first, last := r.First, r.Last // inclusive
	if last < 0 || last >= size {
		last = size - 1
	}
	if r.Suffix > 0 {
		if size == 0 {
			return nil // nothing is all of it
		}
		first, last = max(0, size-r.Suffix), size-1
	}
	if r.SuffixZero || first >= size {
		return &gateway.RangeError{Size: size}
	}
	o.Offset, o.Length, o.Partial = first, last-first+1, true
	return nil
}

func selectPart(o *gateway.Object, number int) error {
	var offset int64
	for _, p := range o.Version.Parts {
		if p.Number == 0 {
			break // put whole
		}
		if p.Number == number {
			o.Offset, o.Length, o.Partial, o.Parts = offset, p.Size, true, len(o.Version.Parts)
			return nil
		}
		offset += p.Size
	}
	if offset == 0 && number == 1 && (len(o.Version.Parts) == 0 || o.Version.Parts[0].Number == 0) {
		o.Partial = o.Version.Size > 0
		return nil
	}
	return gateway.ErrInvalidPartNo
}

type body struct{ data []byte }

func (b *body) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.data)
	return int64(n), err
}

func (b *body) Close() error { return nil }

// Delete removes an object.
func (s *Store) Delete(_ context.Context, req gateway.DeleteRequest) (gateway.Deleted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(req.Bucket)
	if err != nil {
		return gateway.Deleted{}, err
	}
	o := b.objects[req.Key]
	if o == nil && req.If.IfMatch == "*" {
		return gateway.Deleted{}, nil
	}
	if err := checkWrite(req.If, o); err != nil {
		return gateway.Deleted{}, err
	}
	if o != nil && (req.Version.IsZero() || req.Version == o.version.ID) {
		delete(b.objects, req.Key)
	}
	return gateway.Deleted{}, nil
}

// DeleteMany removes objects one after the other.
func (s *Store) DeleteMany(ctx context.Context, reqs []gateway.DeleteRequest) []gateway.DeleteOutcome {
	out := make([]gateway.DeleteOutcome, len(reqs))
	for i, req := range reqs {
		out[i].Deleted, out[i].Err = s.Delete(ctx, req)
	}
	return out
}

// Copy stores a copy. It keeps the ETag and the parts of the source.
func (s *Store) Copy(_ context.Context, req gateway.CopyRequest) (gateway.Stored, error) {
	s.mu.Lock()
	_, err := s.bucket(req.Bucket)
	var from *object
	if err == nil {
		from, err = s.find(req.Source)
	}
	s.mu.Unlock()
	if err != nil {
		return gateway.Stored{}, err
	}
	src := from.version
	self := req.Bucket == req.Source.Bucket && req.Key == req.Source.Key && req.Source.Version.IsZero()
	if self && !req.ReplaceHeaders && !req.ReplaceTags && req.StorageClass == src.StorageClass && req.Algorithm == "" {
		return gateway.Stored{}, gateway.ErrCopyToSelf
	}
	v := &cairn.Version{
		Bucket: req.Bucket, Key: req.Key, Size: src.Size, ETag: src.ETag, Null: true,
		Headers: src.Headers, Tags: src.Tags, StorageClass: req.StorageClass,
		Checksums: src.Checksums, Parts: src.Parts,
	}
	if req.ReplaceHeaders {
		v.Headers = slices.Clone(req.Headers)
	}
	if req.ReplaceTags {
		v.Tags = slices.Clone(req.Tags)
	}
	if req.Algorithm != "" && checksum.Find(src.Checksums, req.Algorithm) == "" {
		v.Checksums = []cairn.Checksum{{Algorithm: req.Algorithm, Value: checksum.Of(req.Algorithm, from.data)}}
	}
	return s.store(v, from.data, req.If)
}
