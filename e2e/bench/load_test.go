package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	opPut = "PUT"
	opGet = "GET"
)

// result is what one cell gave. CPU is by class of process; the class "client"
// is this process.
type result struct {
	Op             string             `json:"op"`
	Size           string             `json:"size"`
	Bytes          int                `json:"bytes"`
	Clients        int                `json:"clients"`
	Ops            int                `json:"ops"`
	MBPerSecond    float64            `json:"mb_per_s"` // 10^6 bytes
	OpsPerSecond   float64            `json:"ops_per_s"`
	P50Millis      float64            `json:"p50_ms"`
	P99Millis      float64            `json:"p99_ms"`
	CPUMillisPerOp map[string]float64 `json:"cpu_ms_per_op"`
	CPUPerGiB      map[string]float64 `json:"cpu_s_per_gib"`
	WrittenPerByte float64            `json:"bytes_written_per_user_byte"`
	// TimesFloor is the CPU of all processes but the client's over that of the
	// floor's primitives on bytes; TimesSigned counts signatures with them.
	TimesFloor  float64 `json:"times_floor,omitempty"`
	TimesSigned float64 `json:"times_floor_signed,omitempty"`
}

// load is one size's requests to one target.
type load struct {
	target *target
	bucket string
	body   []byte
	keys   atomic.Int64 // objects there are: 0 to keys-1
}

func (l *load) key(i int64) string { return fmt.Sprintf("%d/%08d", len(l.body), i) }

func (l *load) put(ctx context.Context) error {
	_, err := l.target.client.PutObject(ctx, l.bucket, l.key(l.keys.Add(1)-1), bytes.NewReader(l.body), int64(len(l.body)),
		minio.PutObjectOptions{DisableMultipart: true, ContentType: "application/octet-stream"})
	return err
}

// get reads an object to its end and compares it.
func (l *load) get(ctx context.Context) error {
	key := l.key(rand.Int64N(l.keys.Load()))
	// Not Client.GetObject, which asks for the object's figures first.
	body, _, _, err := minio.Core{Client: l.target.client}.GetObject(ctx, l.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	same := &comparer{rest: l.body}
	_, err = io.Copy(same, body)
	if err == nil && len(same.rest) > 0 {
		err = fmt.Errorf("%s ends %d bytes early", key, len(same.rest))
	}
	return errors.Join(err, body.Close())
}

// comparer compares what is written to it with rest.
type comparer struct{ rest []byte }

func (c *comparer) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(c.rest, p) {
		return 0, errors.New("other bytes than were put")
	}
	c.rest = c.rest[len(p):]
	return len(p), nil
}

// workers runs op on so many clients until each has run least times and the
// time is over, and returns how long each operation took.
func workers(t *testing.T, clients, least int, span time.Duration, op func(context.Context) error) (took []time.Duration, elapsed time.Duration) {
	t.Helper()
	all := make([][]time.Duration, clients)
	errs := make([]error, clients)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for n := 0; errs[i] == nil && (n < least || time.Since(begin) < span); n++ {
				at := time.Now()
				errs[i] = op(t.Context())
				all[i] = append(all[i], time.Since(at))
			}
		})
	}
	wg.Wait()
	elapsed = time.Since(begin)
	must(t, errors.Join(errs...))
	took = slices.Concat(all...)
	slices.Sort(took)
	return took, elapsed
}

// run measures one operation in one cell.
func (l *load) run(t *testing.T, op string, c cell, span time.Duration) result {
	t.Helper()
	do := map[string]func(context.Context) error{opPut: l.put, opGet: l.get}[op]
	workers(t, c.clients, 1, 0, do) // connections, caches
	before := l.target.settle(t)
	took, elapsed := workers(t, c.clients, 1, span, do)
	after := l.target.settle(t)

	n := float64(len(took))
	r := result{
		Op: op, Size: c.name, Bytes: c.size, Clients: c.clients, Ops: len(took),
		OpsPerSecond: n / elapsed.Seconds(), MBPerSecond: n * float64(c.size) / 1e6 / elapsed.Seconds(),
		P50Millis: millis(quantile(took, 50)), P99Millis: millis(quantile(took, 99)),
		CPUMillisPerOp: map[string]float64{}, CPUPerGiB: map[string]float64{},
	}
	var written int64
	for class, u := range after {
		used := (u.cpu - before[class].cpu).Seconds()
		r.CPUMillisPerOp[class] = used / n * 1e3
		r.CPUPerGiB[class] = used / (n * float64(c.size)) * (1 << 30)
		written += u.written - before[class].written
	}
	r.WrittenPerByte = float64(written) / (n * float64(c.size))
	return r
}

// quantile returns the percentile of sorted durations, by nearest rank.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1]
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }

// measureTarget runs every cell of the plan, puts before the gets that read them.
func measureTarget(t *testing.T, target *target, plan []cell, span time.Duration) targetReport {
	t.Helper()
	out := targetReport{Name: target.name}
	bucket := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	must(t, target.client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}))
	loads := map[int]*load{}
	if target.foreign {
		t.Cleanup(func() { target.clear(t, bucket, loads) })
	}
	for _, c := range plan {
		l := loads[c.size]
		if l == nil {
			l = &load{target: target, bucket: bucket, body: randomBody(c.size)}
			loads[c.size] = l
		}
		for _, op := range []string{opPut, opGet} {
			out.Results = append(out.Results, l.run(t, op, c, span))
		}
	}
	out.Memory = target.memory(t)
	return out
}

// clear removes what was put.
func (target *target) clear(t *testing.T, bucket string, loads map[int]*load) {
	ctx := context.Background() // the test's own has ended
	for _, l := range loads {
		for i := range l.keys.Load() {
			if err := target.client.RemoveObject(ctx, bucket, l.key(i), minio.RemoveObjectOptions{}); err != nil {
				t.Errorf("remove %s: %v", l.key(i), err)
				return
			}
		}
	}
	if err := target.client.RemoveBucket(ctx, bucket); err != nil {
		t.Errorf("remove bucket %s: %v", bucket, err)
	}
}

// randomBody returns bytes that cannot be compressed.
func randomBody(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}
