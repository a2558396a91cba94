package cairn

import (
	"errors"
	"fmt"
	"math/big"
)

// peerIDPrefix is what stands before an Ed25519 public key in a libp2p peer
// id: an identity multihash of 36 bytes holding a protobuf {type 1, 32 bytes}.
var peerIDPrefix = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// String returns the libp2p peer id ("12D3KooW…"), the form that stands in
// multiaddrs.
func (id NodeID) String() string {
	raw := append(append([]byte{}, peerIDPrefix...), id[:]...)
	n, radix, digit := new(big.Int).SetBytes(raw), big.NewInt(58), new(big.Int)
	var out []byte
	for n.Sign() > 0 {
		n.DivMod(n, radix, digit)
		out = append(out, base58Alphabet[digit.Int64()])
	}
	out = append(out, base58Alphabet[0]) // the prefix starts with one zero byte
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out)
}

// Short returns the last characters of the peer id, enough for a log line.
func (id NodeID) Short() string {
	s := id.String()
	return s[len(s)-8:]
}

// IsZero reports whether the id is unset.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// MarshalText returns the peer id.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads a peer id; see ParseNodeID.
func (id *NodeID) UnmarshalText(text []byte) error {
	parsed, err := ParseNodeID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseNodeID reads a libp2p peer id of an Ed25519 key.
// Anything else is an Invalid error.
func ParseNodeID(s string) (NodeID, error) {
	const op = "parse node id"
	if len(s) == 0 || len(s) > 64 || s[0] != base58Alphabet[0] {
		return NodeID{}, NewError(op, Invalid, fmt.Errorf("%q is not a peer id of an Ed25519 key", s))
	}
	n, radix := new(big.Int), big.NewInt(58)
	for _, c := range []byte(s[1:]) {
		digit := -1
		for i := range len(base58Alphabet) {
			if base58Alphabet[i] == c {
				digit = i
				break
			}
		}
		if digit < 0 {
			return NodeID{}, NewError(op, Invalid, fmt.Errorf("%q holds %q, which is not base58", s, c))
		}
		n.Add(n.Mul(n, radix), big.NewInt(int64(digit)))
	}
	raw := n.FillBytes(make([]byte, len(s))) // longer than needed, never too short
	raw = raw[len(raw)-min(len(raw), len(peerIDPrefix)+len(NodeID{})):]
	if len(raw) != len(peerIDPrefix)+len(NodeID{}) || string(raw[:len(peerIDPrefix)]) != string(peerIDPrefix) {
		return NodeID{}, NewError(op, Invalid, errors.New("not the peer id of an Ed25519 key"))
	}
	id := NodeID(raw[len(peerIDPrefix):])
	if id.String() != s {
		return NodeID{}, NewError(op, Invalid, fmt.Errorf("%q is not in canonical form", s))
	}
	return id, nil
}
