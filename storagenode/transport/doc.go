// Package transport carries nodeapi messages between a storage node and its
// clients over authenticated connections.
//
// Read Serve for the node's side and Channel for the client's side. Both speak
// over a Link, an authenticated byte stream; the one made here is TLS 1.3 over
// TCP, in which each side proves an Ed25519 key by the libp2p handshake. A
// client dials a NodeID and talks to exactly that node or to nobody; it shows
// a fresh key on every connection, so that nodes cannot link an owner by it,
// and proves who it is by signing the connection itself (nodeapi.Hello).
//
// One request is under way per connection at a time, and connections are
// pooled. A request whose context ends costs its connection, never more. A node
// bounds connections, handshakes, silence, pace, requests and buffers before
// it does any other work for a stranger; panics of the service end one
// connection. Nothing here survives a crash, and nothing has to: whether a
// shard is stored is said by its receipt alone.
package transport
