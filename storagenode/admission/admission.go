package admission

import (
	"bytes"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// Put returns nil when req may be stored at node now, and otherwise an Invalid
// or Denied error.
func Put(node cairn.NodeID, req nodeapi.PutRequest, now time.Time) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if err := owns(req.Auth, req.Header); err != nil {
		return err
	}
	return req.Auth.Verify(node, cairn.VerbPut, cairn.PutSubject(req.Header, req.MaxManifest), now)
}

// owns returns a Denied error unless the key that signs auth is the owner
// named in the header.
func owns(auth cairn.Authorization, h cairn.Header) error {
	if cairn.Tag(auth.OwnerKey) != h.Owner {
		return cairn.Errorf("put shard", cairn.Denied, "the header names another owner than the one who signed")
	}
	return nil
}

// Record reads a whole record and returns its tail and payload, both sharing
// memory with b, when it may be stored at node now. The authorisation must
// bound the manifest by exactly the length it has.
func Record(node cairn.NodeID, auth cairn.Authorization, b []byte, now time.Time) (cairn.Tail, []byte, error) {
	const op = "put record"
	if len(b) > nodeapi.MaxSmall {
		return cairn.Tail{}, nil, cairn.Errorf(op, cairn.Invalid, "%d bytes, at most %d", len(b), nodeapi.MaxSmall)
	}
	tail, payload, err := Split(b)
	if err != nil {
		return cairn.Tail{}, nil, err
	}
	if err := owns(auth, tail.Header); err != nil {
		return cairn.Tail{}, nil, err
	}
	subject := cairn.PutSubject(tail.Header, len(tail.Manifest))
	if err := auth.Verify(node, cairn.VerbPut, subject, now); err != nil {
		return cairn.Tail{}, nil, err
	}
	return tail, payload, Whole(tail, payload)
}

// Split takes a record apart without checking any hash. The parts share memory
// with b.
func Split(b []byte) (tail cairn.Tail, payload []byte, err error) {
	const op = "read shard record"
	h, err := cairn.ParseHeader(b)
	if err != nil {
		return cairn.Tail{}, nil, err
	}
	if int64(len(b)) < h.RecordLen(0) {
		return cairn.Tail{}, nil, cairn.Errorf(op, cairn.Corrupt, "%v: %d bytes, want at least %d", h.Shard, len(b), h.RecordLen(0))
	}
	t, err := cairn.ParseTrailer(b[len(b)-cairn.TrailerSize:])
	if err != nil {
		return cairn.Tail{}, nil, err
	}
	if int64(len(b)) != h.RecordLen(t.ManifestLen) {
		return cairn.Tail{}, nil, cairn.Errorf(op, cairn.Corrupt, "%v: %d bytes, want %d", h.Shard, len(b), h.RecordLen(t.ManifestLen))
	}
	payload, rest := b[cairn.HeaderSize:cairn.HeaderSize+h.PayloadLen], b[cairn.HeaderSize+h.PayloadLen:]
	top := h.TreeTopLen()
	return cairn.Tail{
		Header:   h,
		TreeTop:  rest[:top:top],
		Manifest: rest[top : top+t.ManifestLen : top+t.ManifestLen],
		Trailer:  t,
	}, payload, nil
}

// Whole returns a Corrupt error unless the payload, tree top, manifest and
// trailer of a record belong together.
func Whole(tail cairn.Tail, payload []byte) error {
	if err := tail.Verify(); err != nil {
		return err
	}
	if err := proofs.VerifyTop(tail.TreeTop, tail.Header.PayloadLen, tail.Trailer.Root); err != nil {
		return err
	}
	if len(payload) == 0 {
		return nil
	}
	return proofs.VerifyLeaves(tail.TreeTop, 0, payload, tail.Header.PayloadLen)
}

// Tail returns the tail of an upload whose payload hashed to top and root, or
// a Corrupt error when what the sender says differs, or an Invalid one when
// the manifest exceeds its bound. The result shares memory with up.
func Tail(h cairn.Header, maxManifest int, top []byte, root cairn.Root, up nodeapi.UploadTail) (cairn.Tail, error) {
	const op = "commit shard"
	if len(up.Manifest) > maxManifest {
		return cairn.Tail{}, cairn.Errorf(op, cairn.Invalid, "manifest of %d bytes, at most %d were announced", len(up.Manifest), maxManifest)
	}
	if !bytes.Equal(top, up.TreeTop) || root != up.Trailer.Root {
		return cairn.Tail{}, cairn.Errorf(op, cairn.Corrupt, "%v: the payload received has root %v, the sender says %v", h.Shard, root, up.Trailer.Root)
	}
	tail := cairn.Tail{Header: h, TreeTop: up.TreeTop, Manifest: up.Manifest, Trailer: up.Trailer}
	return tail, tail.Verify()
}

// Delete returns nil when req may be carried out at node now. Whether it is a
// replay is for Serials to say.
func Delete(node cairn.NodeID, req nodeapi.DeleteRequest, now time.Time) error {
	if err := req.Validate(); err != nil {
		return err
	}
	return req.Auth.Verify(node, cairn.VerbDelete, cairn.DeleteSubject(req.IDs), now)
}

// ReadRange returns an Invalid error unless n bytes at off lie in the payload
// and in what one Read may ask for.
func ReadRange(h cairn.Header, off int64, n int) error {
	if off < 0 || n > nodeapi.MaxRead || off > h.PayloadLen || int64(n) > h.PayloadLen-off {
		return cairn.Errorf("read shard", cairn.Invalid, "%d bytes at %d of a payload of %d", n, off, h.PayloadLen)
	}
	return nil
}
