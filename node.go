package cairn

import "context"

// ShardWriter is one shard on its way to a node. One goroutine uses it.
type ShardWriter interface {
	// Write sends the next payload bytes, in order. It does not keep p.
	Write(p []byte) (int, error)
	// Commit ends the payload and returns once the record is on stable storage
	// at the node; the receipt has been verified. Any error means the shard
	// may or may not be there, and the writer is done with.
	Commit(ctx context.Context, treeTop, manifest []byte, t Trailer) (Receipt, error)
	// Abort gives the shard up. Harmless after Commit.
	Abort()
}
