// Package shardstore keeps shard records on one volume: append-only logs that
// hold the truth, and a Pebble index that says where things are and can always
// be made again from the logs.
//
// Read Store first, then format.go, which draws the bytes, and recover.go,
// which says what a crash may leave.
//
// # Promises
//
// When Upload.Commit, PutRecord or Delete returns nil, the record or deletion
// survives a power cut. A record that was not acknowledged may survive too, but
// only whole. A deleted record never returns. After a failed sync nothing is
// acknowledged any more until the store is opened again: the kernel may have
// dropped the very pages. Reads go on.
//
// # Order of durable effects
//
//	put     extent written | log synced          | index batch (no sync) | answer
//	delete  delete frame written | log synced    | index batch (no sync) | answer | hole punched
//	seal    last frame acknowledged | footer written, synced | index batch
//	compact live records copied, log synced | index batch, synced | log condemned, synced | file removed
//
// A commit waits for one fdatasync, shared with every commit that waits for the
// same lane. The index is not synced with it: each batch carries, for each log
// it touches, a watermark below which every frame is in the index, and Pebble
// recovers a prefix of the batches written. What lies above the watermark is
// found by hopping from frame to frame, checked against its hashes, and put
// into the index again. The index is synced every few megabytes of
// acknowledged records, which bounds that work.
//
// # One filesystem
//
// Logs use internal/durable. Pebble uses the same filesystem through a small
// adapter when that is the forgetting one of the tests, so that a crash takes
// both at the same moment; on a real disk it uses its own access to the
// operating system.
//
// # Concurrency
//
// Everything is safe for concurrent use, except that an Upload belongs to one
// goroutine. Locks are taken in this order: the busy set of shard ids, a lane's
// place, Store.indexMu, Store.mu, logFile.use. Only Store.mu is never held
// across I/O.
//
// # Left to others
//
// Authorisation, retention policy and receipts belong to package storagenode;
// checking what is read belongs to the reader, who must anyway (a scrub may
// call Verify).
package shardstore
