package client

import (
	"context"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// Put begins to store a shard whose header carries Owner and whose sealed
// manifest will have at most maxManifest bytes. Across the network a refusal
// may come only from Write or Commit. The upload ends when ctx does; it must
// be ended by Commit or Abort in any case.
func (c *Client) Put(ctx context.Context, h cairn.Header, maxManifest int) (cairn.ShardWriter, error) {
	if err := c.mine(h); err != nil {
		return nil, err
	}
	up, err := again(ctx, func() (nodeapi.Upload, error) {
		return c.ch.Put(ctx, nodeapi.PutRequest{
			Auth: c.sign(cairn.VerbPut, cairn.PutSubject(h, maxManifest)), Header: h, MaxManifest: maxManifest,
		})
	})
	if err != nil {
		return nil, err
	}
	return &writer{client: c, header: h, maxManifest: maxManifest, up: up}, nil
}

// mine returns an Invalid error for a header of another owner: its record's
// digest, which covers the header, would be wrong at this node.
func (c *Client) mine(h cairn.Header) error {
	if h.Owner != c.owner {
		return cairn.Errorf("put shard", cairn.Invalid, "%v: the header does not carry the owner's tag at node %v", h.Shard, c.node.Short())
	}
	return h.Validate()
}

// writer is one shard on its way to the node.
type writer struct {
	client      *Client
	header      cairn.Header
	maxManifest int
	up          nodeapi.Upload
}

// Write implements cairn.ShardWriter.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.up.Write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Commit implements cairn.ShardWriter.
func (w *writer) Commit(ctx context.Context, treeTop, manifest []byte, t cairn.Trailer) (cairn.Receipt, error) {
	defer w.up.Abort() // harmless after Commit
	if len(manifest) > w.maxManifest {
		return cairn.Receipt{}, cairn.Errorf("put shard", cairn.Invalid,
			"manifest of %d bytes, at most %d were announced", len(manifest), w.maxManifest)
	}
	r, err := w.up.Commit(ctx, nodeapi.UploadTail{TreeTop: treeTop, Manifest: manifest, Trailer: t})
	if err != nil {
		return cairn.Receipt{}, err
	}
	return w.client.checked(r, w.header.Shard, t)
}

// Abort implements cairn.ShardWriter.
func (w *writer) Abort() { w.up.Abort() }

// PutRecord stores a whole record of at most nodeapi.MaxSmall bytes in one
// round trip.
func (c *Client) PutRecord(ctx context.Context, h cairn.Header, payload, treeTop, manifest []byte, t cairn.Trailer) (cairn.Receipt, error) {
	const op = "put record"
	if err := c.mine(h); err != nil {
		return cairn.Receipt{}, err
	}
	size := h.RecordLen(len(manifest))
	if int64(len(payload)) != h.PayloadLen || len(treeTop) != h.TreeTopLen() || len(manifest) != t.ManifestLen {
		return cairn.Receipt{}, cairn.Errorf(op, cairn.Invalid, "%v: lengths do not agree", h.Shard)
	}
	if size > nodeapi.MaxSmall {
		return cairn.Receipt{}, cairn.Errorf(op, cairn.Invalid, "%v: record of %d bytes, at most %d", h.Shard, size, nodeapi.MaxSmall)
	}
	record := h.Append(make([]byte, 0, size))
	record = append(record, payload...)
	record = append(record, treeTop...)
	record = append(record, manifest...)
	record = t.Append(record)
	r, err := again(ctx, func() (cairn.Receipt, error) {
		return c.ch.PutRecord(ctx, c.sign(cairn.VerbPut, cairn.PutSubject(h, len(manifest))), record)
	})
	if err != nil {
		return cairn.Receipt{}, err
	}
	return c.checked(r, h.Shard, t)
}

// checked returns r if it is this node's promise for exactly this record, and
// otherwise a Corrupt error.
func (c *Client) checked(r cairn.Receipt, id cairn.ShardID, t cairn.Trailer) (cairn.Receipt, error) {
	if r.Node != c.node || r.Shard != id || r.Root != t.Root || r.Record != t.Record {
		return cairn.Receipt{}, cairn.Errorf("verify receipt", cairn.Corrupt, "node %v answered with a receipt for something else", c.node.Short())
	}
	if err := r.Verify(); err != nil {
		return cairn.Receipt{}, err
	}
	return r, nil
}
