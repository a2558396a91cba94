package durable_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cairn-store/cairn/internal/durable"
)

func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// both runs a test on the real filesystem and on the one in memory.
func both(t *testing.T, run func(t *testing.T, fsys durable.FS, dir string)) {
	t.Run("os", func(t *testing.T) { run(t, durable.OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := durable.NewMemFS()
		if err := durable.MakeDir(m, "/a/b"); err != nil {
			t.Fatal(err)
		}
		run(t, m, "/a/b")
	})
}

func TestFilesBehaveAlikeOnBothFilesystems(t *testing.T) {
	both(t, func(t *testing.T, fsys durable.FS, dir string) {
		rng := seeded(t)
		f, err := fsys.Create(filepath.Join(dir, "f"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Create(filepath.Join(dir, "f")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create again = %v, want ErrExist", err)
		}
		if err := f.Preallocate(0, 1<<20); err != nil {
			t.Errorf("Preallocate = %v", err)
		}
		want := []byte{}
		for range 60 {
			off, n := rng.Int64N(60000), rng.Int64N(9000)
			switch rng.IntN(6) {
			case 0:
				want = append(want, make([]byte, max(0, off-int64(len(want))))...)[:off]
				if err := f.Truncate(off); err != nil {
					t.Fatal(err)
				}
			case 1:
				err := f.PunchHole(off, n+1)
				if errors.Is(err, durable.ErrUnsupported) {
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				if from := min(off, int64(len(want))); true {
					clear(want[from:min(off+n+1, int64(len(want)))])
				}
			default:
				p := make([]byte, n)
				for i := range p {
					p[i] = byte(rng.Uint32()) | 1
				}
				if _, err := f.WriteAt(p, off); err != nil {
					t.Fatal(err)
				}
				if n > 0 {
					want = append(want, make([]byte, max(0, off+n-int64(len(want))))...)
					copy(want[off:], p)
				}
			}
		}
		if err := errors.Join(f.Datasync(), f.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := durable.ReadFile(fsys, filepath.Join(dir, "f"), 1<<20)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("ReadFile = %d bytes, %v; want the %d bytes written", len(got), err, len(want))
		}
		if _, err := durable.ReadFile(fsys, filepath.Join(dir, "f"), int64(len(want))-1); err == nil {
			t.Error("ReadFile beyond its limit = nil, want an error")
		}
	})
}

func TestALockIsExclusive(t *testing.T) {
	both(t, func(t *testing.T, fsys durable.FS, dir string) {
		l, err := fsys.Lock(filepath.Join(dir, "LOCK"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Lock(filepath.Join(dir, "LOCK")); err == nil {
			t.Error("second Lock = nil, want an error")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l, err = fsys.Lock(filepath.Join(dir, "LOCK"))
		if err != nil {
			t.Fatalf("Lock after Close = %v, want nil", err)
		}
		_ = l.Close()
	})
}

func TestWriteFileAtomicIsOldOrNewAfterACrashAtAnyStep(t *testing.T) {
	rng := seeded(t)
	stop := errors.New("power cut")
	for step := 1; step <= 6; step++ {
		for range 20 {
			m := durable.NewMemFS()
			if err := durable.MakeDir(m, "/d"); err != nil {
				t.Fatal(err)
			}
			older, newer := bytes.Repeat([]byte("old"), 3000), bytes.Repeat([]byte("newer"), 3000)
			if err := durable.WriteFileAtomic(m, "/d/f", older); err != nil {
				t.Fatal(err)
			}
			n := 0
			m.SetHook(func(op, name string) error {
				if n++; n >= step {
					return stop
				}
				return nil
			})
			err := durable.WriteFileAtomic(m, "/d/f", newer)
			got, readErr := durable.ReadFile(m.Crash(rng), "/d/f", 1<<20)
			switch {
			case readErr != nil:
				t.Fatalf("step %d: after the crash: %v", step, readErr)
			case err == nil && !bytes.Equal(got, newer):
				t.Fatalf("step %d: acknowledged, and lost", step)
			case !bytes.Equal(got, newer) && !bytes.Equal(got, older):
				t.Fatalf("step %d: neither old nor new", step)
			}
		}
	}
}

// TestCrashForgetsWhatWasNotSynced shows that MemFS can lose every kind of
// thing, and never what was synced.
func TestCrashForgetsWhatWasNotSynced(t *testing.T) {
	rng := seeded(t)
	var torn, gone, noName, kept bool
	for range 300 {
		m := durable.NewMemFS()
		if err := durable.MakeDir(m, "/d"); err != nil {
			t.Fatal(err)
		}
		f, err := m.Create("/d/synced")
		if err != nil {
			t.Fatal(err)
		}
		write := func(f durable.File, b byte, off int64) {
			if _, err := f.WriteAt(bytes.Repeat([]byte{b}, 4096), off); err != nil {
				t.Fatal(err)
			}
		}
		write(f, 1, 0)
		if err := errors.Join(f.Datasync(), m.SyncDir("/d")); err != nil {
			t.Fatal(err)
		}
		write(f, 2, 4096)
		if _, err := m.Create("/d/unsynced"); err != nil {
			t.Fatal(err)
		}
		after := m.Crash(rng)
		got, err := durable.ReadFile(after, "/d/synced", 1<<20)
		if err != nil || len(got) < 4096 || !bytes.Equal(got[:4096], bytes.Repeat([]byte{1}, 4096)) {
			t.Fatalf("synced bytes after a crash: %d bytes, %v", len(got), err)
		}
		twos := bytes.Count(got, []byte{2})
		gone, torn, kept = gone || twos == 0, torn || twos > 0 && twos < 4096, kept || twos == 4096
		if _, err := after.Stat("/d/unsynced"); errors.Is(err, fs.ErrNotExist) {
			noName = true
		}
	}
	if !torn || !gone || !noName || !kept {
		t.Errorf("300 crashes: torn %v, gone %v, name lost %v, kept %v; want all", torn, gone, noName, kept)
	}
}

func TestAFailedSyncIsNotMendedByTheNext(t *testing.T) {
	m := durable.NewMemFS()
	f, err := m.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.SyncDir("/"), f.Truncate(4096), f.Sync()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{7}, 4096), 0); err != nil {
		t.Fatal(err)
	}
	m.SetHook(func(op, name string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Sync = %v, want EIO", err)
	}
	m.SetHook(nil)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	got, err := durable.ReadFile(m.Crash(seeded(t)), "/f", 1<<20)
	if err != nil || bytes.Count(got, []byte{7}) != 0 {
		t.Errorf("after a crash: %d of the bytes whose sync failed, %v; want none", bytes.Count(got, []byte{7}), err)
	}
}

func TestAFullDiskSaysSo(t *testing.T) {
	m := durable.NewMemFS()
	m.SetCapacity(8 * 4096)
	f, err := m.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.WriteAt(make([]byte, 10*4096), 0)
	if !durable.IsFull(err) || n != 8*4096 {
		t.Errorf("WriteAt = %d, %v, want %d and a full disk", n, err, 8*4096)
	}
	if err := f.PunchHole(0, 4*4096); err != nil {
		t.Fatal(err)
	}
	if free, _, _ := m.Usage("/"); free != 4*4096 {
		t.Errorf("Usage = %d bytes free, want %d", free, 4*4096)
	}
	if _, err := f.WriteAt(make([]byte, 4096), 0); err != nil {
		t.Errorf("WriteAt into the hole = %v, want nil", err)
	}
}
