package nodeapi

import (
	"encoding/binary"

	"github.com/cairn-store/cairn"
)

const (
	helloFixed  = 3
	welcomeSize = 1 + 32 + 8
)

// Hello opens a connection. Its layout is the same in every version of the
// wire, so that any two versions can find out that they do not match.
type Hello struct {
	Oldest, Newest uint8                // versions of the wire the client speaks
	Auth           *cairn.Authorization // VerbSession over this channel; nil stays a stranger
}

// Append appends the body of h to b.
func (h Hello) Append(b []byte) []byte {
	b = append(b, h.Oldest, h.Newest)
	b = appendBool(b, h.Auth != nil)
	if h.Auth != nil {
		b = h.Auth.Append(b)
	}
	return b
}

// ParseHello reads what Append wrote; the authorisation is not checked.
func ParseHello(b []byte) (Hello, error) {
	d := decoder{b: b}
	h := Hello{Oldest: d.u8(), Newest: d.u8()}
	if d.bool() {
		a := d.auth()
		h.Auth = &a
	}
	if h.Oldest == 0 || h.Newest < h.Oldest {
		d.fail(errCanonical)
	}
	if err := d.finish(TypeHello); err != nil {
		return Hello{}, err
	}
	return h, nil
}

// Negotiate returns the newest version both ends speak.
// None in common is an Invalid error.
func (h Hello) Negotiate() (uint8, error) {
	v := min(h.Newest, WireVersion)
	if v < h.Oldest || v < OldestWireVersion {
		return 0, cairn.Errorf("agree on a wire version", cairn.Invalid,
			"the client speaks %d to %d, this node %d to %d", h.Oldest, h.Newest, OldestWireVersion, WireVersion).
			WithHint("bring both programs to the same release")
	}
	return v, nil
}

// Welcome answers a Hello.
type Welcome struct {
	Version uint8 // of the wire, from here on
	Node    cairn.NodeID
	Clock   int64 // Unix nanoseconds at the node
}

// Append appends the body of w to b.
func (w Welcome) Append(b []byte) []byte {
	b = append(b, w.Version)
	b = append(b, w.Node[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(w.Clock))
}

// ParseWelcome reads what Append wrote.
func ParseWelcome(b []byte) (Welcome, error) {
	d := decoder{b: b}
	w := Welcome{Version: d.u8(), Node: cairn.NodeID(d.hash()), Clock: int64(d.u64())}
	if err := d.finish(TypeWelcome); err != nil {
		return Welcome{}, err
	}
	return w, nil
}
