package clients

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/compatibility.md after a full run in which everything passed")

const page = "../../docs/compatibility.md"

// all is every client tried, in the order of the page.
func all() []*client {
	return []*client{&awsCLI, &boto3, &awsSDK, &minioGo, &rclone, &s3cmd, &restic, &plainHTTP}
}

// seen collects what happened in this run.
var seen outcomes

type outcomes struct {
	mu       sync.Mutex // guards the fields below
	versions map[string]string
	passed   map[string]bool // by client, check and scheme
}

func (o *outcomes) version(client, version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.versions == nil {
		o.versions = map[string]string{}
	}
	o.versions[client] = version
}

func (o *outcomes) outcome(c *client, k check, scheme string, passed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.passed == nil {
		o.passed = map[string]bool{}
	}
	o.passed[c.name+"/"+scheme+"/"+k.name] = passed
}

// missing names a check that did not pass, or was not run.
func (o *outcomes) missing() (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range all() {
		for _, k := range c.checks {
			for _, scheme := range schemes {
				if name := c.name + "/" + scheme + "/" + k.name; k.over(scheme) && !o.passed[name] {
					return name, true
				}
			}
		}
	}
	return "", false
}

// writePage rewrites the page after a run in which every check passed.
func writePage() error {
	if name, any := seen.missing(); any {
		return fmt.Errorf("the page is left as it is: %s did not pass in this run", name)
	}
	return os.WriteFile(page, []byte(render(seen.versions)), 0o644)
}

const pageHead = `# S3 clients that work with Cairn

Written by ` + "`go test ./e2e/clients -update`" + `; do not edit. Every line below is a test that runs
the real client against a network of storage node processes and a gateway process, and looks at
the result with a second client. The page is written only when all of them pass, and a test
fails when the page and the checks differ. "–" means that it is not tried over that scheme.

Names in the lines about odd names hold spaces, "+", "%", quotes, "?", "#", "<", "&", control
characters, composed and decomposed accents, emoji, "//", "." and ".." as elements, a leading and a trailing
"/", and 1,024 bytes; a client gets those that it can send. Sizes lie around 0, the sealed frame (65,520
bytes), the block (1 MiB) and the client's part size. Virtual-host style is tried under a domain given with
` + "`--s3-domain`" + `.
`

// render writes the page. versions may lack clients.
func render(versions map[string]string) string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, c := range all() {
		fmt.Fprintf(&b, "\n## %s\n\n%s%s\n%s\n\n| tried | http | https |\n|---|---|---|\n", c.name, versionMark, versions[c.name], c.note)
		for _, k := range c.checks {
			fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(k.tried, "|", `\|`))
			for _, scheme := range schemes {
				cell := "–"
				if k.over(scheme) {
					cell = "yes"
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
			b.WriteString("\n")
		}
		if len(c.limits) > 0 {
			b.WriteString("\nLimits of the client:\n")
		}
		for _, l := range c.limits {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	return b.String()
}

const versionMark = "Version tried: "

// TestCompatibilityPageSaysWhatIsTried keeps the page and the checks together.
// Versions are those of the machine that wrote the page.
func TestCompatibilityPageSaysWhatIsTried(t *testing.T) {
	have, err := os.ReadFile(page)
	must(t, err)
	versions := regexp.MustCompile(`(?m)^` + versionMark + `.*$`)
	got := strings.Split(versions.ReplaceAllString(string(have), versionMark), "\n")
	want := strings.Split(versions.ReplaceAllString(render(nil), versionMark), "\n")
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		g, w := lineAt(got, i), lineAt(want, i)
		if g != w {
			t.Fatalf("%s, line %d:\n got %s\nwant %s\nrun: go test ./e2e/clients -update", page, i+1, g, w)
		}
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

// TestEveryCheckHasItsOwnLine guards against a name used twice, of which one
// outcome would hide the other.
func TestEveryCheckHasItsOwnLine(t *testing.T) {
	for _, c := range all() {
		names, lines := map[string]bool{}, map[string]bool{}
		smoke := false
		for _, k := range c.checks {
			if names[k.name] || lines[k.tried] || k.name == "" || k.tried == "" {
				t.Errorf("%s: check %q (%s) is there twice, or has no name", c.name, k.name, k.tried)
			}
			names[k.name], lines[k.tried], smoke = true, true, smoke || k.smoke
		}
		if !smoke {
			t.Errorf("%s: nothing is tried with -short", c.name)
		}
	}
}
