package client

import (
	"context"
	"math/bits"
	"sync"
	"time"
)

// A sketch remembers how long recent reads took, by size class: counts in
// buckets of a quarter octave, halved when there are many, so that the past
// fades.
//
// Buckets: bucket b of an octave o begins at (4+b) << (o-2) microseconds.
type sketch struct {
	mu      sync.Mutex // guards the fields below
	classes [sizeClasses]histogram
}

const (
	sizeClasses   = 4
	octaves       = 28 // up to 2^28 us, over four minutes
	steps         = 4
	fadeAt        = 512 // samples of a class before its counts are halved
	enoughSamples = 16  // before a class is believed
)

type histogram struct {
	counts [octaves * steps]uint32
	total  uint32
}

// classOf returns the class of a read of n bytes: up to 16 KiB, 256 KiB, 1 MiB,
// and more.
func classOf(n int) int {
	switch {
	case n <= 16<<10:
		return 0
	case n <= 256<<10:
		return 1
	case n <= 1<<20:
		return 2
	default:
		return 3
	}
}

// bucketOf returns the bucket of a duration.
func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), steps))
	octave := bits.Len64(us) - 1 // at least 2
	step := int(us>>(octave-2)) & (steps - 1)
	return min(octave*steps+step, octaves*steps-1)
}

// bucketEnd returns the shortest duration beyond a bucket.
func bucketEnd(b int) time.Duration {
	octave, step := b/steps, b%steps
	return time.Duration((steps+step+1)<<octave/steps) * time.Microsecond
}

func (s *sketch) add(n int, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.classes[classOf(n)]
	h.counts[bucketOf(d)]++
	if h.total++; h.total >= fadeAt {
		h.total = 0
		for i := range h.counts {
			h.counts[i] /= 2
			h.total += h.counts[i]
		}
	}
}

// quantiles returns the median and the 90th percentile of a class, rounded up
// to the end of their bucket; zero without enough samples.
func (s *sketch) quantiles(class int) (p50, p90 time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.classes[class]
	if h.total < enoughSamples {
		return 0, 0
	}
	var seen uint32
	for b, n := range h.counts {
		seen += n
		if p50 == 0 && seen*2 >= h.total {
			p50 = bucketEnd(b)
		}
		if uint64(seen)*10 >= uint64(h.total)*9 {
			return p50, bucketEnd(b)
		}
	}
	return p50, p50
}

// observe notes the duration of a read. One that was given up took at least as
// long as it ran: it counts when that is long for its class, or a node that
// became slow would look as fast as ever to those who hedge.
func (c *Client) observe(ctx context.Context, n int, d time.Duration, err error) {
	if err != nil {
		if ctx.Err() == nil {
			return
		}
		if _, p90 := c.latency.quantiles(classOf(n)); d < p90 || p90 == 0 {
			return
		}
	}
	c.latency.add(n, d)
}

// Latency returns the median and the 90th percentile of recent reads: those of
// the largest size class that has been read often enough, so that a block is
// not thought late by the measure of a small range. Zero when unknown.
func (c *Client) Latency() (p50, p90 time.Duration) {
	for class := sizeClasses - 1; class >= 0; class-- {
		if p50, p90 = c.latency.quantiles(class); p90 > 0 {
			return p50, p90
		}
	}
	return 0, 0
}

// LatencyOf is Latency for reads of about n bytes; zero when unknown.
func (c *Client) LatencyOf(n int) (p50, p90 time.Duration) {
	return c.latency.quantiles(classOf(n))
}
