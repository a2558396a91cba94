// Package recovery rebuilds a gateway's catalog from the nodes, given nothing
// but the owner's keys and an empty directory.
//
// Read [Run] and [Verdict]. A recovery goes through three phases:
//
//	walk    every node lists what it keeps for the owner, in order of id; the
//	        lists are merged, one verified tail of each segment and record is
//	        fetched from whoever has it, and goes to a spool file
//	decide  the spool is read back: versions are ordered by id, tombstones
//	        applied, the version each key shows is chosen and committed
//	settle  segments are committed with their reference counts; what nothing
//	        refers to becomes garbage; buckets come last
//
// The walk is long and talks to nodes, so it is checkpointed after each batch:
// (1) the spool is synced, (2) the state file, which holds the position and the
// spool's length, is replaced. A crash before (2) repeats the batch, and the
// spool is cut back first. Deciding and settling are a function of the spool
// and write the same facts when they are repeated, so they start over. The
// spool holds manifests as the nodes keep them, sealed.
//
// Nodes may lie, hang or be gone: nothing counts that was not opened under the
// owner's keys, a node that fails is reported and not waited for, and nothing
// is deleted on a doubt a missing node could lift. Memory is about 100 bytes
// for each segment and version, plus one batch.
package recovery
