package memnode

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"slices"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
	"github.com/cairn-store/cairn/storagenode/admission"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// Config describes a Node. The zero value works.
type Config struct {
	Key           ed25519.PrivateKey // nil makes a new one
	CapacityBytes int64              // zero means 1 TiB
	FailureDomain string             // empty means the node's id
	Operator      string
	Region        string
	Now           func() time.Time // nil means time.Now
}

// Node is a storage node in memory.
type Node struct {
	cfg     Config
	id      cairn.NodeID
	serials admission.Serials
	faults  faults

	mu       sync.Mutex // guards the fields below
	records  map[cairn.ShardID]record
	used     int64
	reserved int64
	uploads  int
}

type record struct {
	tail    cairn.Tail
	payload []byte
	size    int64
}

var _ nodeapi.Service = (*Node)(nil)

// New returns an empty node.
func New(cfg Config) *Node {
	if cfg.Key == nil {
		_, cfg.Key, _ = ed25519.GenerateKey(nil) // crypto/rand never fails
	}
	if cfg.CapacityBytes == 0 {
		cfg.CapacityBytes = 1 << 40
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	id := cairn.NodeID(cfg.Key.Public().(ed25519.PublicKey))
	if cfg.FailureDomain == "" {
		cfg.FailureDomain = id.Short()
	}
	return &Node{cfg: cfg, id: id, records: map[cairn.ShardID]record{}}
}

// ID returns the node's id.
func (n *Node) ID() cairn.NodeID { return n.id }

// Info implements nodeapi.Service.
func (n *Node) Info(ctx context.Context) (nodeapi.Info, error) {
	var info nodeapi.Info
	err := n.do(ctx, OpInfo, cairn.ShardID{}, func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		info = nodeapi.Info{
			Node: n.id, Version: "memnode", FailureDomain: n.cfg.FailureDomain,
			Operator: n.cfg.Operator, Region: n.cfg.Region,
			CapacityBytes: n.cfg.CapacityBytes, UsedBytes: n.used,
			FreeBytes: max(0, n.cfg.CapacityBytes-n.used-n.reserved),
			Shards:    int64(len(n.records)), Writable: true,
			Clock: n.cfg.Now().UnixNano(), Uploads: n.uploads,
		}
		if n.faults.isFull() {
			info.Writable, info.Reason, info.FreeBytes = false, "full", 0
		}
		return nil
	})
	return info, err
}

// Put implements nodeapi.Service.
func (n *Node) Put(ctx context.Context, req nodeapi.PutRequest) (nodeapi.Upload, error) {
	var up *upload
	err := n.do(ctx, OpPut, req.Header.Shard, func() error {
		if err := admission.Put(n.id, req, n.cfg.Now()); err != nil {
			return err
		}
		size := req.Header.RecordLen(req.MaxManifest)
		n.mu.Lock()
		defer n.mu.Unlock()
		if old, ok := n.records[req.Header.Shard]; ok && old.tail.Header != req.Header {
			return exists(req.Header.Shard)
		}
		if err := n.fits(size); err != nil {
			return err
		}
		n.reserved += size
		n.uploads++
		up = &upload{node: n, req: req, hash: proofs.NewTreeHasher(), reserved: size}
		return nil
	})
	if err != nil {
		if up != nil { // the request failed but happened: nobody will abort it
			up.Abort()
		}
		return nil, err
	}
	return up, nil
}

// fits returns a Full error unless size more bytes find room. Requires n.mu.
func (n *Node) fits(size int64) error {
	if n.faults.isFull() || n.used+n.reserved+size > n.cfg.CapacityBytes {
		return cairn.Errorf("put shard", cairn.Full, "node %v has no room for %v", n.id.Short(), cairn.Bytes(size))
	}
	return nil
}

func exists(id cairn.ShardID) error {
	return cairn.Errorf("put shard", cairn.Exists, "%v is here with other content", id)
}

// PutRecord implements nodeapi.Service.
func (n *Node) PutRecord(ctx context.Context, auth cairn.Authorization, b []byte) (cairn.Receipt, error) {
	var r cairn.Receipt
	var id cairn.ShardID
	if h, err := cairn.ParseHeader(b); err == nil {
		id = h.Shard
	}
	err := n.do(ctx, OpPutRecord, id, func() error {
		b := bytes.Clone(b)
		tail, payload, err := admission.Record(n.id, auth, b, n.cfg.Now())
		if err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if _, ok := n.records[id]; !ok {
			if err := n.fits(int64(len(b))); err != nil {
				return err
			}
		}
		r, err = n.keep(tail, payload)
		return err
	})
	return onSuccess(r, err)
}

func onSuccess[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// keep stores a checked record and signs for it. Requires n.mu.
func (n *Node) keep(tail cairn.Tail, payload []byte) (cairn.Receipt, error) {
	id := tail.Header.Shard
	old, ok := n.records[id]
	switch {
	case ok && old.tail.Trailer.Record != tail.Trailer.Record:
		return cairn.Receipt{}, exists(id)
	case !ok:
		size := tail.Header.RecordLen(len(tail.Manifest))
		n.records[id] = record{tail: tail, payload: payload, size: size}
		n.used += size
	}
	r := cairn.Receipt{Node: n.id, Shard: id, Root: tail.Trailer.Root, Record: tail.Trailer.Record}
	r.Sign(n.cfg.Key, n.cfg.Now())
	return r, nil
}

// find returns the record if the session may see it.
func (n *Node) find(s nodeapi.Session, id cairn.ShardID) (record, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rec, ok := n.records[id]
	if !ok || !s.Known || rec.tail.Header.Owner != s.Owner {
		return record{}, cairn.Errorf("find shard", cairn.NotFound, "%v is not here", id)
	}
	return rec, nil
}

// Read implements nodeapi.Service.
func (n *Node) Read(ctx context.Context, s nodeapi.Session, id cairn.ShardID, off int64, buf []byte) error {
	return n.do(ctx, OpRead, id, func() error {
		rec, err := n.find(s, id)
		if err != nil {
			return err
		}
		if err := admission.ReadRange(rec.tail.Header, off, len(buf)); err != nil {
			return err
		}
		copy(buf, rec.payload[off:])
		n.faults.flip(id, buf)
		return nil
	})
}

// Tails implements nodeapi.Service.
func (n *Node) Tails(ctx context.Context, s nodeapi.Session, ids []cairn.ShardID) ([]cairn.Tail, error) {
	var tails []cairn.Tail
	err := n.do(ctx, OpTails, cairn.ShardID{}, func() error {
		if len(ids) > nodeapi.MaxBatch {
			return cairn.Errorf("read tails", cairn.Invalid, "%d shards named, at most %d", len(ids), nodeapi.MaxBatch)
		}
		room := nodeapi.MaxMessage
		for _, id := range ids {
			rec, err := n.find(s, id)
			if err != nil {
				continue
			}
			room -= cairn.HeaderSize + cairn.TrailerSize + len(rec.tail.TreeTop) + len(rec.tail.Manifest)
			if room < 0 {
				break
			}
			t := rec.tail
			t.TreeTop, t.Manifest = bytes.Clone(t.TreeTop), bytes.Clone(t.Manifest)
			tails = append(tails, t)
		}
		return nil
	})
	return onSuccess(tails, err)
}

// List implements nodeapi.Service.
func (n *Node) List(ctx context.Context, s nodeapi.Session, after cairn.ShardID, limit int) (nodeapi.ListReply, error) {
	var reply nodeapi.ListReply
	err := n.do(ctx, OpList, cairn.ShardID{}, func() error {
		if limit < 1 || limit > nodeapi.MaxList {
			return cairn.Errorf("list shards", cairn.Invalid, "limit %d, want 1 to %d", limit, nodeapi.MaxList)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		for id, rec := range n.records {
			if s.Known && rec.tail.Header.Owner == s.Owner && compareID(id, after) > 0 {
				reply.Entries = append(reply.Entries, nodeapi.Entry{
					Shard: id, Kind: rec.tail.Header.Kind, Size: rec.size,
					Created: rec.tail.Header.Created, Record: rec.tail.Trailer.Record,
				})
			}
		}
		slices.SortFunc(reply.Entries, func(a, b nodeapi.Entry) int { return compareID(a.Shard, b.Shard) })
		if len(reply.Entries) > limit {
			reply.Entries, reply.More = slices.Clip(reply.Entries[:limit]), true
		}
		return nil
	})
	return onSuccess(reply, err)
}

func compareID(a, b cairn.ShardID) int {
	if c := bytes.Compare(a.Segment[:], b.Segment[:]); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

// Delete implements nodeapi.Service.
func (n *Node) Delete(ctx context.Context, req nodeapi.DeleteRequest) (nodeapi.DeleteReply, error) {
	var reply nodeapi.DeleteReply
	var first cairn.ShardID
	if len(req.IDs) > 0 {
		first = req.IDs[0]
	}
	err := n.do(ctx, OpDelete, first, func() error {
		now := n.cfg.Now()
		if err := admission.Delete(n.id, req, now); err != nil {
			return err
		}
		if err := n.serials.Use(req.Auth, now); err != nil {
			return err
		}
		owner := cairn.Tag(req.Auth.OwnerKey)
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, id := range req.IDs {
			rec, ok := n.records[id]
			switch {
			case !ok || rec.tail.Header.Owner != owner:
			case rec.tail.Header.RetainUntil > now.Unix():
				reply.Retained = append(reply.Retained, id)
			default:
				n.drop(id)
				reply.Deleted++
			}
		}
		return nil
	})
	return onSuccess(reply, err)
}

// drop forgets a record. Requires n.mu.
func (n *Node) drop(id cairn.ShardID) {
	n.used -= n.records[id].size
	delete(n.records, id)
}
