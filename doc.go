// Package cairn is the vocabulary of an S3 object store that has no metadata
// server to lose: ids, schemes, records and errors. It imports the standard
// library and blake3, and nothing of ours.
//
// # Words
//
//   - An owner is the holder of a recovery phrase. Everything an owner needs
//     is derived from it.
//   - Object and part mean what they mean in S3. A [Version] is one state of
//     an object; its record is what turns bytes into an object, and the newest
//     [VersionID] of a key wins.
//   - A segment is a run of up to [MaxSegmentPlain] bytes of a part, sealed
//     and coded as a unit. A frame is the piece of it that is sealed by itself.
//   - A [Scheme] is k data and m parity shards, and the block size. A block is
//     a run of frames; a stripe is k blocks and their m parity blocks.
//     [Layout] says where every byte of a segment goes.
//   - A shard is what one node keeps of one segment: a record with a visible
//     [Header], its payload, the top of the payload's hash tree, the sealed
//     manifest and a [Trailer].
//   - A [Manifest], the same in every shard of a segment, says what the
//     segment is part of. Only the owner can open it.
//   - A record is also what a node keeps of a version, a [Tombstone] or a
//     [Bucket]: the same form without a payload.
//   - The catalog is the gateway's ordered index. It can always be rebuilt.
//   - A node is a storage provider's process, named by its [NodeID]. The
//     directory is the known nodes; placement is a choice among them.
//   - An [Authorization] is the owner's signed leave for one request; a
//     [Receipt] is the node's signed answer that a record is on stable storage.
//   - A challenge, a proof and a receipt are evidence of keeping.
//   - An [OwnerTag] is all a node sees of an owner, another one at every node.
//
// # Actors
//
//	S3 client ──HTTP──> gateway ──TLS──> storage node
//	                      │  ▲              │
//	                   catalog └─ directory ┘  (DHT, record exchange)
//
// # The life of one object
//
// An S3 PUT arrives at gateway/s3api, which checks its signature with
// gateway/sigv4 and hands the body to the engine, package gateway. The engine
// makes a content key (gateway/seal), splits the body into segments, seals
// frames in place, adds parity (placement/erasure), masks it, chooses nodes
// (placement) and sends n shards to n nodes at once through
// storagenode/client. Each node (storagenode) hashes what it gets, compares
// the root, writes it to its log (storagenode/shardstore), syncs, and signs a
// receipt. The version record rides in the manifests of a segment that is
// alone, or is a record of its own on m+1 nodes. Then the catalog
// (gateway/catalog) commits, and the client gets its 200.
//
// A GET plans which blocks it needs, asks each of its data shard, and
// reconstructs from the others what is late or bad; no byte leaves before its
// frame was verified. A DELETE leaves a tombstone on m+1 nodes. Should the
// gateway's machine be lost, gateway/recovery lists what every node keeps
// under the owner's tags and rebuilds the catalog from it.
//
// # What binds everybody
//
// A write that was answered is durable on every node that counts and in the
// catalog. A node is never trusted: what it sends is verified before use. A
// failure somebody can act upon carries a [Kind], and the kind survives the
// wire. layers_test.go says who may import whom.
//
// Read [Layout] and [Header] next, then package gateway.
package cairn
