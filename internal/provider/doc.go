// Package provider is one storage node with everything around it: its libp2p
// host, its directory of other nodes, and the listener for data. The command
// storagenode runs one; cairn up runs several in one process.
//
// Read Config and Provider first. Services are the node's parts in the order
// of their start; a node says that it is there only once it can serve, and is
// marked as leaving before it stops. The node's own promises are those of
// package storagenode.
package provider
