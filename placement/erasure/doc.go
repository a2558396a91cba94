// Package erasure turns the data blocks of a stripe into parity blocks and
// back: any k of the n blocks of a stripe give all of them.
//
// Read [Code] and its Encode and Reconstruct. The code is systematic
// Reed-Solomon over GF(2^8) with the field polynomial 0x11d and a Vandermonde
// matrix made systematic; with one data block every other block is a copy.
// testdata/vectors pins the bytes, because a shard written today is
// reconstructed by whatever runs then.
//
// The package is pure and knows nothing of seals or masks: it is handed sealed
// blocks, and masks go on after Encode and come off before Reconstruct. A Code
// is safe for concurrent use. Blocks belong to the caller throughout.
package erasure
