package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/checksum"
)

// CreateUpload begins a multipart upload. Uploads live in the catalog alone
// until they are completed.
func (e *Engine) CreateUpload(ctx context.Context, req CreateUploadRequest) (Upload, error) {
	// A bucket that is being deleted has ended its uploads already.
	defer e.buckets.rlock(req.Bucket)()
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	now := e.cfg.Now().UnixNano()
	u := &catalog.UploadEntry{
		// Time first, so that ids order uploads by their initiation.
		ID:        fmt.Sprintf("%016x", uint64(now)) + hex.EncodeToString(random[:]),
		Initiated: now, Algorithm: req.Algorithm, FullObject: req.FullObject,
		Template: cairn.Version{
			Bucket: req.Bucket, Key: req.Key, Headers: req.Headers, Tags: req.Tags,
			StorageClass: req.StorageClass, Null: true,
		},
	}
	err := e.catalog.Commit(ctx, &catalog.Batch{
		If:         []catalog.Condition{{BucketExists: req.Bucket}},
		PutUploads: []*catalog.UploadEntry{u},
	})
	var cond *catalog.ConditionError
	if errors.As(err, &cond) {
		return Upload{}, fmt.Errorf("%q: %w", req.Bucket, ErrNoSuchBucket)
	}
	if err != nil {
		return Upload{}, fmt.Errorf("create upload of %q/%q: %w", req.Bucket, req.Key, err)
	}
	return uploadOf(u), nil
}

func uploadOf(u *catalog.UploadEntry) Upload {
	t := &u.Template
	return Upload{
		ID: u.ID, Bucket: t.Bucket, Key: t.Key, Initiated: time.Unix(0, u.Initiated).UTC(),
		Attributes: Attributes{Headers: t.Headers, Tags: t.Tags, StorageClass: t.StorageClass},
		Algorithm:  u.Algorithm, FullObject: u.FullObject,
	}
}

// openUpload returns an upload in progress.
func (e *Engine) openUpload(ctx context.Context, ref UploadRef) (*catalog.UploadEntry, error) {
	u, err := e.anyUpload(ctx, ref)
	if err == nil && !u.Completed.IsZero() {
		err = ErrNoSuchUpload
	}
	return u, err
}

// anyUpload returns an upload in progress or completed not long ago.
func (e *Engine) anyUpload(ctx context.Context, ref UploadRef) (*catalog.UploadEntry, error) {
	if _, err := e.bucket(ctx, ref.Bucket); err != nil {
		return nil, err
	}
	u, err := e.catalog.Upload(ctx, ref.Bucket, ref.Key, ref.UploadID)
	if errors.Is(err, cairn.NotFound) {
		return nil, ErrNoSuchUpload
	}
	if err != nil {
		return nil, fmt.Errorf("look up upload of %q/%q: %w", ref.Bucket, ref.Key, err)
	}
	return u, nil
}

// PutPart stores a part.
func (e *Engine) PutPart(ctx context.Context, req PutPartRequest) (PartInfo, error) {
	if req.Size < 0 || req.Size > MaxPut {
		return PartInfo{}, fmt.Errorf("put part of %d bytes: %w", req.Size, ErrTooLarge)
	}
	ref := UploadRef{Bucket: req.Bucket, Key: req.Key, UploadID: req.UploadID}
	u, err := e.openUpload(ctx, ref)
	if err != nil {
		return PartInfo{}, err
	}
	return e.storePart(ctx, ref, req.Number, req.Size, u, req.Digests, req.Body)
}

func (e *Engine) storePart(ctx context.Context, ref UploadRef, number int, size int64, u *catalog.UploadEntry, want Digests, body io.Reader) (PartInfo, error) {
	switch {
	case want.Algorithm == "":
		want.Algorithm = checksum.PartAlgorithm(u.Algorithm)
	case u.Algorithm != "" && want.Algorithm != u.Algorithm:
		return PartInfo{}, cairn.Errorf("put part", cairn.Invalid,
			"Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", u.Algorithm, want.Algorithm)
	}
	w := e.beginWrite(ref.Bucket, ref.Key)
	fail := func(err error) (PartInfo, error) {
		w.undo()
		return PartInfo{}, fmt.Errorf("put part %d of %q/%q: %w", number, ref.Bucket, ref.Key, err)
	}
	p, err := e.writePart(ctx, w, number, size, u.Template.StorageClass, want, body)
	if err != nil {
		return fail(err)
	}
	defer e.lockUpload(ref)()
	old, err := e.catalog.Parts(ctx, ref.UploadID, number-1, 1)
	if err != nil {
		return fail(err)
	}
	entry := &catalog.PartEntry{Part: p.part, Modified: e.cfg.Now().UnixNano()}
	b := &catalog.Batch{
		If:          []catalog.Condition{{OpenUpload: &catalog.UploadKey{Bucket: ref.Bucket, Key: ref.Key, ID: ref.UploadID}}},
		Refs:        map[cairn.SegmentID]int{},
		PutSegments: p.entries,
		PutParts:    []catalog.PartPut{{UploadID: ref.UploadID, Entry: entry}},
	}
	if len(old) == 1 && old[0].Part.Number == number {
		addRefs(b, []cairn.Part{old[0].Part}, -1)
	}
	if err := e.commitVersion(ctx, w, b); err != nil {
		return fail(err)
	}
	e.metrics.wrote(size)
	return PartInfo{Part: p.part, Modified: time.Unix(0, entry.Modified).UTC(), Durability: durability(p.entries, catalog.Location{})}, nil
}

// CopyPart stores a range of an object as a part. Its bytes pass through the
// gateway, because a part's frames are sealed under the part's own key.
func (e *Engine) CopyPart(ctx context.Context, req CopyPartRequest) (PartInfo, error) {
	for {
		info, err := e.tryCopyPart(ctx, req)
		if !errors.Is(err, errOvertaken) || ctx.Err() != nil {
			return info, err
		}
	}
}

func (e *Engine) tryCopyPart(ctx context.Context, req CopyPartRequest) (PartInfo, error) {
	ref := UploadRef{Bucket: req.Bucket, Key: req.Key, UploadID: req.UploadID}
	u, err := e.openUpload(ctx, ref)
	if err != nil {
		return PartInfo{}, err
	}
	source, err := e.find(ctx, req.Source)
	if err != nil {
		return PartInfo{}, err
	}
	if err := req.Source.If.Check(source, e.cfg.Now()); err != nil {
		return PartInfo{}, err
	}
	from, to := int64(0), source.Size
	if r := req.Source.Range; r != nil {
		if r.Suffix > 0 || r.SuffixZero || r.First < 0 || r.Last >= source.Size || r.First > r.Last {
			return PartInfo{}, ErrInvalidCopyRange
		}
		from, to = r.First, r.Last+1
	}
	if to-from > MaxPut {
		return PartInfo{}, fmt.Errorf("copy %d bytes as a part: %w", to-from, ErrTooLarge)
	}
	body, err := e.openBody(ctx, source, from, to)
	if err != nil {
		return PartInfo{}, err
	}
	defer body.unpin()
	return withReader(ctx, func(r io.Reader) (PartInfo, error) {
		return e.storePart(ctx, ref, req.Number, to-from, u, Digests{}, r)
	}, func(ctx context.Context, w io.Writer) error {
		body.ctx = ctx
		_, err := body.WriteTo(w)
		return err
	})
}

// AbortUpload gives an upload up. Its parts become garbage.
func (e *Engine) AbortUpload(ctx context.Context, ref UploadRef) error {
	defer e.lockUpload(ref)()
	u, err := e.openUpload(ctx, ref)
	if err != nil {
		return err
	}
	return e.dropUpload(ctx, u)
}

// dropUpload removes an upload in progress and gives up its parts.
func (e *Engine) dropUpload(ctx context.Context, u *catalog.UploadEntry) error {
	key := catalog.UploadKey{Bucket: u.Template.Bucket, Key: u.Template.Key, ID: u.ID}
	b := &catalog.Batch{If: []catalog.Condition{{OpenUpload: &key}}}
	if err := e.addDrop(ctx, b, u); err != nil {
		return err
	}
	err := e.catalog.Commit(context.WithoutCancel(ctx), b)
	var cond *catalog.ConditionError
	if errors.As(err, &cond) {
		return ErrNoSuchUpload
	}
	if err != nil {
		return fmt.Errorf("abort upload: %w", err)
	}
	e.wakeCollector()
	return nil
}

func (e *Engine) allParts(ctx context.Context, uploadID string) ([]*catalog.PartEntry, error) {
	parts, err := e.catalog.Parts(ctx, uploadID, 0, cairn.MaxPartNumber)
	if err != nil {
		return nil, fmt.Errorf("look up parts: %w", err)
	}
	return parts, nil
}

// uploadsPerCommit bounds the uploads that end in one step.
const uploadsPerCommit = 1000

// abortUploads ends every upload of a bucket that is being deleted: the last
// ones, usually all, with b. The caller holds the bucket's lock.
func (e *Engine) abortUploads(ctx context.Context, bucket string, b *catalog.Batch) error {
	afterKey, afterID := "", ""
	for {
		uploads, err := e.catalog.Uploads(ctx, bucket, "", afterKey, afterID, uploadsPerCommit)
		if err != nil {
			return fmt.Errorf("look up uploads: %w", err)
		}
		step := b
		if len(uploads) == uploadsPerCommit {
			step = &catalog.Batch{}
		}
		for _, u := range uploads {
			if err := e.addDrop(ctx, step, u); err != nil {
				return err
			}
			afterKey, afterID = u.Template.Key, u.ID
		}
		if step == b {
			return nil
		}
		if err := e.catalog.Commit(context.WithoutCancel(ctx), step); err != nil {
			return fmt.Errorf("abort uploads: %w", err)
		}
	}
}

// addDrop adds the end of an upload to b.
func (e *Engine) addDrop(ctx context.Context, b *catalog.Batch, u *catalog.UploadEntry) error {
	parts, err := e.allParts(ctx, u.ID)
	if err != nil {
		return err
	}
	if b.Refs == nil {
		b.Refs = map[cairn.SegmentID]int{}
	}
	for _, p := range parts {
		addRefs(b, []cairn.Part{p.Part}, -1)
	}
	b.DropUploads = append(b.DropUploads, catalog.UploadKey{Bucket: u.Template.Bucket, Key: u.Template.Key, ID: u.ID})
	return nil
}

// ListParts returns one page of an upload's parts.
func (e *Engine) ListParts(ctx context.Context, req ListPartsRequest) (ListPartsResult, error) {
	u, err := e.openUpload(ctx, req.UploadRef)
	if err != nil {
		return ListPartsResult{}, err
	}
	parts, err := e.catalog.Parts(ctx, u.ID, req.After, req.Max+1)
	if err != nil {
		return ListPartsResult{}, fmt.Errorf("list parts: %w", err)
	}
	out := ListPartsResult{Upload: uploadOf(u), Truncated: len(parts) > req.Max}
	for _, p := range parts[:min(len(parts), req.Max)] {
		out.Parts = append(out.Parts, PartInfo{Part: p.Part, Modified: time.Unix(0, p.Modified).UTC()})
	}
	return out, nil
}

// ListUploads returns one page of a bucket's uploads in progress.
func (e *Engine) ListUploads(ctx context.Context, req ListUploadsRequest) (ListUploadsResult, error) {
	if _, err := e.bucket(ctx, req.Bucket); err != nil {
		return ListUploadsResult{}, err
	}
	var out ListUploadsResult
	afterKey, afterID := req.AfterKey, req.AfterUpload
	if afterID == "" && afterKey != "" {
		afterID = "\xff" // every upload of that key is behind it
	}
	skip := ""
	if req.SkipPrefix {
		skip = req.AfterKey
	}
	for {
		page, err := e.catalog.Uploads(ctx, req.Bucket, req.Prefix, afterKey, afterID, 1000)
		if err != nil {
			return ListUploadsResult{}, fmt.Errorf("list uploads: %w", err)
		}
		for _, u := range page {
			key := u.Template.Key
			afterKey, afterID = key, u.ID
			if skip != "" && strings.HasPrefix(key, skip) {
				continue
			}
			if len(out.Uploads)+len(out.Prefixes) >= req.Max {
				out.Truncated = req.Max > 0
				return out, nil
			}
			if common, rolled := rollUp(key, req.Prefix, req.Delimiter); rolled {
				out.Prefixes = append(out.Prefixes, common)
				out.NextKey, out.NextUpload, out.NextIsPrefix = common, "", true
				skip = common
				continue
			}
			out.Uploads = append(out.Uploads, uploadOf(u))
			out.NextKey, out.NextUpload, out.NextIsPrefix = key, u.ID, false
		}
		if len(page) < 1000 {
			return out, nil
		}
	}
}

// CompleteUpload makes an object of an upload's parts.
func (e *Engine) CompleteUpload(ctx context.Context, req CompleteRequest) (Stored, error) {
	ref := UploadRef{Bucket: req.Bucket, Key: req.Key, UploadID: req.UploadID}
	defer e.lockKey(req.Bucket, req.Key)()
	defer e.keyLocks.lock(uploadLock(ref.UploadID))()
	u, err := e.anyUpload(ctx, ref)
	if err != nil {
		return Stored{}, err
	}
	stored, err := e.allParts(ctx, u.ID)
	if err != nil {
		return Stored{}, err
	}
	if !u.Completed.IsZero() {
		return e.completedAgain(ctx, u, req, stored)
	}
	v, rest, err := e.assemble(u, req, stored)
	if err != nil {
		return Stored{}, err
	}
	out, err := e.commitUpload(ctx, u, req, v, rest)
	if err != nil {
		return Stored{}, fmt.Errorf("complete upload of %q/%q: %w", req.Bucket, req.Key, err)
	}
	return out, nil
}

// completedAgain answers a repeated completion as the first one was answered,
// as long as nothing has taken the object's place.
func (e *Engine) completedAgain(ctx context.Context, u *catalog.UploadEntry, req CompleteRequest, stored []*catalog.PartEntry) (Stored, error) {
	v, _, err := e.assemble(u, req, stored)
	if err != nil {
		return Stored{}, err
	}
	was, err := e.newest(ctx, req.Bucket, req.Key)
	if err != nil {
		return Stored{}, err
	}
	// A change of its tags and the end of a failed delete give an object a new
	// version, but leave the time it was made.
	if was == nil || !was.Version.LastModified().Equal(u.Completed.Time()) || was.Version.ETag != v.ETag {
		return Stored{}, ErrNoSuchUpload
	}
	return Stored{Version: &was.Version, Durability: durability(nil, was.Record)}, nil
}

// assemble builds the object that a completion lists, and returns the stored
// parts that it leaves out.
func (e *Engine) assemble(u *catalog.UploadEntry, req CompleteRequest, stored []*catalog.PartEntry) (*cairn.Version, []cairn.Part, error) {
	if len(req.Parts) == 0 {
		return nil, nil, ErrNoParts
	}
	byNumber := make(map[int]*cairn.Part, len(stored))
	for _, p := range stored {
		byNumber[p.Part.Number] = &p.Part
	}
	v := u.Template
	v.Size = 0
	for i, want := range req.Parts {
		if i > 0 && want.Number <= req.Parts[i-1].Number {
			return nil, nil, ErrInvalidPartOrder
		}
		p := byNumber[want.Number]
		if p == nil || p.ETag != want.ETag || want.Checksum != "" && !slices.ContainsFunc(p.Checksums, func(c cairn.Checksum) bool { return c.Value == want.Checksum }) {
			return nil, nil, &PartError{Number: want.Number, ETag: want.ETag}
		}
		if i < len(req.Parts)-1 && p.Size < e.cfg.MinPart {
			return nil, nil, &PartError{Number: want.Number, ETag: want.ETag, TooSmall: true, Size: p.Size}
		}
		if v.Size > math.MaxInt64-p.Size {
			return nil, nil, ErrTooLarge
		}
		v.Size += p.Size
		v.Parts = append(v.Parts, *p)
		delete(byNumber, want.Number)
	}
	if v.Size > MaxObject {
		return nil, nil, fmt.Errorf("complete an object of %d bytes: %w", v.Size, ErrTooLarge)
	}
	if req.Size >= 0 && req.Size != v.Size {
		return nil, nil, ErrSizeMismatch
	}
	if err := sumParts(&v, u, req); err != nil {
		return nil, nil, err
	}
	var rest []cairn.Part
	for _, p := range byNumber {
		rest = append(rest, *p)
	}
	return &v, rest, nil
}

// MaxObject is the largest object, in bytes.
const MaxObject = 5 << 40

// sumParts fills in the ETag and checksum of an object made of parts.
func sumParts(v *cairn.Version, u *catalog.UploadEntry, req CompleteRequest) (err error) {
	if v.ETag, err = checksum.MultipartETag(v.Parts); err != nil {
		return err
	}
	if v.Checksums, err = checksum.OfParts(u.Algorithm, u.FullObject, v.Parts); err != nil || req.Checksum == "" {
		return err
	}
	for _, c := range v.Checksums {
		if c.Algorithm == req.ChecksumAlgorithm && checksum.Claims(req.Checksum, c) {
			return nil
		}
	}
	return &ChecksumError{Algorithm: req.ChecksumAlgorithm}
}

// commitUpload makes v the newest version of its key and the upload completed.
// The parts in v keep their references; those in rest become garbage.
func (e *Engine) commitUpload(ctx context.Context, u *catalog.UploadEntry, req CompleteRequest, v *cairn.Version, rest []cairn.Part) (Stored, error) {
	prev, err := e.admit(ctx, v, req.If)
	if err != nil {
		return Stored{}, err
	}
	// Empty parts have no bytes to refer to, but they count as parts.
	b := e.replaceBatch(v, prev)
	key := catalog.UploadKey{Bucket: req.Bucket, Key: req.Key, ID: u.ID}
	b.If = append(b.If, catalog.Condition{OpenUpload: &key})
	addRefs(b, rest, -1)
	done := *u
	done.Completed, done.CompletedAt = v.ID, e.cfg.Now().UnixNano()
	b.PutUploads = []*catalog.UploadEntry{&done}

	w := e.beginWrite(req.Bucket, req.Key)
	record, err := e.recordVersion(ctx, w, v, nil)
	if err != nil {
		w.undo()
		return Stored{}, err
	}
	b.PutVersions = []*catalog.VersionEntry{{Version: *v, Record: record}}
	if err := e.commitVersion(ctx, w, b); err != nil {
		w.undo()
		return Stored{}, err
	}
	return Stored{Version: v, Durability: durability(nil, record)}, nil
}
