package nodeapi

import (
	"context"

	"github.com/cairn-store/cairn"
)

// Limits on what one request may ask for.
const (
	// MaxRead bounds the bytes of one Read.
	MaxRead = 4 << 20
	// MaxList bounds the entries of one List page.
	MaxList = 4096
	// MaxBatch bounds the shards named by one Delete or Tails.
	MaxBatch = 1024
	// MaxSmall bounds a record sent whole in one PutRecord.
	MaxSmall = 1 << 20
	// MaxMessage bounds every message that is not payload.
	MaxMessage = cairn.MaxManifest + 1<<20
)

// Session is who is asking: what the transport learned when the connection was
// made. The zero Session is a stranger, who may only ask for Info.
type Session struct {
	Owner cairn.OwnerTag // proved by a signature over the channel
	Known bool           // Owner is proved
}

// Service is one storage node. Implementations are safe for concurrent use.
// Errors carry a cairn.Kind, and the kind survives the wire.
type Service interface {
	// Info describes the node. Anybody may ask.
	Info(ctx context.Context) (Info, error)

	// Put starts to store one shard record. The authorisation must be for this
	// node, header and manifest bound. Answers: Denied; Full when the record
	// would exceed the capacity; Exists when the shard is already here with
	// another content (the same content is accepted again and answered with a
	// receipt at Commit). Space is reserved until Commit or Abort.
	Put(ctx context.Context, req PutRequest) (Upload, error)

	// PutRecord stores a whole record of at most MaxSmall bytes: one round
	// trip, one group-committed fsync. Same answers as Put and Commit.
	PutRecord(ctx context.Context, auth cairn.Authorization, record []byte) (cairn.Receipt, error)

	// Read fills buf with the payload bytes of a shard that start at off.
	// Requires len(buf) <= MaxRead and the whole range inside the payload.
	// Answers: NotFound; Corrupt when the stored bytes are known to be bad;
	// NotFound also to sessions of another owner.
	Read(ctx context.Context, s Session, id cairn.ShardID, off int64, buf []byte) error

	// Tails returns the records named, without their payloads, in the order
	// asked; what is not here is left out. At most MaxBatch ids; stops early
	// (a shorter answer) when the reply would exceed MaxMessage.
	Tails(ctx context.Context, s Session, ids []cairn.ShardID) ([]cairn.Tail, error)

	// List returns what the session's owner keeps here, ordered by id, starting
	// after the given one (the zero id starts at the beginning). At most limit
	// entries, and at most MaxList; a page with fewer than asked is the last
	// only when More is false.
	List(ctx context.Context, s Session, after cairn.ShardID, limit int) (ListReply, error)

	// Delete removes shards of the authorisation's owner and makes that durable
	// before it answers. Shards that are not here count as deleted. A shard
	// under retention is refused: its id is in the reply's Retained.
	Delete(ctx context.Context, req DeleteRequest) (DeleteReply, error)
}

// Upload is one shard being received. It is used by one goroutine.
type Upload interface {
	// Write takes the next payload bytes. It may keep p only until it returns.
	Write(p []byte) error
	// Commit verifies the root computed over what was written against the
	// tail, makes the record durable (fsync) and returns the signed receipt.
	// A mismatch is Corrupt and nothing is kept.
	Commit(ctx context.Context, tail UploadTail) (cairn.Receipt, error)
	// Abort forgets the upload and frees its space. Harmless after Commit.
	Abort()
}

// PutRequest opens the upload of one shard record.
type PutRequest struct {
	Auth        cairn.Authorization
	Header      cairn.Header
	MaxManifest int // bound on the sealed manifest that Commit will bring
}

// Validate checks form only; the authorisation is checked by the node.
func (r PutRequest) Validate() error {
	if r.MaxManifest < 0 || r.MaxManifest > cairn.MaxManifest {
		return cairn.Errorf("put shard", cairn.Invalid, "manifest bound of %d bytes, at most %d", r.MaxManifest, cairn.MaxManifest)
	}
	return r.Header.Validate()
}

// UploadTail is what follows the payload.
type UploadTail struct {
	TreeTop  []byte
	Manifest []byte // sealed
	Trailer  cairn.Trailer
}

// DeleteRequest names shards to delete, all of one owner.
type DeleteRequest struct {
	Auth cairn.Authorization // VerbDelete over DeleteSubject(IDs)
	IDs  []cairn.ShardID
}

// Validate checks form only.
func (r DeleteRequest) Validate() error {
	if len(r.IDs) == 0 || len(r.IDs) > MaxBatch {
		return cairn.Errorf("delete shards", cairn.Invalid, "%d shards named: want 1 to %d", len(r.IDs), MaxBatch)
	}
	return nil
}

// DeleteReply says what was not deleted.
type DeleteReply struct {
	Deleted  int             // shards that were here and are gone
	Retained []cairn.ShardID // under retention, still here
}

// Entry is one line of a List. It is a root type so that the gateway can name
// it without knowing this package.
type Entry = cairn.Entry

// ListReply is one page.
type ListReply struct {
	Entries []Entry
	More    bool
}

// Info is what a node says of itself. It is not proof of anything.
type Info struct {
	Node          cairn.NodeID
	Version       string
	FailureDomain string
	Operator      string
	Region        string
	CapacityBytes int64
	UsedBytes     int64
	FreeBytes     int64 // the smaller of what the quota and the disk leave
	Shards        int64
	Writable      bool   // false when full, draining or without its volume
	Reason        string // why not Writable
	Clock         int64  // Unix nanoseconds at the node
	Uploads       int    // open at this moment
}
