package conformance

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// everything is a limit no test reaches.
const everything = 1 << 30

// Scope names what a catalog cannot list by itself.
type Scope struct {
	Buckets []string // whose versions and uploads are dumped, in this order
	Uploads []string // ids of uploads whose parts are dumped, in this order
}

// Dump returns the whole content of a catalog as text, one fact a line. Two
// catalogs with equal dumps are equal, but for the times of garbage.
func Dump(ctx context.Context, c catalog.Catalog, scope Scope) (string, error) {
	d := &dumper{c: c}
	for _, step := range []func(context.Context, Scope) error{
		d.buckets, d.versions, d.segments, d.uploads, d.rest,
	} {
		if err := step(ctx, scope); err != nil {
			return "", err
		}
	}
	return d.out.String(), nil
}

type dumper struct {
	c   catalog.Catalog
	out strings.Builder
}

func (d *dumper) line(format string, args ...any) { fmt.Fprintf(&d.out, format+"\n", args...) }

func (d *dumper) buckets(ctx context.Context, _ Scope) error {
	buckets, err := d.c.Buckets(ctx, "", "", everything)
	for _, e := range buckets {
		d.line("bucket %q %x at %v", e.Bucket.Name, e.Bucket.Encode(), e.Record)
	}
	return err
}

func (d *dumper) versions(ctx context.Context, scope Scope) error {
	for _, name := range scope.Buckets {
		it, err := d.c.Versions(ctx, name)
		if err != nil {
			return err
		}
		for ok := it.Seek(""); ok; ok = it.Next() {
			e, err := it.Entry()
			if err != nil {
				return err
			}
			d.line("version %q %q %v %x at %v", name, it.Key(), e.Version.ID, e.Version.Encode(), e.Record)
		}
		if err := it.Err(); err != nil {
			return err
		}
		if err := it.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (d *dumper) segments(ctx context.Context, _ Scope) error {
	return d.c.Segments(ctx, cairn.SegmentID{}, func(e *catalog.SegmentEntry) error {
		d.line("segment %+v", *e)
		return nil
	})
}

func (d *dumper) uploads(ctx context.Context, scope Scope) error {
	for _, name := range scope.Buckets {
		uploads, err := d.c.Uploads(ctx, name, "", "", "", everything)
		if err != nil {
			return err
		}
		for _, e := range uploads {
			d.line("upload %q %+v", name, *e)
		}
	}
	for _, id := range scope.Uploads {
		parts, err := d.c.Parts(ctx, id, 0, everything)
		if err != nil {
			return err
		}
		for _, e := range parts {
			d.line("part %q %x %d", id, cairn.EncodePart(&e.Part), e.Modified)
		}
	}
	done, err := d.c.CompletedUploads(ctx, math.MaxInt64, everything)
	for _, e := range done {
		d.line("completed %+v", *e)
	}
	return err
}

func (d *dumper) rest(ctx context.Context, _ Scope) error {
	intents, err := d.c.Intents(ctx)
	if err != nil {
		return err
	}
	for _, e := range intents {
		d.line("intent %+v", *e)
	}
	garbage, err := d.c.Garbage(ctx, 0, everything)
	if err != nil {
		return err
	}
	for _, g := range garbage {
		d.line("garbage %d %v", g.ID, g.Place)
	}
	stats, err := d.c.Stats(ctx)
	d.line("stats %+v", stats)
	return err
}

func dumpText(t *testing.T, c catalog.Catalog) string {
	t.Helper()
	return must(Dump(t.Context(), c, randomScope))(t)
}

// Count counts a catalog by walking over all of it: what Stats must say.
// Buckets and uploads outside of the scope are not seen.
func Count(ctx context.Context, c catalog.Catalog, scope Scope) (catalog.Stats, error) {
	var s catalog.Stats
	text, err := Dump(ctx, c, scope)
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(text) {
		switch kind, _, _ := strings.Cut(line, " "); kind {
		case "bucket":
			s.Buckets++
		case "version":
			s.Versions++
		case "segment":
			s.Segments++
		case "upload":
			s.Uploads++
		case "garbage":
			s.Garbage++
		}
	}
	s.PlainBytes, err = plainBytes(ctx, c, scope)
	return s, err
}

func plainBytes(ctx context.Context, c catalog.Catalog, scope Scope) (int64, error) {
	var sum int64
	for _, name := range scope.Buckets {
		it, err := c.Versions(ctx, name)
		if err != nil {
			return 0, err
		}
		for ok := it.Seek(""); ok; ok = it.Next() {
			e, err := it.Entry()
			if err != nil {
				return 0, err
			}
			sum += e.Version.Size
		}
		if err := it.Close(); err != nil {
			return 0, err
		}
	}
	return sum, nil
}
