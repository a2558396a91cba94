package placement

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"math"

	"github.com/cairn-store/cairn"
)

// draw gives each node its number for one key. AES-256 keyed with the segment
// id, chained over the two blocks of the node id, is a pseudo-random function:
// a node cannot pick an id that wins for segments it does not know, and ten
// thousand nodes cost well under a millisecond.
type draw struct{ block cipher.Block }

func newDraw(key [32]byte) draw {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("placement: AES refuses a key of 32 bytes: " + err.Error())
	}
	return draw{block}
}

// uniform returns the node's number, in the open interval (0, 1).
func (d draw) uniform(id cairn.NodeID) float64 {
	var buf [aes.BlockSize]byte
	copy(buf[:], id[:aes.BlockSize])
	d.block.Encrypt(buf[:], buf[:])
	subtle.XORBytes(buf[:], buf[:], id[aes.BlockSize:])
	d.block.Encrypt(buf[:], buf[:])
	return (float64(binary.BigEndian.Uint64(buf[:])>>11) + 0.5) / (1 << 53)
}

// score stretches the node's number by its weight. With -weight/ln(u) the
// chance of the highest score is weight over the sum of weights, and a change
// of one node's weight never reorders the others.
func (d draw) score(id cairn.NodeID, weight float64) float64 {
	return -weight / math.Log(d.uniform(id))
}
