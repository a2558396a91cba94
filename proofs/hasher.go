package proofs

import (
	"github.com/zeebo/blake3"

	"github.com/cairn-store/cairn"
)

// TreeHasher hashes a payload into its tree as it streams by, whatever the
// sizes of the writes. Get one from NewTreeHasher; Reset readies it for the
// next payload without giving its memory back.
type TreeHasher struct {
	leaf   *blake3.Hasher
	filled int    // bytes in the leaf being hashed, below cairn.LeafSize
	top    []byte // hashes of the leaves that are full
	length int64
	closed bool
}

// NewTreeHasher returns a hasher of an empty payload.
func NewTreeHasher() *TreeHasher {
	return &TreeHasher{leaf: blake3.NewDeriveKey(leafContext)}
}

// Reset forgets what was written. It keeps the memory of the top, so the slice
// an earlier Sum returned is overwritten by the next payload.
func (t *TreeHasher) Reset() {
	t.leaf.Reset()
	t.filled, t.top, t.length, t.closed = 0, t.top[:0], 0, false
}

// Len returns the bytes written so far.
func (t *TreeHasher) Len() int64 { return t.length }

// Write takes the next bytes of the payload. It never fails; it panics after
// Sum, because the last leaf is closed by then.
func (t *TreeHasher) Write(p []byte) (int, error) {
	if t.closed {
		panic("proofs: TreeHasher written to after Sum")
	}
	n := len(p)
	t.length += int64(n)
	for len(p) > 0 {
		take := min(cairn.LeafSize-t.filled, len(p))
		_, _ = t.leaf.Write(p[:take])
		t.filled += take
		p = p[take:]
		if t.filled == cairn.LeafSize {
			t.endLeaf()
		}
	}
	return n, nil
}

func (t *TreeHasher) endLeaf() {
	t.top = t.leaf.Sum(t.top)
	t.leaf.Reset()
	t.filled = 0
}

// Sum returns the tree top and the root of what was written. The top stays
// valid until Reset. Sum may be called again.
func (t *TreeHasher) Sum() (top []byte, root cairn.Root) {
	if t.filled > 0 {
		t.endLeaf()
	}
	t.closed = true
	return t.top, RootOf(t.top, t.length)
}
