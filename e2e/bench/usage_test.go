package bench

import (
	"syscall"
	"testing"
	"time"

	"github.com/cairn-store/cairn/e2e/harness"
)

// usage is what processes of one class have consumed since they started.
type usage struct {
	cpu     time.Duration
	written int64 // bytes
}

const classClient = "client"

// usage returns the figures by class, this process's among them.
func (target *target) usage(t *testing.T) map[string]usage {
	t.Helper()
	out := map[string]usage{classClient: {cpu: cpuOf(t, syscall.RUSAGE_SELF)}}
	for _, c := range target.classes {
		var sum usage
		for _, pid := range c.pids {
			cpu, err := harness.CPUOf(pid)
			must(t, err)
			written, err := harness.WrittenOf(pid)
			must(t, err)
			sum.cpu += cpu
			sum.written += written
		}
		out[c.name] = sum
	}
	return out
}

const (
	settlePause = 100 * time.Millisecond
	settleLimit = 2 * time.Second
)

// settle waits until the processes rest, so that work they put off is in the
// bill of what caused it, and returns their figures.
func (target *target) settle(t *testing.T) map[string]usage {
	t.Helper()
	last := target.usage(t)
	for end := time.Now().Add(settleLimit); time.Now().Before(end); {
		time.Sleep(settlePause) // the time over which rest is looked for
		now := target.usage(t)
		rest := true
		for _, c := range target.classes {
			rest = rest && now[c.name].cpu-last[c.name].cpu <= settlePause/10*time.Duration(len(c.pids))
			rest = rest && now[c.name].written-last[c.name].written < 1<<20
		}
		last = now
		if rest {
			break
		}
	}
	return last
}

// memory returns the most that a process of each class has held, bytes.
func (target *target) memory(t *testing.T) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, c := range target.classes {
		for _, pid := range c.pids {
			m, err := harness.MemoryOf(pid)
			must(t, err)
			out[c.name] = max(out[c.name], m.Peak)
		}
	}
	return out
}

// cpuOf returns the processor time of this process or thread.
func cpuOf(t testing.TB, who int) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(who, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
