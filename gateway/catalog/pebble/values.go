package pebble

import (
	"encoding/binary"
	"fmt"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// Encoders refuse what their decoders would: the value is read back before it
// is written, so that a mistake shows when it is made.

func encodeBucket(e *catalog.BucketEntry) ([]byte, error) {
	record := e.Bucket.Encode()
	if _, err := cairn.DecodeBucket(record); err != nil {
		return nil, cairn.NewError("store bucket", cairn.Invalid, err)
	}
	w := newWriter(len(record) + 64)
	w.bytes(1, record)
	w.location(2, e.Record)
	return w.out, nil
}

func decodeBucket(b []byte) (*catalog.BucketEntry, error) {
	e := &catalog.BucketEntry{}
	err := readFields("decode bucket entry", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			k, err := cairn.DecodeBucket(v)
			if err == nil {
				e.Bucket = *k
			}
			return err
		case 2:
			return readID(e.Record.Segment[:], v)
		case 3:
			return readIDs(&e.Record.Nodes, v)
		}
		return nil
	})
	return e, err
}

func encodeVersion(e *catalog.VersionEntry) ([]byte, error) {
	record := e.Version.Encode()
	if _, err := cairn.DecodeVersion(record); err != nil {
		return nil, cairn.NewError("store version", cairn.Invalid, err)
	}
	w := newWriter(len(record) + 8 + 32*(1+len(e.Record.Nodes)))
	w.bytes(1, record)
	w.location(2, e.Record)
	return w.out, nil
}

func decodeVersion(b []byte) (*catalog.VersionEntry, error) {
	e := &catalog.VersionEntry{}
	err := readFields("decode version entry", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			r, err := cairn.DecodeVersion(v)
			if err == nil {
				e.Version = *r
			}
			return err
		case 2:
			return readID(e.Record.Segment[:], v)
		case 3:
			return readIDs(&e.Record.Nodes, v)
		}
		return nil
	})
	return e, err
}

func encodeSegment(e *catalog.SegmentEntry) []byte {
	w := newWriter(48 + 32*(len(e.Nodes)+len(e.Roots)))
	w.bytes(1, joinIDs(e.Nodes))
	w.int(2, int64(e.Kind))
	w.int(3, int64(e.Scheme.Data))
	w.int(4, int64(e.Scheme.Parity))
	w.int(5, int64(e.Scheme.BlockSize))
	w.int(6, e.PlainLen)
	w.bytes(7, joinIDs(e.Roots))
	w.int(8, int64(e.Refs))
	return w.out
}

func decodeSegment(id cairn.SegmentID, b []byte) (*catalog.SegmentEntry, error) {
	e := &catalog.SegmentEntry{Location: catalog.Location{Segment: id}}
	err := readFields("decode segment entry", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			return readIDs(&e.Nodes, v)
		case 2:
			return readInt(&e.Kind, v)
		case 3:
			return readInt(&e.Scheme.Data, v)
		case 4:
			return readInt(&e.Scheme.Parity, v)
		case 5:
			return readInt(&e.Scheme.BlockSize, v)
		case 6:
			return readInt(&e.PlainLen, v)
		case 7:
			return readIDs(&e.Roots, v)
		case 8:
			return readInt(&e.Refs, v)
		}
		return nil
	})
	return e, err
}

func encodeUpload(e *catalog.UploadEntry) ([]byte, error) {
	template := e.Template.Encode()
	if _, err := cairn.DecodeVersion(template); err != nil {
		return nil, cairn.NewError("store upload", cairn.Invalid, err)
	}
	w := newWriter(len(template) + 96)
	w.string(1, e.ID)
	w.int(2, e.Initiated)
	w.bytes(3, template)
	w.string(4, e.Algorithm)
	w.bool(5, e.FullObject)
	if !e.Completed.IsZero() {
		w.bytes(6, e.Completed[:])
	}
	w.int(7, e.CompletedAt)
	return w.out, nil
}

func decodeUpload(b []byte) (*catalog.UploadEntry, error) {
	e := &catalog.UploadEntry{}
	err := readFields("decode upload entry", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			e.ID = string(v)
		case 2:
			return readInt(&e.Initiated, v)
		case 3:
			t, err := cairn.DecodeVersion(v)
			if err == nil {
				e.Template = *t
			}
			return err
		case 4:
			e.Algorithm = string(v)
		case 5:
			return readBool(&e.FullObject, v)
		case 6:
			return readID(e.Completed[:], v)
		case 7:
			return readInt(&e.CompletedAt, v)
		}
		return nil
	})
	return e, err
}

func encodePart(e *catalog.PartEntry) ([]byte, error) {
	record := cairn.EncodePart(&e.Part)
	if _, err := cairn.DecodePart(record); err != nil {
		return nil, cairn.NewError("store part", cairn.Invalid, err)
	}
	w := newWriter(len(record) + 24)
	w.bytes(1, record)
	w.int(2, e.Modified)
	return w.out, nil
}

func decodePart(b []byte) (*catalog.PartEntry, error) {
	e := &catalog.PartEntry{}
	err := readFields("decode part entry", b, func(tag uint64, v []byte) (err error) {
		switch tag {
		case 1:
			e.Part, err = cairn.DecodePart(v)
		case 2:
			err = readInt(&e.Modified, v)
		}
		return err
	})
	return e, err
}

func encodeIntent(e *catalog.Intent) []byte {
	w := newWriter(256)
	w.string(1, e.Bucket)
	w.string(2, e.Key)
	w.int(3, e.Started)
	for _, place := range e.Places {
		inner := newWriter(8 + 32*(1+len(place.Nodes)))
		inner.location(1, place)
		w.bytes(4, inner.out)
	}
	w.bool(5, e.Delete)
	return w.out
}

func decodeIntent(id cairn.VersionID, b []byte) (*catalog.Intent, error) {
	e := &catalog.Intent{ID: id}
	err := readFields("decode intent", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			e.Bucket = string(v)
		case 2:
			e.Key = string(v)
		case 3:
			return readInt(&e.Started, v)
		case 4:
			place, err := decodePlace(v)
			e.Places = append(e.Places, place)
			return err
		case 5:
			return readBool(&e.Delete, v)
		}
		return nil
	})
	return e, err
}

func decodePlace(b []byte) (catalog.Location, error) {
	var l catalog.Location
	err := readFields("decode place", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			return readID(l.Segment[:], v)
		case 2:
			return readIDs(&l.Nodes, v)
		}
		return nil
	})
	return l, err
}

func encodeGarbage(e *catalog.Garbage) []byte {
	w := newWriter(24 + 32*(1+len(e.Place.Nodes)))
	w.int(1, e.Since)
	w.location(2, e.Place)
	return w.out
}

func decodeGarbage(id uint64, b []byte) (*catalog.Garbage, error) {
	e := &catalog.Garbage{ID: id}
	err := readFields("decode garbage", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			return readInt(&e.Since, v)
		case 2:
			return readID(e.Place.Segment[:], v)
		case 3:
			return readIDs(&e.Place.Nodes, v)
		}
		return nil
	})
	return e, err
}

// counts are the totals of one bucket's versions.
type counts struct{ versions, bytes int64 }

func (n counts) encode() []byte {
	w := newWriter(24)
	w.int(1, n.versions)
	w.int(2, n.bytes)
	return w.out
}

func decodeCounts(b []byte) (counts, error) {
	var n counts
	err := readFields("decode counts of a bucket", b, func(tag uint64, v []byte) error {
		switch tag {
		case 1:
			return readInt(&n.versions, v)
		case 2:
			return readInt(&n.bytes, v)
		}
		return nil
	})
	return n, err
}

// totals are what every batch carries on.
type totals struct {
	catalog.Stats
	lastGarbage int64 // highest id handed out
	floor       int64 // of version ids, in Unix nanoseconds
}

func (s totals) encode() []byte {
	w := newWriter(64)
	for i, v := range []int64{s.Buckets, s.Versions, s.Segments, s.Uploads, s.Garbage, s.PlainBytes, s.lastGarbage, s.floor} {
		w.int(uint64(i+1), v)
	}
	return w.out
}

func decodeTotals(b []byte) (totals, error) {
	var s totals
	fields := []*int64{&s.Buckets, &s.Versions, &s.Segments, &s.Uploads, &s.Garbage, &s.PlainBytes, &s.lastGarbage, &s.floor}
	err := readFields("decode totals", b, func(tag uint64, v []byte) error {
		if tag > uint64(len(fields)) {
			return nil
		}
		return readInt(fields[tag-1], v)
	})
	return s, err
}

func encodeFormat(n uint64) []byte { return binary.AppendUvarint(nil, n) }

func decodeFormat(b []byte) (uint64, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n != len(b) {
		return 0, cairn.NewError("open catalog", cairn.Corrupt, fmt.Errorf("format mark: %w", errMalformed))
	}
	return v, nil
}
