package directory

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// chain joins n nodes, each through the one before it.
func chain(t *testing.T, n int, mc memberConfig) []*member {
	t.Helper()
	var members []*member
	for i := range n {
		c := mc
		c.name, c.node = nodeName(i), true
		if i > 0 {
			c.dir.Join = members[i-1].host.JoinAddrs()[:1]
		}
		members = append(members, join(t, c))
	}
	return members
}

func TestNodesJoinedInAChainLearnEachOther(t *testing.T) {
	for name, mc := range map[string]memberConfig{
		"tcp":           {},
		"quic":          {listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}},
		"without a DHT": {noDHT: true},
		"private":       {netKey: bytes.Repeat([]byte{7}, 32)},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			members := chain(t, 8, mc)
			for _, m := range members {
				m.waitLive(t, 8)
			}
			t.Logf("8 nodes know each other %v after the first began", time.Since(start).Round(time.Millisecond))
			g := mc
			g.name, g.dir.Join = "gateway", members[7].host.JoinAddrs()
			start = time.Now()
			gateway := join(t, g)
			gateway.waitLive(t, 8)
			t.Logf("a gateway knows 8 nodes %v after it began", time.Since(start).Round(time.Millisecond))
			if n := placement.Domains(gateway.Candidates(), placement.Constraints{}); n != 8 {
				t.Errorf("%d failure domains to choose from, want 8", n)
			}
			if _, ok := members[0].Lookup(testID("gateway")); ok {
				t.Error("the gateway is listed as a node")
			}
		})
	}
}

func TestGatewayNoticesNewAndDeadNodes(t *testing.T) {
	// The intervals are long, so that only being told and noticing can be quick.
	slow := memberConfig{dir: Config{Interval: time.Minute}}
	members := chain(t, 3, slow)
	g := slow
	g.name, g.dir.Join = "gateway", members[0].host.JoinAddrs()
	gateway := join(t, g)
	gateway.waitLive(t, 3)

	n := slow
	n.name, n.node, n.dir.Join = "newcomer", true, members[2].host.JoinAddrs()
	newcomer := join(t, n)
	start := time.Now()
	gateway.waitLive(t, 4)
	t.Logf("new node known after %v", time.Since(start).Round(time.Millisecond))

	newcomer.stop()
	start = time.Now()
	eventually(t, "stopped node is down", func() bool {
		node, _ := gateway.Node(testID("newcomer"))
		return node.Liveness == Down
	})
	t.Logf("dead node noticed after %v", time.Since(start).Round(time.Millisecond))
	for _, c := range gateway.Candidates() {
		if c.ID == testID("newcomer") && (c.State != placement.Down || c.Reason == "") {
			t.Errorf("dead node is a candidate: %v, %q", c.State, c.Reason)
		}
	}
	back := join(t, n)
	gateway.waitLive(t, 4)
	if node, _ := gateway.Node(testID("newcomer")); node.Seq <= 0 || len(back.host.Addrs()) == 0 || node.Multiaddrs[0] != back.host.Addrs()[0] {
		t.Errorf("returned node is known at %v, listens at %v", node.Multiaddrs, back.host.Addrs())
	}
}

func TestDirectoryWaitsForAJoinAddressThatIsNotYetUp(t *testing.T) {
	probe := openHost(t, memberConfig{name: "first", node: true})
	addrs, listen := probe.JoinAddrs(), probe.Addrs()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	var failed countingHandler
	gateway := join(t, memberConfig{name: "gateway", dir: Config{Join: addrs, Interval: time.Minute, Logger: slog.New(&failed)}})
	eventually(t, "joining failed three times", func() bool { return failed.count("exchange failed") >= 3 })
	join(t, memberConfig{name: "first", node: true, listen: listen})
	gateway.waitLive(t, 1)
}

func TestRestartFromDiskNeedsNoDHTAndNoJoinAddress(t *testing.T) {
	members := chain(t, 4, memberConfig{noDHT: true})
	dir := t.TempDir()
	first := join(t, memberConfig{name: "gateway", noDHT: true, pathDir: dir, dir: Config{Join: members[0].host.JoinAddrs()}})
	first.waitLive(t, 4)
	first.stop()
	members[3].stop()

	again := join(t, memberConfig{name: "gateway", noDHT: true, pathDir: dir})
	if n := len(again.Nodes()); n != 4 {
		t.Fatalf("%d nodes read from disk, want 4", n)
	}
	again.waitLive(t, 3)
	eventually(t, "the node that stopped is down", func() bool {
		node, _ := again.Node(testID(nodeName(3)))
		return node.Liveness == Down && !node.LastSeen.IsZero()
	})
}

func TestNodesFindEachOtherThroughTheDHTAlone(t *testing.T) {
	members := chain(t, 6, memberConfig{})
	for _, m := range members {
		m.waitLive(t, 6)
	}
	// A bare host on the DHT: no directory, so no exchange of records.
	h := openHost(t, memberConfig{name: "stranger"})
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	info, err := parseJoin(members[0].host.JoinAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.connect(t.Context(), info); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	eventually(t, "DHT lists 6 nodes and has their records", func() bool {
		ids, err := h.listNodes(ctx, maxListed)
		if err != nil || len(ids) != 6 {
			return false
		}
		for _, id := range ids {
			raw, err := h.lookUp(ctx, id)
			if err != nil {
				return false
			}
			if r, err := Verify(raw, testNetwork, time.Now()); err != nil || r.NodeID != id {
				t.Fatalf("DHT hands out a record of %s for %s: %v", r.NodeID.Short(), id.Short(), err)
			}
		}
		return true
	})
	forged := signed(t, nodeName(1), 1<<62, time.Now(), nil)
	forged[len(forged)-1] ^= 1
	if err := h.dht.PutValue(ctx, dhtKey(testID(nodeName(1))), forged); err == nil {
		t.Error("a forged record was put into the DHT")
	}
}

func TestExchangeWithAForgerEndsAndLeavesNoTrace(t *testing.T) {
	honest := join(t, memberConfig{name: "honest", node: true})
	forger := join(t, memberConfig{name: "forger", node: true})
	forged := signed(t, "victim", 5, time.Now(), nil)
	forged[len(forged)-1] ^= 1
	expired := signed(t, "late", 5, time.Now().Add(-2*time.Hour), nil)
	forger.mu.Lock() // a forger does not verify what it passes on
	forger.insert(&entry{raw: forged, rec: Record{NodeID: testID("victim"), Seq: 5, Expires: time.Now().Add(time.Hour)}})
	forger.insert(&entry{raw: expired, rec: Record{NodeID: testID("late"), Seq: 5, Expires: time.Now().Add(time.Hour)}})
	forger.mu.Unlock()

	info, err := parseJoin(forger.host.JoinAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := honest.exchange(t.Context(), info); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("exchange with a forger: %v, want Corrupt", err)
	}
	for _, name := range []string{"victim", "late"} {
		if _, ok := honest.Lookup(testID(name)); ok {
			t.Errorf("the record of %q was believed", name)
		}
	}
	// And when pushed.
	if err := forger.host.connect(t.Context(), addrInfo(mustLookup(t, honest, "honest"))); err != nil {
		t.Fatal(err)
	}
	if err := forger.push(t.Context(), honest.host.p2p.ID(), [][]byte{forged}); err == nil {
		t.Error("a pushed forgery was acknowledged")
	}
	if _, ok := honest.Lookup(testID("victim")); ok {
		t.Error("a pushed forgery was believed")
	}
}

func mustLookup(t *testing.T, m *member, name string) Record {
	t.Helper()
	r, ok := m.Lookup(testID(name))
	if !ok {
		t.Fatalf("%s is unknown", name)
	}
	return r
}

func TestPrivateNetworkKeepsStrangersOut(t *testing.T) {
	inside := join(t, memberConfig{name: "inside", node: true, netKey: bytes.Repeat([]byte{1}, 32)})
	for name, tc := range map[string]struct {
		key      []byte
		admitted bool
	}{
		"no key":      {nil, false},
		"another key": {bytes.Repeat([]byte{2}, 32), false},
		"the key":     {bytes.Repeat([]byte{1}, 32), true},
	} {
		h := openHost(t, memberConfig{name: "outside", netKey: tc.key})
		info, err := parseJoin(inside.host.JoinAddrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		// Without the key the handshake hangs; with it, it takes milliseconds.
		wait := time.Second
		if tc.admitted {
			wait = 30 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		if err := h.connect(ctx, info); (err == nil) != tc.admitted {
			t.Errorf("a peer with %s: %v", name, err)
		}
		cancel()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestHostRefusesPeersNotAllowed(t *testing.T) {
	h, err := NewHost(HostConfig{
		Network: testNetwork, Key: testKey("picky"), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoDHT: true,
		Allow: func(id cairn.NodeID) bool { return id != testID("unwanted") },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close() //nolint:errcheck // the test is about connecting
	info, err := parseJoin(h.JoinAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, allowed := range map[string]bool{"unwanted": false, "welcome": true} {
		peer := openHost(t, memberConfig{name: name, noDHT: true})
		// The dialler may see the connection before the other side refuses it,
		// so ask for an answer.
		_, err := peer.Check(t.Context(), Record{NodeID: h.ID(), Multiaddrs: h.Addrs()})
		if (err == nil) != allowed {
			t.Errorf("%s peer %s: %v", name, info.ID, err)
		}
		if err := peer.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingIsLeftRunningAfterClose(t *testing.T) {
	before := runtime.NumGoroutine()
	members := chain(t, 3, memberConfig{})
	for _, m := range members {
		m.waitLive(t, 3)
	}
	for _, m := range members {
		m.stop()
	}
	eventually(t, "goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestDamagedSetOnDiskIsPutAside(t *testing.T) {
	dir := t.TempDir()
	members := chain(t, 2, memberConfig{noDHT: true, pathDir: ""})
	g := join(t, memberConfig{name: "gateway", noDHT: true, pathDir: dir, dir: Config{Join: members[1].host.JoinAddrs()}})
	g.waitLive(t, 2)
	g.stop()
	path := filepath.Join(dir, "nodes")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 37 {
		bad := bytes.Clone(whole)
		bad[at] ^= 0x20
		if _, err := decodeSet(bad, testNetwork); !errors.Is(err, cairn.Corrupt) {
			t.Fatalf("byte %d flipped: %v, want Corrupt", at, err)
		}
		if _, err := decodeSet(whole[:at], testNetwork); !errors.Is(err, cairn.Corrupt) {
			t.Fatalf("cut at byte %d: %v, want Corrupt", at, err)
		}
	}
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	again := join(t, memberConfig{name: "gateway", noDHT: true, pathDir: dir, dir: Config{Join: members[1].host.JoinAddrs()}})
	again.waitLive(t, 2)
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Errorf("damaged file not kept: %v", err)
	}
}
