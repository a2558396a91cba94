package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/transport"
)

// Owner signs for the holder of a phrase.
type Owner interface {
	// NodeKey returns the owner's key for one node and no other.
	NodeKey(node cairn.NodeID) ed25519.PrivateKey
}

// channel carries requests to one node for one owner.
type channel interface {
	Info(ctx context.Context) (nodeapi.Info, error)
	Put(ctx context.Context, req nodeapi.PutRequest) (nodeapi.Upload, error)
	PutRecord(ctx context.Context, auth cairn.Authorization, record []byte) (cairn.Receipt, error)
	Read(ctx context.Context, id cairn.ShardID, off int64, buf []byte) error
	Tails(ctx context.Context, ids []cairn.ShardID) ([]cairn.Tail, error)
	List(ctx context.Context, after cairn.ShardID, limit int) (nodeapi.ListReply, error)
	Delete(ctx context.Context, req nodeapi.DeleteRequest) (nodeapi.DeleteReply, error)
	Close() error
}

// Config is how a Client behaves. The zero value works.
type Config struct {
	// Channel is about connections; Local does not use it.
	Channel transport.ChannelConfig
	// Validity is how long the node may take an authorisation for good: it
	// covers the upload that it opens and the difference of the two clocks.
	// Zero means 15 min; nodes refuse more than a day.
	Validity time.Duration
	// Now returns wall time; nil means time.Now.
	Now func() time.Time
}

// Client is one owner's access to one node.
type Client struct {
	node     cairn.NodeID
	owner    cairn.OwnerTag
	key      ed25519.PrivateKey
	validity time.Duration
	now      func() time.Time
	ch       channel
	remote   *transport.Channel // nil for a node in this process
	latency  sketch
}

// New returns a client of the node that is found at any of addrs. Nothing is
// dialled yet.
func New(node cairn.NodeID, addrs []string, owner Owner, cfg Config) *Client {
	c := newClient(node, owner, cfg)
	if cfg.Channel.Now == nil {
		cfg.Channel.Now = c.now
	}
	c.remote = transport.NewChannel(node, addrs, c.key, cfg.Channel)
	c.ch = c.remote
	return c
}

// Local returns a client of a node in this process: direct calls, no copies.
func Local(node cairn.NodeID, svc nodeapi.Service, owner Owner, cfg Config) *Client {
	c := newClient(node, owner, cfg)
	c.ch = local{svc: svc, session: nodeapi.Session{Owner: c.owner, Known: true}}
	return c
}

func newClient(node cairn.NodeID, owner Owner, cfg Config) *Client {
	key := owner.NodeKey(node)
	c := &Client{
		node: node, key: key, validity: cfg.Validity, now: cfg.Now,
		owner: cairn.Tag([32]byte(key.Public().(ed25519.PublicKey))),
	}
	if c.validity <= 0 {
		c.validity = 15 * time.Minute
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// ID returns the node's id.
func (c *Client) ID() cairn.NodeID { return c.node }

// Owner returns the owner's tag at this node, which every header stored here
// must carry.
func (c *Client) Owner() cairn.OwnerTag { return c.owner }

// SetAddrs says where the node is found from now on. A node in this process
// needs no address.
func (c *Client) SetAddrs(addrs []string) {
	if c.remote != nil {
		c.remote.SetAddrs(addrs)
	}
}

// Close closes the idle connections; those in use close when their request
// ends. Later requests fail.
func (c *Client) Close() error { return c.ch.Close() }

// sign returns leave for one request.
func (c *Client) sign(verb cairn.Verb, subject cairn.Digest) cairn.Authorization {
	var serial [8]byte
	_, _ = rand.Read(serial[:]) // never fails
	a := cairn.Authorization{
		Verb: verb, Node: c.node, Subject: subject,
		Expires: c.now().Add(c.validity).Unix(),
		Serial:  binary.LittleEndian.Uint64(serial[:]),
	}
	a.Sign(c.key)
	return a
}

// again runs a request that changes something a second time when a pooled
// connection was stale; each run signs anew, because nodes refuse replays.
func again[T any](ctx context.Context, run func() (T, error)) (T, error) {
	v, err := run()
	if errors.Is(err, transport.ErrStale) && ctx.Err() == nil {
		return run()
	}
	return v, err
}

// local is a channel to a node in this process.
type local struct {
	svc     nodeapi.Service
	session nodeapi.Session
}

func (l local) Info(ctx context.Context) (nodeapi.Info, error) { return l.svc.Info(ctx) }
func (l local) Close() error                                   { return nil }

func (l local) Put(ctx context.Context, req nodeapi.PutRequest) (nodeapi.Upload, error) {
	return l.svc.Put(ctx, req)
}

func (l local) PutRecord(ctx context.Context, auth cairn.Authorization, record []byte) (cairn.Receipt, error) {
	return l.svc.PutRecord(ctx, auth, record)
}

func (l local) Read(ctx context.Context, id cairn.ShardID, off int64, buf []byte) error {
	return l.svc.Read(ctx, l.session, id, off, buf)
}

func (l local) Tails(ctx context.Context, ids []cairn.ShardID) ([]cairn.Tail, error) {
	return l.svc.Tails(ctx, l.session, ids)
}

func (l local) List(ctx context.Context, after cairn.ShardID, limit int) (nodeapi.ListReply, error) {
	return l.svc.List(ctx, l.session, after, limit)
}

func (l local) Delete(ctx context.Context, req nodeapi.DeleteRequest) (nodeapi.DeleteReply, error) {
	return l.svc.Delete(ctx, req)
}
