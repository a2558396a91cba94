package scenario

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the scenarios with what is visible now")

// Program makes a command tree that talks to the streams given.
type Program func(cli.Streams) *cli.App

// Config says what a story may use beside the commands that are built in:
//
//	start PROGRAM ARGS   run until stop; shows what it says once it is ready
//	stop                 ask the program started last to end
//	env NAME=VALUE ...   in front of a program
//	get NAME PATH        GET below the address that a started program gave as NAME
//	modes DIR            modes and names of a directory's files
//	write FILE MODE TEXT, chmod MODE FILE, rm FILE
//
// "@FILE" as an argument stands for the file's text.
type Config struct {
	Programs map[string]Program
	// Commands are further ones; each returns what became visible.
	Commands map[string]func(s *Story, args []string) string
}

// Story is one file being told.
type Story struct {
	T        *testing.T
	Vars     map[string]string // "name: value" lines of started programs
	cfg      Config
	dir      string
	running  []*process
	deadline time.Duration
}

// process is a program started by a story.
type process struct {
	cancel context.CancelFunc
	exit   chan int
	out    *watched
	err    *watched
}

// Run tells every story in testdata/scenarios, each as a test of its own.
func Run(t *testing.T, cfg Config) {
	files, err := filepath.Glob(filepath.Join("testdata", "scenarios", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			file, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &Story{T: t, Vars: map[string]string{}, cfg: cfg, dir: t.TempDir(), deadline: time.Minute}
			t.Chdir(s.dir)
			defer s.stopAll()
			got := s.tell(string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s tells another story (run with -update and read the diff):\n%s", file, difference(string(want), got))
			}
		})
	}
}

// tell runs the commands of a story and returns it as it is now.
func (s *Story) tell(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(line, "$ ")
		switch {
		case ok:
			out.WriteString(line)
			out.WriteString(s.scrub(s.do(strings.Fields(command))))
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
			out.WriteString(line)
		}
	}
	return out.String()
}

func (s *Story) do(args []string) string {
	for i, arg := range args {
		if name, ok := strings.CutPrefix(arg, "@"); ok {
			b, err := os.ReadFile(name)
			if err != nil {
				return "cannot read: " + err.Error() + "\n"
			}
			args[i] = strings.TrimSpace(string(b))
		}
	}
	var environ []string
	if args[0] == "env" {
		for args = args[1:]; strings.Contains(args[0], "="); args = args[1:] {
			environ = append(environ, args[0])
		}
	}
	if args[0] == "start" {
		return s.start(environ, args[1], args[2:])
	}
	if program := s.cfg.Programs[args[0]]; program != nil {
		return s.run(program, environ, args[1:])
	}
	if command := s.cfg.Commands[args[0]]; command != nil {
		return command(s, args[1:])
	}
	if command := builtin[args[0]]; command != nil {
		return command(s, args[1:])
	}
	return "no such command\n"
}

func (s *Story) run(program Program, environ, args []string) string {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), s.deadline)
	defer cancel()
	code := program(cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Environ: environ}).Run(ctx, args)
	return shown(stdout.String(), stderr.String(), code)
}

func shown(stdout, stderr string, code int) string {
	var out strings.Builder
	out.WriteString(stdout)
	for line := range strings.Lines(stderr) {
		out.WriteString("! " + line)
	}
	if code != 0 {
		fmt.Fprintf(&out, "exit %d\n", code)
	}
	return out.String()
}

func (s *Story) start(environ []string, name string, args []string) string {
	program := s.cfg.Programs[name]
	if program == nil {
		return "no such program\n"
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{cancel: cancel, exit: make(chan int, 1), out: newWatched(), err: newWatched()}
	go func() {
		p.exit <- program(cli.Streams{In: strings.NewReader(""), Out: p.out, Err: p.err, Environ: environ}).Run(ctx, args)
	}()
	select {
	case <-p.out.written:
		s.running = append(s.running, p)
		for line := range strings.Lines(p.out.String()) {
			if name, value, ok := strings.Cut(line, ":"); ok {
				s.Vars[name] = strings.TrimSpace(value)
			}
		}
		return p.out.String()
	case code := <-p.exit:
		cancel()
		return shown(p.out.String(), p.err.String(), code)
	case <-time.After(s.deadline):
		cancel()
		<-p.exit
		s.T.Fatalf("%s %v is not ready after %v:\n%s", name, args, s.deadline, p.err)
		return ""
	}
}

// stop ends the program started last.
func (s *Story) stop() string {
	if len(s.running) == 0 {
		return "nothing runs\n"
	}
	p := s.running[len(s.running)-1]
	s.running = s.running[:len(s.running)-1]
	p.cancel()
	select {
	case code := <-p.exit:
		return fmt.Sprintf("exit %d\n", code)
	case <-time.After(s.deadline):
		s.T.Fatalf("did not stop within %v:\n%s", s.deadline, p.err)
		return ""
	}
}

func (s *Story) stopAll() {
	for len(s.running) > 0 {
		s.stop()
	}
}

// builtin are the commands every story has.
var builtin = map[string]func(s *Story, args []string) string{
	"stop":  func(s *Story, _ []string) string { return s.stop() },
	"get":   func(s *Story, args []string) string { return get(s.Vars[args[0]] + args[1]) },
	"modes": func(_ *Story, args []string) string { return modes(args[0]) },
	"rm":    func(_ *Story, args []string) string { return failed(os.RemoveAll(args[0])) },
	"chmod": func(_ *Story, args []string) string {
		mode, err := strconv.ParseUint(args[0], 8, 32)
		if err != nil {
			return failed(err)
		}
		return failed(os.Chmod(args[1], os.FileMode(mode)))
	},
	"write": func(_ *Story, args []string) string {
		mode, err := strconv.ParseUint(args[1], 8, 32)
		if err != nil {
			return failed(err)
		}
		text := strings.ReplaceAll(strings.Join(args[2:], " "), `\n`, "\n")
		if err := os.WriteFile(args[0], []byte(text+"\n"), os.FileMode(mode)); err != nil {
			return failed(err)
		}
		return failed(os.Chmod(args[0], os.FileMode(mode)))
	},
}

func failed(err error) string {
	if err == nil {
		return ""
	}
	return "failed: " + err.Error() + "\n"
}

func get(url string) string {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return failed(err)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain; charset") {
		return fmt.Sprintf("%d %s", resp.StatusCode, &body)
	}
	return fmt.Sprintf("%d %s\n", resp.StatusCode, resp.Header.Get("Content-Type"))
}

func modes(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return failed(err)
	}
	var out strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return failed(err)
		}
		fmt.Fprintf(&out, "%v %s\n", info.Mode(), e.Name())
	}
	return out.String()
}

// scrubs replace what differs from run to run.
var scrubs = []struct {
	find    *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`/tcp/\d+`), "/tcp/PORT"},
	{regexp.MustCompile(`12D3KooW[1-9A-HJ-NP-Za-km-z]{44}`), "NODE"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "HEX"},
	{regexp.MustCompile(`(record|part \d+)  [a-z2-7]{10}`), "$1  SEGMENT   "},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\d+\.\d ms`), "RTT"},
	{regexp.MustCompile(`(version:\s+)(v\d|devel).*`), "${1}VERSION"},
	{regexp.MustCompile(`"version": "[^"]*"`), `"version": "VERSION"`},
	{regexp.MustCompile(`"free_bytes": \d+`), `"free_bytes": FIGURE`},
	{regexp.MustCompile(`(?m)^(ok|warn) +(disk|open files): .*\n( {6}.*\n)?`), "ok    $2: FIGURE\n"},
}

func (s *Story) scrub(text string) string {
	text = strings.ReplaceAll(text, s.dir, "TMP")
	for _, r := range scrubs {
		text = r.find.ReplaceAllString(text, r.replace)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// difference shows the lines that differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for len(w) > 0 && len(g) > 0 && w[0] == g[0] {
		w, g = w[1:], g[1:]
	}
	for len(w) > 0 && len(g) > 0 && w[len(w)-1] == g[len(g)-1] {
		w, g = w[:len(w)-1], g[:len(g)-1]
	}
	return "want:\n  " + strings.Join(w, "\n  ") + "\ngot:\n  " + strings.Join(g, "\n  ")
}

// watched is a buffer that says when something was written to it first.
type watched struct {
	mu      sync.Mutex // guards buf
	buf     bytes.Buffer
	once    sync.Once
	written chan struct{}
}

func newWatched() *watched { return &watched{written: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.buf.Write(p)
	if bytes.HasSuffix(p, []byte("\n")) {
		w.once.Do(func() { close(w.written) })
	}
	return n, err
}

// String returns what was written up to now.
func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(slices.Clone(w.buf.Bytes()))
}
