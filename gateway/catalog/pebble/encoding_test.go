package pebble

import (
	"bytes"
	"cmp"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

func FuzzKeysAreInTheOrderOfTheirStrings(f *testing.F) {
	pieces := []string{"", "\x00", "\x01", "\x02", "a", "\xff", "\x00\xff", "\x00\x01", "a\x00", "a\xff", "\x81", "\xfa"}
	for _, a := range pieces {
		for _, b := range pieces {
			f.Add("b", a, "b", b, byte(1), byte(2))
			f.Add(a, "k", b, "k", byte(2), byte(1))
		}
	}
	f.Fuzz(func(t *testing.T, bucket1, key1, bucket2, key2 string, id1, id2 byte) {
		k1 := catalog.VersionKey{Bucket: bucket1, Key: key1, ID: cairn.VersionID{3: id1}}
		k2 := catalog.VersionKey{Bucket: bucket2, Key: key2, ID: cairn.VersionID{3: id2}}
		e1, e2 := versionKey(k1), versionKey(k2)
		want := cmp.Or(strings.Compare(bucket1, bucket2), strings.Compare(key1, key2), k2.ID.Compare(k1.ID))
		if got := bytes.Compare(e1, e2); got != want {
			t.Errorf("order of %+v and %+v is %d, want %d", k1, k2, got, want)
		}
		for _, k := range []catalog.VersionKey{k1, k2} {
			e := versionKey(k)
			bucket, rest, ok := cutText(e[1:])
			key, id, ok2 := cutText(rest)
			if !ok || !ok2 || bucket != k.Bucket || key != k.Key || len(id) != 16 || versionOf(e) != k.ID {
				t.Errorf("%+v comes back as %q, %q, %v", k, bucket, key, versionOf(e))
			}
			if prefix := versionPrefix(k.Bucket, k.Key); !bytes.HasPrefix(e, prefix) || bytes.Compare(e, endOf(prefix)) >= 0 {
				t.Errorf("the key of %+v lies outside of its object's range", k)
			}
		}
		// A listing with a prefix covers the keys with the prefix and no others.
		prefix := appendEscaped(bucketPrefix(tableVersion, bucket2), key2)
		inside := bytes.Compare(e1, prefix) >= 0 && bytes.Compare(e1, endOf(prefix)) < 0
		if want := bucket1 == bucket2 && strings.HasPrefix(key1, key2); inside != want {
			t.Errorf("key %q of %q in the range of prefix %q of %q: %v, want %v", key1, bucket1, key2, bucket2, inside, want)
		}
	})
}

// decoders by name; each returns what it decoded and how that is encoded.
var decoders = map[string]func(b []byte) (any, []byte, error){
	"bucket": func(b []byte) (any, []byte, error) {
		e, err := decodeBucket(b)
		return again(e, err, encodeBucket)
	},
	"version": func(b []byte) (any, []byte, error) {
		e, err := decodeVersion(b)
		return again(e, err, encodeVersion)
	},
	"upload": func(b []byte) (any, []byte, error) {
		e, err := decodeUpload(b)
		return again(e, err, encodeUpload)
	},
	"part": func(b []byte) (any, []byte, error) {
		e, err := decodePart(b)
		return again(e, err, encodePart)
	},
	"segment": func(b []byte) (any, []byte, error) {
		e, err := decodeSegment(cairn.SegmentID{1}, b)
		return again(e, err, plainly(encodeSegment))
	},
	"intent": func(b []byte) (any, []byte, error) {
		e, err := decodeIntent(cairn.VersionID{1}, b)
		return again(e, err, plainly(encodeIntent))
	},
	"garbage": func(b []byte) (any, []byte, error) {
		e, err := decodeGarbage(1, b)
		return again(e, err, plainly(encodeGarbage))
	},
	"counts": func(b []byte) (any, []byte, error) {
		e, err := decodeCounts(b)
		return again(e, err, plainly(counts.encode))
	},
	"totals": func(b []byte) (any, []byte, error) {
		e, err := decodeTotals(b)
		return again(e, err, plainly(totals.encode))
	},
}

func again[T any](e T, err error, encode func(T) ([]byte, error)) (any, []byte, error) {
	if err != nil {
		return e, nil, err
	}
	b, err := encode(e)
	return e, b, err
}

func plainly[T any](encode func(T) []byte) func(T) ([]byte, error) {
	return func(e T) ([]byte, error) { return encode(e), nil }
}

// samples are values of every kind, full and empty.
func samples() [][]byte {
	place := catalog.Location{Segment: cairn.SegmentID{9}, Nodes: []cairn.NodeID{{1}, {}, {3}}}
	v := cairn.Version{Bucket: "b", Key: "k\x00", ID: cairn.VersionID{1}, Size: 7, Parts: []cairn.Part{{Number: 1, Key: []byte{1}, Segments: []cairn.Segment{{ID: place.Segment}}}}}
	out := [][]byte{
		nil, {valueFormat}, {2}, {valueFormat, 1}, {valueFormat, 1, 5, 1},
		encodeSegment(&catalog.SegmentEntry{Location: place, Kind: 2, Scheme: cairn.Scheme{Data: 4, Parity: 2, BlockSize: 1 << 20}, PlainLen: 1 << 26, Roots: []cairn.Root{{1}}, Refs: 3}),
		encodeIntent(&catalog.Intent{Bucket: "b", Key: "k", Started: -5, Delete: true, Places: []catalog.Location{place, {}}}),
		encodeGarbage(&catalog.Garbage{Since: 1, Place: place}),
		counts{1, 2}.encode(), totals{lastGarbage: 5}.encode(),
	}
	for _, err := range []error{
		add(&out, &catalog.BucketEntry{Bucket: cairn.Bucket{Name: "b", Region: "r"}, Record: place}, encodeBucket),
		add(&out, &catalog.VersionEntry{Version: v, Record: place}, encodeVersion),
		add(&out, &catalog.UploadEntry{ID: "u", Initiated: 1, Template: v, Algorithm: "SHA1", FullObject: true, Completed: v.ID, CompletedAt: -1}, encodeUpload),
		add(&out, &catalog.PartEntry{Part: v.Parts[0], Modified: 1}, encodePart),
	} {
		if err != nil {
			panic(err)
		}
	}
	return out
}

func add[T any](out *[][]byte, e T, encode func(T) ([]byte, error)) error {
	b, err := encode(e)
	*out = append(*out, b)
	return err
}

// FuzzDecodersRefuseOrComeBack: any bytes are Corrupt, or a value that can be
// stored and comes back the same.
func FuzzDecodersRefuseOrComeBack(f *testing.F) {
	for _, b := range samples() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind, decode := range decoders {
			e, encoded, err := decode(b)
			if err != nil {
				if !errors.Is(err, cairn.Corrupt) && !errors.Is(err, cairn.Invalid) {
					t.Errorf("%s: error %v, want Corrupt", kind, err)
				}
				continue
			}
			e2, encoded2, err := decode(encoded)
			if err != nil || !reflect.DeepEqual(e, e2) || !bytes.Equal(encoded, encoded2) {
				t.Errorf("%s: %+v is stored as %x and comes back as %+v, %v", kind, e, encoded, e2, err)
			}
		}
	})
}

func TestFieldsOfANewerWriterArePassedOver(t *testing.T) {
	for _, b := range samples()[5:] {
		for kind, decode := range decoders {
			want, _, err := decode(b)
			if err != nil {
				continue
			}
			newer := append(bytes.Clone(b), 200, 1, 3, 'n', 'e', 'w')
			got, _, err := decode(newer)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s with a field more = %+v, %v, want %+v", kind, got, err, want)
			}
		}
	}
}
