package transport

import (
	"context"
	"syscall"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

const benchShard = 16 << 20

// BenchmarkPut streams shards of 16 MiB in blocks of 1 MiB over TLS on
// loopback to a node that forgets them.
func BenchmarkPut(b *testing.B) {
	h := newHost(b, Config{}, func(s nodeapi.Service) nodeapi.Service { return oblivious{s} })
	owner := storetest.NewOwner(h.id(), 1)
	c := h.channel(b, owner, ChannelConfig{})
	r := owner.Record(1, benchShard, 4096)
	req := owner.Put(r)
	b.SetBytes(benchShard)
	b.ReportAllocs()
	cpu := cpuSeconds(b)
	for b.Loop() {
		up, err := c.Put(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		for p := r.Payload; len(p) > 0; p = p[1<<20:] {
			if err := up.Write(p[:1<<20]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := up.Commit(b.Context(), r.Upload()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuSeconds(b)-cpu)/float64(b.N)/benchShard*(1<<30), "cpu-s/GiB")
}

// BenchmarkRead reads blocks over TLS on loopback from a node that sends
// anything.
func BenchmarkRead(b *testing.B) {
	for name, size := range map[string]int{"1MiB": 1 << 20, "4KiB": 4 << 10} {
		b.Run(name, func(b *testing.B) {
			h := newHost(b, Config{}, func(s nodeapi.Service) nodeapi.Service { return oblivious{s} })
			c := h.channel(b, storetest.NewOwner(h.id(), 1), ChannelConfig{})
			buf := make([]byte, size)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			cpu := cpuSeconds(b)
			for b.Loop() {
				if err := c.Read(ctx, cairn.ShardID{}, 0, buf); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuSeconds(b)-cpu)/float64(b.N)/float64(size)*(1<<30), "cpu-s/GiB")
		})
	}
}

// BenchmarkConnect makes a connection and its session for each request.
func BenchmarkConnect(b *testing.B) {
	h := newHost(b, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	cpu := cpuSeconds(b)
	for b.Loop() {
		c := NewChannel(h.id(), []string{h.addr}, owner.Key, ChannelConfig{})
		if _, err := c.Info(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuSeconds(b)-cpu)/float64(b.N)*1e3, "cpu-ms/op")
}

// oblivious moves bytes and does nothing with them, so that the wire alone is
// measured.
type oblivious struct{ nodeapi.Service }

type obliviousUpload struct{}

func (oblivious) Put(context.Context, nodeapi.PutRequest) (nodeapi.Upload, error) {
	return obliviousUpload{}, nil
}
func (obliviousUpload) Write([]byte) error { return nil }
func (obliviousUpload) Abort()             {}
func (obliviousUpload) Commit(context.Context, nodeapi.UploadTail) (cairn.Receipt, error) {
	return cairn.Receipt{}, nil
}
func (oblivious) Read(context.Context, nodeapi.Session, cairn.ShardID, int64, []byte) error {
	return nil
}

func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
