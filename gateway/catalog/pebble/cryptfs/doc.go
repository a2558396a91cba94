// Package cryptfs encrypts the contents of files beneath Pebble's filesystem
// interface, so that a stolen disk does not tell names of buckets and keys.
//
// Read New first. Each file opens with a header that holds a key of its own,
// sealed under the catalog key; what follows is AES-256-CTR, so any range can
// be read alone. Names, sizes and times of files stay visible; they say how
// much is stored and nothing of what. docs/formats/catalog.md has the table.
//
// No byte of key stream is ever used twice. Every created file draws a fresh
// key, recycling a file (ReuseForWrite) creates a new one, files only grow, and
// a file whose write failed takes no more. Overwriting in place, which Pebble
// never does to its own files, is refused.
//
// A header is on stable storage before the file is handed out. A file with a
// shorter or an empty header is therefore one whose creation a crash
// interrupted, and reads as empty; any other header that does not open is an
// error: Denied when it was made under another catalog key, Corrupt when it is
// damaged.
//
// The layer gives secrecy, not integrity: who can write to the disk can flip
// bits. Pebble's checksums find accidents, and the catalog can be rebuilt from
// the nodes, whose records are authenticated.
package cryptfs
