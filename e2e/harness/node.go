package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
