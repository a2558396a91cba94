package harness

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Verdict is what "cairn recover --json" says; the part that tests look at.
type Verdict struct {
	Objects              int64 `json:"objects"`
	Bytes                int64 `json:"bytes"`
	Buckets              int64 `json:"buckets"`
	Degraded             int64 `json:"degraded"`
	Unreadable           int64 `json:"unreadable"`
	Deleted              int64 `json:"deleted"`
	Superseded           int64 `json:"superseded"`
	Unfinished           int64 `json:"unfinished"`
	Undecided            int64 `json:"undecided"`
	Orphans              int64 `json:"orphans"`
	Corrupt              int64 `json:"corrupt"`
	Lost                 int64 `json:"lost"`
	Nodes                int   `json:"nodes"`
	DeletionsMayBeHidden bool  `json:"deletions_may_be_hidden"`
	Unanswered           []struct {
		Reason string `json:"reason"`
	} `json:"unanswered"`
}

// recoverLimit bounds one recovery.
const recoverLimit = 3 * time.Minute

// StartRecover begins "cairn recover" into dir, a name below the network's
// directory. args come last on its command line.
func (n *Network) StartRecover(dir string, args ...string) *Command {
	n.t.Helper()
	all := []string{"recover", "--json", "--dir", filepath.Join(n.Dir, dir), "--phrase-file", n.Gateway.PhraseFile,
		"--join", strings.Join(n.joinAddrs(), ","), "--s3", n.Gateway.S3Addr}
	return Start(n.t, Cairn(n.t), append(all, args...)...)
}

// Recover runs "cairn recover" into dir, which must end with exit code 0, and
// makes dir the gateway's directory. args come last on its command line.
func (n *Network) Recover(dir string, args ...string) Verdict {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), recoverLimit)
	defer cancel()
	r := n.StartRecover(dir, args...).Wait(ctx)
	if r.Code != 0 {
		n.t.Fatalf("cairn recover: %v", r)
	}
	for line := range strings.Lines(r.Stderr) {
		if strings.Contains(line, "no shard of a segment verifies") {
			n.t.Log("cairn recover: ", strings.TrimSpace(line))
		}
	}
	n.Gateway.Dir = filepath.Join(n.Dir, dir)
	return ParseVerdict(n.t, r)
}

// ParseVerdict reads what "cairn recover --json" wrote.
func ParseVerdict(t testing.TB, r Result) (v Verdict) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
		t.Fatalf("cairn recover: %v: %v", err, r)
	}
	return v
}
