package cairn

import (
	"math"
	"time"
)

// Version is the version record: what makes bytes an object. The newest
// version id of a key wins.
type Version struct {
	Bucket string
	Key    string // opaque bytes
	ID     VersionID
	Size   int64
	ETag   string // without quotes; "md5" or "md5-parts" in hexadecimal
	// Headers are what S3 stores and gives back: lower-case names such as
	// content-type, cache-control, content-encoding, expires; and x-amz-meta-*
	// under their full names. In ascending order of name.
	Headers []Attr
	// Tags in the order given.
	Tags []Attr
	// StorageClass is "" for STANDARD.
	StorageClass string
	// Checksums of the plaintext, as S3 reports them.
	Checksums []Checksum
	// Parts in order; exactly one with Number 0 for an object put whole, none
	// for an empty object or a delete marker.
	Parts []Part
	// Marker says that this version is a delete marker.
	Marker bool
	// Null says that S3 shows this version as "null": it was written while
	// versioning was not enabled.
	Null bool
	// Modified is Last-Modified in Unix nanoseconds; zero means ID.Time().
	Modified int64
	// RetainUntil, RetainMode and LegalHold are the object lock.
	RetainUntil int64 // Unix seconds
	RetainMode  string
	LegalHold   bool

	unknown []field
}

// Attr is a name and its value.
type Attr struct{ Name, Value string }

// Checksum is one S3 checksum.
type Checksum struct {
	Algorithm string // CRC32, CRC32C, CRC64NVME, SHA1, SHA256
	Value     string // base64; "…-N" when composite
	Composite bool   // of the parts' checksums, not of the whole object
}

// Part is a run of an object's bytes with a content key of its own.
type Part struct {
	Number    int
	Size      int64
	ETag      string // hexadecimal MD5 of the part
	Checksums []Checksum
	Object    ObjectID  // under which the bytes were written
	Written   int       // part number under which the bytes were written
	Key       []byte    // wrapped content key
	Segments  []Segment // in order
	unknown   []field
}

// Segment is a version record's reference to a segment.
type Segment struct {
	ID       SegmentID
	PlainLen int64
	// Mirror is the segment on the second group of nodes that holds the same
	// bytes (storage class MIRRORED); zero when there is none.
	Mirror  SegmentID
	unknown []field
}

// LastModified returns the time S3 shows.
func (v *Version) LastModified() time.Time {
	if v.Modified != 0 {
		return time.Unix(0, v.Modified).UTC()
	}
	return v.ID.Time()
}

// Header returns the stored header name (lower case), or "".
func (v *Version) Header(name string) string {
	for _, h := range v.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// Encode returns the canonical encoding.
func (v *Version) Encode() []byte {
	var e encoder
	e.string(1, v.Bucket)
	e.string(2, v.Key)
	e.bytes(3, v.ID[:])
	e.uint(4, uint64(v.Size))
	e.string(5, v.ETag)
	for _, a := range v.Headers {
		e.element(6, a.encode())
	}
	for _, a := range v.Tags {
		e.element(7, a.encode())
	}
	e.string(8, v.StorageClass)
	for _, c := range v.Checksums {
		e.element(9, c.encode())
	}
	for i := range v.Parts {
		e.element(10, v.Parts[i].encode())
	}
	e.bool(11, v.Marker)
	e.bool(12, v.Null)
	e.uint(13, uint64(v.Modified))
	e.uint(14, uint64(v.RetainUntil))
	e.string(15, v.RetainMode)
	e.bool(16, v.LegalHold)
	return e.finish(v.unknown)
}

var versionRules = rules{repeated: tagSet(6, 7, 9, 10), required: tagSet(3)}

// DecodeVersion reads what Encode wrote. Anything else is a Corrupt error.
func DecodeVersion(b []byte) (*Version, error) {
	v := &Version{}
	var err error
	v.unknown, err = decodeFields("decode version record", b, versionRules, v.decodeField)
	return v, err
}

func (v *Version) decodeField(tag uint64, b []byte) (bool, error) {
	switch tag {
	case 1:
		return true, readString(&v.Bucket, b)
	case 2:
		return true, readString(&v.Key, b)
	case 3:
		return true, readFixed(v.ID[:], b)
	case 4:
		return true, readInt(&v.Size, b, math.MaxInt64)
	case 5:
		return true, readString(&v.ETag, b)
	case 6:
		return true, decodeAttr(&v.Headers, b)
	case 7:
		return true, decodeAttr(&v.Tags, b)
	case 8:
		return true, readString(&v.StorageClass, b)
	case 9:
		return true, decodeChecksum(&v.Checksums, b)
	case 10:
		p, err := decodePart(b)
		v.Parts = append(v.Parts, p)
		return true, err
	case 11:
		return true, readBool(&v.Marker, b)
	case 12:
		return true, readBool(&v.Null, b)
	case 13:
		return true, readInt(&v.Modified, b, math.MaxInt64)
	case 14:
		return true, readInt(&v.RetainUntil, b, math.MaxInt64)
	case 15:
		return true, readString(&v.RetainMode, b)
	case 16:
		return true, readBool(&v.LegalHold, b)
	}
	return false, nil
}

func (p *Part) encode() []byte {
	var e encoder
	e.uint(1, uint64(p.Number))
	e.uint(2, uint64(p.Size))
	e.string(3, p.ETag)
	for _, c := range p.Checksums {
		e.element(4, c.encode())
	}
	e.bytes(5, p.Object[:])
	e.uint(6, uint64(p.Written))
	e.bytes(7, p.Key)
	for i := range p.Segments {
		e.element(8, p.Segments[i].encode())
	}
	return e.finish(p.unknown)
}

func decodePart(b []byte) (Part, error) {
	var p Part
	var err error
	p.unknown, err = decodeFields("decode part", b, rules{repeated: tagSet(4, 8), required: tagSet(5)}, func(tag uint64, v []byte) (bool, error) {
		switch tag {
		case 1:
			return true, readInt(&p.Number, v, MaxPartNumber)
		case 2:
			return true, readInt(&p.Size, v, math.MaxInt64)
		case 3:
			return true, readString(&p.ETag, v)
		case 4:
			return true, decodeChecksum(&p.Checksums, v)
		case 5:
			return true, readFixed(p.Object[:], v)
		case 6:
			return true, readInt(&p.Written, v, MaxPartNumber)
		case 7:
			return true, readBytes(&p.Key, v)
		case 8:
			s, err := decodeSegment(v)
			p.Segments = append(p.Segments, s)
			return true, err
		}
		return false, nil
	})
	return p, err
}

// EncodePart returns the canonical encoding of a part on its own, as a
// multipart upload in progress stores it.
func EncodePart(p *Part) []byte { return p.encode() }

// DecodePart reads what EncodePart wrote. Anything else is a Corrupt error.
func DecodePart(b []byte) (Part, error) { return decodePart(b) }

func (s *Segment) encode() []byte {
	var e encoder
	e.bytes(1, s.ID[:])
	e.uint(2, uint64(s.PlainLen))
	if s.Mirror != (SegmentID{}) {
		e.bytes(3, s.Mirror[:])
	}
	return e.finish(s.unknown)
}

func decodeSegment(b []byte) (Segment, error) {
	var s Segment
	var err error
	s.unknown, err = decodeFields("decode segment reference", b, rules{required: tagSet(1)}, func(tag uint64, v []byte) (bool, error) {
		switch tag {
		case 1:
			return true, readFixed(s.ID[:], v)
		case 2:
			return true, readInt(&s.PlainLen, v, MaxSegmentPlain)
		case 3:
			return true, readID(s.Mirror[:], v)
		}
		return false, nil
	})
	return s, err
}

func (a Attr) encode() []byte {
	var e encoder
	e.string(1, a.Name)
	e.string(2, a.Value)
	return e.finish(nil)
}

func decodeAttr(dst *[]Attr, b []byte) error {
	var a Attr
	_, err := decodeFields("decode attribute", b, rules{}, func(tag uint64, v []byte) (bool, error) {
		switch tag {
		case 1:
			return true, readString(&a.Name, v)
		case 2:
			return true, readString(&a.Value, v)
		}
		return false, errMalformed
	})
	*dst = append(*dst, a)
	return err
}

func (c Checksum) encode() []byte {
	var e encoder
	e.string(1, c.Algorithm)
	e.string(2, c.Value)
	e.bool(3, c.Composite)
	return e.finish(nil)
}

func decodeChecksum(dst *[]Checksum, b []byte) error {
	var c Checksum
	_, err := decodeFields("decode checksum", b, rules{}, func(tag uint64, v []byte) (bool, error) {
		switch tag {
		case 1:
			return true, readString(&c.Algorithm, v)
		case 2:
			return true, readString(&c.Value, v)
		case 3:
			return true, readBool(&c.Composite, v)
		}
		return false, errMalformed
	})
	*dst = append(*dst, c)
	return err
}

func readBool(dst *bool, v []byte) error {
	_, err := readUint(v, 1)
	*dst = true
	return err
}
