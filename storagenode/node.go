package storagenode

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/admission"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore"
)

// Node is one storage node. New makes one, Run looks after it, Close ends it.
type Node struct {
	cfg     Config
	id      cairn.NodeID
	store   *shardstore.Store
	metrics *metrics
	serials admission.Serials

	mu         sync.Mutex // guards the fields below; never held across I/O
	uploads    map[*upload]struct{}
	opening    int   // uploads on their way into the map
	smallBytes int64 // records of PutRecord being written
	volume     error // why the volume cannot be written to; nil when it can
	draining   bool
}

var _ nodeapi.Service = (*Node)(nil)

// New opens the node in cfg.ShardDir, which must carry the node's marker, and
// recovers what a crash left. It answers Unavailable when the marker is
// missing: the disk may not be mounted.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, id: nodeID(cfg.Key), uploads: map[*upload]struct{}{}}
	if err := checkVolume(cfg.FS, cfg.ShardDir, n.id); err != nil {
		return nil, err
	}
	n.store, err = shardstore.Open(shardstore.Config{
		Dir: filepath.Join(cfg.ShardDir, shardsDir), FS: cfg.FS, CapacityBytes: cfg.CapacityBytes, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	n.metrics, err = newMetrics(cfg.Registerer, n.store)
	if err != nil {
		return nil, errors.Join(err, n.store.Close())
	}
	return n, nil
}

// ID returns the node's id.
func (n *Node) ID() cairn.NodeID { return n.id }

// Store returns the node's store, for audits and scrubs in the same process.
func (n *Node) Store() *shardstore.Store { return n.store }

// Run looks after the node until ctx ends: it checks that the volume is there,
// gives up idle uploads and compacts logs. It returns why it stopped.
func (n *Node) Run(ctx context.Context) error {
	tick := time.NewTicker(n.cfg.CheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			n.Tend(ctx)
		}
	}
}

// Tend does one round of what Run does.
func (n *Node) Tend(ctx context.Context) {
	n.checkVolume()
	n.abortIdle()
	if n.volumeThere() != nil {
		return
	}
	if err := n.store.Compact(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, cairn.Unavailable) {
		n.cfg.Log.WarnContext(ctx, "compaction failed", "err", err)
	}
}

// checkVolume looks for the marker and stops or resumes writes accordingly.
func (n *Node) checkVolume() {
	err := checkVolume(n.cfg.FS, n.cfg.ShardDir, n.id)
	n.mu.Lock()
	was := n.volume
	n.volume = err
	n.mu.Unlock()
	switch {
	case err != nil && was == nil:
		n.cfg.Log.Error("volume missing", "dir", n.cfg.ShardDir, "err", err)
	case err == nil && was != nil:
		n.cfg.Log.Info("volume is back", "dir", n.cfg.ShardDir)
	}
}

// SetDraining makes the node refuse new records, or ends that.
func (n *Node) SetDraining(draining bool) {
	n.mu.Lock()
	n.draining = draining
	n.mu.Unlock()
}

// Close ends the node: open uploads are given up, what was acknowledged stays.
func (n *Node) Close() error {
	for _, u := range n.openUploads() {
		u.Abort()
	}
	n.metrics.unregister()
	return n.store.Close()
}

func (n *Node) openUploads() []*upload {
	n.mu.Lock()
	defer n.mu.Unlock()
	ups := make([]*upload, 0, len(n.uploads))
	for u := range n.uploads {
		ups = append(ups, u)
	}
	return ups
}

// abortIdle gives up uploads that stood still for too long.
func (n *Node) abortIdle() {
	now := n.cfg.Now()
	for _, u := range n.openUploads() {
		if u.abortIfIdle(now.Add(-n.cfg.UploadIdle)) {
			n.cfg.Log.Info("idle upload given up", "shard", u.header.Shard)
		}
	}
}

// notWritable returns why the node takes no new records, or nil.
func (n *Node) notWritable() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.volume != nil {
		return n.volume
	}
	if n.draining {
		return cairn.Errorf("put shard", cairn.Full, "node %v is draining", n.id.Short())
	}
	return nil
}

// Info implements nodeapi.Service.
func (n *Node) Info(ctx context.Context) (info nodeapi.Info, err error) {
	defer n.metrics.time(opInfo)(&err)
	if err := ended(ctx, "ask node"); err != nil {
		return nodeapi.Info{}, err
	}
	st, err := n.store.Stats()
	if err != nil {
		return nodeapi.Info{}, err
	}
	info = nodeapi.Info{
		Node: n.id, Version: n.cfg.Version, FailureDomain: n.cfg.FailureDomain, Operator: n.cfg.Operator, Region: n.cfg.Region,
		CapacityBytes: n.cfg.CapacityBytes, UsedBytes: st.UsedBytes, FreeBytes: st.FreeBytes, Shards: st.Shards,
		Clock: n.cfg.Now().UnixNano(), Uploads: st.Uploads,
	}
	if info.CapacityBytes == 0 {
		info.CapacityBytes = st.HeldBytes + st.FreeBytes
	}
	switch reason := n.notWritable(); {
	case reason != nil:
		info.Reason = reason.Error()
	case st.Failed != nil:
		info.Reason = "the store stopped writing: " + st.Failed.Error()
	case st.FreeBytes == 0:
		info.Reason = "full"
	default:
		info.Writable = true
	}
	return info, nil
}

func ended(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return cairn.NewError(op, cairn.Unavailable, err)
	}
	return nil
}

// Read implements nodeapi.Service.
func (n *Node) Read(ctx context.Context, s nodeapi.Session, id cairn.ShardID, off int64, buf []byte) (err error) {
	defer n.metrics.time(opRead)(&err)
	if err := ended(ctx, "read shard"); err != nil {
		return err
	}
	if !s.Known {
		return cairn.Errorf("find shard", cairn.NotFound, "%v is not here", id)
	}
	if err = n.store.Read(s.Owner, id, off, buf); err == nil {
		n.metrics.bytes.WithLabelValues(opRead).Add(float64(len(buf)))
	}
	return err
}

// Tails implements nodeapi.Service.
func (n *Node) Tails(ctx context.Context, s nodeapi.Session, ids []cairn.ShardID) (tails []cairn.Tail, err error) {
	defer n.metrics.time(opTails)(&err)
	if len(ids) > nodeapi.MaxBatch {
		return nil, cairn.Errorf("read tails", cairn.Invalid, "%d shards named, at most %d", len(ids), nodeapi.MaxBatch)
	}
	room := nodeapi.MaxMessage
	for _, id := range ids {
		if err := ended(ctx, "read tails"); err != nil {
			return nil, err
		}
		if !s.Known {
			break
		}
		t, err := n.store.Tail(s.Owner, id)
		if errors.Is(err, cairn.NotFound) {
			continue
		}
		if errors.Is(err, cairn.Corrupt) {
			// What is damaged is left out, like what is not here, so that one
			// bad record does not hide the others.
			n.cfg.Log.ErrorContext(ctx, "record is damaged", "shard", id, "err", err)
			n.metrics.corrupt.Inc()
			continue
		}
		if err != nil {
			return nil, err
		}
		room -= cairn.HeaderSize + cairn.TrailerSize + len(t.TreeTop) + len(t.Manifest)
		if room < 0 {
			break
		}
		tails = append(tails, t)
	}
	return tails, nil
}

// List implements nodeapi.Service.
func (n *Node) List(ctx context.Context, s nodeapi.Session, after cairn.ShardID, limit int) (reply nodeapi.ListReply, err error) {
	defer n.metrics.time(opList)(&err)
	if limit < 1 || limit > nodeapi.MaxList {
		return nodeapi.ListReply{}, cairn.Errorf("list shards", cairn.Invalid, "limit %d, want 1 to %d", limit, nodeapi.MaxList)
	}
	if err := ended(ctx, "list shards"); err != nil {
		return nodeapi.ListReply{}, err
	}
	if !s.Known {
		return nodeapi.ListReply{}, nil
	}
	return n.store.List(s.Owner, after, limit)
}

// Delete implements nodeapi.Service.
func (n *Node) Delete(ctx context.Context, req nodeapi.DeleteRequest) (reply nodeapi.DeleteReply, err error) {
	defer n.metrics.time(opDelete)(&err)
	now := n.cfg.Now()
	if err := admission.Delete(n.id, req, now); err != nil {
		return reply, err
	}
	if err := n.volumeThere(); err != nil {
		return reply, err
	}
	if err := n.serials.Use(req.Auth, now); err != nil {
		return reply, err
	}
	reply.Deleted, reply.Retained, err = n.store.Delete(ctx, cairn.Tag(req.Auth.OwnerKey), req.IDs, now)
	if err != nil {
		n.serials.Forget(req.Auth) // nothing is known to have changed: the same request may be sent again
		return nodeapi.DeleteReply{}, err
	}
	return reply, nil
}

func (n *Node) volumeThere() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.volume
}
