// Package proofs holds what lets a stranger check that bytes are kept: the hash
// tree over a shard's payload, and the inclusion paths into it.
//
// A payload is cut into leaves of cairn.LeafSize bytes; only the last may be
// shorter. The leaf hashes, in order, are the tree's top, and stand in every
// shard record. The root binds the top, the leaf size and the payload length:
//
//	root = H(root | leaf size | payload length | node)
//	node = left and right hashed pairwise, the left subtree the largest power of two
//	leaf 0   leaf 1   leaf 2   leaf 3   leaf 4
//	   \_____/           \_____/           |
//	       \________________/              |
//	                \______________________/
//
// Leaves, nodes and roots are hashed by BLAKE3 under contexts of their own, so
// none can pass for another. An empty payload has a root too.
//
// Read TreeHasher first, which hashes a stream, then VerifyTop and
// VerifyLeaves, which check what a node sends back.
//
// The package is pure: no I/O, no clock, no goroutine. Its functions are safe
// for concurrent use; a TreeHasher belongs to one goroutine.
package proofs
