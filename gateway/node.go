package gateway

import (
	"context"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// Node is what the engine asks of one storage node. Implementations are safe
// for concurrent use, verify what can be verified without the owner's keys
// (receipts, record digests), and give errors a cairn.Kind. Cancelling ctx
// ends a call at once.
type Node interface {
	ID() cairn.NodeID
	// Owner returns the tag that this owner's shards carry at this node; the
	// caller puts it into headers.
	Owner() cairn.OwnerTag
	// Put begins to store a shard. See cairn.ShardWriter for durability.
	Put(ctx context.Context, h cairn.Header, maxManifest int) (cairn.ShardWriter, error)
	// PutRecord stores a small record whole, in one round trip; it is on stable
	// storage when the receipt is returned.
	PutRecord(ctx context.Context, h cairn.Header, payload, treeTop, manifest []byte, t cairn.Trailer) (cairn.Receipt, error)
	// Read fills buf from offset off of the shard's payload. The bytes are as
	// the node sent them: the caller verifies.
	Read(ctx context.Context, id cairn.ShardID, off int64, buf []byte) error
	// Tails returns shard records without payloads; absent ones are left out.
	Tails(ctx context.Context, ids []cairn.ShardID) ([]cairn.Tail, error)
	// List pages through what the owner keeps at the node, in order of id.
	List(ctx context.Context, after cairn.ShardID, limit int) (entries []cairn.Entry, more bool, err error)
	// Delete removes shards; what is not there counts as removed. Those under
	// retention are returned and stay.
	Delete(ctx context.Context, ids []cairn.ShardID) (retained []cairn.ShardID, err error)
	// Latency returns the median and the 90th percentile of recent reads, zero
	// when unknown.
	Latency() (p50, p90 time.Duration)
}

// Cluster is the known nodes.
type Cluster interface {
	// Candidates returns every known node with its state; placement chooses
	// among them.
	Candidates() []placement.Candidate
	// Node returns a handle on a known node, living or not, or a NotFound
	// error. It does not dial.
	Node(id cairn.NodeID) (Node, error)
	// Report tells how a call to a node ended, so that a dead one is noticed at
	// once. A nil err is good news. Cancelled calls are not reported.
	Report(id cairn.NodeID, err error)
}
