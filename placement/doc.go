// Package placement decides which nodes keep the shards of a segment.
//
// Read [Candidate] first, what placement knows of a node, then [Choose].
// [ChooseScheme] turns the promise (how many nodes may vanish) into a scheme
// for the failure domains that are alive; [Choose] picks the nodes of a new
// segment, [ChooseMirror] a second group that can serve it alone, and
// [Replace] one node for a shard that was lost.
//
// Everything here is a pure function of its arguments: the same candidates,
// key and constraints give the same nodes in the same order, on any machine
// and in whatever order the candidates are listed. Nothing blocks, nothing is
// kept, and all of it is safe for concurrent use.
//
// The choice is weighted rendezvous hashing. Each node draws a number from the
// segment's id and its own, its weight stretches the number, and the largest
// numbers win. A node that joins or leaves moves only what it wins or loses.
//
// Who the candidates are, and which of them live, is the business of
// [github.com/cairn-store/cairn/placement/directory].
package placement
