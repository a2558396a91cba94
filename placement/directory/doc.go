// Package directory knows the nodes of a network and which of them are alive.
//
// Read [Record] first, what a node says of itself, signed and expiring; then
// [Directory], the set of records with the liveness of each node. [Host] is the
// libp2p identity both stand on. [Static] answers the same questions from a
// fixed list.
//
// Three ways lead to a record, and any one of them is enough:
//
//	exchange  a node that can be reached is asked for all it knows, and told of us
//	DHT       a private kad-dht holds records by node id and a list of all nodes
//	disk      the set of the last run; names are kept when records have expired
//
// Liveness is our own observation: each node is checked in with directly, and
// the data path reports what it meets ([Directory.MarkFailed],
// [Directory.MarkOK]), so a dead node is left out of placement at once and a
// network whose DHT is silent keeps working. Nothing here asks the DHT while a
// caller waits: reads are answered from memory.
//
// A record is verified (size, signature, then content, network, times) before
// it is believed, wherever it came from, and replaces only an older one. What
// strangers can send is bounded: the size of records and messages, the number
// of streams, the number of nodes remembered.
//
// Crashes: the set on disk is replaced whole, by a synced rename; a crash
// leaves the old set or the new one. All methods are safe for concurrent use,
// and every goroutine has ended when [Directory.Run] and [Host.Close] return.
//
// What nodes store, and whether they keep it, is the business of others.
package directory
