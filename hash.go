package cairn

import (
	"sync"

	"github.com/zeebo/blake3"
)

// purpose hashes for one purpose, which is part of every hash, so that a hash
// made for one use is never taken for another. Setting a purpose up costs as
// much as hashing a kilobyte, so its hashers are reused.
type purpose struct{ hashers sync.Pool }

func newPurpose(context string) *purpose {
	return &purpose{sync.Pool{New: func() any { return blake3.NewDeriveKey(context) }}}
}

// sum returns the hash of the parts, one after the other. Callers give parts
// of fixed length, or one part of variable length at the end.
func (p *purpose) sum(parts ...[]byte) (out [32]byte) {
	h := p.hashers.Get().(*blake3.Hasher)
	for _, b := range parts {
		_, _ = h.Write(b) // never fails
	}
	h.Sum(out[:0])
	h.Reset()
	p.hashers.Put(h)
	return out
}

var (
	hashRecord  = newPurpose("cairn 2026 shard record v1")
	hashRoots   = newPurpose("cairn 2026 segment roots v1")
	hashOwner   = newPurpose("cairn 2026 owner tag v1")
	hashPut     = newPurpose("cairn 2026 authorize put v1")
	hashDelete  = newPurpose("cairn 2026 authorize delete v1")
	hashSession = newPurpose("cairn 2026 authorize session v1")
)
