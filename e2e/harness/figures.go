package harness

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Memory is what a process holds in RAM.
type Memory struct {
	RSS  int64 // bytes, now
	Peak int64 // bytes, the most since it started
}

// Memory returns what the process holds.
func (p *Process) Memory() (Memory, error) { return MemoryOf(p.PID()) }

// CPU returns the processor time the process has used, user and system.
func (p *Process) CPU() (time.Duration, error) { return CPUOf(p.PID()) }

// MemoryOf returns what a process holds.
func MemoryOf(pid int) (m Memory, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &m.RSS, "VmHWM": &m.Peak}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return m, fmt.Errorf("read memory of process %d: %w", pid, err)
		}
		*into = kib << 10
	}
	if m.Peak == 0 {
		return m, fmt.Errorf("read memory of process %d: no figures", pid)
	}
	return m, nil
}

// clockTick is the unit of /proc/PID/stat, the same on every Linux.
const clockTick = time.Second / 100

// CPUOf returns the processor time a process has used, user and system.
func CPUOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	// The name in parentheses may hold anything; fields are counted behind it.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read processor time of process %d: %q", pid, b)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", pid, err)
	}
	return time.Duration(user+system) * clockTick, nil
}

// WrittenOf returns the bytes a process has sent to disk, or will: the pages it
// made dirty and what it wrote around the page cache.
func WrittenOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("read bytes written: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read bytes written by process %d: %w", pid, err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("read bytes written by process %d: no figure", pid)
}
