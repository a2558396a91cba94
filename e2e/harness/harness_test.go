package harness

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// TestProcessesEndWithTheirTest looks after the test's end whether a process
// it left running is gone.
func TestProcessesEndWithTheirTest(t *testing.T) {
	var p *Command
	t.Run("leaves a process", func(t *testing.T) { p = Start(t, "sleep", "600") })
	select {
	case <-p.Done():
	default:
		t.Fatal("the process outlived its test")
	}
}

func TestStopKillsWhatIgnoresSIGTERM(t *testing.T) {
	log := t.TempDir() + "/log"
	p := start(t, "stubborn", log, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
	defer p.Kill()
	Eventually(t, stopLimit, "process is up", func() error {
		b, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(b), "\nready\n") {
			err = fmt.Errorf("its log is %q", b)
		}
		return err
	})
	if err := p.Stop(50 * pollEvery); err == nil {
		t.Error("Stop of a process that ignores SIGTERM = nil, want an error")
	}
	if p.Running() {
		t.Error("the process still runs after Stop")
	}
}

func TestFiguresOfALivingProcess(t *testing.T) {
	p := start(t, "busy", t.TempDir()+"/log", "sh", "-c", "while :; do :; done")
	defer p.Kill()
	Eventually(t, stopLimit, "process uses the processor", func() error {
		cpu, err := p.CPU()
		if err == nil && cpu == 0 {
			err = errors.New("none used")
		}
		return err
	})
	m, err := p.Memory()
	if err != nil || m.RSS <= 0 || m.Peak < m.RSS {
		t.Errorf("Memory() = %+v, %v, want positive figures", m, err)
	}
}

func TestACrashInALogIsNoticed(t *testing.T) {
	for text, want := range map[string]string{
		"node: 12D3\ntime=1 level=INFO msg=\"node ready\"\n":  "",
		"time=1 level=INFO msg=ready\npanic: boom\n":          "panic: boom",
		"==================\nWARNING: DATA RACE\nRead at":     "WARNING: DATA RACE",
		"time=1 level=ERROR msg=\"request handler panicked\"": "time=1 level=ERROR msg=\"request handler panicked\"",
	} {
		log := t.TempDir() + "/log"
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := crash(log); got != want {
			t.Errorf("crash(%q) = %q, want %q", text, got, want)
		}
	}
}
