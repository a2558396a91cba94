package proofs

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/cairn-store/cairn"
)

const digestSize = len(cairn.Digest{})

// Purposes of the three kinds of hash in a tree.
const (
	leafContext = "cairn 2026 shard tree leaf v1"
	nodeContext = "cairn 2026 shard tree node v1"
	rootContext = "cairn 2026 shard tree root v1"
)

// hashers keeps one set of keyed hashers per goroutine that needs one: setting
// a context up costs as much as hashing a kilobyte.
var hashers = sync.Pool{New: func() any {
	return &hasherSet{
		leaf: blake3.NewDeriveKey(leafContext),
		node: blake3.NewDeriveKey(nodeContext),
		root: blake3.NewDeriveKey(rootContext),
	}
}}

type hasherSet struct {
	leaf, node, root *blake3.Hasher
	in               [2 * 32]byte
	out              [32]byte
}

// sum returns what h has taken, and readies it for the next use. The digest
// passes through s so that nothing escapes to the heap.
func (s *hasherSet) sum(h *blake3.Hasher) cairn.Digest {
	h.Sum(s.out[:0])
	h.Reset()
	return s.out
}

func (s *hasherSet) hashLeaf(b []byte) cairn.Digest {
	_, _ = s.leaf.Write(b)
	return s.sum(s.leaf)
}

func (s *hasherSet) hashNode(left, right cairn.Digest) cairn.Digest {
	copy(s.in[:32], left[:])
	copy(s.in[32:], right[:])
	_, _ = s.node.Write(s.in[:])
	return s.sum(s.node)
}

// hashRoot closes the tree over the node that covers all leaves; the node of
// no leaves is zero.
func (s *hasherSet) hashRoot(node cairn.Digest, payloadLen int64) cairn.Root {
	binary.LittleEndian.PutUint32(s.in[0:], cairn.LeafSize)
	binary.LittleEndian.PutUint64(s.in[4:], uint64(payloadLen))
	_, _ = s.root.Write(s.in[:12])
	copy(s.in[:32], node[:])
	_, _ = s.root.Write(s.in[:32])
	return cairn.Root(s.sum(s.root))
}

// hashTop returns the node over all leaf hashes in top, zero for none.
func (s *hasherSet) hashTop(top []byte) cairn.Digest {
	n := len(top) / digestSize
	switch n {
	case 0:
		return cairn.Digest{}
	case 1:
		return cairn.Digest(top)
	}
	left := leftLeaves(n)
	return s.hashNode(s.hashTop(top[:left*digestSize]), s.hashTop(top[left*digestSize:]))
}

// leftLeaves is the size of the left subtree over n leaves: the largest power
// of two below n. Requires n >= 2.
func leftLeaves(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Leaf returns the hash of one leaf of at most cairn.LeafSize bytes.
func Leaf(b []byte) cairn.Digest {
	s := hashers.Get().(*hasherSet)
	defer hashers.Put(s)
	return s.hashLeaf(b)
}

// RootOf returns the root over the leaf hashes in top and a payload length.
// Requires len(top) == 32 * cairn.Leaves(payloadLen); VerifyTop checks that.
func RootOf(top []byte, payloadLen int64) cairn.Root {
	s := hashers.Get().(*hasherSet)
	defer hashers.Put(s)
	return s.hashRoot(s.hashTop(top), payloadLen)
}

// VerifyTop returns a Corrupt error unless top is the tree top of the payload
// of payloadLen bytes that root stands for.
func VerifyTop(top []byte, payloadLen int64, root cairn.Root) error {
	const op = "verify tree top"
	if payloadLen < 0 || len(top) != cairn.Leaves(payloadLen)*digestSize {
		return cairn.Errorf(op, cairn.Corrupt, "%d bytes of leaf hashes for a payload of %d bytes", len(top), payloadLen)
	}
	if RootOf(top, payloadLen) != root {
		return cairn.Errorf(op, cairn.Corrupt, "root does not match")
	}
	return nil
}

// VerifyLeaves returns a Corrupt error unless b is what the payload holds from
// the start of leaf firstLeaf on. Requires that top was verified, that b ends
// at a leaf's end or at the payload's, and is not empty.
func VerifyLeaves(top []byte, firstLeaf int, b []byte, payloadLen int64) error {
	const op = "verify leaves"
	from := int64(firstLeaf) * cairn.LeafSize
	to := from + int64(len(b))
	switch {
	case len(top) != cairn.Leaves(payloadLen)*digestSize:
		return cairn.Errorf(op, cairn.Invalid, "%d bytes of leaf hashes for a payload of %d bytes", len(top), payloadLen)
	case firstLeaf < 0 || len(b) == 0 || to > payloadLen:
		return cairn.Errorf(op, cairn.Invalid, "%d bytes from leaf %d of a payload of %d bytes", len(b), firstLeaf, payloadLen)
	case to != payloadLen && to%cairn.LeafSize != 0:
		return cairn.Errorf(op, cairn.Invalid, "range ends within a leaf, at %d", to)
	}
	s := hashers.Get().(*hasherSet)
	defer hashers.Put(s)
	for i := firstLeaf; len(b) > 0; i++ {
		n := min(len(b), cairn.LeafSize)
		if s.hashLeaf(b[:n]) != cairn.Digest(top[i*digestSize:]) {
			return cairn.Errorf(op, cairn.Corrupt, "leaf %d does not match its hash", i)
		}
		b = b[n:]
	}
	return nil
}
