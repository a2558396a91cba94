package pebble_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/pebble"
)

func openBench(b *testing.B, key []byte) (*pebble.Catalog, string) {
	dir := b.TempDir()
	c, err := pebble.Open(dir, pebble.Config{Key: key})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return c, dir
}

var benchNodes = func() []cairn.NodeID {
	ids := make([]cairn.NodeID, 12)
	for i := range ids {
		_, _ = rand.Read(ids[i][:])
	}
	return ids
}()

// objectPut is the batch of one small object on six nodes, as the engine
// commits it.
func objectPut(n int64) *catalog.Batch {
	key := fmt.Sprintf("photos/2026/%02d/IMG_%08d.jpg", n%12, n)
	id := cairn.NewSegmentID()
	wrapped, roots := make([]byte, 60), make([]cairn.Root, 6)
	_, _ = rand.Read(wrapped)
	for i := range roots {
		_, _ = rand.Read(roots[i][:])
	}
	version := cairn.VersionID{}
	for i := range 8 {
		version[i] = byte(n >> (56 - 8*i))
	}
	return &catalog.Batch{
		If: []catalog.Condition{{BucketExists: "b"}, {Newest: &catalog.VersionKey{Bucket: "b", Key: key}}},
		PutSegments: []*catalog.SegmentEntry{{
			Location: catalog.Location{Segment: id, Nodes: benchNodes[n%6 : n%6+6]},
			Kind:     cairn.KindSmall, Scheme: cairn.Scheme{Data: 4, Parity: 2, BlockSize: 1 << 20}, PlainLen: 5000, Roots: roots,
		}},
		Refs: map[cairn.SegmentID]int{id: 1},
		PutVersions: []*catalog.VersionEntry{{Version: cairn.Version{
			Bucket: "b", Key: key, ID: version, Size: 5000, ETag: fmt.Sprintf("%x", wrapped[:16]),
			Headers: []cairn.Attr{{Name: "content-type", Value: "image/jpeg"}},
			Parts:   []cairn.Part{{Size: 5000, Object: cairn.NewObjectID(), Key: wrapped, Segments: []cairn.Segment{{ID: id, PlainLen: 5000}}}},
		}}},
		DropIntents: []cairn.VersionID{version},
	}
}

func makeBucket(b *testing.B, c catalog.Catalog) {
	batch := &catalog.Batch{PutBuckets: []*catalog.BucketEntry{{Bucket: cairn.Bucket{Name: "b"}}}}
	if err := c.Commit(context.Background(), batch); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCommit(b *testing.B) {
	for name, key := range map[string][]byte{"plain": nil, "encrypted": testKey} {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", name, goroutines), func(b *testing.B) {
				c, _ := openBench(b, key)
				makeBucket(b, c)
				var n atomic.Int64
				b.ResetTimer()
				runGoroutines(b, goroutines, func() error {
					return c.Commit(context.Background(), objectPut(n.Add(1)))
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}

// runGoroutines calls f b.N times from some goroutines.
func runGoroutines(b *testing.B, goroutines int, f func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkListPage reads pages of 1000 keys, each entry decoded, at random
// places of a catalog of 200,000 objects, and reports what the catalog weighs.
func BenchmarkListPage(b *testing.B) {
	const objects = 200_000
	c, dir := openBench(b, testKey)
	makeBucket(b, c)
	for n := int64(1); n <= objects; n++ {
		batch := objectPut(n)
		batch.NoSync = n%1000 != 0
		if err := c.Commit(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	var size int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		it, err := c.Versions(context.Background(), "b")
		if err != nil {
			b.Fatal(err)
		}
		read := 0
		for ok := it.Seek(fmt.Sprintf("photos/2026/%02d/IMG_%08d", i%11, i*7919%objects)); ok && read < 1000; ok = it.NextKey() {
			if _, err := it.Entry(); err != nil {
				b.Fatal(err)
			}
			read++
		}
		if err := it.Close(); err != nil {
			b.Fatal(err)
		}
		if read < 1000 {
			b.Fatalf("read %d keys, want 1000", read)
		}
	}
	b.ReportMetric(float64(size)/objects, "bytes/object")
}
