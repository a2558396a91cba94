package shardstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

func openMem(t *testing.T, fs *durable.MemFS) *shardstore.Store {
	t.Helper()
	if err := durable.MakeDir(fs, "/vol"); err != nil {
		t.Fatal(err)
	}
	return openStore(t, smallLogs(fs))
}

func openStore(t *testing.T, cfg shardstore.Config) *shardstore.Store {
	t.Helper()
	s, err := shardstore.Open(cfg)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustClose(t *testing.T, s *shardstore.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
}

func stats(t *testing.T, s *shardstore.Store) shardstore.Stats {
	t.Helper()
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func deleteAll(t *testing.T, s *shardstore.Store, rs ...storetest.Record) {
	t.Helper()
	var ids []cairn.ShardID
	for _, r := range rs {
		ids = append(ids, r.ID())
	}
	n, _, err := s.Delete(context.Background(), owner.Tag(), ids, time.Now())
	if err != nil || n != len(rs) {
		t.Fatalf("Delete = %d, %v, want %d", n, err, len(rs))
	}
}

func listAll(t *testing.T, s *shardstore.Store) []nodeapi.Entry {
	t.Helper()
	page, err := s.List(owner.Tag(), cairn.ShardID{}, 1<<20)
	if err != nil || page.More {
		t.Fatalf("List = more %v, %v", page.More, err)
	}
	return page.Entries
}

func TestTheIndexMadeAgainEqualsTheIndexThatWas(t *testing.T) {
	for _, how := range []string{"missing", "a table cut short", "the manifest pointer garbled"} {
		t.Run(how, func(t *testing.T) {
			fs := durable.NewMemFS()
			s := openMem(t, fs)
			m := newModel()
			m.work(s, rand.New(rand.NewPCG(3, 3)), 0, 3, 150)
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			want, before := listAll(t, s), stats(t, s)
			mustClose(t, s)
			damageIndex(t, fs, how)
			s = openMem(t, fs)
			got, after := listAll(t, s), stats(t, s)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("List = %d entries, want the %d of before", len(got), len(want))
			}
			if after.Shards != before.Shards || after.UsedBytes != before.UsedBytes {
				t.Errorf("Stats = %+v, want %+v", after, before)
			}
			if lost := m.verify(s); len(lost) > 0 {
				t.Error(errors.Join(lost...))
			}
		})
	}
}

func damageIndex(t *testing.T, fs *durable.MemFS, how string) {
	t.Helper()
	const dir = "/vol/store/index"
	if how == "missing" {
		removeTree(t, fs, dir)
		return
	}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	hit := 0
	for _, n := range names {
		table := strings.HasSuffix(n, ".sst") || strings.HasSuffix(n, ".log")
		manifest := strings.HasPrefix(n, "MANIFEST") || strings.HasPrefix(n, "marker.manifest")
		if table && strings.Contains(how, "table") {
			f, err := fs.OpenRW(filepath.Join(dir, n))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Truncate(10), f.Close()); err != nil {
				t.Fatal(err)
			}
			hit++
		}
		if manifest && strings.Contains(how, "manifest") {
			if err := fs.Remove(filepath.Join(dir, n)); err != nil {
				t.Fatal(err)
			}
			hit++
		}
	}
	if hit == 0 {
		t.Fatalf("nothing to damage among %v", names)
	}
}

func TestAFullDiskIsFullAndHarmless(t *testing.T) {
	fs := durable.NewMemFS()
	s := openMem(t, fs)
	fs.SetCapacity(3 << 20)
	var keptRecords []storetest.Record
	for i := range uint64(200) {
		r := owner.Record(i, 40_000, 100)
		put := put
		if i%2 == 0 {
			put = putSmall
		}
		switch err := put(s, r); {
		case err == nil:
			keptRecords = append(keptRecords, r)
		case !errors.Is(err, cairn.Full):
			t.Fatalf("put on a full disk = %v, want Full", err)
		}
	}
	if n := len(keptRecords); n < 10 || n > 150 {
		t.Fatalf("%d of 200 records found room, the disk cannot have filled", n)
	}
	for _, r := range keptRecords {
		if err := check(s, r); err != nil {
			t.Fatalf("on a full disk: %v", err)
		}
	}
	fs.SetCapacity(8 << 20)
	deleteAll(t, s, keptRecords[:5]...)
	mustClose(t, s)
	s = openMem(t, fs)
	for _, r := range keptRecords[5:] {
		if err := check(s, r); err != nil {
			t.Fatalf("after the disk was full: %v", err)
		}
	}
	if err := put(s, owner.Record(999, 40_000, 100)); err != nil {
		t.Errorf("put when there is room again = %v", err)
	}
}

// A write that failed and whose bytes nevertheless reached the log must not
// come back after a delete that found nothing to delete.
func TestARecordWhoseWriteFailedNeverReturns(t *testing.T) {
	fs := durable.NewMemFS()
	s := openMem(t, fs)
	if err := putSmall(s, owner.Record(1, 100, 10)); err != nil {
		t.Fatal(err)
	}
	var armed atomic.Bool
	fs.SetHook(func(op, name string) error {
		if op == "write" && strings.Contains(name, "/logs/") && armed.CompareAndSwap(true, false) {
			return syscall.ENOSPC
		}
		return nil
	})
	a, b := owner.Record(2, 9000, 10), owner.Record(3, 90_000, 10)
	armed.Store(true)
	if err := putSmall(s, a); !errors.Is(err, cairn.Full) {
		t.Fatalf("PutRecord = %v, want Full", err)
	}
	armed.Store(true)
	if err := put(s, b); !errors.Is(err, cairn.Full) {
		t.Fatalf("put = %v, want Full", err)
	}
	removeIndex := func() { mustClose(t, s); removeTree(t, fs, "/vol/store/index"); s = openMem(t, fs) }
	removeIndex()
	if got := listAll(t, s); len(got) != 1 {
		t.Errorf("%d records, want the one that was acknowledged", len(got))
	}
	for _, r := range []storetest.Record{a, b} {
		if err := put(s, r); err != nil {
			t.Errorf("put again = %v", err)
		}
	}
	removeIndex()
	if got := listAll(t, s); len(got) != 3 {
		t.Errorf("%d records, want 3", len(got))
	}
}

func TestAFailedSyncStopsAllAcknowledgement(t *testing.T) {
	for _, kind := range []string{"bulk", "small", "delete"} {
		t.Run(kind, func(t *testing.T) {
			fs := durable.NewMemFS()
			s := openMem(t, fs)
			first := owner.Record(1, 50_000, 10)
			if err := errors.Join(put(s, first), putSmall(s, owner.Record(9, 10, 10))); err != nil {
				t.Fatal(err)
			}
			fs.SetHook(func(op, name string) error {
				if op == "sync" && strings.Contains(name, "/logs/") {
					return syscall.EIO
				}
				return nil
			})
			var err error
			switch kind {
			case "bulk":
				err = put(s, owner.Record(2, 50_000, 10))
			case "small":
				err = putSmall(s, owner.Record(2, 500, 10))
			case "delete":
				_, _, err = s.Delete(t.Context(), owner.Tag(), []cairn.ShardID{first.ID()}, time.Now())
			}
			if !errors.Is(err, cairn.Unavailable) {
				t.Fatalf("write whose sync failed = %v, want Unavailable", err)
			}
			fs.SetHook(nil) // the next sync would succeed, without the lost pages
			for i := range uint64(3) {
				if err := errors.Join(put(s, owner.Record(10+i, 500, 10)), putSmall(s, owner.Record(20+i, 500, 10))); !errors.Is(err, cairn.Unavailable) {
					t.Fatalf("write after a failed sync = %v, want Unavailable", err)
				}
			}
			if stats(t, s).Failed == nil {
				t.Error("Stats.Failed = nil, want the reason")
			}
			if err := check(s, first); err != nil {
				t.Errorf("read after a failed sync = %v", err)
			}
			s = openMem(t, fs.Crash(rand.New(rand.NewPCG(1, 1))))
			if err := check(s, first); err != nil {
				t.Errorf("acknowledged before the failed sync, after a restart: %v", err)
			}
			if err := put(s, owner.Record(30, 500, 10)); err != nil {
				t.Errorf("put after a restart = %v", err)
			}
		})
	}
}

func TestDeletesGiveSpaceBack(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, shardstore.Config{Dir: dir, LogBytes: 8 << 20})
	onDisk := func() (n int64) {
		files, err := filepath.Glob(filepath.Join(dir, "logs", "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			var st syscall.Stat_t
			if err := syscall.Stat(f, &st); err == nil {
				n += st.Blocks * 512
			}
		}
		return n
	}
	var big, little []storetest.Record
	for i := range uint64(16) {
		big = append(big, owner.Record(i, 1<<20, 100))
		if err := put(s, big[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(3000) {
		little = append(little, owner.Record(1000+i, 4000, 100))
	}
	var hands sync.WaitGroup
	for w := range 30 {
		hands.Go(func() {
			for _, r := range little[w*100 : (w+1)*100] {
				if err := putSmall(s, r); err != nil {
					t.Errorf("PutRecord = %v", err)
				}
			}
		})
	}
	hands.Wait()
	full := onDisk()
	deleteAll(t, s, big[1:]...)
	if got := stats(t, s); got.HeldBytes > 15<<20 {
		t.Errorf("%d bytes held after deleting 15 of 16 MiB, the small records take 13", got.HeldBytes)
	}
	for i := 0; i < len(little); i += 1000 {
		deleteAll(t, s, little[i:i+900]...)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(); got > full/2 {
		t.Errorf("%d bytes on disk, was %d with ten times the records", got, full)
	}
	for i := 900; i < len(little); i += 1000 {
		for _, r := range little[i : i+100] {
			if err := check(s, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := check(s, big[0]); err != nil {
		t.Error(err)
	}
}

// Readers must never see the zeros of a punched hole, or another record's
// bytes after a compaction.
func TestReadsAreRightWhileRecordsAreDeletedAndMoved(t *testing.T) {
	s := openStore(t, shardstore.Config{Dir: t.TempDir(), LogBytes: 1 << 20, PunchBytes: 32 << 10})
	const n = 12
	records := make([]storetest.Record, n)
	for i := range records {
		records[i] = owner.Record(uint64(i), 30_000+10_000*(i%5), 100)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for round := range 40 {
				for i := w; i < n; i += 2 {
					put := put
					if (i+round)%3 == 0 {
						put = putSmall
					}
					if err := put(s, records[i]); err != nil {
						t.Errorf("put = %v", err)
					}
					if (i+round)%2 == 0 {
						continue
					}
					if _, _, err := s.Delete(ctx, owner.Tag(), []cairn.ShardID{records[i].ID()}, time.Now()); err != nil {
						t.Errorf("Delete = %v", err)
					}
				}
				if err := s.Compact(ctx); err != nil {
					t.Errorf("Compact = %v", err)
				}
			}
		})
	}
	var found, missing atomic.Int64
	for w := range 2 {
		readers.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				switch err := check(s, records[i%n]); {
				case err == nil:
					found.Add(1)
				case errors.Is(err, cairn.NotFound):
					missing.Add(1)
				default:
					t.Errorf("read = %v, want the record or NotFound", err)
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	if found.Load() == 0 || missing.Load() == 0 {
		t.Errorf("%d found, %d missing: want both", found.Load(), missing.Load())
	}
}

func TestADamagedRecordIsNotServedAsWholeAndCanBeReplaced(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, shardstore.Config{Dir: dir})
	a, b := owner.Record(1, 300_000, 100), owner.Record(2, 3000, 100)
	if err := errors.Join(put(s, a), putSmall(s, b)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []storetest.Record{a, b} {
		flipOnDisk(t, dir, r.Payload[1000:1040])
		if err := s.Verify(r.ID()); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("Verify of a damaged record = %v, want Corrupt", err)
		}
	}
	if err := errors.Join(put(s, a), putSmall(s, b)); err != nil {
		t.Fatalf("putting damaged records again = %v", err)
	}
	for _, r := range []storetest.Record{a, b} {
		if err := check(s, r); err != nil {
			t.Errorf("after it was replaced: %v", err)
		}
	}
	if got := stats(t, s); got.Shards != 2 {
		t.Errorf("%d shards, want 2", got.Shards)
	}
}

// flipOnDisk flips a bit in the one place of the logs that holds what.
func flipOnDisk(t *testing.T, dir string, what []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "logs", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(string(b), string(what)); i >= 0 {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte{what[0] ^ 1}, int64(i))
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the bytes are nowhere on disk")
}

func TestTwoStoresCannotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	openStore(t, shardstore.Config{Dir: dir})
	if s, err := shardstore.Open(shardstore.Config{Dir: dir}); err == nil {
		_ = s.Close()
		t.Error("second Open = nil, want an error")
	}
}

func TestCloseWaitsForCallsAndRefusesLaterOnes(t *testing.T) {
	s := openMem(t, durable.NewMemFS())
	r := owner.Record(1, 100_000, 10)
	if err := put(s, r); err != nil {
		t.Fatal(err)
	}
	up, err := s.Begin(owner.Record(2, 2_000_000, 10).Tail.Header, 10)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{}, 8)
	var hands sync.WaitGroup
	for w := range uint64(8) {
		hands.Go(func() {
			for i := uint64(0); ; i++ {
				err := check(s, r)
				if err == nil && w%2 == 0 {
					err = putSmall(s, owner.Record(100+i*8+w, 500, 10))
				}
				if i == 0 {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, cairn.Unavailable) {
						t.Errorf("call while the store closes = %v, want an answer or Unavailable", err)
					}
					return
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	mustClose(t, s)
	hands.Wait()
	if err := up.Write(make([]byte, 2_000_000)); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Write after Close = %v, want Unavailable", err)
	}
	up.Abort()
	if _, err := s.Stats(); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Stats after Close = %v, want Unavailable", err)
	}
}
