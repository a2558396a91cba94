package decode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/seal"
)

// File is one shard record to decode from. The caller closes it afterwards.
type File struct {
	Name string // for messages
	R    io.ReaderAt
	Size int64
}

// Output is something that is restored: an object, or a raw part of one whose
// version record is not at hand.
type Output struct {
	Version *cairn.Version // nil for a raw part
	Older   bool           // a newer version of the key is at hand too
	Object  cairn.ObjectID // of a raw part
	Part    int            // of a raw part; 0 for an object put whole
	Size    int64
}

// Name returns "bucket/key", with "@version" for older versions, or
// "object id.part" for a raw part.
func (o Output) Name() string {
	switch {
	case o.Version != nil && o.Older:
		return o.Version.Bucket + "/" + o.Version.Key + "@" + o.Version.ID.String()
	case o.Version != nil:
		return o.Version.Bucket + "/" + o.Version.Key
	}
	return fmt.Sprintf("%v.%05d", o.Object, o.Part)
}

// Sink takes the bytes of one output. Exactly one of Close, which keeps them,
// and Abort is called.
type Sink interface {
	io.WriteCloser
	Abort()
}

// Progress says how far decoding is.
type Progress struct {
	Outputs, Done     int   // to restore; restored or failed
	Bytes, TotalBytes int64 // of plaintext
}

// Options say where to.
type Options struct {
	// Create opens the sink of an output. Required; see Dir.
	Create   func(Output) (Sink, error)
	Progress func(Progress) // from one goroutine; may be nil
	Log      *slog.Logger   // nil discards
}

// Report says what became of everything.
type Report struct {
	Restored []Output
	Failed   []Failure
	Skipped  []Skipped
}

// Failure is an output that could not be restored.
type Failure struct {
	Output Output
	Err    error
}

// Skipped is a file that holds no record of this owner that could be used.
type Skipped struct {
	Name string
	Err  error
}

// Decode restores every object the files hold. The error is nil when all of
// them were restored; else it names the first failure and Report has them all.
// Files that are not usable are in Report.Skipped and no error of their own.
func Decode(ctx context.Context, files []File, keys *seal.Keys, opts Options) (Report, error) {
	if keys == nil || opts.Create == nil {
		return Report{}, cairn.Errorf("decode", cairn.Invalid, "keys and a place to write to are required")
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	d := &decoder{keys: keys, opts: opts, segments: map[cairn.SegmentID]*segment{}}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return d.report, err
		}
		if err := d.scan(f); err != nil {
			opts.Log.WarnContext(ctx, "file skipped", "file", f.Name, "err", err)
			d.report.Skipped = append(d.report.Skipped, Skipped{f.Name, err})
		}
	}
	jobs := d.plan()
	if len(jobs) == 0 {
		return d.report, cairn.Errorf("decode", cairn.NotFound, "none of %d files holds a part of an object", len(files)).
			WithHint("check the recovery phrase, and that the files are whole shard records")
	}
	return d.run(ctx, jobs)
}

// decoder is one call of Decode.
type decoder struct {
	keys     *seal.Keys
	opts     Options
	segments map[cairn.SegmentID]*segment
	versions []*cairn.Version
	report   Report
	progress Progress
	stripe   stripe
}

// job is an output and the segments it consists of, in order.
type job struct {
	out   Output
	parts []partJob
}

type partJob struct {
	number   int
	key      []byte // wrapped content key
	want     cairn.Manifest
	segments []cairn.Segment
}

// plan lists what there is to restore: each version once, newest first within a
// key, and then the parts that no version mentions.
func (d *decoder) plan() (jobs []job) {
	used := map[cairn.SegmentID]bool{}
	slices.SortStableFunc(d.versions, func(a, b *cairn.Version) int {
		return cmp.Or(strings.Compare(a.Bucket, b.Bucket), strings.Compare(a.Key, b.Key), b.ID.Compare(a.ID), cmp.Compare(d.missing(a), d.missing(b)))
	})
	var last *cairn.Version
	for _, v := range d.versions {
		j := job{out: Output{Version: v, Size: v.Size}}
		for _, p := range v.Parts {
			for _, s := range p.Segments {
				used[s.ID], used[s.Mirror] = true, true
			}
			j.parts = append(j.parts, partJob{
				number: p.Number, key: p.Key, segments: p.Segments,
				want: cairn.Manifest{Object: p.Object, Part: p.Written, PartLen: p.Size},
			})
		}
		isSameKey := last != nil && last.Bucket == v.Bucket && last.Key == v.Key
		if isSameKey && last.ID == v.ID || v.Marker {
			continue // another copy of the record, from a segment with more missing
		}
		j.out.Older = isSameKey
		last = v
		jobs = append(jobs, j)
	}
	return append(jobs, d.planRaw(used)...)
}

// missing counts the shards a version lacks.
func (d *decoder) missing(v *cairn.Version) (n int) {
	for _, p := range v.Parts {
		for _, s := range p.Segments {
			if seg := d.segments[s.ID]; seg == nil {
				n += cairn.MaxShards
			} else {
				n += max(seg.scheme().Data-len(seg.shards), 0)
			}
		}
	}
	return n
}

// planRaw makes a job of each part none of whose segments was used.
func (d *decoder) planRaw(used map[cairn.SegmentID]bool) (jobs []job) {
	type key struct {
		object cairn.ObjectID
		part   int
	}
	parts := map[key][]*segment{}
	for id, s := range d.segments {
		if !used[id] {
			k := key{s.manifest.Object, s.manifest.Part}
			parts[k] = append(parts[k], s)
		}
	}
	for k, list := range parts {
		slices.SortFunc(list, func(a, b *segment) int {
			return cmp.Or(cmp.Compare(a.manifest.Number, b.manifest.Number), cmp.Compare(len(b.shards), len(a.shards)))
		})
		list = slices.CompactFunc(list, func(a, b *segment) bool { return a.manifest.Number == b.manifest.Number })
		m := list[0].manifest
		p := partJob{number: m.Part, key: m.Key, want: cairn.Manifest{Object: m.Object, Part: m.Part, PartLen: m.PartLen}}
		for _, s := range list {
			p.segments = append(p.segments, cairn.Segment{ID: s.id, PlainLen: s.manifest.PlainLen})
		}
		jobs = append(jobs, job{out: Output{Object: k.object, Part: k.part, Size: m.PartLen}, parts: []partJob{p}})
	}
	slices.SortFunc(jobs, func(a, b job) int { return strings.Compare(a.out.Name(), b.out.Name()) })
	return jobs
}

func (d *decoder) run(ctx context.Context, jobs []job) (Report, error) {
	d.progress.Outputs = len(jobs)
	for _, j := range jobs {
		d.progress.TotalBytes += j.out.Size
	}
	var first error
	for _, j := range jobs {
		before := d.progress.Bytes
		err := d.restore(ctx, j)
		if ctx.Err() != nil {
			return d.report, ctx.Err()
		}
		if err != nil {
			err = fmt.Errorf("restore %s: %w", j.out.Name(), err)
			d.report.Failed = append(d.report.Failed, Failure{j.out, err})
			first = cmp.Or(first, err)
			d.progress.TotalBytes -= j.out.Size - (d.progress.Bytes - before)
		} else {
			d.report.Restored = append(d.report.Restored, j.out)
		}
		d.progress.Done++
		d.opts.Progress(d.progress)
	}
	return d.report, first
}

// restore writes one output. Everything that can be known to be missing is said
// before a byte is written.
func (d *decoder) restore(ctx context.Context, j job) error {
	var size int64
	for i := range j.parts {
		n, err := d.check(&j.parts[i])
		if err != nil {
			if len(j.parts) > 1 {
				err = fmt.Errorf("part %d: %w", j.parts[i].number, err)
			}
			return err
		}
		size += n
	}
	if size != j.out.Size {
		return cairn.Errorf("decode", cairn.Corrupt, "the parts have %d bytes, the object has %d", size, j.out.Size)
	}
	sink, err := d.opts.Create(j.out)
	if err != nil {
		return err
	}
	for i := range j.parts {
		if err := d.writePart(ctx, sink, &j.parts[i]); err != nil {
			sink.Abort()
			return err
		}
	}
	return sink.Close()
}

// check chooses a readable segment for each place in the part, or says which
// shards are missing.
func (d *decoder) check(p *partJob) (size int64, err error) {
	var errs []error
	for i := range p.segments {
		ref := &p.segments[i]
		err := d.checkSegment(p, i, ref.ID, ref.PlainLen)
		if err != nil && ref.Mirror != (cairn.SegmentID{}) && d.checkSegment(p, i, ref.Mirror, ref.PlainLen) == nil {
			ref.ID, err = ref.Mirror, nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("segment %d: %w", i, err))
		}
		size += ref.PlainLen
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	if size != p.want.PartLen {
		return 0, cairn.Errorf("decode", cairn.Unavailable, "%d segments have %d bytes of %d; the others are missing", len(p.segments), size, p.want.PartLen)
	}
	return size, nil
}

func (d *decoder) checkSegment(p *partJob, number int, id cairn.SegmentID, plainLen int64) error {
	const op = "decode"
	s := d.segments[id]
	if s == nil {
		return cairn.Errorf(op, cairn.Unavailable, "have no shard of %s", id.Short())
	}
	m := s.manifest
	if m.Object != p.want.Object || m.Part != p.want.Part || m.PartLen != p.want.PartLen || m.Number != number || m.PlainLen != plainLen {
		return cairn.Errorf(op, cairn.Corrupt, "segment %s belongs elsewhere, or the segment before it is missing", id.Short())
	}
	if missing := s.scheme().Data - len(s.shards); missing > 0 {
		return cairn.Errorf(op, cairn.Unavailable, "have shards %s; need %d more", s.indices(), missing)
	}
	return nil
}

// writePart writes the segments of a part.
func (d *decoder) writePart(ctx context.Context, w io.Writer, p *partJob) error {
	key := p.key
	for i, ref := range p.segments {
		s := d.segments[ref.ID]
		if len(key) == 0 {
			key = s.manifest.Key
		}
		content, err := d.keys.UnwrapKey(key)
		if err != nil {
			return err
		}
		if err := d.writeSegment(ctx, w, s, content); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return nil
}
