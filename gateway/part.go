package gateway

import (
	"context"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
)

// classMirrored is the storage class whose segments lie on two groups of nodes.
const classMirrored = "MIRRORED"

// versionBound is the most that a version record riding in a manifest takes:
// S3 bounds headers, metadata and tags to far less.
const versionBound = 64 << 10

// writtenPart is a run of bytes on nodes, with its digests checked. A part of
// one segment that may carry a version record is left pending, so that the
// record can ride in its manifest.
type writtenPart struct {
	part    cairn.Part
	entries []*catalog.SegmentEntry // durable
	pending pendingSegment          // else nil
}

func (p *writtenPart) abort() {
	if p.pending != nil {
		p.pending.abort()
	}
}

// partWriter turns a body into the segments of one part.
type partWriter struct {
	e        *Engine
	w        *write
	part     cairn.Part
	content  seal.ContentKey
	mirrored bool
	digest   *digester
}

// writePart stores size bytes of body. It returns with an error, and nothing
// visible, unless body has exactly that length and the digests asked for.
func (e *Engine) writePart(ctx context.Context, w *write, number int, size int64, class string, want Digests, body io.Reader) (*writtenPart, error) {
	digest, err := newDigester(want)
	if err != nil {
		return nil, err
	}
	pw := &partWriter{e: e, w: w, content: seal.NewContentKey(), mirrored: class == classMirrored, digest: digest}
	pw.part = cairn.Part{Number: number, Written: number, Size: size, Object: cairn.NewObjectID()}
	pw.part.Key = e.keys.WrapKey(pw.content)
	out := &writtenPart{}
	if size > 0 && size <= cairn.MaxSegmentPlain {
		out.pending, err = pw.openOnly(ctx, body)
	} else {
		out.entries, err = pw.writeAll(ctx, body)
	}
	if err != nil {
		return nil, err
	}
	var sum cairn.Checksum
	pw.part.ETag, sum, err = digest.finish(body)
	if err != nil {
		out.abort()
		return nil, err
	}
	pw.part.Checksums = []cairn.Checksum{sum}
	out.part = pw.part
	if out.pending != nil && (pw.mirrored || number > 0) {
		err = pw.settle(ctx, out)
	}
	return out, err
}

// settle commits a pending segment that carries no version record.
func (pw *partWriter) settle(ctx context.Context, out *writtenPart) error {
	pending := out.pending
	out.pending = nil
	entries, err := pw.commit(ctx, pw.spec(0), pending, 0)
	out.entries = entries
	out.part = pw.part
	return err
}

// spec describes segment number of the part.
func (pw *partWriter) spec(number int) segmentSpec {
	plain := min(pw.part.Size-int64(number)*cairn.MaxSegmentPlain, cairn.MaxSegmentPlain)
	small := pw.part.Size <= pw.e.cfg.SmallLimit
	s := segmentSpec{
		id: cairn.NewSegmentID(), kind: cairn.KindData,
		object: pw.part.Object, part: pw.part.Written, number: number,
		partLen: pw.part.Size, plainLen: plain,
		content: pw.content, wrapped: pw.part.Key, maxVersion: versionBound,
	}
	if small {
		s.kind = cairn.KindSmall
	}
	s.plan = func(ctx context.Context, id cairn.SegmentID) error { return pw.w.plan(ctx, id) }
	s.choose = func(id cairn.SegmentID, excluded []cairn.NodeID) (group, error) {
		if pw.mirrored {
			id = pw.w.place()
		}
		return pw.e.chooseGroup(id, plain, small, pw.mirrored, excluded)
	}
	return s
}

// openOnly streams the only segment of the part and leaves it to be committed.
func (pw *partWriter) openOnly(ctx context.Context, body io.Reader) (pendingSegment, error) {
	s := pw.spec(0)
	pw.part.Segments = []cairn.Segment{{ID: s.id, PlainLen: s.plainLen}}
	if s.kind == cairn.KindSmall {
		return pw.e.readSmall(s, body, pw.digest)
	}
	return pw.stream(ctx, s, body)
}

// stream sends a segment's payload to its nodes.
func (pw *partWriter) stream(ctx context.Context, s segmentSpec, body io.Reader) (pendingSegment, error) {
	seg, err := pw.e.openSegment(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	if err := seg.stream(ctx, body, pw.digest); err != nil {
		seg.abort()
		return nil, err
	}
	return seg, nil
}

// writeAll writes the segments of a part one after the other; while one is
// being made durable, the next one is already on its way.
func (pw *partWriter) writeAll(ctx context.Context, body io.Reader) ([]*catalog.SegmentEntry, error) {
	count := int((pw.part.Size + cairn.MaxSegmentPlain - 1) / cairn.MaxSegmentPlain)
	pw.part.Segments = make([]cairn.Segment, count)
	done := make([][]*catalog.SegmentEntry, count)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(1)
	for i := range count {
		s := pw.spec(i)
		pw.part.Segments[i] = cairn.Segment{ID: s.id, PlainLen: s.plainLen}
		seg, err := pw.stream(ctx, s, body)
		if err != nil {
			return nil, wait(g, err)
		}
		g.Go(func() (err error) {
			done[i], err = pw.commit(ctx, s, seg, i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(done...), nil
}

// wait ends g and returns its error, or else err.
func wait(g *errgroup.Group, err error) error {
	if first := g.Wait(); first != nil {
		return first
	}
	return err
}

// commit makes segment number of the part durable without a version record,
// and writes its mirror if it has one.
func (pw *partWriter) commit(ctx context.Context, s segmentSpec, seg pendingSegment, number int) ([]*catalog.SegmentEntry, error) {
	if err := pw.w.plan(ctx, seg.id()); err != nil {
		seg.abort()
		return nil, err
	}
	entry, left, err := seg.commit(ctx, nil)
	pw.w.leave(left...)
	if err != nil {
		return nil, err
	}
	pw.part.Segments[number].ID = entry.Segment
	entries := []*catalog.SegmentEntry{entry}
	if !pw.mirrored {
		return entries, nil
	}
	mirror, err := pw.writeMirror(ctx, s, entry)
	if err != nil {
		return nil, err
	}
	pw.part.Segments[number].Mirror = mirror.Segment
	return append(entries, mirror), nil
}

// writeMirror writes a segment again for its second group, from what the first
// group holds.
func (pw *partWriter) writeMirror(ctx context.Context, s segmentSpec, first *catalog.SegmentEntry) (*catalog.SegmentEntry, error) {
	s.choose = func(_ cairn.SegmentID, excluded []cairn.NodeID) (group, error) {
		return pw.e.chooseMirror(pw.w.place(), first.Nodes, s.plainLen, s.kind == cairn.KindSmall, excluded)
	}
	r, err := pw.e.newSegmentReader(first, s.content, s.context(pw.e.keys.Owner()))
	if err != nil {
		return nil, err
	}
	s.id = cairn.NewSegmentID()
	if err := pw.w.plan(ctx, s.id); err != nil {
		return nil, err
	}
	entry, left, err := pw.e.copySegment(ctx, s, r, nil, nil)
	pw.w.leave(left...)
	return entry, err
}
