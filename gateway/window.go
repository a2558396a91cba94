package gateway

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-store/cairn"
)

// window is a run of verified plaintext. The memory it lies in belongs to
// whoever asked for it.
type window struct{ parts [][]byte }

// Memory of reads.
//
// A reader takes blocks of the pool for a stripe at a time, and holds them
// while its client takes the bytes: many slow clients could hold all of them.
// No read therefore waits for the pool. Where it has no room soon, and for a
// client that has been slow, a reader goes on frame by frame in memory of its
// own, which is at most a few frames for each request. Reading ahead is for
// what half of the pool leaves.

// roomSoon is how long the first window of a reader waits for the pool.
const roomSoon = 25 * time.Millisecond

// slowRate is what a client takes at least, in bytes per second, to be read a
// stripe at a time.
const slowRate = 1 << 20

// memory is where the blocks of one window are read to. The zero value
// allocates them.
type memory struct {
	pool  *bufferPool
	taken [][]byte

	mu   sync.Mutex // guards used: two groups may read at once
	used int
}

// block returns a block of size bytes.
func (m *memory) block(size int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == len(m.taken) {
		return make([]byte, size)
	}
	m.used++
	return m.taken[m.used-1][:size]
}

// release ends the use of every block.
func (m *memory) release() {
	if m.taken != nil {
		m.pool.give(m.taken)
		m.taken = nil
	}
}

// pacedWriter notices whether who takes the bytes is slow.
type pacedWriter struct {
	io.Writer
	slow    atomic.Bool // as of the last window
	crowded bool        // the pool had no room; of the reading goroutine
}

func paced(w io.Writer) *pacedWriter {
	if p, ok := w.(*pacedWriter); ok {
		return p
	}
	return &pacedWriter{Writer: w}
}

// writeWindow writes what w holds.
func (p *pacedWriter) writeWindow(w *window) (written int64, err error) {
	began := time.Now()
	for _, part := range w.parts {
		n, err := p.Write(part)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	p.slow.Store(written < int64(time.Since(began).Seconds()*slowRate))
	return written, nil
}

// blocks counts the blocks that plaintext [from, to) touches, in both groups.
func (r *segmentReader) blocks(from, to int64) (n int) {
	if r.mirror != nil {
		n = r.mirror.blocks(from, to)
	}
	for from < to {
		st := r.layout.StripeAt(from)
		end := min(to, st.PlainOffset+int64(st.PlainLen))
		n += len(blockRanges(st, int(from-st.PlainOffset), int(end-st.PlainOffset)))
		from = end
	}
	return n
}

// room decides how far the window that begins at from goes, and gives it
// memory. ahead is the number of windows the reader still holds; nil memory
// means that it should first be done with one of them.
func (r *segmentReader) room(ctx context.Context, p *pacedWriter, from, to int64, ahead int) (int64, *memory, error) {
	st := r.layout.StripeAt(from)
	end := min(to, st.PlainOffset+int64(st.PlainLen))
	pool, need := r.e.readBuffers, r.blocks(from, end)
	slow := p.slow.Load()
	if ahead > 0 {
		if slow || !pool.roomy() {
			return 0, nil, nil
		}
		if taken := pool.tryTake(need); taken != nil {
			return end, &memory{pool: pool, taken: taken}, nil
		}
		return 0, nil, nil
	}
	if !slow {
		taken := pool.tryTake(need)
		if taken == nil && !p.crowded {
			var err error
			if taken, err = pool.takeSoon(ctx, need, roomSoon); err != nil {
				return 0, nil, err
			}
		}
		if p.crowded = taken == nil; !p.crowded {
			return end, &memory{pool: pool, taken: taken}, nil
		}
	}
	return min(end, frameEnd(st, from)), &memory{}, nil
}

// frameEnd returns where the frame that holds plaintext byte at ends.
func frameEnd(st cairn.Stripe, at int64) int64 {
	inBlock := (at - st.PlainOffset) % int64(st.BlockPlain())
	frame := int64(st.FramePlain())
	return at - inBlock + min((inBlock/frame+1)*frame, int64(st.BlockPlain()))
}

// filled is a window on its way to the writer.
type filled struct {
	w   *window
	mem *memory
	err error
}

// writeRange writes plaintext [from, to) of the segment, reading one stripe
// ahead of what is being written, where there is room.
func (r *segmentReader) writeRange(ctx context.Context, w io.Writer, from, to int64) (written int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := paced(w)
	windows := make(chan filled, 1)
	released := make(chan struct{}, 4) // more than are ever on their way
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(windows)
		r.fillWindows(ctx, p, from, to, windows, released)
	})
	for f := range windows {
		if err == nil {
			err = f.err
		}
		if f.w != nil && err == nil {
			var n int64
			n, err = p.writeWindow(f.w)
			written += n
		}
		f.mem.release()
		released <- struct{}{}
		if err != nil {
			cancel()
		}
	}
	wg.Wait()
	return written, err
}

// fillWindows reads [from, to) window by window, until the end or an error.
func (r *segmentReader) fillWindows(ctx context.Context, p *pacedWriter, from, to int64, out chan<- filled, released <-chan struct{}) {
	for ahead := 0; from < to; {
		select {
		case <-released:
			ahead--
			continue
		default:
		}
		end, mem, err := r.room(ctx, p, from, to, ahead)
		if err != nil {
			out <- filled{mem: &memory{}, err: err}
			return
		}
		if mem == nil {
			<-released // the writer goes on or gives up
			ahead--
			continue
		}
		f := filled{mem: mem}
		f.w, f.err = r.fetch(ctx, from, end, mem)
		out <- f
		if f.err != nil {
			return
		}
		ahead++
		from = end
	}
}
