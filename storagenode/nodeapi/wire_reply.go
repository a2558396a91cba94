package nodeapi

import (
	"encoding/binary"

	"github.com/cairn-store/cairn"
)

const (
	receiptSize = 32 + shardIDSize + 32 + 32 + 8 + 64
	entrySize   = shardIDSize + 1 + 8 + 8 + 32
	maxInfoText = 256 // bytes of each text of an Info
)

// AppendReceipt appends the reply to Put and PutRecord to b.
func AppendReceipt(b []byte, r cairn.Receipt) []byte {
	b = append(b, r.Node[:]...)
	b = appendShardID(b, r.Shard)
	b = append(b, r.Root[:]...)
	b = append(b, r.Record[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.StoredAt))
	return append(b, r.Signature[:]...)
}

// ParseReceipt reads what AppendReceipt wrote; the signature is not checked.
func ParseReceipt(b []byte) (cairn.Receipt, error) {
	d := decoder{b: b}
	r := cairn.Receipt{
		Node:     cairn.NodeID(d.hash()),
		Shard:    d.shardID(),
		Root:     cairn.Root(d.hash()),
		Record:   cairn.Digest(d.hash()),
		StoredAt: int64(d.u64()),
	}
	copy(r.Signature[:], d.take(len(r.Signature)))
	if err := d.finish(TypeReply); err != nil {
		return cairn.Receipt{}, err
	}
	return r, nil
}

// Append appends the reply to Info to b. Texts are cut to 256 bytes.
func (i Info) Append(b []byte) []byte {
	b = append(b, i.Node[:]...)
	for _, s := range []string{i.Version, i.FailureDomain, i.Operator, i.Region, i.Reason} {
		b = appendText(b, s, maxInfoText)
	}
	for _, v := range []int64{i.CapacityBytes, i.UsedBytes, i.FreeBytes, i.Shards, i.Clock, int64(i.Uploads)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return appendBool(b, i.Writable)
}

// ParseInfo reads what Append wrote.
func ParseInfo(b []byte) (Info, error) {
	d := decoder{b: b}
	i := Info{Node: cairn.NodeID(d.hash())}
	for _, s := range []*string{&i.Version, &i.FailureDomain, &i.Operator, &i.Region, &i.Reason} {
		*s = d.text(maxInfoText)
	}
	for _, v := range []*int64{&i.CapacityBytes, &i.UsedBytes, &i.FreeBytes, &i.Shards, &i.Clock} {
		*v = int64(d.u64())
	}
	i.Uploads = int(int64(d.u64()))
	i.Writable = d.bool()
	if err := d.finish(TypeReply); err != nil {
		return Info{}, err
	}
	return i, nil
}

// TailWireSize is what t adds to the reply to Tails; the reply itself adds 4.
func TailWireSize(t cairn.Tail) int {
	return cairn.HeaderSize + 8 + len(t.TreeTop) + len(t.Manifest) + cairn.TrailerSize
}

// AppendTails appends the reply to Tails to b: as many tails, from the first,
// as fit into MaxMessage.
func AppendTails(b []byte, tails []cairn.Tail) []byte {
	n, size := 0, 4
	for n < len(tails) && size+TailWireSize(tails[n]) <= MaxMessage {
		size += TailWireSize(tails[n])
		n++
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	for _, t := range tails[:n] {
		b = t.Header.Append(b)
		b = appendBlob(b, t.TreeTop)
		b = appendBlob(b, t.Manifest)
		b = t.Trailer.Append(b)
	}
	return b
}

// ParseTails reads what AppendTails wrote. Tree tops and manifests point into
// b; they are not verified.
func ParseTails(b []byte) ([]cairn.Tail, error) {
	d := decoder{b: b}
	n := int(d.u32())
	if n > MaxBatch {
		d.fail(errTooMany)
	}
	if d.err == nil && n > len(d.b)/(cairn.HeaderSize+8+cairn.TrailerSize) {
		d.fail(errShort)
	}
	var tails []cairn.Tail
	for range n {
		if d.err != nil {
			break
		}
		tails = append(tails, cairn.Tail{Header: d.header(), TreeTop: d.blob(), Manifest: d.blob(), Trailer: d.trailer()})
	}
	if err := d.finish(TypeReply); err != nil {
		return nil, err
	}
	return tails, nil
}

// Append appends the reply to List to b. Requires at most MaxList entries.
func (r ListReply) Append(b []byte) []byte {
	b = appendBool(b, r.More)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Entries)))
	for _, e := range r.Entries {
		b = appendShardID(b, e.Shard)
		b = append(b, byte(e.Kind))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Created))
		b = append(b, e.Record[:]...)
	}
	return b
}

// ParseListReply reads what Append wrote.
func ParseListReply(b []byte) (ListReply, error) {
	d := decoder{b: b}
	r := ListReply{More: d.bool()}
	n := int(d.u32())
	if n > MaxList {
		d.fail(errTooMany)
	}
	if d.err == nil && n > len(d.b)/entrySize {
		d.fail(errShort)
	}
	if d.err == nil && n > 0 {
		r.Entries = make([]Entry, n)
		for i := range r.Entries {
			r.Entries[i] = Entry{
				Shard:   d.shardID(),
				Kind:    cairn.ShardKind(d.u8()),
				Size:    int64(d.u64()),
				Created: int64(d.u64()),
				Record:  cairn.Digest(d.hash()),
			}
		}
	}
	if err := d.finish(TypeReply); err != nil {
		return ListReply{}, err
	}
	return r, nil
}

// Append appends the reply to Delete to b.
func (r DeleteReply) Append(b []byte) []byte {
	return appendShardIDs(binary.LittleEndian.AppendUint32(b, uint32(r.Deleted)), r.Retained)
}

// ParseDeleteReply reads what Append wrote.
func ParseDeleteReply(b []byte) (DeleteReply, error) {
	d := decoder{b: b}
	r := DeleteReply{Deleted: int(d.u32()), Retained: d.shardIDs(MaxBatch)}
	if r.Deleted > MaxBatch {
		d.fail(errTooMany)
	}
	if err := d.finish(TypeReply); err != nil {
		return DeleteReply{}, err
	}
	return r, nil
}
