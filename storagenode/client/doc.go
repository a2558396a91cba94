// Package client speaks to one storage node on behalf of an owner: it signs
// what the owner allows, and checks what the node answers.
//
// Read Client first, then New (a node across the network) and Local (a node in
// the same process). Receipts, tails, lists and the node's name are verified
// before they are returned; payload bytes are not, because only the reader of
// the frames can. A Client is safe for concurrent use, keeps nothing on disk
// and waits for everything it starts. Timeouts are the caller's context.
//
// A Client satisfies the interfaces that the gateway, repair and proofs
// declare for a node; its signatures name no type of this tree but those of
// package cairn and nodeapi.Info.
package client
