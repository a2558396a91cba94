package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/internal/testnet"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// narrowEngine has memory for one stripe in each pool of reads.
func narrowEngine(t *testing.T, timeout time.Duration) (*testnet.Mem, *gateway.Engine) {
	t.Helper()
	m := testnet.NewMem(t, 6)
	cfg := fastEngine()
	cfg.BufferBytes, cfg.RequestTimeout = 24<<20, timeout
	e, _ := m.Engine(t, cfg)
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	return m, e
}

// stuckWriter is a client that takes nothing until it is let go.
type stuckWriter struct {
	began sync.Once
	stuck *sync.WaitGroup // done with the first write
	goOn  chan struct{}
	bytes.Buffer
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	w.began.Do(w.stuck.Done)
	<-w.goOn
	return w.Buffer.Write(p)
}

// TestSlowReadersDoNotHoldUpOthers has more clients that take nothing than
// there is memory for, healthy and with two nodes down.
func TestSlowReadersDoNotHoldUpOthers(t *testing.T) {
	for _, down := range []int{0, 2} {
		m, e := narrowEngine(t, 30*time.Second)
		data := body(1, 9<<20)
		put(t, e, "k", data)
		for _, n := range m.Nodes[:down] {
			n.SetDown(true)
		}
		var stuck, done sync.WaitGroup
		goOn := make(chan struct{})
		clients := make([]*stuckWriter, 30)
		for i := range clients {
			clients[i] = &stuckWriter{stuck: &stuck, goOn: goOn}
			stuck.Add(1)
			done.Go(func() {
				o, err := e.Get(t.Context(), gateway.GetRequest{Bucket: "b", Key: "k"})
				if err != nil {
					t.Error(err)
					return
				}
				defer o.Body.Close()
				if _, err := o.Body.WriteTo(clients[i]); err != nil {
					t.Error(err)
				}
			})
		}
		stuck.Wait() // every one of them has had bytes
		if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
			t.Error("the fast client got other bytes")
		}
		close(goOn)
		done.Wait()
		for _, c := range clients {
			if !bytes.Equal(c.Bytes(), data) {
				t.Error("a slow client got other bytes")
			}
		}
		if n := e.BlocksHeld(); n != 0 {
			t.Errorf("%d blocks of memory are held, want none", n)
		}
	}
}

// TestManyCopiesAtOnceEnd copies more parts at once than there is memory for:
// each of them reads and writes, and must not wait for memory that others hold
// while they wait for theirs.
func TestManyCopiesAtOnceEnd(t *testing.T) {
	_, e := narrowEngine(t, 30*time.Second)
	data := body(1, 5<<20)
	put(t, e, "source", data)
	u, err := e.CreateUpload(t.Context(), gateway.CreateUploadRequest{Bucket: "b", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	const copies = 30
	complete := gateway.CompleteRequest{Bucket: "b", Key: "k", UploadID: u.ID, Size: -1, Parts: make([]gateway.CompletedPart, copies)}
	var wg sync.WaitGroup
	for i := range copies {
		wg.Go(func() {
			p, err := e.CopyPart(t.Context(), gateway.CopyPartRequest{
				Source: gateway.GetRequest{Bucket: "b", Key: "source"}, Bucket: "b", Key: "k", UploadID: u.ID, Number: i + 1,
			})
			if err != nil {
				t.Error(err)
				return
			}
			complete.Parts[i] = gateway.CompletedPart{Number: i + 1, ETag: p.ETag}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if _, err := e.CompleteUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
	if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, bytes.Repeat(data, copies)) {
		t.Error("the copy differs")
	}
}

// stuckReader is a client that sends nothing more until it is let go.
type stuckReader struct {
	began sync.Once
	stuck *sync.WaitGroup // done with the first read
	goOn  chan struct{}
	r     io.Reader
}

func (s *stuckReader) Read(p []byte) (int, error) {
	s.began.Do(s.stuck.Done)
	<-s.goOn
	return s.r.Read(p)
}

// TestAPutForWhichThereIsNoMemoryIsToldSo has clients hold all the memory and
// send nothing.
func TestAPutForWhichThereIsNoMemoryIsToldSo(t *testing.T) {
	_, e := narrowEngine(t, 200*time.Millisecond)
	data := body(1, 5<<20)
	var stuck, done sync.WaitGroup
	goOn := make(chan struct{})
	for i := range 2 {
		stuck.Add(1)
		done.Go(func() {
			_, err := e.Put(t.Context(), gateway.PutRequest{
				Bucket: "b", Key: fmt.Sprint(i), Size: int64(len(data)),
				Body: &stuckReader{stuck: &stuck, goOn: goOn, r: bytes.NewReader(data)},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	stuck.Wait()
	if _, err := tryPut(t, e, "k", data); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("put = %v, want Unavailable", err)
	}
	put(t, e, "small", data[:1000])
	close(goOn)
	done.Wait()
	for _, key := range []string{"0", "1"} {
		if got := get(t, e, gateway.GetRequest{Key: key}); !bytes.Equal(got, data) {
			t.Errorf("%s differs", key)
		}
	}
	if _, err := tryPut(t, e, "k", data); err != nil {
		t.Errorf("put once there is memory: %v", err)
	}
}

// cutReader ends with an error, or with the request, after so many bytes.
type cutReader struct {
	r     io.Reader
	left  int
	onCut func()
}

var errCut = errors.New("the client is gone")

func (c *cutReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.onCut()
		return 0, errCut
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// TestFailuresGiveEverythingBack lets puts, gets and copies fail in every way
// there is, and then counts memory, goroutines, locks and the uploads that
// nodes think are under way.
func TestFailuresGiveEverythingBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 5))
	m := testnet.NewMem(t, 6)
	cfg := fastEngine()
	cfg.RequestTimeout = 200 * time.Millisecond
	e, _ := m.Engine(t, cfg)
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	data := body(1, 9<<20)
	put(t, e, "k", data)
	put(t, e, "s", data[:1000])
	goroutines := runtime.NumGoroutine()

	heal := func() {
		for _, n := range m.Nodes {
			n.Resume()
			n.SetDown(false)
			n.CorruptReads(false)
			n.Before(nil)
			n.After(nil)
		}
	}
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	for range rounds {
		for _, i := range rnd.Perm(6)[:rnd.IntN(5)] {
			switch n := m.Nodes[i]; rnd.IntN(5) {
			case 0:
				n.SetDown(true)
			case 1:
				n.Pause()
			case 2:
				n.CorruptReads(true)
			case 3:
				n.Before(memnode.FailNth(1+rnd.IntN(4), memnode.OpWrite, memnode.OpPutRecord, memnode.OpCommit, memnode.OpPut))
			case 4:
				n.After(memnode.FailNth(1+rnd.IntN(3), memnode.OpCommit, memnode.OpPutRecord, memnode.OpPut))
			}
		}
		failSomething(t, e, rnd, data)
		heal()
	}
	if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
		t.Error("the object differs")
	}
	eventually(t, "every upload to a node has ended", func() bool {
		for _, n := range m.Nodes {
			if info, err := n.Info(t.Context()); err != nil || info.Uploads != 0 {
				return false
			}
		}
		return true
	})
	if held, locks, pins := e.BlocksHeld(), e.LocksHeld(), e.Pinned(); held+int64(locks)+int64(pins) != 0 {
		t.Errorf("%d blocks, %d locks and %d pins are held, want none", held, locks, pins)
	}
	eventually(t, "no goroutine is left behind", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
}

// failSomething does one operation that may fail, its client leaving midway.
func failSomething(t *testing.T, e *gateway.Engine, rnd *rand.Rand, data []byte) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	size := []int{0, 500, 300_000, 5 << 20, 9 << 20}[rnd.IntN(5)]
	cut := size + 1
	if rnd.IntN(2) == 0 {
		cut = rnd.IntN(size + 1)
	}
	onCut := func() {}
	if rnd.IntN(2) == 0 {
		onCut = cancel
	}
	src := &cutReader{r: bytes.NewReader(data[:size]), left: cut, onCut: onCut}
	class := []string{"", "", "MIRRORED"}[rnd.IntN(3)]
	var err error
	op := rnd.IntN(4)
	switch op {
	case 0, 1:
		_, err = e.Put(ctx, gateway.PutRequest{
			Bucket: "b", Key: fmt.Sprint("other", rnd.IntN(3)), Body: src, Size: int64(size),
			Attributes: gateway.Attributes{StorageClass: class},
		})
	case 2:
		var o *gateway.Object
		if o, err = e.Get(ctx, gateway.GetRequest{Bucket: "b", Key: "k"}); err == nil {
			_, err = o.Body.WriteTo(&cutWriter{left: cut, onCut: onCut})
			o.Body.Close()
		}
	case 3:
		_, err = e.Copy(ctx, gateway.CopyRequest{
			Source: gateway.GetRequest{Bucket: "b", Key: "k"}, Bucket: "b", Key: "copied",
			Attributes: gateway.Attributes{StorageClass: class},
		})
	}
	known := errors.Is(err, cairn.Unavailable) || errors.Is(err, cairn.Full) || errors.Is(err, errCut) || errors.Is(err, context.Canceled)
	if err != nil && !known {
		t.Errorf("operation %d of %d bytes failed with an error of no known kind: %v", op, size, err)
	}
}

type cutWriter struct {
	left  int
	onCut func()
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left <= 0 {
		c.onCut()
		return 0, errCut
	}
	return len(p), nil
}
