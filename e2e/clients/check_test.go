package clients

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
)

// client is one program or library and what is tried with it.
type client struct {
	name    string // as in the page
	note    string // how it was set up, in one sentence
	version func(t testing.TB) string
	checks  []check
	limits  []string // what the client itself cannot do, as the page says it
}

// check is one thing tried with a client.
type check struct {
	name  string // of the subtest
	tried string // what the page says: "upload, download: 0 bytes to 20 MiB"
	only  string // the one scheme it makes sense with; "" for both
	smoke bool   // also with -short
	run   func(t *testing.T, tr *trial)
}

// schemes are what every check is run over.
var schemes = [...]string{"http", "https"}

func (c check) over(scheme string) bool { return c.only == "" || c.only == scheme }

// trial is what a check works with.
type trial struct {
	*endpoint
	bucket  string // exists, empty
	dir     string // a temporary directory
	home    string // of the programs run, so that nobody's settings matter
	witness *witness
}

// try runs the checks of a client.
func (c *client) try(t *testing.T, e *endpoint) {
	seen.version(c.name, c.version(t))
	for _, k := range c.checks {
		if !k.over(e.scheme) || testing.Short() && !k.smoke {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { seen.outcome(c, k, e.scheme, !t.Failed() && !t.Skipped()) })
			k.run(t, newTrial(t, e))
		})
	}
}

func newTrial(t *testing.T, e *endpoint) *trial {
	t.Helper()
	dir := t.TempDir()
	tr := &trial{endpoint: e, bucket: bucketName(), dir: filepath.Join(dir, "work"), home: filepath.Join(dir, "home")}
	mkdir(t, tr.dir)
	mkdir(t, tr.home)
	tr.witness = newWitness(t, e, tr.bucket)
	tr.witness.createBucket(t)
	return tr
}

// many returns a trial with a bucket that all checks of the scheme share and
// none may change: many/0000 to many/1099, which is more than fits on a page of
// a listing, and top-0000 to top-0002.
func (tr *trial) many(t *testing.T) *trial {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	shared := *tr
	shared.bucket = tr.endpoint.many
	if shared.bucket == "" {
		shared.bucket = bucketName()
	}
	shared.witness = newWitness(t, tr.endpoint, shared.bucket)
	if tr.endpoint.many == "" {
		shared.witness.createBucket(t)
		shared.witness.fill(t, "many/", 1100)
		shared.witness.fill(t, "top-", 3)
		tr.endpoint.many = shared.bucket
	}
	return &shared
}

func bucketName() string { return "b-" + strings.ToLower(rand.Text()) }

// path returns the path of a file in the trial's directory.
func (tr *trial) path(name ...string) string {
	return filepath.Join(append([]string{tr.dir}, name...)...)
}
