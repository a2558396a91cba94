package testnet

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/placement"
	"github.com/cairn-store/cairn/storagenode/client"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// Phrase is a recovery phrase for tests: the BIP-39 vector of all-zero entropy.
const Phrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

// Keys returns the owner keys of Phrase.
func Keys(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.FromPhrase(Phrase, "")
	if err != nil {
		t.Fatalf("keys of the test phrase: %v", err)
	}
	return keys
}

// Mem is a network of nodes in memory. It is a gateway.Cluster.
type Mem struct {
	Keys    *seal.Keys
	Nodes   []*memnode.Node
	Catalog catalog.Catalog

	mu      sync.Mutex // guards the fields below
	clients map[cairn.NodeID]*client.Client
	failed  map[cairn.NodeID]bool
	domains map[cairn.NodeID]string
}

// NewMem returns a network of n nodes and an empty catalog.
func NewMem(t testing.TB, n int) *Mem {
	t.Helper()
	m := &Mem{
		Keys: Keys(t), Catalog: memory.New(),
		clients: map[cairn.NodeID]*client.Client{},
		failed:  map[cairn.NodeID]bool{},
		domains: map[cairn.NodeID]string{},
	}
	for range n {
		m.Add(t)
	}
	return m
}

// Add adds a node.
func (m *Mem) Add(t testing.TB) *memnode.Node {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, fmt.Sprintf("test node %d", len(m.Nodes)))
	node := memnode.New(memnode.Config{Key: ed25519.NewKeyFromSeed(seed), CapacityBytes: 1 << 40})
	c := client.Local(node.ID(), node, m.Keys, client.Config{})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	m.Nodes = append(m.Nodes, node)
	m.clients[node.ID()] = c
	m.domains[node.ID()] = fmt.Sprintf("domain-%d", len(m.Nodes))
	return node
}

// Candidates implements gateway.Cluster. A node that failed is down until it
// answers again.
func (m *Mem) Candidates() []placement.Candidate {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []placement.Candidate
	for _, n := range m.Nodes {
		id := n.ID()
		c := placement.Candidate{ID: id, Domain: m.domains[id], RTT: time.Millisecond, Standing: 1, FreeBytes: 1 << 39, CapacityBytes: 1 << 40}
		if m.failed[id] {
			if answers(n) {
				delete(m.failed, id)
			} else {
				c.State = placement.Down
			}
		}
		out = append(out, c)
	}
	return out
}

// answers reports whether a node is well: one that hangs is not.
func answers(n *memnode.Node) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := n.Info(ctx)
	return err == nil
}

// Node implements gateway.Cluster.
func (m *Mem) Node(id cairn.NodeID) (gateway.Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.clients[id]; c != nil {
		return c, nil
	}
	return nil, cairn.Errorf("find node", cairn.NotFound, "node %v is not known", id)
}

// Report implements gateway.Cluster.
func (m *Mem) Report(id cairn.NodeID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.failed[id] = true
	} else {
		delete(m.failed, id)
	}
}

// Engine returns a started engine on the network, running until the test ends
// or stop is called.
func (m *Mem) Engine(t testing.TB, cfg gateway.Config) (e *gateway.Engine, stop func()) {
	t.Helper()
	cfg.Keys, cfg.Catalog, cfg.Cluster = m.Keys, m.Catalog, m
	e, err := gateway.New(cfg)
	if err != nil {
		t.Fatalf("make engine: %v", err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatalf("start engine: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("engine stopped: %v", err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}
