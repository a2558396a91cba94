package decode

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
)

// segment is what the files hold of one segment.
type segment struct {
	id       cairn.SegmentID
	manifest *cairn.Manifest
	schemes  map[cairn.Scheme]map[uint8]*shard // as the headers claim
	shards   map[uint8]*shard                  // of the scheme most shards claim
}

// shard is one record that verified.
type shard struct {
	file   File
	header cairn.Header
}

// scheme returns the scheme of s.shards.
func (s *segment) scheme() cairn.Scheme {
	for _, sh := range s.shards {
		return sh.header.Scheme()
	}
	return cairn.Scheme{}
}

// indices lists the shards at hand, for people.
func (s *segment) indices() string {
	var text []string
	for _, i := range slices.Sorted(maps.Keys(s.shards)) {
		text = append(text, fmt.Sprint(i))
	}
	return strings.Join(text, ", ")
}

// scan reads all of a record but its payload, and adds it to what is known.
func (d *decoder) scan(f File) error {
	t, err := readTail(f)
	if err != nil {
		return err
	}
	if err := t.Verify(); err != nil {
		return err
	}
	if err := proofs.VerifyTop(t.TreeTop, t.Header.PayloadLen, t.Trailer.Root); err != nil {
		return err
	}
	plain, err := d.keys.OpenManifest(t.Header.Shard.Segment, t.Header.Kind, t.Manifest)
	if err != nil {
		return err
	}
	switch t.Header.Kind {
	case cairn.KindVersion:
		return d.addVersion(plain)
	case cairn.KindData, cairn.KindSmall, cairn.KindPacked:
		return d.addShard(f, t, plain)
	}
	return cairn.Errorf("decode", cairn.Invalid, "a %v record holds nothing to restore", t.Header.Kind)
}

// readTail reads a record without its payload. Lengths are checked against the
// file's before anything is allocated.
func readTail(f File) (cairn.Tail, error) {
	const op = "read shard record"
	if f.Size < cairn.HeaderSize+cairn.TrailerSize {
		return cairn.Tail{}, cairn.Errorf(op, cairn.Corrupt, "%d bytes are too few", f.Size)
	}
	var head [cairn.HeaderSize]byte
	if err := readAt(f, head[:], 0); err != nil {
		return cairn.Tail{}, err
	}
	h, err := cairn.ParseHeader(head[:])
	if err != nil {
		return cairn.Tail{}, err
	}
	var end [cairn.TrailerSize]byte
	if err := readAt(f, end[:], f.Size-cairn.TrailerSize); err != nil {
		return cairn.Tail{}, err
	}
	trailer, err := cairn.ParseTrailer(end[:])
	if err != nil {
		return cairn.Tail{}, err
	}
	if want := h.RecordLen(trailer.ManifestLen); want != f.Size {
		return cairn.Tail{}, cairn.Errorf(op, cairn.Corrupt, "%d bytes, want %d", f.Size, want)
	}
	b := make([]byte, h.TreeTopLen()+trailer.ManifestLen)
	if err := readAt(f, b, cairn.HeaderSize+h.PayloadLen); err != nil {
		return cairn.Tail{}, err
	}
	return cairn.Tail{Header: h, TreeTop: b[:h.TreeTopLen():h.TreeTopLen()], Manifest: b[h.TreeTopLen():], Trailer: trailer}, nil
}

func readAt(f File, b []byte, off int64) error {
	if n, err := f.R.ReadAt(b, off); n < len(b) {
		return fmt.Errorf("read %d bytes at %d: %w", len(b), off, err)
	}
	return nil
}

func (d *decoder) addVersion(encoded []byte) error {
	v, err := cairn.DecodeVersion(encoded)
	if err == nil {
		d.versions = append(d.versions, v)
	}
	return err
}

// addShard adds a shard to its segment, if it is what the manifest says.
func (d *decoder) addShard(f File, t cairn.Tail, plain []byte) error {
	m, err := cairn.DecodeManifest(plain)
	if err != nil {
		return err
	}
	h := t.Header
	l, err := cairn.NewLayout(h.Scheme(), m.PlainLen)
	if err != nil {
		return err
	}
	if len(m.Roots) != h.Scheme().Shards() || m.Roots[h.Shard.Index] != t.Trailer.Root || l.ShardLen() != h.PayloadLen {
		return cairn.Errorf("decode", cairn.Corrupt, "manifest and record do not agree")
	}
	s := d.segments[h.Shard.Segment]
	if s == nil {
		s = &segment{id: h.Shard.Segment, manifest: m, schemes: map[cairn.Scheme]map[uint8]*shard{}}
		d.segments[s.id] = s
		if len(m.Version) > 0 {
			if err := d.addVersion(m.Version); err != nil {
				return err
			}
		}
	}
	same := s.schemes[h.Scheme()]
	if same == nil {
		same = map[uint8]*shard{}
		s.schemes[h.Scheme()] = same
	}
	if same[h.Shard.Index] == nil {
		same[h.Shard.Index] = &shard{file: f, header: h}
	}
	if len(same) > len(s.shards) {
		s.shards = same
	}
	return nil
}
