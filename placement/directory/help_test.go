package directory

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
)

const testNetwork = "test"

// testKey returns the same key for the same name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("directory test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testID(name string) cairn.NodeID {
	return cairn.NodeID(testKey(name).Public().(ed25519.PublicKey))
}

// signed returns a record valid for an hour from at, with changes made to it.
func signed(t testing.TB, name string, seq uint64, at time.Time, change func(*Record)) []byte {
	t.Helper()
	r := Record{
		Network: testNetwork, Seq: seq, IssuedAt: at, Expires: at.Add(time.Hour),
		Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"}, DataAddrs: []string{"127.0.0.1:1"},
		CapacityBytes: 1 << 40, FreeBytes: 1 << 39, Software: "test",
	}
	if change != nil {
		change(&r)
	}
	raw, err := r.Sign(testKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// eventually waits until cond holds, asking every few milliseconds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within 30 seconds: %s", what)
		}
	}
}

// member is a host and its running directory.
type member struct {
	*Directory
	host *Host
	stop func() // ends both, and waits
}

type memberConfig struct {
	name    string
	node    bool // publishes a record, serves the DHT
	noDHT   bool
	listen  []string
	netKey  []byte
	dir     Config
	pathDir string
}

func openHost(t testing.TB, mc memberConfig) *Host {
	t.Helper()
	listen := mc.listen
	if listen == nil && mc.node {
		listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	h, err := NewHost(HostConfig{
		Network: testNetwork, Key: testKey(mc.name), Listen: listen, Serve: mc.node, NoDHT: mc.noDHT, NetworkKey: mc.netKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// join starts a member of the test network.
func join(t testing.TB, mc memberConfig) *member {
	t.Helper()
	h := openHost(t, mc)
	c := mc.dir
	if c.Interval == 0 {
		c.Interval = 200 * time.Millisecond
	}
	if c.RetryMin == 0 {
		c.RetryMin = 20 * time.Millisecond
	}
	if mc.node && c.Self == nil {
		c.Self = func() Record {
			return Record{FailureDomain: "house of " + mc.name, CapacityBytes: 1 << 40, FreeBytes: 1 << 39, Software: "test"}
		}
	}
	if mc.pathDir != "" {
		c.Path = filepath.Join(mc.pathDir, "nodes")
	}
	d, err := New(h, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("directory of %s: %v", mc.name, err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("host of %s: %v", mc.name, err)
		}
	})
	t.Cleanup(stop)
	return &member{Directory: d, host: h, stop: stop}
}

// waitLive fails the test unless n nodes are alive soon.
func (m *member) waitLive(t testing.TB, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := m.WaitLive(ctx, n); err != nil {
		for _, node := range m.Nodes() {
			t.Logf("%s: %v since %v: %s", node.NodeID.Short(), node.Liveness, node.Since, node.Reason)
		}
		t.Fatal(err)
	}
}

func nodeName(i int) string { return fmt.Sprintf("node %d", i) }

func signBody(head, body []byte) []byte { return signBodyWith(testKey("golden"), head, body) }

func signBodyWith(key ed25519.PrivateKey, head, body []byte) []byte {
	return ed25519.Sign(key, signedMessage(head, body))
}

// countingHandler counts log messages.
type countingHandler struct {
	slog.Handler // never called
	mu           sync.Mutex
	seen         map[string]int
}

func (h *countingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *countingHandler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string]int{}
	}
	h.seen[r.Message]++
	return nil
}

func (h *countingHandler) count(message string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[message]
}
