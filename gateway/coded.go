package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement/erasure"
	"github.com/cairn-store/cairn/proofs"
)

// codedRead is missing blocks of a stripe, reconstructed and opened.
type codedRead struct {
	e       *Engine
	buffers [][]byte       // of the coded pool
	opened  map[int][]byte // by range
}

func (c *codedRead) giveUp() { c.e.coded.give(c.buffers) }

// span returns the frames that the missing ranges need together.
func span(ranges []blockRange, missing []int) (first, last int) {
	first, last = ranges[missing[0]].first, ranges[missing[0]].last
	for _, i := range missing[1:] {
		first, last = min(first, ranges[i].first), max(last, ranges[i].last)
	}
	return first, last
}

// readCoded reconstructs the missing ranges from any k other shards. The code
// works byte by byte, so only the frames needed are read. What comes out is
// authenticated by its frames; if that fails, every shard is checked against
// its hash tree to find the bad one.
func (f *stripeFetch) readCoded(ctx context.Context, missing []int) (*codedRead, error) {
	first, last := span(f.ranges, missing)
	wanted := make([]int, len(missing))
	for i, m := range missing {
		wanted[i] = f.ranges[m].block
	}
	off, size := f.st.ShardOffset+int64(first*f.st.FrameSize), (last-first+1)*f.st.FrameSize
	for verify := false; ; verify = true {
		c := &codedRead{e: f.r.e, opened: map[int][]byte{}}
		shards, buffers, err := f.r.readShards(ctx, off, size, wanted, verify)
		if err != nil {
			return nil, err
		}
		c.buffers = buffers
		err = f.open(c, shards, missing, first)
		if err == nil {
			return c, nil
		}
		c.giveUp()
		if verify {
			return nil, err
		}
	}
}

// open opens the missing ranges out of reconstructed shards whose bytes start
// at frame first.
func (f *stripeFetch) open(c *codedRead, shards [][]byte, missing []int, first int) error {
	for _, m := range missing {
		rg := f.ranges[m]
		from := (rg.first - first) * f.st.FrameSize
		b := shards[rg.block][from : from+rg.length(f.st)]
		if err := f.r.seal.OpenFrames(f.st, rg.block, rg.first, rg.last-rg.first+1, b); err != nil {
			return fmt.Errorf("segment %s, shard %d reconstructed: %w", f.r.entry.Segment.Short(), rg.block, err)
		}
		c.opened[m] = b
	}
	return nil
}

// readShards reads payload bytes [off, off+size) of k shards and fills in the
// wanted shards from them, as they are coded (parity without its mask). With
// verify, each shard read is checked against its hash tree first. The returned
// buffers belong to the coded pool. A range of at most one block.
func (r *segmentReader) readShards(ctx context.Context, off int64, size int, wanted []int, verify bool) (shards, buffers [][]byte, err error) {
	n := r.layout.Scheme.Shards()
	taken, err := r.e.coded.take(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	buffers = taken
	defer func() {
		if err != nil {
			r.e.coded.give(taken) // not buffers, which the return has cleared
		}
	}()
	shards = make([][]byte, n)
	skip := make([]bool, n)
	for _, w := range wanted {
		skip[w] = true
	}
	if err := r.gather(ctx, shards, buffers, skip, off, size, verify); err != nil {
		return nil, nil, err
	}
	code, err := erasure.New(r.layout.Scheme)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range wanted {
		shards[w] = buffers[w][:0:size]
	}
	if err := code.Reconstruct(shards, wanted); err != nil {
		return nil, nil, fmt.Errorf("reconstruct segment %s: %w", r.entry.Segment.Short(), err)
	}
	return shards, buffers, nil
}

// gather reads k shards, data shards first, and asks further ones for those
// that fail or are late. No goroutine is left behind.
func (r *segmentReader) gather(ctx context.Context, shards, buffers [][]byte, skip []bool, off int64, size int, verify bool) error {
	type answer struct {
		shard int
		err   error
	}
	readCtx, cancel := context.WithCancel(ctx)
	answers := make(chan answer, len(shards))
	running, have := 0, 0
	order := r.order(skip)
	defer func() {
		cancel()
		for ; running > 0; running-- {
			<-answers
		}
	}()
	ask := func() {
		if len(order) == 0 {
			return
		}
		i := order[0]
		order = order[1:]
		running++
		go func() { answers <- answer{i, r.readRaw(readCtx, i, off, buffers[i][:size], verify)} }()
	}
	k := r.layout.Scheme.Data
	for range k {
		ask()
	}
	late := time.NewTicker(hedgeUnknown)
	defer late.Stop()
	for have < k {
		if running == 0 {
			return r.tooFew(have)
		}
		select {
		case a := <-answers:
			running--
			if a.err != nil {
				r.failed(ctx, a.shard, a.err)
				ask()
				continue
			}
			shards[a.shard] = buffers[a.shard][:size]
			have++
		case <-late.C:
			ask()
		}
	}
	return nil
}

// tooFew says why the segment cannot be read.
func (r *segmentReader) tooFew(have int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var why []string
	for i := range r.nodes {
		switch text, bad := r.bad[i]; {
		case bad:
			why = append(why, fmt.Sprintf("shard %d: %s", i, text))
		case r.nodes[i] == nil:
			why = append(why, fmt.Sprintf("shard %d: its node is not known", i))
		}
	}
	return cairn.Errorf("read segment", cairn.Unavailable, "segment %s: %d of %d shards needed are readable (%s)",
		r.entry.Segment.Short(), have, r.layout.Scheme.Data, strings.Join(why, "; "))
}

// readRaw reads payload bytes of shard i into buf and takes the mask off.
func (r *segmentReader) readRaw(ctx context.Context, i int, off int64, buf []byte, verify bool) error {
	ctx, cancel := context.WithTimeout(ctx, r.e.cfg.RequestTimeout)
	defer cancel()
	if verify {
		if err := r.readVerified(ctx, i, off, buf); err != nil {
			return err
		}
	} else if err := r.nodes[i].Read(ctx, r.shard(i), off, buf); err != nil {
		return err
	}
	r.seal.Mask(i, off, buf)
	return nil
}

// readVerified reads the leaves around [off, off+len(buf)) and checks them
// against the shard's root.
func (r *segmentReader) readVerified(ctx context.Context, i int, off int64, buf []byte) error {
	tails, err := r.nodes[i].Tails(ctx, []cairn.ShardID{r.shard(i)})
	if err != nil {
		return err
	}
	if len(tails) != 1 {
		return cairn.Errorf("read shard", cairn.NotFound, "%v is not at node %v", r.shard(i), r.nodes[i].ID())
	}
	payload := r.layout.ShardLen()
	if err := proofs.VerifyTop(tails[0].TreeTop, payload, r.entry.Roots[i]); err != nil {
		return err
	}
	from := off / cairn.LeafSize * cairn.LeafSize
	to := min((off+int64(len(buf))+cairn.LeafSize-1)/cairn.LeafSize*cairn.LeafSize, payload)
	leaves := buf
	if from != off || to != off+int64(len(buf)) {
		leaves = make([]byte, to-from)
	}
	if err := r.nodes[i].Read(ctx, r.shard(i), from, leaves); err != nil {
		return err
	}
	if err := proofs.VerifyLeaves(tails[0].TreeTop, int(from/cairn.LeafSize), leaves, payload); err != nil {
		return err
	}
	copy(buf, leaves[off-from:])
	return nil
}
