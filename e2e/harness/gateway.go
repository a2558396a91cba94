package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Gateway is the gateway's process and its directory.
type Gateway struct {
	*Process // nil before the first start

	Dir        string
	PhraseFile string // outside Dir
	S3Addr     string // host:port
	Console    string // host:port of health and metrics
	TLS        bool
}

// Endpoint returns the URL of the S3 endpoint.
func (g *Gateway) Endpoint() string {
	if g.TLS {
		return "https://" + g.S3Addr
	}
	return "http://" + g.S3Addr
}

// initOwner makes an owner.
func (n *Network) initOwner() {
	n.t.Helper()
	g := &Gateway{
		Dir: filepath.Join(n.Dir, "gateway"), PhraseFile: filepath.Join(n.Dir, "phrase.txt"),
		S3Addr: FreeAddr(n.t), Console: FreeAddr(n.t), TLS: n.opts.TLS,
	}
	r := Run(n.t, Cairn(n.t), "init", "--dir", g.Dir, "--phrase-out", g.PhraseFile, "--s3", g.S3Addr)
	if r.Code != 0 {
		n.t.Fatalf("cairn init: %v", r)
	}
	n.Gateway = g
}

// StartGateway starts the gateway, which does not run, and waits until it
// takes writes.
func (n *Network) StartGateway(args ...string) {
	n.t.Helper()
	n.LaunchGateway(args...)
	n.WaitGateway("/readyz?write")
}

// LaunchGateway starts the gateway without waiting for it. args come last on
// its command line.
func (n *Network) LaunchGateway(args ...string) {
	n.t.Helper()
	g := n.Gateway
	if g.Process != nil && g.Running() {
		n.t.Fatal("the gateway runs already")
	}
	tls := "off"
	if g.TLS {
		tls = "auto"
	}
	all := []string{"gateway", "--dir", g.Dir, "--s3", g.S3Addr, "--console", g.Console, "--s3-tls", tls}
	if join := n.joinAddrs(); len(join) > 0 {
		all = append(all, "--join", strings.Join(join, ","))
	}
	all = append(append(all, n.opts.ExtraGatewayArgs...), args...)
	g.Process = start(n.t, "gateway", filepath.Join(n.Dir, "gateway.log"), Cairn(n.t), all...)
}

// WaitGateway waits until the gateway's path (/livez, /readyz, /readyz?write)
// answers 200.
func (n *Network) WaitGateway(path string) {
	n.t.Helper()
	waitReady(n.t, n.Gateway.Process, "http://"+n.Gateway.Console+path, 60*time.Second)
}

// KillGateway ends the gateway with SIGKILL.
func (n *Network) KillGateway() {
	n.t.Helper()
	n.mustServe().Kill()
}

// StopGateway ends the gateway with SIGTERM, which must give exit code 0.
func (n *Network) StopGateway() {
	n.t.Helper()
	p := n.mustServe()
	if err := p.Stop(stopLimit); err != nil {
		n.t.Fatalf("stop gateway: %v\n%s", err, p.Tail(4<<10))
	}
}

func (n *Network) mustServe() *Process {
	n.t.Helper()
	p := n.Gateway.Process
	if p == nil || !p.Running() {
		n.t.Fatal("the gateway does not run")
	}
	return p
}

// RemoveGatewayDir deletes the directory of the gateway, which does not run.
func (n *Network) RemoveGatewayDir() {
	n.t.Helper()
	if p := n.Gateway.Process; p != nil && p.Running() {
		n.t.Fatal("the gateway runs on its directory")
	}
	if err := os.RemoveAll(n.Gateway.Dir); err != nil {
		n.t.Fatalf("remove gateway's directory: %v", err)
	}
}

// Status is what the gateway says of itself; the part that tests look at.
type Status struct {
	Verdict  string   `json:"verdict"`
	Problems []string `json:"problems"`
	Gateway  struct {
		Scheme     string `json:"scheme"`
		ReadReady  bool   `json:"read_ready"`
		WriteReady bool   `json:"write_ready"`
		Network    struct {
			Known   int `json:"known"`
			Live    int `json:"live"`
			Domains int `json:"domains"`
		} `json:"network"`
		Content struct {
			Buckets  int64 `json:"buckets"`
			Versions int64 `json:"versions"`
			Segments int64 `json:"segments"`
			Uploads  int64 `json:"uploads"`
			Garbage  int64 `json:"garbage"`
		} `json:"content"`
	} `json:"gateway"`
}

// Status asks the running gateway with "cairn status --json".
func (n *Network) Status() (s Status, err error) {
	n.t.Helper()
	r := Run(n.t, Cairn(n.t), "status", "--json", "--dir", n.Gateway.Dir)
	if r.Stdout == "" { // exit code 4 comes with a status, too
		return s, fmt.Errorf("cairn status: %v", r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil {
		return s, fmt.Errorf("cairn status: %w: %v", err, r)
	}
	return s, nil
}

// Await waits until the gateway's status is as ok wants it; what says so in
// words.
func (n *Network) Await(limit time.Duration, what string, ok func(Status) bool) Status {
	n.t.Helper()
	var s Status
	Eventually(n.t, limit, what, func() (err error) {
		if s, err = n.Status(); err != nil {
			return err
		}
		if !ok(s) {
			return fmt.Errorf("status is %+v", s)
		}
		return nil
	})
	return s
}

// WaitNodes waits until the gateway sees exactly live nodes alive.
func (n *Network) WaitNodes(live int) {
	n.t.Helper()
	n.Await(60*time.Second, fmt.Sprintf("gateway sees %d nodes", live), func(s Status) bool {
		return s.Gateway.Network.Live == live
	})
}
