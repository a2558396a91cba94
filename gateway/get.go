package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/seal"
)

// Get opens an object. Nothing is read from nodes before Body.WriteTo.
func (e *Engine) Get(ctx context.Context, req GetRequest) (*Object, error) {
	for {
		o, err := e.open(ctx, req)
		// A version found and overwritten before its segments were looked up
		// has a newer one to be found.
		if !errors.Is(err, errOvertaken) || ctx.Err() != nil {
			return o, err
		}
	}
}

// errOvertaken says that a version was dropped while it was being opened.
var errOvertaken = errors.New("version was dropped meanwhile")

func (e *Engine) open(ctx context.Context, req GetRequest) (*Object, error) {
	v, err := e.find(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := req.If.Check(v, e.cfg.Now()); err != nil {
		return nil, err
	}
	o := &Object{Version: v, Length: v.Size}
	switch {
	case req.PartNumber > 0:
		err = o.selectPart(req.PartNumber)
	case req.Range != nil && !(v.Size == 0 && req.Range.Suffix > 0):
		o.Partial = true
		o.Offset, o.Length, err = req.Range.Resolve(v.Size)
	}
	if err != nil {
		return nil, err
	}
	body, err := e.openBody(ctx, v, o.Offset, o.Offset+o.Length)
	if err != nil {
		return nil, err
	}
	o.Body = body
	return o, nil
}

// openBody pins bytes [from, to) of a version and looks up where they lie. The
// caller closes the body. A version that has been dropped meanwhile is
// errOvertaken: it has a newer one to be found.
func (e *Engine) openBody(ctx context.Context, v *cairn.Version, from, to int64) (*objectBody, error) {
	b := &objectBody{e: e, ctx: ctx, parts: v.Parts, from: from, to: to, unpin: e.pins.hold(v.Parts)}
	var err error
	if b.entries, err = e.lookAhead(ctx, v); err != nil {
		b.unpin()
		return nil, err
	}
	return b, nil
}

// segmentsAhead bounds the segments that are looked up when an object is
// opened: should the object be deleted before it is read to its end, they are
// still known. What lies behind them is looked up when the read gets there.
const segmentsAhead = 64

// segmentEntries are the segments of an object, as far as looked up.
type segmentEntries map[cairn.SegmentID]*catalog.SegmentEntry

func (e *Engine) lookAhead(ctx context.Context, v *cairn.Version) (segmentEntries, error) {
	known := segmentEntries{}
	for _, p := range v.Parts {
		for _, s := range p.Segments {
			if len(known) >= segmentsAhead {
				return known, nil
			}
			found, err := e.lookUp(ctx, nil, s)
			if errors.Is(err, errNotIndexed) && e.dropped(ctx, v) {
				err = errOvertaken
			}
			if err != nil {
				return nil, err
			}
			for _, entry := range found {
				known[entry.Segment] = entry
			}
		}
	}
	return known, nil
}

// errNotIndexed says that a segment of an object is not in the catalog: the
// version was dropped, or a recovery has not found the segment on any node.
var errNotIndexed = cairn.Errorf("look up segment", cairn.Unavailable, "recovery found it on no node")

// lookUp returns the entries of a segment and of its mirror, as far as there are
// any, or errNotIndexed.
func (e *Engine) lookUp(ctx context.Context, known segmentEntries, s cairn.Segment) (found []*catalog.SegmentEntry, err error) {
	for _, id := range []cairn.SegmentID{s.ID, s.Mirror} {
		entry := known[id]
		if entry == nil && id != (cairn.SegmentID{}) {
			entry, err = e.catalog.Segment(ctx, id)
			if err != nil && !errors.Is(err, cairn.NotFound) {
				return nil, fmt.Errorf("look up segment %s: %w", id.Short(), err)
			}
		}
		if entry != nil {
			found = append(found, entry)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("segment %s: %w", s.ID.Short(), errNotIndexed)
	}
	return found, nil
}

// dropped reports whether v is no longer in the catalog.
func (e *Engine) dropped(ctx context.Context, v *cairn.Version) bool {
	_, err := e.catalog.Version(ctx, v.Bucket, v.Key, v.ID)
	return errors.Is(err, cairn.NotFound)
}

// find returns the version a read asks for.
func (e *Engine) find(ctx context.Context, req GetRequest) (*cairn.Version, error) {
	if _, err := e.bucket(ctx, req.Bucket); err != nil {
		return nil, err
	}
	if req.Version.IsZero() {
		v, err := e.newest(ctx, req.Bucket, req.Key)
		if err != nil {
			return nil, err
		}
		if v == nil || v.Version.Marker {
			return nil, fmt.Errorf("%q/%q: %w", req.Bucket, req.Key, ErrNoSuchKey)
		}
		return &v.Version, nil
	}
	v, err := e.catalog.Version(ctx, req.Bucket, req.Key, req.Version)
	if errors.Is(err, cairn.NotFound) {
		return nil, fmt.Errorf("%q/%q: %w", req.Bucket, req.Key, ErrNoSuchVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("look up version of %q/%q: %w", req.Bucket, req.Key, err)
	}
	if v.Version.Marker {
		return nil, ErrDeleteMarker
	}
	return &v.Version, nil
}

// selectPart narrows o to one part. An object that was put whole is its own
// part 1.
func (o *Object) selectPart(number int) error {
	v := o.Version
	if len(v.Parts) == 0 || v.Parts[0].Number == 0 {
		if number != 1 {
			return ErrInvalidPartNo
		}
		o.Partial = v.Size > 0
		return nil
	}
	var at int64
	for _, p := range v.Parts {
		if p.Number == number {
			o.Offset, o.Length, o.Partial, o.Parts = at, p.Size, true, len(v.Parts)
			return nil
		}
		at += p.Size
	}
	return ErrInvalidPartNo
}

// objectBody writes bytes [from, to) of an object. It carries the context of
// the request it was opened for, which is as long as it lives.
type objectBody struct {
	e        *Engine
	ctx      context.Context
	parts    []cairn.Part
	from, to int64
	entries  segmentEntries
	unpin    func()
}

// Close lets the object's segments be collected, if it was deleted meanwhile.
func (b *objectBody) Close() error {
	b.unpin()
	return nil
}

// WriteTo implements Body.
func (b *objectBody) WriteTo(w io.Writer) (written int64, err error) {
	w = paced(w) // notices a slow client once for all segments
	var partStart int64
	for i := range b.parts {
		p := &b.parts[i]
		partEnd := partStart + p.Size
		if partEnd > b.from && partStart < b.to {
			n, err := b.e.writePartRange(b.ctx, w, b.entries, p, max(b.from-partStart, 0), min(b.to, partEnd)-partStart)
			written += n
			b.e.metrics.read(n)
			if err != nil {
				return written, err
			}
		}
		partStart = partEnd
	}
	return written, nil
}

// writePartRange writes bytes [from, to) of a part.
func (e *Engine) writePartRange(ctx context.Context, w io.Writer, known segmentEntries, p *cairn.Part, from, to int64) (written int64, err error) {
	content, err := e.keys.UnwrapKey(p.Key)
	if err != nil {
		return 0, fmt.Errorf("unwrap content key: %w", err)
	}
	var start int64
	for number, s := range p.Segments {
		end := start + s.PlainLen
		if end > from && start < to {
			r, err := e.partSegment(ctx, known, p, number, content)
			if err != nil {
				return written, err
			}
			n, err := r.writeRange(ctx, w, max(from-start, 0), min(to, end)-start)
			written += n
			if err != nil {
				return written, err
			}
		}
		start = end
	}
	return written, nil
}

// partSegment returns the reader of a part's segment, with its mirror.
func (e *Engine) partSegment(ctx context.Context, known segmentEntries, p *cairn.Part, number int, content seal.ContentKey) (*segmentReader, error) {
	found, err := e.lookUp(ctx, known, p.Segments[number])
	if err != nil {
		return nil, err
	}
	c := seal.Context{Owner: e.keys.Owner(), Object: p.Object, Part: p.Written, Number: number, PartLen: p.Size}
	r, err := e.newSegmentReader(found[0], content, c)
	if err == nil && len(found) > 1 {
		r.mirror, err = e.newSegmentReader(found[1], content, c)
	}
	return r, err
}

// pins are the segments that somebody is reading: a delete leaves them on
// their nodes until the read has ended. The zero value is ready.
type pins struct {
	mu    sync.Mutex // guards count
	count map[cairn.SegmentID]int
}

// hold pins every segment of parts and returns what lets go, once.
func (p *pins) hold(parts []cairn.Part) (release func()) {
	p.change(parts, 1)
	return sync.OnceFunc(func() { p.change(parts, -1) })
}

func (p *pins) change(parts []cairn.Part, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == nil {
		p.count = map[cairn.SegmentID]int{}
	}
	for _, part := range parts {
		for _, s := range part.Segments {
			for _, id := range []cairn.SegmentID{s.ID, s.Mirror} {
				if p.count[id] += n; p.count[id] == 0 {
					delete(p.count, id)
				}
			}
		}
	}
}

func (p *pins) held(place catalog.Location) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[place.Segment] > 0
}
