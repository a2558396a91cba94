// Package nodeapi is the language between a storage node and its clients: the
// Service a node offers, its requests and replies with their Validate, and the
// codes they take on the wire.
//
// Read Service first, then PutRequest. Everything a stranger can send is
// bounded here; a node checks authorisation on every request that changes
// something, and ownership on every request that reads.
package nodeapi
