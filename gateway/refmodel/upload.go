package refmodel

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/checksum"
)

// CreateUpload begins a multipart upload.
func (s *Store) CreateUpload(_ context.Context, req gateway.CreateUploadRequest) (gateway.Upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(req.Bucket)
	if err != nil {
		return gateway.Upload{}, err
	}
	id := s.clock.Next()
	u := &upload{parts: map[int]*part{}, Upload: gateway.Upload{
		ID: id.String(), Bucket: req.Bucket, Key: req.Key, Initiated: id.Time(),
		Attributes: req.Attributes, Algorithm: req.Algorithm, FullObject: req.FullObject,
	}}
	b.uploads[u.ID] = u
	return u.Upload, nil
}

// upload returns an upload in progress. It is called with mu held.
func (s *Store) upload(bucket, key, id string) (*upload, error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	u := b.uploads[id]
	if u == nil || u.Key != key || u.done != nil {
		return nil, fmt.Errorf("upload of %q/%q: %w", bucket, key, gateway.ErrNoSuchUpload)
	}
	return u, nil
}

func (s *Store) findUpload(bucket, key, id string) (*upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upload(bucket, key, id)
}

// PutPart stores a part. A part of an upload with a checksum algorithm cannot
// come with another.
func (s *Store) PutPart(_ context.Context, req gateway.PutPartRequest) (gateway.PartInfo, error) {
	if req.Size < 0 || req.Size > maxPut {
		return gateway.PartInfo{}, gateway.ErrTooLarge
	}
	u, err := s.findUpload(req.Bucket, req.Key, req.UploadID)
	if err != nil {
		return gateway.PartInfo{}, err
	}
	said := req.Digests
	switch {
	case said.Algorithm == "":
		said.Algorithm = checksum.PartAlgorithm(u.Algorithm)
	case u.Algorithm != "" && said.Algorithm != u.Algorithm:
		return gateway.PartInfo{}, cairn.Errorf("put part", cairn.Invalid,
			"Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", u.Algorithm, said.Algorithm)
	}
	data, etag, sum, err := readBody(req.Body, req.Size, said)
	if err != nil {
		return gateway.PartInfo{}, fmt.Errorf("put part %d of %q/%q: %w", req.Number, req.Bucket, req.Key, err)
	}
	return s.storePart(req.Bucket, req.Key, req.UploadID, data, cairn.Part{
		Number: req.Number, Size: req.Size, ETag: etag, Checksums: []cairn.Checksum{sum},
	})
}

func (s *Store) storePart(bucket, key, id string, data []byte, p cairn.Part) (gateway.PartInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.upload(bucket, key, id)
	if err != nil {
		return gateway.PartInfo{}, err
	}
	stored := &part{PartInfo: gateway.PartInfo{Part: p, Modified: s.now().UTC()}, data: data}
	u.parts[p.Number] = stored
	return stored.PartInfo, nil
}

// CopyPart stores a range of an object as a part.
func (s *Store) CopyPart(_ context.Context, req gateway.CopyPartRequest) (gateway.PartInfo, error) {
	s.mu.Lock()
	u, err := s.upload(req.Bucket, req.Key, req.UploadID)
	var from *object
	if err == nil {
		from, err = s.find(req.Source)
	}
	s.mu.Unlock()
	if err != nil {
		return gateway.PartInfo{}, err
	}
	data := from.data
	if r := req.Source.Range; r != nil {
		if r.Suffix > 0 || r.SuffixZero || r.First < 0 || r.Last < r.First || r.Last >= int64(len(data)) {
			return gateway.PartInfo{}, gateway.ErrInvalidCopyRange
		}
		data = data[r.First : r.Last+1]
	}
	data, etag, sum, err := readBody(bytes.NewReader(data), int64(len(data)), gateway.Digests{Algorithm: u.Algorithm})
	if err != nil {
		return gateway.PartInfo{}, err
	}
	return s.storePart(req.Bucket, req.Key, req.UploadID, data, cairn.Part{
		Number: req.Number, Size: int64(len(data)), ETag: etag, Checksums: []cairn.Checksum{sum},
	})
}

// CompleteUpload makes the object. Completing again with the same parts gives
// the same answer, as long as the object is there and has not been replaced.
func (s *Store) CompleteUpload(_ context.Context, req gateway.CompleteRequest) (gateway.Stored, error) {
	s.mu.Lock()
	b, err := s.bucket(req.Bucket)
	if err != nil {
		s.mu.Unlock()
		return gateway.Stored{}, err
	}
	u := b.uploads[req.UploadID]
	again := u != nil && u.Key == req.Key && u.done != nil && slices.EqualFunc(u.doneParts, req.Parts, samePart)
	if o := b.objects[req.Key]; again && o != nil && o.version.LastModified().Equal(u.done.LastModified()) {
		s.mu.Unlock()
		return gateway.Stored{Version: o.version}, nil // its tags may be others by now
	}
	u, err = s.upload(req.Bucket, req.Key, req.UploadID)
	var v *cairn.Version
	var data []byte
	if err == nil {
		v, data, err = s.assemble(u, req)
	}
	s.mu.Unlock()
	if err != nil {
		return gateway.Stored{}, err
	}
	stored, err := s.store(v, data, req.If)
	if err != nil {
		return gateway.Stored{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u.done, u.doneParts, u.parts = v, req.Parts, nil
	return stored, nil
}

func samePart(a, b gateway.CompletedPart) bool { return a.Number == b.Number && a.ETag == b.ETag }

// assemble checks the list of parts and joins them. It is called with mu held.
func (s *Store) assemble(u *upload, req gateway.CompleteRequest) (*cairn.Version, []byte, error) {
	if len(req.Parts) == 0 {
		return nil, nil, gateway.ErrNoParts
	}
	v := &cairn.Version{
		Bucket: u.Bucket, Key: u.Key, Null: true,
		Headers: u.Headers, Tags: u.Tags, StorageClass: u.StorageClass,
	}
	var data []byte
	for i, want := range req.Parts {
		if i > 0 && req.Parts[i-1].Number >= want.Number {
			return nil, nil, gateway.ErrInvalidPartOrder
		}
		p := u.parts[want.Number]
		if p == nil || p.ETag != want.ETag || want.Checksum != "" && !hasChecksum(p.Checksums, want.Checksum) {
			return nil, nil, &gateway.PartError{Number: want.Number, ETag: want.ETag}
		}
		if i < len(req.Parts)-1 && p.Size < s.minPart {
			return nil, nil, &gateway.PartError{Number: want.Number, ETag: want.ETag, TooSmall: true, Size: p.Size}
		}
		v.Parts = append(v.Parts, p.Part)
		data = append(data, p.data...)
	}
	v.Size = int64(len(data))
	if req.Size >= 0 && req.Size != v.Size {
		return nil, nil, gateway.ErrSizeMismatch
	}
	var err error
	if v.ETag, err = checksum.MultipartETag(v.Parts); err != nil {
		return nil, nil, err
	}
	if v.Checksums, err = checksum.OfParts(u.Algorithm, u.FullObject, v.Parts); err != nil {
		return nil, nil, err
	}
	return v, data, checkClaim(req, v.Checksums)
}

func hasChecksum(sums []cairn.Checksum, value string) bool {
	return slices.ContainsFunc(sums, func(c cairn.Checksum) bool { return c.Value == value })
}

// checkClaim compares the checksum the client claims for the whole object.
func checkClaim(req gateway.CompleteRequest, sums []cairn.Checksum) error {
	if req.Checksum == "" {
		return nil
	}
	for _, c := range sums {
		if c.Algorithm == req.ChecksumAlgorithm && checksum.Claims(req.Checksum, c) {
			return nil
		}
	}
	return &gateway.ChecksumError{Algorithm: req.ChecksumAlgorithm}
}

// AbortUpload forgets an upload and its parts.
func (s *Store) AbortUpload(_ context.Context, ref gateway.UploadRef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.upload(ref.Bucket, ref.Key, ref.UploadID); err != nil {
		return err
	}
	delete(s.buckets[ref.Bucket].uploads, ref.UploadID)
	return nil
}

// ListParts returns a page of the parts of an upload.
func (s *Store) ListParts(_ context.Context, req gateway.ListPartsRequest) (gateway.ListPartsResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.upload(req.Bucket, req.Key, req.UploadID)
	if err != nil {
		return gateway.ListPartsResult{}, err
	}
	res := gateway.ListPartsResult{Upload: u.Upload}
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if n <= req.After {
			continue
		}
		if len(res.Parts) == req.Max {
			res.Truncated = true
			break
		}
		res.Parts = append(res.Parts, u.parts[n].PartInfo)
	}
	return res, nil
}
