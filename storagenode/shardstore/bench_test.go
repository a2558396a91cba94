package shardstore_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/shardstore"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

// cost measures what the process spends between two calls.
type cost struct {
	cpu     time.Duration
	written int64
}

func measure(b *testing.B) cost {
	b.Helper()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	c := cost{cpu: time.Duration(ru.Utime.Nano() + ru.Stime.Nano())}
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return c // not on this system
	}
	for line := range strings.Lines(string(io)) {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			c.written, _ = strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		}
	}
	return c
}

func (c cost) report(b *testing.B, bytes int64) {
	now := measure(b)
	cpu := (now.cpu - c.cpu).Seconds()
	b.ReportMetric(cpu/float64(bytes)*(1<<30), "cpu-s/GiB")
	b.ReportMetric(cpu*1e6/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(now.written-c.written)/float64(bytes), "written/byte")
}

func benchPut(b *testing.B, size int, noDirect bool) {
	s, err := shardstore.Open(shardstore.Config{Dir: b.TempDir(), NoDirect: noDirect})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := owner.Record(1, size, 1000)
	b.SetBytes(int64(size))
	start := measure(b)
	for b.Loop() {
		// The header alone changes; the hashes of the payload stay.
		h := r.Tail.Header
		h.Shard.Segment = cairn.NewSegmentID()
		up, err := s.Begin(h, 1000)
		if err != nil {
			b.Fatal(err)
		}
		for off := 0; off < size; off += 64 << 10 {
			if err := up.Write(r.Payload[off:min(off+64<<10, size)]); err != nil {
				b.Fatal(err)
			}
		}
		t := r.Upload()
		t.Trailer = cairn.NewTrailer(h, t.Trailer.Root, t.Trailer.Roots, t.Manifest)
		if err := up.Commit(context.Background(), t); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	start.report(b, int64(b.N)*int64(size))
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{256 << 10, 1 << 20, 4 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) { benchPut(b, size, false) })
		b.Run(fmt.Sprintf("%dKiB/buffered", size>>10), func(b *testing.B) { benchPut(b, size, true) })
	}
}

func BenchmarkPutRecord4KiBAt64(b *testing.B) {
	s, err := shardstore.Open(shardstore.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var n atomic.Uint64
	records := make([]storetest.Record, 1<<16)
	start := cost{}
	b.SetParallelism(32) // times two processors
	base := owner.Record(0, 4096, 300)
	for i := range records {
		r := base
		h := r.Tail.Header
		h.Shard.Segment = cairn.NewSegmentID()
		r.Tail.Header = h
		r.Tail.Trailer = cairn.NewTrailer(h, r.Tail.Trailer.Root, r.Tail.Trailer.Roots, r.Tail.Manifest)
		records[i] = r
	}
	b.ResetTimer()
	start = measure(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if i >= uint64(len(records)) {
				return
			}
			if err := putSmall(s, records[i]); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	start.report(b, int64(b.N)*int64(len(base.Bytes())))
}

func BenchmarkRead(b *testing.B) {
	s, err := shardstore.Open(shardstore.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := owner.Record(1, 4<<20, 1000)
	if err := put(s, r); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	start := measure(b)
	for i := 0; b.Loop(); i++ {
		if err := s.Read(owner.Tag(), r.ID(), int64(i%4)<<20, buf); err != nil {
			b.Fatal(err)
		}
	}
	start.report(b, int64(b.N)<<20)
}
