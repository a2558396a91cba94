package s3api_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cairn-store/cairn/gateway/s3api"
)

// docs/s3.md has one row for every operation, and knows which there are.
func TestDocumentedOperationsAreThoseThereAre(t *testing.T) {
	text, err := os.ReadFile("../../docs/s3.md")
	if err != nil {
		t.Fatal(err)
	}
	routed := map[string]bool{}
	for _, rt := range s3api.Routes() {
		routed[rt.Operation] = true
	}
	row := regexp.MustCompile(`(?m)^\| ([^|]+) \| (supported|partly|not) \| ([^|]*)\|$`)
	rows := row.FindAllStringSubmatch(string(text), -1)
	if lines, heads := strings.Count(string(text), "\n|"), strings.Count(string(text), "| operation |"); lines != len(rows)+2*heads {
		t.Errorf("%d of %d lines of tables are rows", len(rows), lines-2*heads)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		name, state, remark := r[1], r[2], strings.TrimSpace(r[3])
		if seen[name] {
			t.Errorf("%s stands there twice", name)
		}
		seen[name] = true
		if routed[name] != (state != "not") {
			t.Errorf("%s is %q, but has a route: %v", name, state, routed[name])
		}
		if state == "partly" && remark == "" {
			t.Errorf("%s is partly supported, but nothing says which part", name)
		}
	}
	for name := range routed {
		if !seen[name] {
			t.Errorf("%s has a route and is not documented", name)
		}
	}
}
