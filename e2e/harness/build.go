package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const modulePath = "github.com/cairn-store/cairn"

// built is the directory of the programs, made by the first test that asks.
var built struct {
	once sync.Once
	dir  string
	own  bool // made here, to be removed
	err  error
}

// Main runs a package's tests and removes the programs built for them. It is
// the last call of a TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if built.own {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "remove programs:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Cairn returns the path of the cairn program.
func Cairn(t testing.TB) string { return program(t, "cairn") }

// StorageNode returns the path of the storagenode program.
func StorageNode(t testing.TB) string { return program(t, "storagenode") }

func program(t testing.TB, name string) string {
	t.Helper()
	built.once.Do(build)
	if built.err != nil {
		t.Fatalf("build programs: %v", built.err)
	}
	return filepath.Join(built.dir, name)
}

func build() {
	if dir := os.Getenv("CAIRN_E2E_BIN"); dir != "" {
		built.dir, built.err = filepath.Abs(dir)
		return
	}
	built.dir, built.err = os.MkdirTemp("", "cairn-e2e-bin-")
	if built.err != nil {
		return
	}
	built.own = true
	args := []string{"build"}
	if raceEnabled {
		args = append(args, "-race")
	}
	args = append(args, "-o", built.dir+string(filepath.Separator), modulePath+"/cmd/cairn", modulePath+"/cmd/storagenode")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		built.err = fmt.Errorf("go build: %w\n%s", err, out)
	}
}
