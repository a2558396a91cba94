package conformance

import (
	"encoding/binary"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// versionID returns the n-th version id in order of age.
func versionID(n int) cairn.VersionID {
	var id cairn.VersionID
	binary.BigEndian.PutUint64(id[:], uint64(n))
	id[15] = byte(n)
	return id
}

func segmentID(n int) cairn.SegmentID {
	var id cairn.SegmentID
	binary.BigEndian.PutUint64(id[:], uint64(n)*0x9E3779B97F4A7C15) // spread, so that order of id is not order of n
	id[31] = byte(n)
	return id
}

func objectID(n int) cairn.ObjectID {
	var id cairn.ObjectID
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func nodeID(n int) cairn.NodeID {
	var id cairn.NodeID
	id[0], id[31] = byte(n>>8), byte(n)
	return id
}

func nodes(ns ...int) []cairn.NodeID {
	var out []cairn.NodeID
	for _, n := range ns {
		out = append(out, nodeID(n))
	}
	return out
}

func bucket(name string) *catalog.BucketEntry {
	return &catalog.BucketEntry{
		Bucket: cairn.Bucket{
			Name: name, ID: versionID(len(name)), Created: 1700000000000000001, Region: "eu-west-7",
			Settings: []cairn.Attr{{Name: "cors", Value: "<x/>"}, {Name: "versioning", Value: "Enabled"}},
		},
		Record: catalog.Location{Segment: segmentID(1), Nodes: nodes(1, 0, 3)},
	}
}

// version returns a small version entry.
func version(bucket, key string, n int) *catalog.VersionEntry {
	return &catalog.VersionEntry{Version: cairn.Version{
		Bucket: bucket, Key: key, ID: versionID(n), Size: int64(n) * 10, ETag: "d41d8cd98f00b204e9800998ecf8427e",
	}}
}

// fullVersion returns a version entry with every field set.
func fullVersion(bucket, key string, n int) *catalog.VersionEntry {
	e := version(bucket, key, n)
	v := &e.Version
	v.Headers = []cairn.Attr{{Name: "content-type", Value: "text/plain"}, {Name: "x-amz-meta-empty"}}
	v.Tags = []cairn.Attr{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}}
	v.StorageClass = "MIRRORED"
	v.Checksums = []cairn.Checksum{{Algorithm: "CRC32", Value: "AAAAAA==-2", Composite: true}}
	v.Parts = []cairn.Part{part(1), part(2)}
	v.Marker, v.Null, v.LegalHold = true, true, true
	v.Modified, v.RetainUntil, v.RetainMode = 5, 6, "COMPLIANCE"
	e.Record = catalog.Location{Segment: segmentID(n), Nodes: nodes(4, 5, 0, 6)}
	return e
}

func part(n int) cairn.Part {
	return cairn.Part{
		Number: n, Size: 5 << 20, ETag: "5f363e0e58a95f06cbe9bbc662c5dfb6",
		Checksums: []cairn.Checksum{{Algorithm: "SHA256", Value: "AA=="}},
		Object:    objectID(n), Written: n, Key: []byte{1, 2, 3},
		Segments: []cairn.Segment{{ID: segmentID(n), PlainLen: 5 << 20, Mirror: segmentID(n + 1)}},
	}
}

func segment(n, refs int) *catalog.SegmentEntry {
	return &catalog.SegmentEntry{
		Location: catalog.Location{Segment: segmentID(n), Nodes: nodes(1, 2, 0)},
		Kind:     cairn.KindSmall,
		Scheme:   cairn.Scheme{Data: 1, Parity: 2, BlockSize: cairn.DefaultBlockSize},
		PlainLen: int64(n),
		Roots:    []cairn.Root{{1}, {2}, {3}},
		Refs:     refs,
	}
}

func upload(bucket, key, id string) *catalog.UploadEntry {
	return &catalog.UploadEntry{
		ID: id, Initiated: 1700000000000000002, Algorithm: "CRC64NVME", FullObject: true,
		Template: cairn.Version{
			Bucket: bucket, Key: key, StorageClass: "MIRRORED",
			Headers: []cairn.Attr{{Name: "content-type", Value: "text/plain"}},
			Tags:    []cairn.Attr{{Name: "a", Value: "1"}},
		},
	}
}

func partEntry(n int) *catalog.PartEntry {
	return &catalog.PartEntry{Part: part(n), Modified: 1700000000000000003}
}

func uploadKey(e *catalog.UploadEntry) catalog.UploadKey {
	return catalog.UploadKey{Bucket: e.Template.Bucket, Key: e.Template.Key, ID: e.ID}
}

func versionKey(e *catalog.VersionEntry) catalog.VersionKey {
	return catalog.VersionKey{Bucket: e.Version.Bucket, Key: e.Version.Key, ID: e.Version.ID}
}

// awkwardKeys are keys whose order an encoding may get wrong, in byte order.
var awkwardKeys = []string{
	"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "\x01\x00", "a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x00\x02",
	"a\x00b", "a\x00\xff", "a\x00\xff\x00", "a\x01", "a/", "a/b", "a/b/c", "aa", "a\xff", "a\xff\x00", "b", "é", "日本", "\U0001F600",
	"\xff", "\xff\x00", "\xff\x01", "\xff\xff",
}
