package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Options describes a network. The zero value is six nodes and a gateway over
// http.
type Options struct {
	// Nodes is how many nodes start. Zero means 6, negative none.
	Nodes int
	// Capacity of each node, as the command takes it. Empty means 4GiB.
	Capacity string
	// TLS serves S3 over https with a certificate of the gateway's own authority.
	TLS bool
	// NoGateway starts nodes only; StartGateway starts the gateway later.
	NoGateway bool
	// ExtraGatewayArgs and ExtraNodeArgs are added to the command lines.
	ExtraGatewayArgs, ExtraNodeArgs []string
}

// Network is nodes and a gateway, each a process. One goroutine uses it; the
// clients it hands out are safe for several.
type Network struct {
	Dir     string // of everything; the test's own
	Nodes   []*Node
	Gateway *Gateway

	t    testing.TB
	opts Options
}

// New starts a network and waits until it takes writes with every node in
// place. The test's end ends it.
func New(t testing.TB, o Options) *Network {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 6
	}
	if o.Capacity == "" {
		o.Capacity = "4GiB"
	}
	n := &Network{Dir: t.TempDir(), t: t, opts: o}
	t.Cleanup(n.end)
	for i := range max(o.Nodes, 0) {
		n.prepareNode(o.Capacity)
		if i == 0 {
			n.StartNode(0) // the others join it
		}
	}
	for i := 1; i < len(n.Nodes); i++ {
		n.launchNode(i)
	}
	for i := 1; i < len(n.Nodes); i++ {
		n.awaitNode(i)
	}
	n.initOwner()
	if !o.NoGateway {
		n.StartGateway()
		n.WaitNodes(len(n.Nodes))
	}
	return n
}

// end kills what still runs and, after a failure, shows the logs.
func (n *Network) end() {
	var all []*Process
	for _, node := range n.Nodes {
		if node.Process != nil {
			all = append(all, node.Process)
		}
	}
	if n.Gateway != nil && n.Gateway.Process != nil {
		all = append(all, n.Gateway.Process)
	}
	for _, p := range all {
		p.Kill()
	}
	for _, p := range all {
		if line := crash(p.Log); line != "" {
			n.t.Errorf("%s: %s", p.Name, line)
		}
	}
	if !n.t.Failed() {
		return
	}
	for _, p := range all {
		n.t.Logf("end of the log of %s:\n%s", p.Name, p.Tail(4<<10))
	}
	if keep := os.Getenv("CAIRN_E2E_KEEP"); keep != "" {
		n.keepLogs(all, keep)
	}
}

// crash returns the line of a log that says that our own code broke, "" when
// there is none.
func crash(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(b)) {
		broken := strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") ||
			strings.HasPrefix(line, "WARNING: DATA RACE") ||
			strings.Contains(line, `msg="request handler panicked"`) || strings.Contains(line, "err=\"panic in ")
		if broken {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// keepLogs copies the logs to a directory that outlives the test.
func (n *Network) keepLogs(all []*Process, dir string) {
	for _, p := range all {
		b, err := os.ReadFile(p.Log)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.log", p.Name, p.PID())), b, 0o600)
		}
		if err != nil {
			n.t.Logf("log of %s not kept: %v", p.Name, err)
		}
	}
}

// stopLimit is how long a process may take to drain.
const stopLimit = 45 * time.Second

// joinAddrs returns the addresses of the first two nodes, as far as they have
// run: a test that kills both leaves nobody to join at.
func (n *Network) joinAddrs() []string {
	var out []string
	for _, node := range n.Nodes {
		if node.Address != "" && len(out) < 2 {
			out = append(out, node.Address)
		}
	}
	return out
}
