package storagenode

import (
	"context"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/admission"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore"
)

// Put implements nodeapi.Service.
func (n *Node) Put(ctx context.Context, req nodeapi.PutRequest) (_ nodeapi.Upload, err error) {
	defer n.metrics.time(opPut)(&err)
	if err := ended(ctx, "put shard"); err != nil {
		return nil, err
	}
	if err := admission.Put(n.id, req, n.cfg.Now()); err != nil {
		return nil, err
	}
	if err := n.notWritable(); err != nil {
		return nil, err
	}
	if err := n.takeSlot(); err != nil {
		return nil, err
	}
	up, err := n.store.Begin(req.Header, req.MaxManifest)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opening--
	if err != nil {
		return nil, err
	}
	u := &upload{node: n, header: req.Header, up: up, used: n.cfg.Now()}
	n.uploads[u] = struct{}{}
	return u, nil
}

// takeSlot counts an upload that is about to open.
func (n *Node) takeSlot() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.uploads)+n.opening >= n.cfg.MaxUploads {
		return cairn.Errorf("put shard", cairn.Unavailable, "%d uploads are open", n.cfg.MaxUploads)
	}
	n.opening++
	return nil
}

// upload is one record being received. Its mutex lets the node give up an
// upload that its goroutine forgot.
type upload struct {
	node   *Node
	header cairn.Header

	mu   sync.Mutex // guards the fields below, across I/O of the upload
	up   *shardstore.Upload
	used time.Time
	idle bool // given up by the node
}

// Write implements nodeapi.Upload.
func (u *upload) Write(p []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.given(); err != nil {
		return err
	}
	if err := u.up.Write(p); err != nil {
		return err
	}
	u.used = u.node.cfg.Now()
	u.node.metrics.bytes.WithLabelValues(opPut).Add(float64(len(p)))
	return nil
}

// given returns why the upload goes no further, if the node decided so.
// Requires u.mu.
func (u *upload) given() error {
	if u.idle {
		return cairn.Errorf("write shard", cairn.Unavailable, "%v: the upload stood still for too long", u.header.Shard)
	}
	return nil
}

// Commit implements nodeapi.Upload.
func (u *upload) Commit(ctx context.Context, tail nodeapi.UploadTail) (r cairn.Receipt, err error) {
	defer u.node.metrics.time(opCommit)(&err)
	defer u.Abort()
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.given(); err != nil {
		return cairn.Receipt{}, err
	}
	if err := u.node.volumeThere(); err != nil {
		return cairn.Receipt{}, err
	}
	if err := u.up.Commit(ctx, tail); err != nil {
		return cairn.Receipt{}, err
	}
	return u.node.receipt(u.header.Shard, tail.Trailer), nil
}

// Abort implements nodeapi.Upload.
func (u *upload) Abort() {
	u.mu.Lock()
	u.up.Abort()
	u.mu.Unlock()
	u.node.mu.Lock()
	delete(u.node.uploads, u)
	u.node.mu.Unlock()
}

// abortIfIdle gives the upload up when it was last used before t. One that is
// busy is not idle.
func (u *upload) abortIfIdle(t time.Time) bool {
	if !u.mu.TryLock() {
		return false
	}
	idle := u.used.Before(t)
	u.idle = u.idle || idle
	u.mu.Unlock()
	if idle {
		u.Abort()
	}
	return idle
}

// receipt signs for a record that is on stable storage.
func (n *Node) receipt(id cairn.ShardID, t cairn.Trailer) cairn.Receipt {
	r := cairn.Receipt{Node: n.id, Shard: id, Root: t.Root, Record: t.Record}
	r.Sign(n.cfg.Key, n.cfg.Now())
	return r
}

// PutRecord implements nodeapi.Service. The authorisation's subject is
// cairn.PutSubject of the record's header and of the length its sealed
// manifest has.
func (n *Node) PutRecord(ctx context.Context, auth cairn.Authorization, record []byte) (r cairn.Receipt, err error) {
	defer n.metrics.time(opPutRecord)(&err)
	if err := ended(ctx, "put record"); err != nil {
		return cairn.Receipt{}, err
	}
	tail, _, err := admission.Record(n.id, auth, record, n.cfg.Now())
	if err != nil {
		return cairn.Receipt{}, err
	}
	if err := n.notWritable(); err != nil {
		return cairn.Receipt{}, err
	}
	size := int64(len(record))
	if err := n.takeBytes(size); err != nil {
		return cairn.Receipt{}, err
	}
	defer n.giveBytes(size)
	if err := n.store.PutRecord(ctx, tail, record); err != nil {
		return cairn.Receipt{}, err
	}
	n.metrics.bytes.WithLabelValues(opPutRecord).Add(float64(size))
	return n.receipt(tail.Header.Shard, tail.Trailer), nil
}

func (n *Node) takeBytes(size int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.smallBytes+size > n.cfg.MaxSmallBytes {
		return cairn.Errorf("put record", cairn.Unavailable, "%v of records are being written", cairn.Bytes(n.smallBytes))
	}
	n.smallBytes += size
	return nil
}

func (n *Node) giveBytes(size int64) {
	n.mu.Lock()
	n.smallBytes -= size
	n.mu.Unlock()
}
