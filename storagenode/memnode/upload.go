package memnode

import (
	"bytes"
	"context"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
	"github.com/cairn-store/cairn/storagenode/admission"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

type upload struct {
	node     *Node
	req      nodeapi.PutRequest
	hash     *proofs.TreeHasher
	payload  []byte
	reserved int64
	over     bool
}

// Write implements nodeapi.Upload.
func (u *upload) Write(p []byte) error {
	id := u.req.Header.Shard
	// A Write has no context of its own: a paused node holds it until it goes
	// on, as a stalled connection would.
	err := u.node.do(context.Background(), OpWrite, id, func() error {
		if u.over {
			return cairn.Errorf("write shard", cairn.Invalid, "%v: the upload is over", id)
		}
		if int64(len(u.payload)+len(p)) > u.req.Header.PayloadLen {
			return cairn.Errorf("write shard", cairn.Invalid, "%v: more than the %d bytes announced", id, u.req.Header.PayloadLen)
		}
		_, _ = u.hash.Write(p)
		u.payload = append(u.payload, p...)
		return nil
	})
	return err
}

// Commit implements nodeapi.Upload.
func (u *upload) Commit(ctx context.Context, up nodeapi.UploadTail) (cairn.Receipt, error) {
	defer u.Abort()
	var r cairn.Receipt
	h := u.req.Header
	err := u.node.do(ctx, OpCommit, h.Shard, func() error {
		if u.over || int64(len(u.payload)) != h.PayloadLen {
			return cairn.Errorf("commit shard", cairn.Invalid, "%v: %d bytes received, %d announced", h.Shard, len(u.payload), h.PayloadLen)
		}
		top, root := u.hash.Sum()
		tail, err := admission.Tail(h, u.req.MaxManifest, top, root, up)
		if err != nil {
			return err
		}
		tail.TreeTop, tail.Manifest = bytes.Clone(tail.TreeTop), bytes.Clone(tail.Manifest)
		u.node.mu.Lock()
		defer u.node.mu.Unlock()
		r, err = u.node.keep(tail, u.payload)
		return err
	})
	return onSuccess(r, err)
}

// Abort implements nodeapi.Upload.
func (u *upload) Abort() {
	if u.over {
		return
	}
	u.over = true
	u.node.mu.Lock()
	u.node.reserved -= u.reserved
	u.node.uploads--
	u.node.mu.Unlock()
}
