// Package catalog is the gateway's ordered index of buckets, keys, versions,
// segments and uploads. It is always rebuildable from the nodes; it exists to
// be fast and to decide races.
//
// Read Catalog first, then Batch: every change is one Batch, applied whole or
// not at all, durable when Commit returns, and subject to conditions that are
// checked in the same step. conformance is the suite every implementation
// passes; pebble is the embedded one.
package catalog
