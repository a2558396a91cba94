package cairn

import (
	"bytes"
	"errors"
	"testing"
)

func sampleID(first byte) (id [32]byte) {
	for i := range id {
		id[i] = first + byte(i)
	}
	return id
}

func sampleVersionID(first byte) VersionID { id := sampleID(first); return VersionID(id[:16]) }
func sampleObjectID(first byte) ObjectID   { id := sampleID(first); return ObjectID(id[:16]) }

// sampleVersion has every field.
func sampleVersion() *Version {
	return &Version{
		Bucket: "photos", Key: "2026/ü/\x01.jpg", ID: sampleVersionID(0x10), Size: 70000003, ETag: "5d41402abc4b2a76b9719d911017c592-2",
		Headers:      []Attr{{"content-type", "image/jpeg"}, {"x-amz-meta-empty", ""}},
		Tags:         []Attr{{"class", "holiday"}},
		StorageClass: "MIRRORED",
		Checksums:    []Checksum{{"CRC64NVME", "AAAAAAAAAAA=", false}, {"SHA256", "AA==-2", true}},
		Parts: []Part{
			{
				Number: 1, Size: 70000000, ETag: "5d41402abc4b2a76b9719d911017c592", Checksums: []Checksum{{"CRC32", "AAAAAA==", false}},
				Object: sampleObjectID(0x20), Written: 1, Key: bytes.Repeat([]byte{7}, 120),
				Segments: []Segment{{ID: SegmentID(sampleID(0x30)), PlainLen: MaxSegmentPlain, Mirror: SegmentID(sampleID(0x40))}, {ID: SegmentID(sampleID(0x50)), PlainLen: 2891136}},
			},
			{Number: 7, Size: 3, ETag: "900150983cd24fb0d6963f7d28e17f72", Object: sampleObjectID(0x60), Written: 2, Segments: []Segment{{ID: SegmentID(sampleID(0x70)), PlainLen: 3}}},
		},
		Marker: true, Null: true, Modified: 1790000000123456789, RetainUntil: 1800000000, RetainMode: "GOVERNANCE", LegalHold: true,
	}
}

// sampleManifest has every field.
func sampleManifest() *Manifest {
	return &Manifest{
		Object: sampleObjectID(0x20), Part: 1, Number: 1, PlainLen: 2891136, PartLen: 70000000, Key: bytes.Repeat([]byte{7}, 120),
		Roots: []Root{sampleID(0x80), sampleID(0x90)}, Nodes: []NodeID{sampleID(0xa0), sampleID(0xb0)}, Version: []byte("version"),
	}
}

func sampleTombstone() *Tombstone {
	return &Tombstone{Bucket: "photos", Key: "a/b", ID: sampleVersionID(0x11), Target: sampleVersionID(0x10)}
}

func sampleBucket() *Bucket {
	return &Bucket{Name: "photos", ID: sampleVersionID(0x12), Created: 1790000000123456789, Deleted: true, Region: "eu", Settings: []Attr{{"cors", "<CORS/>"}, {"versioning", "Enabled"}}}
}

// record is one of the four kinds of record, seen as bytes.
type record struct {
	name   string
	sample []byte
	again  func(b []byte) ([]byte, error) // decode, encode
}

type encodable interface{ Encode() []byte }

func reencode[T encodable](decode func([]byte) (T, error)) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := decode(b)
		if err != nil {
			return nil, err
		}
		return v.Encode(), nil
	}
}

func records() []record {
	return []record{
		{"manifest", sampleManifest().Encode(), reencode(DecodeManifest)},
		{"version", sampleVersion().Encode(), reencode(DecodeVersion)},
		{"tombstone", sampleTombstone().Encode(), reencode(DecodeTombstone)},
		{"bucket", sampleBucket().Encode(), reencode(DecodeBucket)},
	}
}

func TestRecordsSurviveEncoding(t *testing.T) {
	for _, r := range records() {
		if got, err := r.again(r.sample); err != nil || !bytes.Equal(got, r.sample) {
			t.Errorf("%s: decode and encode = %x, %v, want %x", r.name, got, err, r.sample)
		}
	}
}

func TestFieldsOfNewerVersionsAreKept(t *testing.T) {
	for _, r := range records() {
		for _, extra := range []string{"\x3f\x03new", "\x3f\x00", "\x3f\x01a\x3f\x01b", "\x80\x01\x01x"} {
			b := append(bytes.Clone(r.sample), extra...)
			if got, err := r.again(b); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s with field %q: decode and encode = %v, want the same bytes", r.name, extra, err)
			}
		}
	}
	// In the middle, and inside parts and segments.
	v := sampleVersion()
	v.Parts[0].unknown = []field{{40, []byte("part")}}
	v.Parts[0].Segments[1].unknown = []field{{2000, []byte("segment")}}
	if got, err := reencode(DecodeVersion)(v.Encode()); err != nil || !bytes.Equal(got, v.Encode()) {
		t.Errorf("nested unknown fields: %v", err)
	}
}

func TestOnlyOneEncodingIsAccepted(t *testing.T) {
	id := string(bytes.Repeat([]byte{1}, 16))
	zero := string(make([]byte, 16))
	manifest, version, tombstone := reencode(DecodeManifest), reencode(DecodeVersion), reencode(DecodeTombstone)
	tests := []struct {
		name   string
		decode func([]byte) ([]byte, error)
		bytes  string
	}{
		{"nothing", manifest, ""},
		{"no object", manifest, "\x02\x01\x01"},
		{"short object", manifest, "\x01\x0f" + id[1:]},
		{"field twice", manifest, "\x01\x10" + id + "\x02\x01\x01\x02\x01\x02"},
		{"fields out of order", manifest, "\x02\x01\x01\x01\x10" + id},
		{"zero written", manifest, "\x01\x10" + id + "\x02\x01\x00"},
		{"long number", manifest, "\x01\x10" + id + "\x02\x02\x81\x00"},
		{"long length", manifest, "\x01\x90\x00" + id},
		{"tag zero", manifest, "\x00\x00\x01\x10" + id},
		{"part number too high", manifest, "\x01\x10" + id + "\x02\x02\x91\x4e"},
		{"half a root", manifest, "\x01\x10" + id + "\x07\x10" + id},
		{"cut off", manifest, "\x01\x10" + id[1:]},
		{"no version id", version, "\x01\x01b"},
		{"empty bucket written", version, "\x01\x00\x03\x10" + id},
		{"false written", version, "\x03\x10" + id + "\x0b\x01\x00"},
		{"zero target", tombstone, "\x03\x10" + id + "\x04\x10" + zero},
		{"attribute with a third field", version, "\x03\x10" + id + "\x06\x03\x03\x01x"},
		{"huge length", manifest, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
	}
	for _, tt := range tests {
		if _, err := tt.decode([]byte(tt.bytes)); !errors.Is(err, Corrupt) {
			t.Errorf("%s: decode(%q) = %v, want Corrupt", tt.name, tt.bytes, err)
		}
	}
}

func TestTombstonesKillWhatIsOlderOrNamed(t *testing.T) {
	old, at, newer := VersionID{1}, VersionID{2}, VersionID{3}
	all, one := &Tombstone{ID: at}, &Tombstone{ID: newer, Target: old}
	tests := []struct {
		t    *Tombstone
		id   VersionID
		want bool
	}{{all, old, true}, {all, at, false}, {all, newer, false}, {one, old, true}, {one, at, false}, {one, newer, false}}
	for _, tt := range tests {
		if got := tt.t.Kills(tt.id); got != tt.want {
			t.Errorf("tombstone %v of %v kills %v = %v, want %v", tt.t.ID, tt.t.Target, tt.id, got, tt.want)
		}
	}
}

func fuzzRecord(f *testing.F, n int) {
	r := records()[n]
	f.Add(r.sample)
	for i := range r.sample { // all prefixes of the sample, and its fields one by one
		f.Add(r.sample[:i])
	}
	f.Add(append(bytes.Clone(r.sample), "\x3f\x03new"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := r.again(b)
		if err != nil && KindOf(err) != Corrupt {
			t.Errorf("decode %s %x = %v, want Corrupt", r.name, b, err)
		}
		if err == nil && !bytes.Equal(got, b) {
			t.Errorf("decode %s %x encodes to %x", r.name, b, got)
		}
	})
}

func FuzzDecodeManifest(f *testing.F)  { fuzzRecord(f, 0) }
func FuzzDecodeVersion(f *testing.F)   { fuzzRecord(f, 1) }
func FuzzDecodeTombstone(f *testing.F) { fuzzRecord(f, 2) }
func FuzzDecodeBucket(f *testing.F)    { fuzzRecord(f, 3) }
