package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// bufferPool hands out blocks of memory, reused and bounded in number: fresh
// pages are dear, and a full pool is back-pressure instead of growth.
//
// Blocks are taken for a whole stripe at a time and given back without taking
// more in between, so waiting transfers cannot block each other for good.
type bufferPool struct {
	blockSize int
	limit     int64 // blocks
	sem       *semaphore.Weighted
	held      atomic.Int64 // blocks taken

	mu   sync.Mutex // guards free
	free [][]byte
}

func newBufferPool(blockSize int, limitBytes int64) *bufferPool {
	limit := max(limitBytes/int64(blockSize), 2)
	return &bufferPool{blockSize: blockSize, limit: limit, sem: semaphore.NewWeighted(limit)}
}

// take returns n blocks of blockSize bytes with arbitrary contents, waiting
// for others to give theirs back. More blocks than the pool has count as all
// of them.
func (p *bufferPool) take(ctx context.Context, n int) ([][]byte, error) {
	if err := p.sem.Acquire(ctx, min(int64(n), p.limit)); err != nil {
		return nil, err
	}
	p.held.Add(min(int64(n), p.limit))
	return p.blocks(n), nil
}

// tryTake is take that does not wait; nil when there is no room.
func (p *bufferPool) tryTake(n int) [][]byte {
	if !p.sem.TryAcquire(min(int64(n), p.limit)) {
		return nil
	}
	p.held.Add(min(int64(n), p.limit))
	return p.blocks(n)
}

// takeSoon is take that waits no longer than so long; nil when there is no room.
func (p *bufferPool) takeSoon(ctx context.Context, n int, wait time.Duration) ([][]byte, error) {
	soon, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	blocks, err := p.take(soon, n)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return blocks, nil
}

// roomy reports whether half of the pool is free.
func (p *bufferPool) roomy() bool { return p.held.Load() <= p.limit/2 }

// blocks returns n blocks that the caller has acquired.
func (p *bufferPool) blocks(n int) [][]byte {
	blocks := make([][]byte, n)
	p.mu.Lock()
	for i := range blocks {
		if last := len(p.free) - 1; last >= 0 {
			blocks[i], p.free = p.free[last], p.free[:last]
		}
	}
	p.mu.Unlock()
	for i := range blocks {
		if blocks[i] == nil {
			blocks[i] = make([]byte, p.blockSize)
		}
	}
	return blocks
}

// give returns blocks that take handed out.
func (p *bufferPool) give(blocks [][]byte) {
	p.mu.Lock()
	for _, b := range blocks {
		if int64(len(p.free)) < p.limit {
			p.free = append(p.free, b[:p.blockSize])
		}
	}
	p.mu.Unlock()
	p.held.Add(-min(int64(len(blocks)), p.limit))
	p.sem.Release(min(int64(len(blocks)), p.limit))
}
