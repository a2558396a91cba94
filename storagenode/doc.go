// Package storagenode is one storage node's logic: it admits what owners sign,
// keeps it in a shardstore, serves it to its owner alone, and signs for what is
// on stable storage. It implements nodeapi.Service; how requests reach it is
// the business of package transport.
//
// Read Node first, then Config and Init. A node lives in a directory that Init
// makes:
//
//	node.key   its Ed25519 key, 0600; the node's id is the public half
//	volume     the marker: this is the volume of that node, signed by its key
//	shards/    the shard store
//
// The marker and the shards may live elsewhere (Config.ShardDir), on a disk of
// their own. Without the marker the node refuses to write and to start: an
// empty mount point must not pass for an empty node.
//
// A receipt is signed only after the record's bytes were hashed by this node,
// found to fit what the owner signed, and synced. Everything is safe for
// concurrent use; an Upload belongs to one goroutine.
//
// Reads are not checked against the hash tree here: the reader must check
// anyway, and checking twice doubles what a read costs. Store.Verify is there
// for a scrub.
package storagenode
