// Package seal holds the owner's keys and everything sealed under them: the
// way from 24 words to keys, content keys, frames, masks, manifests, and the
// key file a gateway keeps.
//
//	24 words ─BIP-39─▶ seed ─BIP-32, hardened─▶ one key per purpose ─HKDF─▶
//	    sealing/epoch ─▶ wraps content keys, seals manifests and records
//	    nodes         ─▶ an Ed25519 key per node, so no two nodes see the same owner
//	    access        ─▶ S3 credentials        catalog, tokens ─▶ keys of the gateway
//	content key (random, one per PUT or part)
//	    ─▶ a frame key per data shard           ─▶ AES-256-GCM, one nonce per frame
//	    ─▶ a mask secret per segment ─▶ a mask key per parity shard ─▶ AES-256-CTR
//
// Read [Keys] and [Segment] first. Every label and path is a constant in
// derive.go; docs/formats/shard.md and docs/formats/owner-key.md have the byte
// tables, testdata/vectors the exact bytes, and docs/decisions/ the argument
// why a sealed byte opens to one plaintext only.
//
// Promises. No key seals two different plaintexts under one nonce as long as a
// segment id is used once per content key. What opens was sealed by this owner
// for exactly this place: object, part, segment, shard, frame. Anything else is
// a cairn.Corrupt error. Keys print as a placeholder whatever verb or encoder
// asks. All types are safe for concurrent use. Nothing here talks to a node.
package seal
