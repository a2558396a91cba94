package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/cairn-store/cairn"
)

// blockRange is the frames of one block of a stripe that a read needs, and
// the plaintext wanted of them.
type blockRange struct {
	block       int
	first, last int // frames
	skip, want  int // plaintext bytes to skip in the first frame, and to take
}

// blockRanges splits plaintext [from, to) of a stripe into its blocks.
// Requires 0 <= from < to <= st.PlainLen.
func blockRanges(st cairn.Stripe, from, to int) []blockRange {
	var out []blockRange
	for from < to {
		b := from / st.BlockPlain()
		start := from - b*st.BlockPlain()
		end := min(to-b*st.BlockPlain(), st.BlockPlain())
		out = append(out, blockRange{
			block: b,
			first: start / st.FramePlain(), last: (end - 1) / st.FramePlain(),
			skip: start % st.FramePlain(), want: end - start,
		})
		from += end - start
	}
	return out
}

// offset and length of the range in its block, in stored bytes.
func (b blockRange) offset(st cairn.Stripe) int { return b.first * st.FrameSize }
func (b blockRange) length(st cairn.Stripe) int { return (b.last - b.first + 1) * st.FrameSize }

// plain returns the wanted plaintext of opened frames that start at frame
// b.first.
func (b blockRange) plain(st cairn.Stripe, opened []byte) (parts [][]byte) {
	skip, want := b.skip, b.want
	for f := 0; want > 0; f++ {
		frame := opened[f*st.FrameSize : f*st.FrameSize+st.FramePlain()]
		frame = frame[skip:min(skip+want, len(frame))]
		parts = append(parts, frame)
		want -= len(frame)
		skip = 0
	}
	return parts
}

// direct is one block asked of its own shard.
type direct struct {
	index  int // among the ranges
	opened []byte
	err    error
}

// fetchStripe returns plaintext [from, to) of one stripe, in blocks of mem.
// Each block is asked of its data shard; blocks that are late or bad are
// reconstructed from other shards, and the first verified bytes win.
func (r *segmentReader) fetchStripe(ctx context.Context, st cairn.Stripe, from, to int, mem *memory) (parts [][]byte, err error) {
	ranges := blockRanges(st, from, to)
	f := &stripeFetch{r: r, st: st, ranges: ranges, blocks: make([][]byte, len(ranges)), opened: make([][]byte, len(ranges))}
	for i, rg := range ranges {
		f.blocks[i] = mem.block(rg.length(st))
	}
	err = f.run(ctx)
	f.keepCoded()
	if err != nil {
		return nil, err
	}
	for i, rg := range ranges {
		parts = append(parts, rg.plain(st, f.opened[i])...)
	}
	return parts, nil
}

// stripeFetch is a fetchStripe under way. One goroutine owns it; the
// goroutines it starts only write into their own block.
type stripeFetch struct {
	r      *segmentReader
	st     cairn.Stripe
	ranges []blockRange
	blocks [][]byte // one per range
	opened [][]byte // plaintext frames, by range; nil until there
	coded  *codedRead
}

// keepCoded moves what was reconstructed into the read's own blocks, because
// those of the coded pool must not wait for a slow client. Requires that no
// direct read writes into them any more.
func (f *stripeFetch) keepCoded() {
	if f.coded == nil {
		return
	}
	for i, b := range f.coded.opened {
		f.opened[i] = append(f.blocks[i][:0], b...)
	}
	f.coded.giveUp()
}

func (f *stripeFetch) run(ctx context.Context) error {
	directCtx, cancelDirect := context.WithCancel(ctx)
	answers := make(chan direct, len(f.ranges))
	pending := map[int]bool{}
	var missing []int
	for i, rg := range f.ranges {
		if !f.r.usable(rg.block) || f.r.suspect(rg.block) {
			missing = append(missing, i)
			continue
		}
		pending[i] = true
		go func() {
			opened, err := f.readBlock(directCtx, i)
			answers <- direct{i, opened, err}
		}()
	}
	// Whatever happens, no goroutine may still write into a block that is
	// given back.
	defer func() {
		cancelDirect()
		for range pending {
			<-answers
		}
	}()
	late := time.NewTimer(f.hedgeAfter())
	defer late.Stop()
	for len(pending) > 0 {
		select {
		case a := <-answers:
			delete(pending, a.index)
			if a.err != nil {
				f.r.failed(ctx, f.ranges[a.index].block, a.err)
				missing = append(missing, a.index)
				continue
			}
			f.opened[a.index] = a.opened
		case <-late.C:
			for i := range pending {
				missing = append(missing, i)
				f.r.wasLate(f.ranges[i].block)
			}
			f.r.e.metrics.hedges.Inc()
			return f.hedge(ctx, answers, pending, missing)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.reconstruct(ctx, missing)
}

// hedge reconstructs the missing blocks while the late ones may still arrive.
func (f *stripeFetch) hedge(ctx context.Context, answers chan direct, pending map[int]bool, missing []int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	var rebuilt *codedRead
	go func() {
		var err error
		rebuilt, err = f.readCoded(ctx, missing)
		done <- err
	}()
	arrived := map[int]bool{}
	for {
		select {
		case a := <-answers:
			delete(pending, a.index)
			if a.err == nil {
				f.opened[a.index], arrived[a.index] = a.opened, true
			}
			if len(arrived) == len(missing) { // all came, late as they were
				cancel()
				if err := <-done; err == nil {
					rebuilt.giveUp()
				}
				for _, i := range missing {
					f.r.forgive(f.ranges[i].block)
				}
				return nil
			}
		case err := <-done:
			if err == nil {
				f.coded = rebuilt
				return nil
			}
			return f.settle(ctx, answers, pending, arrived, missing, err)
		}
	}
}

// settle is what is left when reconstruction without the late shards is not
// possible: wait for them, and reconstruct the rest with their help.
func (f *stripeFetch) settle(ctx context.Context, answers chan direct, pending, arrived map[int]bool, missing []int, why error) error {
	for len(pending) > 0 {
		a := <-answers
		delete(pending, a.index)
		if a.err != nil {
			f.r.failed(ctx, f.ranges[a.index].block, a.err)
			continue
		}
		f.opened[a.index], arrived[a.index] = a.opened, true
	}
	if len(arrived) == 0 {
		return why
	}
	var rest []int
	for _, i := range missing {
		if arrived[i] {
			f.r.forgive(f.ranges[i].block)
		} else {
			rest = append(rest, i)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return f.reconstruct(ctx, rest)
}

// reconstruct gets the missing blocks from other shards. Where that is not
// possible, blocks that were passed over because their node is suspect or was
// late are asked of it after all.
func (f *stripeFetch) reconstruct(ctx context.Context, missing []int) error {
	c, err := f.readCoded(ctx, missing)
	if err == nil {
		f.coded = c
		return nil
	}
	var rest []int
	for _, i := range missing {
		if b := f.ranges[i].block; !f.r.usable(b) {
			rest = append(rest, i)
		} else if opened, err := f.readBlock(ctx, i); err != nil {
			f.r.failed(ctx, b, err)
			rest = append(rest, i)
		} else {
			f.opened[i] = opened
		}
	}
	if len(rest) == len(missing) || ctx.Err() != nil {
		return err
	}
	if len(rest) == 0 {
		return nil
	}
	return f.reconstruct(ctx, rest)
}

// readBlock reads range i from its own shard into its block and opens it. It
// may outlive the moment when other bytes won, so it changes nothing else.
func (f *stripeFetch) readBlock(ctx context.Context, i int) (opened []byte, err error) {
	rg := f.ranges[i]
	buf := f.blocks[i][:rg.length(f.st)]
	ctx, cancel := context.WithTimeout(ctx, f.r.e.cfg.RequestTimeout)
	defer cancel()
	err = f.r.nodes[rg.block].Read(ctx, f.r.shard(rg.block), f.st.ShardOffset+int64(rg.offset(f.st)), buf)
	if err != nil {
		return nil, err
	}
	if err := f.r.seal.OpenFrames(f.st, rg.block, rg.first, rg.last-rg.first+1, buf); err != nil {
		return nil, fmt.Errorf("segment %s, shard %d: %w", f.r.entry.Segment.Short(), rg.block, err)
	}
	return buf, nil
}

// Bounds on how long a read waits before it asks other nodes.
const (
	hedgeMin     = 40 * time.Millisecond
	hedgeMax     = 2 * time.Second
	hedgeUnknown = 400 * time.Millisecond
)

// hedgeAfter returns when the slowest node asked is late: a multiple of its
// own 90th percentile.
func (f *stripeFetch) hedgeAfter() time.Duration {
	var after time.Duration
	for _, rg := range f.ranges {
		n := f.r.nodes[rg.block]
		if n == nil {
			continue
		}
		_, p90 := n.Latency()
		if p90 == 0 {
			return hedgeUnknown
		}
		after = max(after, 3*p90)
	}
	return min(max(after, hedgeMin), hedgeMax)
}
