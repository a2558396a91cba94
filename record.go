package cairn

import "math"

// Tombstone records a deletion, so that recovery does not bring back what was
// deleted while some node was away.
type Tombstone struct {
	Bucket string
	Key    string
	ID     VersionID // when; orders the deletion among the versions of the key
	// Target is the one version deleted; zero means every version of the key
	// older than ID.
	Target VersionID

	unknown []field
}

// Encode returns the canonical encoding.
func (t *Tombstone) Encode() []byte {
	var e encoder
	e.string(1, t.Bucket)
	e.string(2, t.Key)
	e.bytes(3, t.ID[:])
	if !t.Target.IsZero() {
		e.bytes(4, t.Target[:])
	}
	return e.finish(t.unknown)
}

// DecodeTombstone reads what Encode wrote. Anything else is a Corrupt error.
func DecodeTombstone(b []byte) (*Tombstone, error) {
	t := &Tombstone{}
	var err error
	t.unknown, err = decodeFields("decode tombstone", b, rules{required: tagSet(3)}, func(tag uint64, v []byte) (bool, error) {
		switch tag {
		case 1:
			return true, readString(&t.Bucket, v)
		case 2:
			return true, readString(&t.Key, v)
		case 3:
			return true, readFixed(t.ID[:], v)
		case 4:
			return true, readID(t.Target[:], v)
		}
		return false, nil
	})
	return t, err
}

// Kills reports whether t deletes version id of its key.
func (t *Tombstone) Kills(id VersionID) bool {
	if !t.Target.IsZero() {
		return t.Target == id
	}
	return id.Compare(t.ID) < 0
}

// Bucket is a bucket's record: creation, settings or deletion. The newest ID
// of a name wins.
type Bucket struct {
	Name    string
	ID      VersionID // of this state of the bucket
	Created int64     // Unix nanoseconds
	Deleted bool
	Region  string
	// Settings are the bucket's subresources, by S3 name ("versioning",
	// "cors", "policy"), each as its canonical document. Ascending by name.
	Settings []Attr

	unknown []field
}

// Encode returns the canonical encoding.
func (k *Bucket) Encode() []byte {
	var e encoder
	e.string(1, k.Name)
	e.bytes(2, k.ID[:])
	e.uint(3, uint64(k.Created))
	e.bool(4, k.Deleted)
	e.string(5, k.Region)
	for _, s := range k.Settings {
		e.element(6, s.encode())
	}
	return e.finish(k.unknown)
}

// DecodeBucket reads what Encode wrote. Anything else is a Corrupt error.
func DecodeBucket(b []byte) (*Bucket, error) {
	k := &Bucket{}
	var err error
	k.unknown, err = decodeFields("decode bucket record", b, rules{repeated: tagSet(6), required: tagSet(2)}, func(tag uint64, v []byte) (bool, error) {
		switch tag {
		case 1:
			return true, readString(&k.Name, v)
		case 2:
			return true, readFixed(k.ID[:], v)
		case 3:
			return true, readInt(&k.Created, v, math.MaxInt64)
		case 4:
			return true, readBool(&k.Deleted, v)
		case 5:
			return true, readString(&k.Region, v)
		case 6:
			return true, decodeAttr(&k.Settings, v)
		}
		return false, nil
	})
	return k, err
}

// Setting returns the document of a subresource, or "".
func (k *Bucket) Setting(name string) string {
	for _, s := range k.Settings {
		if s.Name == name {
			return s.Value
		}
	}
	return ""
}
