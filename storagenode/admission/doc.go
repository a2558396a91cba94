// Package admission decides what a storage node accepts: whose leave a request
// needs, which record is whole, which delete is a replay. Node and its
// in-memory twin both ask here, so they cannot disagree.
//
// Read Put and Record first. Every function is pure and safe for concurrent
// use; Serials, the memory of used authorisations, guards itself. Nothing here
// does I/O or reads a clock: time is an argument.
//
// Checks run from cheap to dear: form, then meaning, then signature, then the
// hashes of a payload.
package admission
