package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement/erasure"
)

// stripesAhead is how many stripes of one segment may wait between two stages.
const stripesAhead = 1

// stripe is a stripe being built: k data blocks, then m parity blocks.
type stripe struct {
	cairn.Stripe
	blocks [][]byte
	users  atomic.Int32 // slots that still need the blocks
}

// stream reads the segment's plaintext from src and sends it to the nodes:
//
//	read ─> hash ─> seal and code ─> slot 0 … slot n-1
//
// Plaintext is read straight into the places of its frames, hashed there, and
// sealed in place. It returns when every slot has sent its last block, or with
// an error of src, of ctx, or when more slots failed than the parity can lose.
func (w *segmentWriter) stream(ctx context.Context, src io.Reader, digest io.Writer) error {
	g, ctx := errgroup.WithContext(ctx)
	filled := make(chan *stripe, stripesAhead)
	hashed := make(chan *stripe, stripesAhead)
	slots := make([]chan *stripe, len(w.slots))
	for i := range slots {
		slots[i] = make(chan *stripe, stripesAhead)
	}
	g.Go(func() error {
		defer close(filled)
		return w.fill(ctx, src, filled)
	})
	g.Go(func() error {
		defer close(hashed)
		for st := range filled {
			if err := hashStripe(digest, st, w.layout.Scheme.Data); err != nil {
				return err
			}
			if !send(ctx, hashed, st) {
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		defer func() {
			for _, c := range slots {
				close(c)
			}
		}()
		return w.encode(ctx, hashed, slots)
	})
	w.drainSlots(ctx, g, slots)
	err := g.Wait()
	w.releaseAll()
	if err == nil && w.healthy() < w.layout.Scheme.Data {
		err = cairn.Errorf("write segment", cairn.Unavailable, "only %d of %d nodes took their shard", w.healthy(), len(w.slots))
	}
	return err
}

// send passes st on unless ctx ends first.
func send(ctx context.Context, c chan<- *stripe, st *stripe) bool {
	select {
	case c <- st:
		return true
	case <-ctx.Done():
		return false
	}
}

// fill reads stripe after stripe.
func (w *segmentWriter) fill(ctx context.Context, src io.Reader, out chan<- *stripe) error {
	for i := range w.layout.Stripes() {
		blocks, err := w.e.buffers.takeSoon(ctx, w.layout.Scheme.Shards(), w.e.cfg.RequestTimeout)
		if err != nil {
			return err
		}
		if blocks == nil { // those who hold them may be slow for ever
			return cairn.Errorf("write segment", cairn.Unavailable, "other transfers hold all the memory there is for them")
		}
		st := w.track(w.layout.Stripe(i), blocks)
		if err := fillStripe(src, st, w.layout.Scheme.Data); err != nil {
			return err
		}
		if !send(ctx, out, st) {
			return ctx.Err()
		}
	}
	return nil
}

// forFrames calls f for the plaintext of each frame of the stripe in order:
// what belongs to the object, and the padding behind it.
func forFrames(st *stripe, data int, f func(plain, padding []byte) error) error {
	left := st.PlainLen
	for b := range data {
		block := st.blocks[b][:st.BlockLen()]
		for i := range st.Frames {
			frame := block[i*st.FrameSize : i*st.FrameSize+st.FramePlain()]
			n := min(left, len(frame))
			if err := f(frame[:n], frame[n:]); err != nil {
				return err
			}
			left -= n
		}
	}
	return nil
}

func fillStripe(src io.Reader, st *stripe, data int) error {
	return forFrames(st, data, func(plain, padding []byte) error {
		clear(padding)
		if _, err := io.ReadFull(src, plain); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("read body: %w", ErrIncompleteBody)
			}
			return fmt.Errorf("read body: %w", err)
		}
		return nil
	})
}

func hashStripe(digest io.Writer, st *stripe, data int) error {
	if digest == nil {
		return nil
	}
	return forFrames(st, data, func(plain, _ []byte) error {
		_, err := digest.Write(plain)
		return err
	})
}

// encode seals the data blocks of each stripe, computes parity and hands the
// stripe to every slot.
func (w *segmentWriter) encode(ctx context.Context, in <-chan *stripe, out []chan *stripe) error {
	code, err := erasure.New(w.layout.Scheme)
	if err != nil {
		return err
	}
	shaped := make([][]byte, w.layout.Scheme.Shards())
	for st := range in {
		for i := range w.layout.Scheme.Data {
			if err := w.seal.SealBlock(st.Stripe, i, st.blocks[i][:st.BlockLen()]); err != nil {
				return fmt.Errorf("seal stripe %d: %w", st.Index, err)
			}
		}
		for i := range shaped {
			shaped[i] = st.blocks[i][:st.BlockLen()]
		}
		if err := code.Encode(shaped); err != nil {
			return fmt.Errorf("code stripe %d: %w", st.Index, err)
		}
		st.users.Store(int32(len(out)))
		for _, c := range out {
			if !send(ctx, c, st) {
				return ctx.Err()
			}
		}
	}
	return nil
}

func (w *segmentWriter) track(s cairn.Stripe, blocks [][]byte) *stripe {
	st := &stripe{Stripe: s, blocks: blocks}
	w.mu.Lock()
	w.outstanding[st] = struct{}{}
	w.mu.Unlock()
	return st
}

// release ends one slot's use of st; the last one returns its blocks.
func (w *segmentWriter) release(st *stripe) {
	if st.users.Add(-1) > 0 {
		return
	}
	w.mu.Lock()
	delete(w.outstanding, st)
	w.mu.Unlock()
	w.e.buffers.give(st.blocks)
}

// releaseAll returns the blocks of stripes that a failure left between stages.
// Requires that no stage runs any more.
func (w *segmentWriter) releaseAll() {
	for st := range w.outstanding {
		w.e.buffers.give(st.blocks)
		delete(w.outstanding, st)
	}
}
