package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/checksum"
)

// Copy makes a new version that refers to the segments of the source: the
// content keys are wrapped anew, no data moves. The ETag of the source stays,
// also where S3 would give a multipart object a new one.
func (e *Engine) Copy(ctx context.Context, req CopyRequest) (Stored, error) {
	for {
		stored, err := e.tryCopy(ctx, req)
		// A source or destination that changed under way is looked at again;
		// a condition on either decides then.
		if !errors.Is(err, ErrConflict) && !errors.Is(err, errOvertaken) || ctx.Err() != nil {
			return stored, err
		}
	}
}

func (e *Engine) tryCopy(ctx context.Context, req CopyRequest) (Stored, error) {
	if _, err := e.bucket(ctx, req.Bucket); err != nil {
		return Stored{}, err
	}
	source, err := e.find(ctx, req.Source)
	if err != nil {
		return Stored{}, err
	}
	if err := req.Source.If.Check(source, e.cfg.Now()); err != nil {
		return Stored{}, err
	}
	if source.Size > MaxPut {
		return Stored{}, fmt.Errorf("copy %d bytes: %w", source.Size, ErrTooLarge)
	}
	self := req.Bucket == req.Source.Bucket && req.Key == req.Source.Key && req.Source.Version.IsZero()
	if self && !req.ReplaceHeaders && !req.ReplaceTags && req.StorageClass == source.StorageClass && req.Algorithm == "" {
		return Stored{}, ErrCopyToSelf
	}
	body, err := e.openBody(ctx, source, 0, source.Size)
	if err != nil {
		return Stored{}, err
	}
	defer body.unpin()
	v, err := e.copyVersion(req, source, body)
	if err != nil {
		return Stored{}, err
	}
	if (req.StorageClass == classMirrored) != (source.StorageClass == classMirrored) && source.Size > 0 {
		return e.copyBytes(ctx, req, v, body.entries)
	}
	return e.commitCopy(ctx, req, v, source)
}

// copyVersion is the version to be, without id, as the request wants it.
func (e *Engine) copyVersion(req CopyRequest, source *cairn.Version, body *objectBody) (*cairn.Version, error) {
	v := &cairn.Version{
		Bucket: req.Bucket, Key: req.Key, Size: source.Size, ETag: source.ETag,
		Headers: source.Headers, Tags: source.Tags, StorageClass: req.StorageClass,
		Checksums: source.Checksums, Null: true,
	}
	if req.ReplaceHeaders {
		v.Headers = req.Headers
	}
	if req.ReplaceTags {
		v.Tags = req.Tags
	}
	if req.Algorithm != "" && checksum.Find(source.Checksums, req.Algorithm) == "" {
		sum, err := sumObject(body, req.Algorithm)
		if err != nil {
			return nil, fmt.Errorf("compute checksum of the source: %w", err)
		}
		v.Checksums = []cairn.Checksum{sum}
	}
	for _, p := range source.Parts {
		content, err := e.keys.UnwrapKey(p.Key)
		if err != nil {
			return nil, fmt.Errorf("unwrap content key: %w", err)
		}
		p.Key = e.keys.WrapKey(content)
		p.Segments = indexed(p.Segments, body.entries)
		v.Parts = append(v.Parts, p)
	}
	return v, nil
}

// indexed returns segments without the halves of mirrored ones that a recovery
// has not found: a copy cannot refer to them.
func indexed(segments []cairn.Segment, known segmentEntries) []cairn.Segment {
	out := slices.Clone(segments)
	for i, s := range out {
		switch {
		case s.Mirror == (cairn.SegmentID{}):
		case known[s.ID] == nil && known[s.Mirror] != nil:
			out[i].ID, out[i].Mirror = s.Mirror, cairn.SegmentID{}
		case known[s.Mirror] == nil && known[s.ID] != nil:
			out[i].Mirror = cairn.SegmentID{}
		}
	}
	return out
}

// sumObject reads an object for a checksum it does not have.
func sumObject(body *objectBody, algorithm string) (cairn.Checksum, error) {
	h := checksum.New(algorithm)
	if h == nil {
		return cairn.Checksum{}, cairn.Errorf("compute checksum", cairn.Invalid, "%q is not a checksum algorithm", algorithm)
	}
	if _, err := body.WriteTo(h); err != nil {
		return cairn.Checksum{}, err
	}
	return cairn.Checksum{Algorithm: algorithm, Value: checksum.Encode(h.Sum(nil))}, nil
}

// commitCopy commits a copy that shares the source's segments.
func (e *Engine) commitCopy(ctx context.Context, req CopyRequest, v, source *cairn.Version) (Stored, error) {
	unlock := e.lockKey(req.Bucket, req.Key)
	defer unlock()
	prev, err := e.admit(ctx, v, req.If)
	if err != nil {
		return Stored{}, err
	}
	b := e.replaceBatch(v, prev)
	addRefs(b, v.Parts, 1)
	// The source must still be what was read: its segments are shared.
	b.If = append(b.If, catalog.Condition{HasVersion: &catalog.VersionKey{Bucket: source.Bucket, Key: source.Key, ID: source.ID}})
	w := e.beginWrite(req.Bucket, req.Key)
	record, err := e.recordVersion(ctx, w, v, nil)
	if err != nil {
		w.undo()
		return Stored{}, fmt.Errorf("copy to %q/%q: %w", req.Bucket, req.Key, err)
	}
	b.PutVersions = []*catalog.VersionEntry{{Version: *v, Record: record}}
	if err := e.commitVersion(ctx, w, b); err != nil {
		w.undo()
		return Stored{}, fmt.Errorf("copy to %q/%q: %w", req.Bucket, req.Key, err)
	}
	return Stored{Version: v, Durability: durability(nil, record)}, nil
}

// copyBytes copies an object whose storage class changes how its segments lie.
// Its ETag is kept.
func (e *Engine) copyBytes(ctx context.Context, req CopyRequest, v *cairn.Version, known segmentEntries) (Stored, error) {
	w := e.beginWrite(req.Bucket, req.Key)
	fail := func(err error) (Stored, error) {
		w.undo()
		return Stored{}, fmt.Errorf("copy to %q/%q: %w", req.Bucket, req.Key, err)
	}
	parts, entries := v.Parts, []*catalog.SegmentEntry(nil)
	v.Parts = nil
	for _, p := range parts {
		written, err := e.copyPart(ctx, w, known, p, req.StorageClass)
		if err != nil {
			return fail(err)
		}
		written.part.Number, written.part.Checksums = p.Number, p.Checksums
		v.Parts = append(v.Parts, written.part)
		entries = append(entries, written.entries...)
	}
	unlock := e.lockKey(req.Bucket, req.Key)
	defer unlock()
	prev, err := e.admit(ctx, v, req.If)
	if err != nil {
		return fail(err)
	}
	b := e.replaceBatch(v, prev)
	b.PutSegments = entries
	record, err := e.recordVersion(ctx, w, v, entries)
	if err != nil {
		return fail(err)
	}
	b.PutVersions = []*catalog.VersionEntry{{Version: *v, Record: record}}
	if err := e.commitVersion(ctx, w, b); err != nil {
		return fail(err)
	}
	return Stored{Version: v, Durability: durability(entries, record)}, nil
}

// copyPart writes the bytes of a part anew.
func (e *Engine) copyPart(ctx context.Context, w *write, known segmentEntries, p cairn.Part, class string) (*writtenPart, error) {
	md5, err := hex.DecodeString(p.ETag)
	if err != nil {
		return nil, cairn.Errorf("copy part", cairn.Corrupt, "ETag %q of part %d is not an MD5", p.ETag, p.Number)
	}
	number := max(p.Number, 1) // a part of its own: its record does not ride
	return withReader(ctx, func(body io.Reader) (*writtenPart, error) {
		return e.writePart(ctx, w, number, p.Size, class, Digests{MD5: md5}, body)
	}, func(ctx context.Context, w io.Writer) error {
		_, err := e.writePartRange(ctx, w, known, &p, 0, p.Size)
		return err
	})
}

// withReader calls f with a reader of what source writes.
func withReader[T any](ctx context.Context, f func(io.Reader) (T, error), source func(context.Context, io.Writer) error) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(source(ctx, pw))
	}()
	out, err := f(pr)
	cancel()
	_ = pr.Close() // never fails; unblocks the source
	<-done
	return out, err
}
