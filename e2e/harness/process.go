package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is one running program.
type Process struct {
	Name string
	Log  string // file of its stdout and stderr

	cmd  *exec.Cmd
	done chan struct{} // closed once the process was waited for
	err  error         // of Wait; read after done
}

// starter starts processes on one thread that lives as long as the test
// process: Linux sends the death signal when the starting thread ends.
var starter = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// startCommand starts cmd so that it dies with this process.
func startCommand(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	result := make(chan error, 1)
	starter() <- func() { result <- cmd.Start() }
	return <-result
}

// start starts a program that runs until it is ended. Its output is appended
// to the file log.
func start(t testing.TB, name, log string, program string, args ...string) *Process {
	t.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	defer f.Close() // the child has its own descriptor
	fmt.Fprintf(f, "--- %s %s\n", name, strings.Join(args, " "))
	p := &Process{Name: name, Log: log, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := startCommand(p.cmd); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	// An error means that it ended by itself.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to end with SIGTERM and returns how it did: nil for
// exit code 0. One that has not ended within limit is killed.
func (p *Process) Stop(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s had not ended %v after SIGTERM", p.Name, limit)
	}
}

// Tail returns the last bytes of the log, from the start of a line.
func (p *Process) Tail(limit int64) string { return tail(p.Log, limit) }

func tail(log string, limit int64) string {
	f, err := os.Open(log)
	if err != nil {
		return err.Error()
	}
	defer f.Close() // nothing was written
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(max(0, size-limit), io.SeekStart)
	}
	if err != nil {
		return err.Error()
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	if size > limit {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return string(b)
}

// Result is how a command ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// String returns what the command said, for messages.
func (r Result) String() string {
	return fmt.Sprintf("exit code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
}

// Command is a command under way.
type Command struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	done           chan struct{}
	err            error
}

// Start starts a command; Wait returns how it ended. It is killed when the
// test ends first.
func Start(t testing.TB, program string, args ...string) *Command {
	t.Helper()
	c := &Command{cmd: exec.Command(program, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	if err := startCommand(c.cmd); err != nil {
		t.Fatalf("run %s: %v", strings.Join(c.cmd.Args, " "), err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	t.Cleanup(c.Kill)
	return c
}

// Kill ends the command with SIGKILL and waits until it is gone.
func (c *Command) Kill() {
	_ = c.cmd.Process.Kill() // an error means that it has ended
	<-c.done
}

// Done is closed when the command has ended.
func (c *Command) Done() <-chan struct{} { return c.done }

// Wait returns how the command ended; one still running when ctx ends is
// killed, and its code is -1.
func (c *Command) Wait(ctx context.Context) Result {
	select {
	case <-c.done:
	case <-ctx.Done():
		c.Kill()
	}
	return Result{Code: c.cmd.ProcessState.ExitCode(), Stdout: c.stdout.String(), Stderr: c.stderr.String()}
}

// Run runs a command to its end, two minutes at most.
func Run(t testing.TB, program string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return Start(t, program, args...).Wait(ctx)
}
