package cairn

import (
	"crypto/ed25519"
	"encoding/binary"
	"time"
)

// Verb is what an authorisation allows.
type Verb uint8

const (
	// VerbPut allows storing one shard record.
	VerbPut Verb = 1
	// VerbDelete allows deleting a list of shards.
	VerbDelete Verb = 2
	// VerbSession lets a connection read and list what carries the owner's tag.
	VerbSession Verb = 3
)

// Authorization is an owner's signed leave for one request at one node. The
// signing key is the owner's key for that node alone, and the owner's tag
// there is a hash of it, so a node needs no account to check that whoever
// deletes a shard is who stored it.
type Authorization struct {
	Verb      Verb
	Node      NodeID
	OwnerKey  [32]byte // Ed25519 public key of the owner at this node
	Subject   Digest   // what is allowed; see PutSubject, DeleteSubject, SessionSubject
	Expires   int64    // Unix seconds
	Serial    uint64   // unique per owner, node and validity
	Signature [64]byte
}

const (
	authPurpose = "cairn/authorization/1\x00"
	// AuthorizationSize is the length of an encoded authorisation.
	AuthorizationSize = 1 + 32 + 32 + 32 + 8 + 8 + 64
)

// Tag returns the owner tag that belongs to an owner's key at a node.
func Tag(ownerKey [32]byte) OwnerTag { return hashOwner.sum(ownerKey[:]) }

// PutSubject is the subject of leave to store h with at most maxManifest bytes
// of sealed manifest.
func PutSubject(h Header, maxManifest int) Digest {
	return hashPut.sum(binary.LittleEndian.AppendUint32(h.Append(nil), uint32(maxManifest)))
}

// DeleteSubject is the subject of leave to delete exactly ids, in that order.
func DeleteSubject(ids []ShardID) Digest {
	list := make([]byte, 0, len(ids)*33)
	for _, id := range ids {
		list = append(append(list, id.Segment[:]...), id.Index)
	}
	return hashDelete.sum(list)
}

// SessionSubject is the subject of leave to read over the one connection whose
// TLS exporter gave channel.
func SessionSubject(channel []byte) Digest { return hashSession.sum(channel) }

func (a Authorization) appendUnsigned(b []byte) []byte {
	b = append(b, byte(a.Verb))
	b = append(b, a.Node[:]...)
	b = append(b, a.OwnerKey[:]...)
	b = append(b, a.Subject[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.Expires))
	return binary.LittleEndian.AppendUint64(b, a.Serial)
}

// Append appends the AuthorizationSize bytes of a to b.
func (a Authorization) Append(b []byte) []byte {
	return append(a.appendUnsigned(b), a.Signature[:]...)
}

// ParseAuthorization reads what Append wrote; the signature is not checked.
func ParseAuthorization(b []byte) (Authorization, error) {
	if len(b) != AuthorizationSize {
		return Authorization{}, Errorf("parse authorization", Invalid, "%d bytes, want %d", len(b), AuthorizationSize)
	}
	return Authorization{
		Verb:      Verb(b[0]),
		Node:      NodeID(b[1:33]),
		OwnerKey:  [32]byte(b[33:65]),
		Subject:   Digest(b[65:97]),
		Expires:   int64(binary.LittleEndian.Uint64(b[97:])),
		Serial:    binary.LittleEndian.Uint64(b[105:]),
		Signature: [64]byte(b[113:]),
	}, nil
}

// Sign fills OwnerKey and Signature from the owner's key for a.Node.
func (a *Authorization) Sign(key ed25519.PrivateKey) {
	a.OwnerKey = [32]byte(key.Public().(ed25519.PublicKey))
	a.Signature = [64]byte(ed25519.Sign(key, a.appendUnsigned([]byte(authPurpose))))
}

// Verify returns a Denied error unless a is signed, meant for this node, verb
// and subject, and not expired at now.
func (a Authorization) Verify(node NodeID, verb Verb, subject Digest, now time.Time) error {
	const op = "check authorization"
	switch {
	case a.Node != node:
		return Errorf(op, Denied, "meant for node %v", a.Node)
	case a.Verb != verb || a.Subject != subject:
		return Errorf(op, Denied, "meant for another request")
	case now.Unix() > a.Expires:
		return Errorf(op, Denied, "expired %v ago", now.Sub(time.Unix(a.Expires, 0)).Round(time.Second)).
			WithHint("compare the clocks of gateway and node")
	case !ed25519.Verify(a.OwnerKey[:], a.appendUnsigned([]byte(authPurpose)), a.Signature[:]):
		return Errorf(op, Denied, "signature does not match")
	}
	return nil
}
