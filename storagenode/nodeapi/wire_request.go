package nodeapi

import (
	"encoding/binary"

	"github.com/cairn-store/cairn"
)

const (
	putSize  = cairn.AuthorizationSize + cairn.HeaderSize + 4
	readSize = shardIDSize + 8 + 4
	listSize = shardIDSize + 4
)

// Append appends the body of a put message to b.
func (r PutRequest) Append(b []byte) []byte {
	b = r.Auth.Append(b)
	b = r.Header.Append(b)
	return binary.LittleEndian.AppendUint32(b, uint32(r.MaxManifest))
}

// ParsePutRequest reads what Append wrote, and validates it.
func ParsePutRequest(b []byte) (PutRequest, error) {
	d := decoder{b: b}
	r := PutRequest{Auth: d.auth(), Header: d.header(), MaxManifest: int(d.u32())}
	if err := d.finish(TypePut); err != nil {
		return PutRequest{}, err
	}
	return r, r.Validate()
}

// PutRecordRequest carries a whole small record.
type PutRecordRequest struct {
	Auth   cairn.Authorization
	Record []byte
}

// Validate checks form only; the record is parsed by the node.
func (r PutRecordRequest) Validate() error {
	if len(r.Record) < cairn.HeaderSize+cairn.TrailerSize || len(r.Record) > MaxSmall {
		return cairn.Errorf("put record", cairn.Invalid, "record of %d bytes: want %d to %d",
			len(r.Record), cairn.HeaderSize+cairn.TrailerSize, MaxSmall)
	}
	return nil
}

// Append appends the body of a put_record message to b.
func (r PutRecordRequest) Append(b []byte) []byte { return append(r.Auth.Append(b), r.Record...) }

// ParsePutRecordRequest reads what Append wrote. Record points into b.
func ParsePutRecordRequest(b []byte) (PutRecordRequest, error) {
	d := decoder{b: b}
	r := PutRecordRequest{Auth: d.auth()}
	r.Record = d.take(len(d.b))
	if err := d.finish(TypePutRecord); err != nil {
		return PutRecordRequest{}, err
	}
	return r, r.Validate()
}

// Append appends the body of an upload_tail message to b.
func (t UploadTail) Append(b []byte) []byte {
	b = appendBlob(b, t.TreeTop)
	b = appendBlob(b, t.Manifest)
	return t.Trailer.Append(b)
}

// WireSize is the length of what Append appends.
func (t UploadTail) WireSize() int { return 8 + len(t.TreeTop) + len(t.Manifest) + cairn.TrailerSize }

// ParseUploadTail reads what Append wrote. Tree top and manifest point into b.
func ParseUploadTail(b []byte) (UploadTail, error) {
	d := decoder{b: b}
	t := UploadTail{TreeTop: d.blob(), Manifest: d.blob(), Trailer: d.trailer()}
	if len(t.Manifest) > cairn.MaxManifest {
		d.fail(errTooMany)
	}
	if err := d.finish(TypeUploadTail); err != nil {
		return UploadTail{}, err
	}
	return t, nil
}

// ReadRequest asks for a range of a payload.
type ReadRequest struct {
	Shard  cairn.ShardID
	Offset int64
	Length int
}

// Validate returns an Invalid error unless the range is possible.
func (r ReadRequest) Validate() error {
	if r.Offset < 0 || r.Length < 0 || r.Length > MaxRead {
		return cairn.Errorf("read shard", cairn.Invalid, "%d bytes at %d: at most %d bytes at once", r.Length, r.Offset, MaxRead)
	}
	return nil
}

// Append appends the body of a read message to b.
func (r ReadRequest) Append(b []byte) []byte {
	b = appendShardID(b, r.Shard)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Offset))
	return binary.LittleEndian.AppendUint32(b, uint32(r.Length))
}

// ParseReadRequest reads what Append wrote, and validates it.
func ParseReadRequest(b []byte) (ReadRequest, error) {
	d := decoder{b: b}
	r := ReadRequest{Shard: d.shardID(), Offset: int64(d.u64()), Length: int(d.u32())}
	if err := d.finish(TypeRead); err != nil {
		return ReadRequest{}, err
	}
	return r, r.Validate()
}

// TailsRequest asks for records without their payloads.
type TailsRequest struct {
	IDs []cairn.ShardID
}

// Validate returns an Invalid error unless 1 to MaxBatch shards are named.
func (r TailsRequest) Validate() error {
	if len(r.IDs) == 0 || len(r.IDs) > MaxBatch {
		return cairn.Errorf("read tails", cairn.Invalid, "%d shards named: want 1 to %d", len(r.IDs), MaxBatch)
	}
	return nil
}

// Append appends the body of a tails message to b.
func (r TailsRequest) Append(b []byte) []byte { return appendShardIDs(b, r.IDs) }

// ParseTailsRequest reads what Append wrote, and validates it.
func ParseTailsRequest(b []byte) (TailsRequest, error) {
	d := decoder{b: b}
	r := TailsRequest{IDs: d.shardIDs(MaxBatch)}
	if err := d.finish(TypeTails); err != nil {
		return TailsRequest{}, err
	}
	return r, r.Validate()
}

// ListRequest asks for a page of what the session's owner keeps.
type ListRequest struct {
	After cairn.ShardID
	Limit int
}

// Validate returns an Invalid error unless 1 <= Limit <= MaxList.
func (r ListRequest) Validate() error {
	if r.Limit < 1 || r.Limit > MaxList {
		return cairn.Errorf("list shards", cairn.Invalid, "a page of %d entries: want 1 to %d", r.Limit, MaxList)
	}
	return nil
}

// Append appends the body of a list message to b.
func (r ListRequest) Append(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(appendShardID(b, r.After), uint32(r.Limit))
}

// ParseListRequest reads what Append wrote, and validates it.
func ParseListRequest(b []byte) (ListRequest, error) {
	d := decoder{b: b}
	r := ListRequest{After: d.shardID(), Limit: int(d.u32())}
	if err := d.finish(TypeList); err != nil {
		return ListRequest{}, err
	}
	return r, r.Validate()
}

// Append appends the body of a delete message to b.
func (r DeleteRequest) Append(b []byte) []byte { return appendShardIDs(r.Auth.Append(b), r.IDs) }

// ParseDeleteRequest reads what Append wrote, and validates it.
func ParseDeleteRequest(b []byte) (DeleteRequest, error) {
	d := decoder{b: b}
	r := DeleteRequest{Auth: d.auth(), IDs: d.shardIDs(MaxBatch)}
	if err := d.finish(TypeDelete); err != nil {
		return DeleteRequest{}, err
	}
	return r, r.Validate()
}
