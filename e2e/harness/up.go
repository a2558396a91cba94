package harness

import (
	"path/filepath"
	"testing"
	"time"
)

// Up starts "cairn up": six nodes and a gateway in one process, the gateway of
// the Network it returns once that takes writes. The Network has no nodes to
// kill. The test's end ends it.
func Up(t testing.TB, args ...string) *Network {
	t.Helper()
	n := &Network{Dir: t.TempDir(), t: t}
	t.Cleanup(n.end)
	g := &Gateway{Dir: filepath.Join(n.Dir, "up"), S3Addr: FreeAddr(t), Console: FreeAddr(t)}
	g.PhraseFile = filepath.Join(g.Dir, "recovery-phrase.txt")
	n.Gateway = g
	all := append([]string{"up", "--dir", g.Dir, "--s3", g.S3Addr, "--console", g.Console, "--s3-tls", "off"}, args...)
	g.Process = start(t, "up", filepath.Join(n.Dir, "up.log"), Cairn(t), all...)
	n.WaitGateway("/readyz?write")
	n.Await(60*time.Second, "all nodes live", func(s Status) bool { return s.Gateway.Network.Live == 6 })
	return n
}
