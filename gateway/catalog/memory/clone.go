package memory

import (
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// Records are cloned by way of their encoding: deep by construction, and what
// could not be stored on a disk is refused here too.

func cloneLocation(l catalog.Location) catalog.Location {
	return catalog.Location{Segment: l.Segment, Nodes: slices.Clone(l.Nodes)}
}

func cloneLocations(ls []catalog.Location) []catalog.Location {
	var out []catalog.Location
	for _, l := range ls {
		out = append(out, cloneLocation(l))
	}
	return out
}

func cloneBucket(e *catalog.BucketEntry) (*catalog.BucketEntry, error) {
	b, err := cairn.DecodeBucket(e.Bucket.Encode())
	if err != nil {
		return nil, cairn.NewError("copy bucket", cairn.Invalid, err)
	}
	return &catalog.BucketEntry{Bucket: *b, Record: cloneLocation(e.Record)}, nil
}

func cloneVersion(e *catalog.VersionEntry) (*catalog.VersionEntry, error) {
	v, err := cairn.DecodeVersion(e.Version.Encode())
	if err != nil {
		return nil, cairn.NewError("copy version", cairn.Invalid, err)
	}
	return &catalog.VersionEntry{Version: *v, Record: cloneLocation(e.Record)}, nil
}

func cloneUpload(e *catalog.UploadEntry) (*catalog.UploadEntry, error) {
	v, err := cairn.DecodeVersion(e.Template.Encode())
	if err != nil {
		return nil, cairn.NewError("copy upload", cairn.Invalid, err)
	}
	out := *e
	out.Template = *v
	return &out, nil
}

func clonePart(e *catalog.PartEntry) (*catalog.PartEntry, error) {
	p, err := cairn.DecodePart(cairn.EncodePart(&e.Part))
	if err != nil {
		return nil, cairn.NewError("copy part", cairn.Invalid, err)
	}
	return &catalog.PartEntry{Part: p, Modified: e.Modified}, nil
}

func cloneSegment(e *catalog.SegmentEntry) *catalog.SegmentEntry {
	out := *e
	out.Location = cloneLocation(e.Location)
	out.Roots = slices.Clone(e.Roots)
	return &out
}

func cloneIntent(e *catalog.Intent) *catalog.Intent {
	out := *e
	out.Places = cloneLocations(e.Places)
	return &out
}

func cloneGarbage(e *catalog.Garbage) *catalog.Garbage {
	out := *e
	out.Place = cloneLocation(e.Place)
	return &out
}
