package main

import (
	"os"
	"runtime/debug"
)

// Memory beside the transfers' buffers: catalog cache and memtables,
// connections, requests; and for each node in the same process its index.
const (
	gatewayMemory = 128 << 20
	nodeMemory    = 24 << 20
)

// limitMemory tells the collector how much memory the process should make do
// with, so that garbage does not double what the buffers hold. It is not a
// hard limit, and GOMEMLIMIT comes before it.
func limitMemory(buffers int64, nodes int) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(buffers + gatewayMemory + int64(nodes)*nodeMemory)
	}
}
