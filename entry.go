package cairn

import (
	"bytes"
	"cmp"
)

// Entry is one line of a node's list of what it keeps for an owner.
type Entry struct {
	Shard   ShardID
	Kind    ShardKind
	Size    int64 // of the whole record, bytes
	Created int64 // Unix seconds, from the header
	Record  Digest
}

// Compare returns -1, 0 or +1 as id stands before, at or after o in a node's
// list: by segment id as bytes, then by index.
func (id ShardID) Compare(o ShardID) int {
	if c := bytes.Compare(id.Segment[:], o.Segment[:]); c != 0 {
		return c
	}
	return cmp.Compare(id.Index, o.Index)
}
