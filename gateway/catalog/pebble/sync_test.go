package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/pebble"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// logFS calls onSync before each sync of a log file, and fails the sync with
// what it returns.
type logFS struct {
	vfs.FS
	onSync func() error
}

type logFile struct {
	vfs.File
	onSync func() error
}

func (fs *logFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	if err == nil && strings.HasSuffix(name, ".log") {
		return logFile{f, fs.onSync}, nil
	}
	return f, err
}

func (f logFile) SyncData() error {
	if err := f.onSync(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f logFile) Sync() error { return f.SyncData() }

func put(key string) *catalog.Batch {
	return &catalog.Batch{PutVersions: []*catalog.VersionEntry{{Version: cairn.Version{Bucket: "b", Key: key, ID: cairn.VersionID{7: 1}}}}}
}

// slowDisk opens a catalog whose log syncs wait, once held is set, until
// release is closed. Every sync begun is counted.
func slowDisk(t *testing.T) (c *pebble.Catalog, held *atomic.Bool, release chan struct{}, syncs *atomic.Int64) {
	held, release, syncs = new(atomic.Bool), make(chan struct{}), new(atomic.Int64)
	fs := &logFS{FS: vfs.NewMem(), onSync: func() error {
		syncs.Add(1)
		if held.Load() {
			<-release
		}
		return nil
	}}
	return open(t, "/cat", pebble.Config{FS: fs, Key: testKey}), held, release, syncs
}

// isVisible waits until a key can be read: the commit is applied.
func isVisible(t *testing.T, c catalog.Catalog, key string) {
	for {
		_, err := c.Newest(t.Context(), "b", key)
		if err == nil {
			return
		}
		if !errors.Is(err, cairn.NotFound) {
			t.Fatalf("Newest = %v, want nil or NotFound", err)
		}
	}
}

func TestConcurrentCommitsShareSyncs(t *testing.T) {
	c, held, release, syncs := slowDisk(t)
	held.Store(true)
	before := syncs.Load()
	const commits = 64
	var acknowledged atomic.Int64
	var wg sync.WaitGroup
	for i := range commits {
		wg.Go(func() {
			if err := c.Commit(t.Context(), put(fmt.Sprint(i))); err != nil {
				t.Errorf("Commit = %v, want nil", err)
			}
			acknowledged.Add(1)
		})
	}
	for i := range commits {
		isVisible(t, c, fmt.Sprint(i))
	}
	if n := acknowledged.Load(); n != 0 {
		t.Errorf("%d commits were acknowledged before any sync ended", n)
	}
	close(release)
	wg.Wait()
	// The first sync may have covered any part of them, the second covers the rest.
	if n := syncs.Load() - before; n > 3 {
		t.Errorf("%d commits took %d syncs, want at most 3", commits, n)
	}
	closeCatalog(t, c)
}

func TestContextEndsTheWaitNotTheCommit(t *testing.T) {
	c, held, release, _ := slowDisk(t)
	held.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Commit(ctx, put("k")) }()
	isVisible(t, c, "k")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want that it was cancelled", err)
	}
	held.Store(false)
	close(release)
	closeCatalog(t, c) // waits for the commit
}

func TestEmptyCommitMakesEarlierOnesDurable(t *testing.T) {
	disk := vfs.NewCrashableMem()
	c := open(t, "/cat", pebble.Config{FS: disk})
	b := put("k")
	b.NoSync = true
	for _, b := range []*catalog.Batch{b, {}} {
		if err := c.Commit(t.Context(), b); err != nil {
			t.Fatalf("Commit = %v, want nil", err)
		}
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{})
	closeCatalog(t, c)
	c = open(t, "/cat", pebble.Config{FS: after})
	if _, err := c.Newest(t.Context(), "b", "k"); err != nil {
		t.Errorf("Newest after a crash = %v, want nil", err)
	}
	closeCatalog(t, c)
}

func TestFailedSyncEndsTheCatalog(t *testing.T) {
	var failing atomic.Bool
	errDisk := errors.New("the disk failed")
	disk := vfs.NewCrashableMem()
	fs := &logFS{FS: disk, onSync: func() error {
		if failing.Load() {
			return errDisk
		}
		return nil
	}}
	c := open(t, "/cat", pebble.Config{FS: fs, Key: testKey})
	if err := c.Commit(t.Context(), put("acknowledged")); err != nil {
		t.Fatalf("Commit = %v, want nil", err)
	}
	failing.Store(true)
	err := c.Commit(t.Context(), put("failed"))
	if !errors.Is(err, cairn.Unavailable) || !errors.Is(err, errDisk) || cairn.HintOf(err) == "" {
		t.Errorf("Commit on a failing disk = %v, want Unavailable, the cause and a hint", err)
	}
	failing.Store(false)
	if err := c.Commit(t.Context(), put("later")); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Commit after a failure = %v, want Unavailable", err)
	}
	if _, err := c.Newest(t.Context(), "b", "failed"); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Newest after a failure = %v, want Unavailable: what is in memory may be lost", err)
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{})
	_ = c.Close() // may report the failure once more

	c = open(t, "/cat", pebble.Config{FS: after, Key: testKey})
	if _, err := c.Newest(t.Context(), "b", "acknowledged"); err != nil {
		t.Errorf("Newest of an acknowledged key = %v, want nil", err)
	}
	if _, err := c.Newest(t.Context(), "b", "later"); !errors.Is(err, cairn.NotFound) {
		t.Errorf("Newest of a refused key = %v, want NotFound", err)
	}
	closeCatalog(t, c)
}
