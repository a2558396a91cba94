package proofs

import "github.com/cairn-store/cairn"

// maxPath bounds an inclusion path: no payload has more than 2^32 leaves.
const maxPath = 32

// Prove returns the inclusion path of leaf index: the hashes beside it, from
// the leaf up. Requires 0 <= index < leaves in top.
func Prove(top []byte, index int) []cairn.Digest {
	s := hashers.Get().(*hasherSet)
	defer hashers.Put(s)
	return s.path(top, index, nil)
}

func (s *hasherSet) path(top []byte, index int, path []cairn.Digest) []cairn.Digest {
	n := len(top) / digestSize
	if n < 2 {
		return path
	}
	left := leftLeaves(n)
	cut := left * digestSize
	if index < left {
		path = s.path(top[:cut], index, path)
		return append(path, s.hashTop(top[cut:]))
	}
	path = s.path(top[cut:], index-left, path)
	return append(path, s.hashTop(top[:cut]))
}

// VerifyLeaf returns a Corrupt error unless path proves that leaf is the bytes
// of leaf index in the payload of payloadLen bytes that root stands for.
func VerifyLeaf(root cairn.Root, payloadLen int64, index int, leaf []byte, path []cairn.Digest) error {
	const op = "verify leaf"
	leaves := cairn.Leaves(payloadLen)
	if index < 0 || index >= leaves || len(path) > maxPath {
		return cairn.Errorf(op, cairn.Invalid, "leaf %d of %d with a path of %d", index, leaves, len(path))
	}
	want := min(payloadLen-int64(index)*cairn.LeafSize, cairn.LeafSize)
	if int64(len(leaf)) != want {
		return cairn.Errorf(op, cairn.Corrupt, "leaf %d has %d bytes, want %d", index, len(leaf), want)
	}
	s := hashers.Get().(*hasherSet)
	defer hashers.Put(s)
	node, rest, ok := s.climb(s.hashLeaf(leaf), leaves, index, path)
	if !ok || len(rest) != 0 || s.hashRoot(node, payloadLen) != root {
		return cairn.Errorf(op, cairn.Corrupt, "path of leaf %d does not lead to the root", index)
	}
	return nil
}

// climb hashes node, which is leaf index of a subtree over leaves, up to that
// subtree's own node, and returns what is left of the path.
func (s *hasherSet) climb(node cairn.Digest, leaves, index int, path []cairn.Digest) (cairn.Digest, []cairn.Digest, bool) {
	if leaves == 1 {
		return node, path, true
	}
	left := leftLeaves(leaves)
	isRight := index >= left
	var ok bool
	if isRight {
		node, path, ok = s.climb(node, leaves-left, index-left, path)
	} else {
		node, path, ok = s.climb(node, left, index, path)
	}
	if !ok || len(path) == 0 {
		return node, path, false
	}
	if isRight {
		return s.hashNode(path[0], node), path[1:], true
	}
	return s.hashNode(node, path[0]), path[1:], true
}
