package bench

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/cairn-store/cairn/e2e/harness"
)

// clientName says what drives the requests.
const clientName = "minio-go v7, path style, bodies signed in chunks (STREAMING-AWS4-HMAC-SHA256-PAYLOAD) over http"

// target is an S3 endpoint and the processes behind it.
type target struct {
	name    string
	client  *minio.Client
	classes []class
	foreign bool // to be left as it was found
}

// class is processes of one kind.
type class struct {
	name string
	pids []int
}

// start opens a target; its test's end closes it.
type start struct {
	name string
	open func(t *testing.T) *target
}

// openTargets returns what the flags ask for.
func openTargets(t *testing.T) (out []start) {
	t.Helper()
	if *flags.endpoint != "" {
		return []start{{"endpoint", openEndpoint}}
	}
	for name := range strings.SplitSeq(*flags.targets, ",") {
		switch name {
		case "processes":
			out = append(out, start{name, openProcesses})
		case "up":
			out = append(out, start{name, openUp})
		default:
			t.Fatalf("-targets: %q is neither processes nor up", name)
		}
	}
	return out
}

// openProcesses starts six nodes and a gateway, each a process.
func openProcesses(t *testing.T) *target {
	n := harness.New(t, harness.Options{Capacity: "8GiB"})
	nodes := class{name: "nodes"}
	for _, node := range n.Nodes {
		nodes.pids = append(nodes.pids, node.PID())
	}
	return &target{
		name: "six nodes and a gateway, seven processes", client: dial(t, n.Credentials()),
		classes: []class{{"gateway", []int{n.Gateway.PID()}}, nodes},
	}
}

// openUp starts a whole network in one process.
func openUp(t *testing.T) *target {
	n := harness.Up(t, "--capacity", "8GiB")
	return &target{
		name: "cairn up, one process", client: dial(t, n.Credentials()),
		classes: []class{{"up", []int{n.Gateway.PID()}}},
	}
}

// openEndpoint turns to the server that the flags name.
func openEndpoint(t *testing.T) *target {
	out := &target{name: *flags.endpoint, foreign: true, client: dial(t, harness.Credentials{
		Endpoint: *flags.endpoint, AccessKey: *flags.access, SecretKey: *flags.secret, Region: *flags.region,
	})}
	if *flags.watch == "" {
		return out
	}
	for entry := range strings.SplitSeq(*flags.watch, ",") {
		name, pids, ok := strings.Cut(entry, "=")
		if !ok {
			t.Fatalf("-watch: %q is not NAME=PID[+PID...]", entry)
		}
		c := class{name: name}
		for text := range strings.SplitSeq(pids, "+") {
			pid, err := strconv.Atoi(text)
			must(t, err)
			c.pids = append(c.pids, pid)
		}
		out.classes = append(out.classes, c)
	}
	return out
}

// dial returns a client with room for as many connections as there are workers.
func dial(t *testing.T, c harness.Credentials) *minio.Client {
	t.Helper()
	u, err := url.Parse(c.Endpoint)
	must(t, err)
	tr := &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	client, err := minio.New(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""),
		Secure: u.Scheme == "https", Region: c.Region, Transport: tr, BucketLookup: minio.BucketLookupPath,
	})
	must(t, err)
	return client
}

// cell is one size at one number of clients.
type cell struct {
	size    int
	name    string // of the size
	clients int
}

// parseCells reads SIZE@CLIENTS,...
func parseCells(t *testing.T, text string) (out []cell) {
	t.Helper()
	for entry := range strings.SplitSeq(text, ",") {
		size, clients, ok := strings.Cut(entry, "@")
		c := cell{name: size}
		var err error
		if c.clients, err = strconv.Atoi(clients); err != nil || !ok || c.clients < 1 {
			t.Fatalf("-cells: %q is not SIZE@CLIENTS", entry)
		}
		units := []string{"KiB", "MiB", "GiB"}
		i := slices.IndexFunc(units, func(u string) bool { return strings.HasSuffix(size, u) })
		if i < 0 {
			t.Fatalf("-cells: size %q is not in KiB, MiB or GiB", size)
		}
		number, err := strconv.Atoi(strings.TrimSuffix(size, units[i]))
		if err != nil || number < 1 || i == 2 {
			t.Fatalf("-cells: size %q is not between 1KiB and 1023MiB", size)
		}
		c.size = number << (10 * (i + 1))
		out = append(out, c)
	}
	return out
}
