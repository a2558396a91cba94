// Package refmodel is an object store held in memory, as plain as it can be:
// the specification of what the engine does, to which the engine is compared
// under random operations.
//
// Read Store first. It keeps whole bodies and maps, sorts when it lists, and
// evaluates conditions and ranges in its own few lines rather than share them
// with what it specifies. Only the arithmetic of checksums is shared, because
// package checksum is tested against published values and a slow twin.
//
// A Store is safe for concurrent use. Nothing outlives the process.
package refmodel
