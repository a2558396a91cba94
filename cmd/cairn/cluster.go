package main

import (
	"context"
	"errors"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/recovery"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/placement"
	"github.com/cairn-store/cairn/placement/directory"
	"github.com/cairn-store/cairn/storagenode/client"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// cluster is the directory's nodes as the engine wants them: each with a
// client of its own, made when first asked for. It is safe for concurrent use.
type cluster struct {
	keys *seal.Keys
	// local are the nodes of this process, called directly.
	local map[cairn.NodeID]nodeapi.Service

	mu        sync.Mutex           // guards the fields below; never held across I/O
	directory *directory.Directory // set once, before the first call
	clients   map[cairn.NodeID]*client.Client
}

var _ gateway.Cluster = (*cluster)(nil)

func newCluster(keys *seal.Keys) *cluster {
	return &cluster{
		keys:    keys,
		local:   map[cairn.NodeID]nodeapi.Service{},
		clients: map[cairn.NodeID]*client.Client{},
	}
}

// addLocal names a node of this process. It comes before the directory.
func (c *cluster) addLocal(id cairn.NodeID, svc nodeapi.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.local[id] = svc
}

// open makes the directory, whose check-ins go the way the data goes.
func (c *cluster) open(host *directory.Host, cfg directory.Config) (*directory.Directory, error) {
	cfg.Checker = c.check
	d, err := directory.New(host, cfg)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.directory = d
	c.mu.Unlock()
	return d, nil
}

func (c *cluster) dir() *directory.Directory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.directory
}

// Candidates implements gateway.Cluster.
func (c *cluster) Candidates() []placement.Candidate { return c.dir().Candidates() }

// Node implements gateway.Cluster.
func (c *cluster) Node(id cairn.NodeID) (gateway.Node, error) {
	n, err := c.client(id)
	if err != nil {
		return nil, err // not a typed nil
	}
	return n, nil
}

func (c *cluster) client(id cairn.NodeID) (*client.Client, error) {
	c.mu.Lock()
	n, svc := c.clients[id], c.local[id]
	c.mu.Unlock()
	if n != nil {
		return n, nil
	}
	if svc != nil {
		n = client.Local(id, svc, c.keys, client.Config{})
	} else {
		rec, known := c.dir().Lookup(id)
		if !known {
			return nil, cairn.Errorf("find node", cairn.NotFound, "no node %v is known", id)
		}
		n = client.New(id, rec.DataAddrs, c.keys, client.Config{})
	}
	return c.keep(id, n), nil
}

// keep enters a client, unless somebody else was faster.
func (c *cluster) keep(id cairn.NodeID, n *client.Client) *client.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := c.clients[id]; first != nil {
		return first // n has dialled nothing and holds nothing
	}
	c.clients[id] = n
	return n
}

// all returns a handle on every node known, living or not.
func (c *cluster) all() []recovery.Node {
	var out []recovery.Node
	for _, known := range c.dir().Nodes() {
		if n, err := c.client(known.NodeID); err == nil { // forgotten meanwhile otherwise
			out = append(out, n)
		}
	}
	return out
}

// Report implements gateway.Cluster.
func (c *cluster) Report(id cairn.NodeID, err error) {
	if err == nil {
		c.dir().MarkOK(id)
		return
	}
	c.dir().MarkFailed(id, err)
}

// check asks a node how it is, over the connections that carry data.
func (c *cluster) check(ctx context.Context, r directory.Record) (directory.Status, error) {
	n, err := c.client(r.NodeID)
	if err != nil {
		return directory.Status{}, err
	}
	n.SetAddrs(r.DataAddrs)
	info, err := n.Info(ctx)
	if err != nil {
		return directory.Status{}, err
	}
	status := directory.Status{CapacityBytes: info.CapacityBytes, FreeBytes: info.FreeBytes}
	if !info.Writable {
		status.FreeBytes = 0 // takes nothing new, whatever the reason; still read from
	}
	return status, nil
}

// close closes the connections that are idle; the engine has stopped before.
func (c *cluster) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, n := range c.clients {
		errs = append(errs, n.Close())
	}
	clear(c.clients)
	return errors.Join(errs...)
}
