// Package decode restores objects from loose shard records: files, each holding
// one record as docs/formats/shard.md describes it, and the owner's keys. No
// node, catalog or network is involved, which makes it the shortest complete
// account of how an object is read.
//
// Read [Decode] first. Every record is checked against itself, opened, and put
// with the others of its segment. A version record, alone or in a manifest,
// says which segments make an object; segments that no version record at hand
// names are written as raw parts, named by object id. Any k good blocks of a
// stripe are enough, whichever records they come from, so several damaged
// shards can make one good object.
//
// Deletions are not looked at: what is handed in is restored. Memory is one
// stripe and the manifests. What is written was authenticated frame by frame.
package decode
