package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cairn-store/cairn/internal/cli"
)

// shBlock is what the README says can be pasted while "make run" runs.
var shBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

func TestReadmeWorksAsPasted(t *testing.T) {
	if testing.Short() {
		t.Skip("runs clients")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, m := range shBlock.FindAllStringSubmatch(string(readme), -1) {
		script.WriteString(m[1])
	}
	for _, tool := range []string{"aws ", "rclone ", "boto3", "bin/cairn "} {
		if !strings.Contains(script.String(), tool) {
			t.Errorf("the README does not show %s", tool)
		}
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bin", "cairn"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "README.md"), readme, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	defer startUp(t)()
	bash := exec.CommandContext(t.Context(), "bash", "-eu")
	bash.Stdin = strings.NewReader(script.String())
	// Debian's programs come first, whatever else this machine has.
	bash.Env = []string{"PATH=/usr/bin:/bin:" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8"}
	got, err := bash.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	for _, want := range []string{"docs/README.md", "stone on stone", "6 of 6 live", "health:    whole"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the output lacks %q:\n%s", want, got)
		}
	}
}

// startUp runs "cairn up" here until stop is called.
func startUp(t *testing.T) (stop func()) {
	t.Helper()
	out, errs := &syncBuffer{new: make(chan struct{}, 1)}, &syncBuffer{new: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	exit := make(chan int, 1)
	go func() {
		exit <- newApp(cli.Streams{In: strings.NewReader(""), Out: out, Err: errs}).Run(ctx, []string{
			"up", "--capacity", "1GiB", "--s3", "127.0.0.1:0", "--console", "off", "--log-level", "warn",
		})
	}()
	select {
	case <-out.new:
	case code := <-exit:
		cancel()
		t.Fatalf("up: exit %d: %s", code, errs)
	}
	return func() {
		cancel()
		if code := <-exit; code != 0 {
			t.Errorf("up: exit %d: %s", code, errs)
		}
	}
}
