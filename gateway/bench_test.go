package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cairn-store/cairn/gateway"
)

// cpuSeconds is the processor time this process has used.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkPut and BenchmarkGet measure the engine over nodes in memory: what
// the gateway itself costs, and hashing at the nodes.
func BenchmarkPut(b *testing.B) { benchEngine(b, false) }
func BenchmarkGet(b *testing.B) { benchEngine(b, true) }

func benchEngine(b *testing.B, reads bool) {
	for _, size := range []int{4 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			_, e := newEngine(b, 6)
			data := body(1, size)
			put(b, e, "k", data)
			var n atomic.Int64
			b.SetBytes(int64(size))
			b.ReportAllocs()
			before := cpuSeconds(b)
			for b.Loop() {
				n.Add(1)
				if !reads {
					_, err := e.Put(b.Context(), gateway.PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader(data), Size: int64(size)})
					if err != nil {
						b.Fatal(err)
					}
					continue
				}
				o, err := e.Get(b.Context(), gateway.GetRequest{Bucket: "b", Key: "k"})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := o.Body.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				o.Body.Close()
			}
			used := cpuSeconds(b) - before
			b.ReportMetric(used/(float64(n.Load())*float64(size))*(1<<30), "cpu-s/GiB")
			b.ReportMetric(used/float64(n.Load())*1e6, "cpu-us/op")
		})
	}
}
