// Package gateway is the object engine: it turns S3's idea of buckets, objects
// and uploads into segments, shards and records on storage nodes.
//
// Read Engine first, then PutRequest and Object. The engine seals, codes and
// places what it is given, writes it to n nodes at once, and only then commits
// to the catalog; a successful answer means durable on every node that counts
// and in the catalog. Killing the process at any moment loses nothing that was
// acknowledged: what an intent in the catalog shows as unfinished is undone at
// the next start.
//
// It leaves HTTP, XML and signatures to s3api and sigv4, the index to catalog,
// cryptography to seal, the code to placement/erasure, and the nodes to
// whoever hands it a Cluster.
package gateway
