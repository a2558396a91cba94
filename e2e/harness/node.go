package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Node is one storagenode process and its directory.
type Node struct {
	*Process // nil before the first start

	Dir      string
	Address  string // multiaddr to join at; "" before the first start
	Admin    string // host:port of health and metrics
	Domain   string
	Capacity string

	listen string
}

// AddNode makes and starts one more node, in a failure domain of its own, and
// returns its index. Empty capacity means the network's.
func (n *Network) AddNode(capacity string) int {
	n.t.Helper()
	if capacity == "" {
		capacity = n.opts.Capacity
	}
	n.prepareNode(capacity)
	i := len(n.Nodes) - 1
	n.StartNode(i)
	return i
}

// prepareNode makes a node that does not run yet.
func (n *Network) prepareNode(capacity string) {
	n.t.Helper()
	i := len(n.Nodes)
	port := FreePorts(n.t, 2) // the second is for data
	node := &Node{
		Dir: filepath.Join(n.Dir, fmt.Sprintf("node%d", i)), Domain: fmt.Sprintf("node%d", i),
		Admin: FreeAddr(n.t), Capacity: capacity, listen: loopback(port),
	}
	if r := Run(n.t, StorageNode(n.t), "init", "--dir", node.Dir); r.Code != 0 {
		n.t.Fatalf("storagenode init: %v", r)
	}
	n.Nodes = append(n.Nodes, node)
}

// StartNode starts node i, which does not run, and waits until it takes records.
func (n *Network) StartNode(i int) {
	n.t.Helper()
	n.launchNode(i)
	n.awaitNode(i)
}

// launchNode starts node i without waiting for it.
func (n *Network) launchNode(i int) {
	n.t.Helper()
	node := n.Nodes[i]
	if node.Process != nil && node.Running() {
		n.t.Fatalf("node %d runs already", i)
	}
	args := []string{"run", "--dir", node.Dir, "--listen", node.listen, "--admin", node.Admin,
		"--capacity", node.Capacity, "--failure-domain", node.Domain}
	if join := n.joinAddrs(); len(join) > 0 {
		args = append(args, "--join", strings.Join(join, ","))
	}
	args = append(args, n.opts.ExtraNodeArgs...)
	log := filepath.Join(n.Dir, fmt.Sprintf("node%d.log", i))
	node.Process = start(n.t, fmt.Sprintf("node%d", i), log, StorageNode(n.t), args...)
}

// awaitNode waits until node i serves; a full node serves, too.
func (n *Network) awaitNode(i int) {
	n.t.Helper()
	node := n.Nodes[i]
	waitReady(n.t, node.Process, "http://"+node.Admin+"/readyz", 30*time.Second)
	b, err := os.ReadFile(filepath.Join(node.Dir, "address"))
	if err != nil {
		n.t.Fatalf("node %d serves but has not said where: %v", i, err)
	}
	node.Address = strings.TrimSpace(string(b))
}

// KillNode ends node i with SIGKILL.
func (n *Network) KillNode(i int) {
	n.t.Helper()
	n.mustRun(i).Kill()
}

// StopNode ends node i with SIGTERM, which must give exit code 0.
func (n *Network) StopNode(i int) {
	n.t.Helper()
	p := n.mustRun(i)
	if err := p.Stop(stopLimit); err != nil {
		n.t.Fatalf("stop node %d: %v\n%s", i, err, p.Tail(4<<10))
	}
}

func (n *Network) mustRun(i int) *Process {
	n.t.Helper()
	p := n.Nodes[i].Process
	if p == nil || !p.Running() {
		n.t.Fatalf("node %d does not run", i)
	}
	return p
}

// RunningNodes counts the nodes that run.
func (n *Network) RunningNodes() (running int) {
	for _, node := range n.Nodes {
		if node.Process != nil && node.Running() {
			running++
		}
	}
	return running
}

// NodeStatus is what a node says of itself; the part that tests look at.
type NodeStatus struct {
	UsedBytes     int64  `json:"used_bytes"`
	FreeBytes     int64  `json:"free_bytes"`
	CapacityBytes int64  `json:"capacity_bytes"`
	Shards        int64  `json:"shards"`
	Writable      bool   `json:"writable"`
	Reason        string `json:"reason"`
}

// NodeStatus asks node i with "storagenode status --json". Its figures are a
// few seconds old.
func (n *Network) NodeStatus(i int) (NodeStatus, error) {
	n.t.Helper()
	r := Run(n.t, StorageNode(n.t), "status", "--json", "--dir", n.Nodes[i].Dir)
	var s struct {
		Node *NodeStatus `json:"node"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil || s.Node == nil { // exit code 4 comes with a status, too
		return NodeStatus{}, fmt.Errorf("storagenode status: %w: %v", err, r)
	}
	return *s.Node, nil
}

// Stored sums what the running nodes keep: shards, and bytes of their logs on
// disk, holes not counted.
func (n *Network) Stored() (shards, diskBytes int64, err error) {
	n.t.Helper()
	for i, node := range n.Nodes {
		if node.Process == nil || !node.Running() {
			continue
		}
		s, err := n.NodeStatus(i)
		if err != nil {
			return 0, 0, err
		}
		shards += s.Shards
		logs, err := filepath.Glob(filepath.Join(node.Dir, "shards", "logs", "*"))
		if err != nil {
			return 0, 0, err
		}
		for _, log := range logs {
			var st syscall.Stat_t
			if err := syscall.Stat(log, &st); err != nil && !errors.Is(err, os.ErrNotExist) {
				return 0, 0, fmt.Errorf("measure %s: %w", log, err)
			}
			diskBytes += st.Blocks * 512
		}
	}
	return shards, diskBytes, nil
}
