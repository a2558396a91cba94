package storetest

import (
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// Owner signs requests to one node.
type Owner struct {
	Key     ed25519.PrivateKey
	Node    cairn.NodeID
	Expires time.Time // of what it signs; zero means an hour from now
	serial  atomic.Uint64
}

// NewOwner returns an owner whose key follows from seed.
func NewOwner(node cairn.NodeID, seed byte) *Owner {
	s := make([]byte, ed25519.SeedSize)
	s[0] = seed
	return &Owner{Key: ed25519.NewKeyFromSeed(s), Node: node}
}

// Tag returns the owner's tag at the node.
func (o *Owner) Tag() cairn.OwnerTag {
	return cairn.Tag([32]byte(o.Key.Public().(ed25519.PublicKey)))
}

// Session returns the owner's session.
func (o *Owner) Session() nodeapi.Session { return nodeapi.Session{Owner: o.Tag(), Known: true} }

// Sign returns leave for one verb and subject, with a serial of its own.
func (o *Owner) Sign(verb cairn.Verb, subject cairn.Digest) cairn.Authorization {
	expires := o.Expires
	if expires.IsZero() {
		expires = time.Now().Add(time.Hour)
	}
	a := cairn.Authorization{Verb: verb, Node: o.Node, Subject: subject, Expires: expires.Unix(), Serial: o.serial.Add(1)}
	a.Sign(o.Key)
	return a
}

// Put returns the request that opens an upload of r.
func (o *Owner) Put(r Record) nodeapi.PutRequest {
	return nodeapi.PutRequest{
		Auth:        o.Sign(cairn.VerbPut, cairn.PutSubject(r.Tail.Header, len(r.Tail.Manifest))),
		Header:      r.Tail.Header,
		MaxManifest: len(r.Tail.Manifest),
	}
}

// Delete returns the request that deletes ids.
func (o *Owner) Delete(ids ...cairn.ShardID) nodeapi.DeleteRequest {
	return nodeapi.DeleteRequest{Auth: o.Sign(cairn.VerbDelete, cairn.DeleteSubject(ids)), IDs: ids}
}

// Record is a shard record in parts.
type Record struct {
	Tail    cairn.Tail
	Payload []byte
}

// ID returns the shard's id.
func (r Record) ID() cairn.ShardID { return r.Tail.Header.Shard }

// Upload returns what follows the payload of an upload.
func (r Record) Upload() nodeapi.UploadTail {
	return nodeapi.UploadTail{TreeTop: r.Tail.TreeTop, Manifest: r.Tail.Manifest, Trailer: r.Tail.Trailer}
}

// Bytes returns the record whole.
func (r Record) Bytes() []byte {
	b := r.Tail.Header.Append(nil)
	b = append(b, r.Payload...)
	b = append(b, r.Tail.TreeTop...)
	b = append(b, r.Tail.Manifest...)
	return r.Tail.Trailer.Append(b)
}

// Record makes a record of the owner from a number: the same number, sizes and
// owner give the same record. Options change the header before it is sealed.
func (o *Owner) Record(n uint64, payloadLen, manifestLen int, options ...func(*cairn.Header)) Record {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], n)
	copy(seed[8:], "storetest")
	rng := rand.NewChaCha8(seed)
	h := cairn.Header{
		Suite: cairn.SuiteAES, Kind: cairn.KindData, Data: 4, Parity: 2, BlockSize: cairn.DefaultBlockSize,
		PayloadLen: int64(payloadLen), Owner: o.Tag(), Created: 1_790_000_000 + int64(n%1000),
	}
	_, _ = rng.Read(h.Shard.Segment[:])
	h.Shard.Index = uint8(n % 6)
	for _, set := range options {
		set(&h)
	}
	r := Record{Payload: make([]byte, payloadLen)}
	manifest := make([]byte, manifestLen)
	_, _ = rng.Read(r.Payload)
	_, _ = rng.Read(manifest)
	th := proofs.NewTreeHasher()
	_, _ = th.Write(r.Payload)
	top, root := th.Sum()
	r.Tail = cairn.Tail{
		Header: h, TreeTop: top, Manifest: manifest,
		Trailer: cairn.NewTrailer(h, root, cairn.RootsDigest([]cairn.Root{root}), manifest),
	}
	return r
}

// Retain is an option of Record: a lock until t.
func Retain(t time.Time) func(*cairn.Header) {
	return func(h *cairn.Header) { h.RetainUntil = t.Unix() }
}
