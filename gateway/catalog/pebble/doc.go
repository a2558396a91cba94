// Package pebble keeps the gateway's catalog in an embedded Pebble database.
//
// Read Open and Catalog.Commit first. Every batch becomes one Pebble batch that
// also carries the counters and reference counts it changes, so a crash leaves
// all of it or nothing of it, and the counts are always exact. Conditions are
// checked and the batch is applied under one lock; the wait for the disk comes
// after the lock is let go, so concurrent commits share one fsync of the log.
// A commit is seen by others as soon as it is applied, a moment before it is
// durable; it is acknowledged when it is durable.
//
// A failed write of the log ends the catalog: everything after it is refused
// as Unavailable, because nobody can say what reached the disk. Opening it
// again finds every acknowledged commit.
//
// With a key, contents of all files are encrypted (cryptfs). The order of keys
// and the encoding of values stand in docs/formats/catalog.md.
package pebble
