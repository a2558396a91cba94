// Package memnode is a storage node without a disk: a nodeapi.Service that
// keeps its records in memory, makes the same checks as the real one, and
// fails on command. Tests of whatever talks to nodes use it.
//
// Read Node first, then its faults (faults.go): down, paused, full, corrupt,
// and hooks before and after every operation, for failures of both flavours:
// it failed, and it failed but happened.
//
// It is safe for concurrent use. "Durable" means until the Node is dropped.
package memnode
