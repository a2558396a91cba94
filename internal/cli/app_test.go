package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/cli"
)

// program is a small command tree: "lay" has settings, "fail" fails as told.
type program struct {
	*cli.App
	out, err bytes.Buffer
	stones   int
	mortar   string
	size     cli.Size
	join     []string
	wait     time.Duration
	dry      bool
}

func newProgram(failure error, environ ...string) *program {
	p := &program{}
	p.App = cli.New("wall", "WALL_", "short", "long", "v0", cli.Streams{In: strings.NewReader(""), Out: &p.out, Err: &p.err, Environ: environ})
	lay := &cobra.Command{Use: "lay", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		return p.Print(map[string]int{"stones": p.stones}, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, p.stones, p.mortar, p.size, p.join, p.wait, p.dry)
			return err
		})
	}}
	f := lay.Flags()
	f.String("dir", "", "")
	f.IntVar(&p.stones, "stones", 1, "")
	f.StringVar(&p.mortar, "mortar-kind", "lime", "")
	p.size = 1 << 20
	f.Var(&p.size, "size", "")
	f.StringSliceVar(&p.join, "join", nil, "")
	f.DurationVar(&p.wait, "wait", time.Second, "")
	f.BoolVar(&p.dry, "dry", false, "")
	fail := &cobra.Command{Use: "fail", RunE: func(*cobra.Command, []string) error { return failure }}
	fail.Flags().Int("only-fail", 0, "")
	p.Root.AddCommand(lay, fail)
	return p
}

func (p *program) run(args ...string) int { return p.Run(context.Background(), args) }

func TestFlagsBeatEnvironmentBeatFileBeatDefaults(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const all = "stones = 2\nmortar-kind = \"clay\"\nsize = \"3GiB\"\njoin = [\"a\", \"b\"]\nwait = \"2m\"\ndry = true\n"
	for _, c := range []struct {
		name, file string
		environ    []string
		args       []string
		want       string
	}{
		{"defaults", "", nil, nil, "1 lime 1MiB [] 1s false"},
		{"file", all, nil, nil, "2 clay 3GiB [a b] 2m0s true"},
		{"a command's table beats the top", "stones = 2\n[lay]\nstones = 3\n", nil, nil, "3 lime 1MiB [] 1s false"},
		{"another command's table does not count", "stones = 2\n[fail]\nonly-fail = 9\n", nil, nil, "2 lime 1MiB [] 1s false"},
		{"numbers for sizes", "size = 4096\n", nil, nil, "1 lime 4KiB [] 1s false"},
		{"environment", "", []string{"WALL_STONES=4", "WALL_MORTAR_KIND=mud", "WALL_JOIN=c,d", "WALL_DRY=true"}, nil, "4 mud 1MiB [c d] 1s true"},
		{"environment beats file", all, []string{"WALL_STONES=4", "WALL_JOIN=c"}, nil, "4 clay 3GiB [c] 2m0s true"},
		{"empty environment is not set", all, []string{"WALL_STONES=", "WALL_MORTAR_KIND="}, nil, "2 clay 3GiB [a b] 2m0s true"},
		{"others' environment is left alone", "", []string{"WALL_E2E_KEEP=1", "STONES=9"}, nil, "1 lime 1MiB [] 1s false"},
		{"flags beat all", all, []string{"WALL_STONES=4"}, []string{"--stones", "5", "--size=1B", "--join", "e", "--dry=false"}, "5 clay 1B [e] 2m0s false"},
		{"a flag set to its default still counts", all, []string{"WALL_STONES=4"}, []string{"--stones", "1"}, "1 clay 3GiB [a b] 2m0s true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(c.file)
			for _, where := range [][]string{{"--dir", dir}, {"--config", file}} {
				p := newProgram(nil, c.environ...)
				code := p.run(append(append([]string{"lay"}, where...), c.args...)...)
				if got := strings.TrimSpace(p.out.String()); code != 0 || got != c.want {
					t.Errorf("with %v: exit %d, %q; want %q; %s", where, code, got, c.want, &p.err)
				}
			}
			p := newProgram(nil, append(c.environ, "WALL_CONFIG="+file)...)
			if code := p.run(append([]string{"lay"}, c.args...)...); code != 0 || strings.TrimSpace(p.out.String()) != c.want {
				t.Errorf("with WALL_CONFIG: exit %d, %q; want %q", code, &p.out, c.want)
			}
		})
	}
}

func TestWrongSettingsAreRefusedByName(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	for _, c := range []struct{ name, file, environ, says string }{
		{"misspelt key", "stonse = 2\n", "", "stonse"},
		{"no such table", "[build]\nstones = 2\n", "", "build.stones"},
		{"wrong table", "[fail]\nstones = 2\n", "", "fail.stones"},
		{"wrong type", "stones = \"many\"\n", "", "stones"},
		{"not TOML", "stones == 2\n", "", "config.toml"},
		{"not for files", "config = \"other\"\n", "", "config"},
		{"wrong environment", "", "WALL_WAIT=soon", "WALL_WAIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			p := newProgram(nil, c.environ)
			if code := p.run("lay", "--dir", dir); code != cli.ExitUsage || !strings.Contains(p.err.String(), c.says) {
				t.Errorf("exit %d, %q; want exit 2 and a word on %q", code, &p.err, c.says)
			}
		})
	}
	p := newProgram(nil)
	if code := p.run("lay", "--config", filepath.Join(dir, "none.toml")); code != cli.ExitUsage {
		t.Errorf("missing --config file: exit %d, want 2", code)
	}
}

func TestExitCodesFollowKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("no kind"), 1},
		{cairn.Errorf("op", cairn.Internal, "x"), 1},
		{cairn.Errorf("op", cairn.Invalid, "x"), 2},
		{cairn.Errorf("op", cairn.NotFound, "x"), 3},
		{cairn.Errorf("op", cairn.Unavailable, "x"), 4},
		{context.DeadlineExceeded, 4},
		{cairn.Errorf("op", cairn.Denied, "x"), 5},
		{cairn.Errorf("op", cairn.Corrupt, "x"), 6},
		{cairn.Errorf("op", cairn.Full, "x"), 7},
		{cairn.Errorf("op", cairn.Exists, "x"), 8},
		{fmt.Errorf("wrapped: %w", cairn.Errorf("op", cairn.Corrupt, "x")), 6},
		{errors.Join(cairn.Errorf("op", cairn.NotFound, "x"), errors.New("close")), 3},
		{fmt.Errorf("recover: %w", context.Canceled), 130},
	} {
		if got := newProgram(c.err).run("fail"); got != c.want {
			t.Errorf("exit of %v = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestUsageErrorsExitTwoWithAHint(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"lay", "--stonse"}, {"lay", "--stones", "x"}, {"lay", "surplus"}, {"lay", "--size", "big"}} {
		p := newProgram(nil)
		if code := p.run(args...); code != cli.ExitUsage || !strings.Contains(p.err.String(), "hint: ") || p.out.Len() > 0 {
			t.Errorf("%v: exit %d, stderr %q, stdout %q; want exit 2, a hint, and nothing", args, code, &p.err, &p.out)
		}
	}
}

func TestErrorsCarryTheirHint(t *testing.T) {
	failure := fmt.Errorf("put: %w", cairn.Errorf("op", cairn.Full, "no room").WithHint("free some"))
	p := newProgram(failure)
	p.run("fail")
	if want := "wall: put: op: no room\nhint: free some\n"; p.err.String() != want {
		t.Errorf("stderr = %q, want %q", &p.err, want)
	}
	p = newProgram(failure)
	p.run("fail", "--json")
	if want := `{"error":{"kind":"full","message":"put: op: no room","hint":"free some","exit":7}}` + "\n"; p.err.String() != want {
		t.Errorf("stderr with --json = %q, want %q", &p.err, want)
	}
}

func TestResultsAreTextOrJSON(t *testing.T) {
	p := newProgram(nil, "WALL_JSON=true")
	if code := p.run("lay", "--stones", "7"); code != 0 || p.out.String() != "{\n  \"stones\": 7\n}\n" {
		t.Errorf("exit %d, stdout %q, want JSON", code, &p.out)
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		args     []string
		want     bool
	}{
		{true, nil, true}, {false, nil, false}, {true, []string{"--quiet"}, false}, {true, []string{"--json"}, false},
	} {
		p := newProgram(nil)
		p.IO.ErrTerminal = c.terminal
		if code := p.run(append([]string{"lay"}, c.args...)...); code != 0 {
			t.Fatal(&p.err)
		}
		bar := p.Progress("copying", 100, true)
		bar.Set(50, 200)
		bar.Describe("still copying")
		if n, err := bar.Write(make([]byte, 10)); n != 10 || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
		bar.Done()
		bar.Set(60, 200)
		if drew := p.err.Len() > 0; drew != c.want {
			t.Errorf("terminal %v, %v: drew %v, want %v", c.terminal, c.args, drew, c.want)
		}
	}
}

func TestLoggerObeysLevelAndFormat(t *testing.T) {
	p := newProgram(nil)
	p.run("lay", "--log-level", "warn", "--log-format", "json")
	log, err := p.Logger()
	if err != nil {
		t.Fatal(err)
	}
	log.Info("dropped")
	log.Warn("kept", "n", 1)
	if got := p.err.String(); strings.Contains(got, "dropped") || !strings.Contains(got, `"msg":"kept","n":1`) {
		t.Errorf("log = %q", got)
	}
	p = newProgram(nil)
	p.run("lay", "--log-level", "loud")
	if _, err := p.Logger(); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Logger at level loud = %v, want Invalid", err)
	}
}
