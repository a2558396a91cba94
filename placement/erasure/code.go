package erasure

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/reedsolomon"

	"github.com/cairn-store/cairn"
)

const (
	// threadedAbove is the number of data blocks from which the library's own
	// goroutines pay: its single-threaded path is half as fast there.
	threadedAbove = 10
	// cachedShards is the largest n for which the library may keep the inverse
	// of every pattern of losses it meets: C(16,8) patterns of 64 bytes are
	// below a mebibyte, C(32,16) would be tens of gigabytes.
	cachedShards = 16
)

// Code is the code of one scheme.
type Code struct {
	data, parity int
	rs           reedsolomon.Encoder // nil where there is nothing to compute
}

type shape struct{ data, parity int }

// codes holds one Code per shape; there are at most MaxShards²/2 shapes.
var codes sync.Map // shape -> *Code

// New returns the code of a scheme; codes are made once and shared.
// A scheme that is not possible is an Invalid error.
func New(scheme cairn.Scheme) (*Code, error) {
	if err := scheme.Validate(); err != nil {
		return nil, err
	}
	key := shape{scheme.Data, scheme.Parity}
	if c, ok := codes.Load(key); ok {
		return c.(*Code), nil
	}
	c := &Code{data: scheme.Data, parity: scheme.Parity}
	if c.data > 1 && c.parity > 0 {
		var err error
		if c.rs, err = reedsolomon.New(c.data, c.parity, options(scheme)...); err != nil {
			return nil, fmt.Errorf("make the code %v: %w", scheme, err)
		}
	}
	kept, _ := codes.LoadOrStore(key, c)
	return kept.(*Code), nil
}

func options(scheme cairn.Scheme) []reedsolomon.Option {
	var opts []reedsolomon.Option
	if scheme.Data <= threadedAbove {
		opts = append(opts, reedsolomon.WithMaxGoroutines(1))
	}
	return append(opts, reedsolomon.WithInversionCache(scheme.Shards() <= cachedShards))
}

// Shards returns the number of blocks in a stripe, n.
func (c *Code) Shards() int { return c.data + c.parity }

// Encode fills the parity blocks from the data blocks. All n blocks have the
// same length, above zero; anything else is an Invalid error.
func (c *Code) Encode(blocks [][]byte) error {
	if _, err := c.check("encode stripe", blocks, c.Shards()); err != nil {
		return err
	}
	if c.rs == nil {
		for _, b := range blocks[1:] {
			if c.data == 1 {
				copy(b, blocks[0])
			}
		}
		return nil
	}
	if err := c.rs.Encode(blocks); err != nil {
		return fmt.Errorf("encode stripe %d+%d: %w", c.data, c.parity, err)
	}
	return nil
}

// Reconstruct fills the wanted blocks from k others. Empty blocks are missing;
// a missing block with room in its capacity is filled in place, one without is
// allocated. Blocks that are missing and not wanted stay so, and a wanted block
// that is there is left alone. Fewer than k blocks is an Unavailable error.
func (c *Code) Reconstruct(blocks [][]byte, want []int) error {
	const op = "reconstruct stripe"
	size, err := c.check(op, blocks, c.data)
	if err != nil {
		return err
	}
	required := make([]bool, c.Shards())
	missing := false
	for _, i := range want {
		if i < 0 || i >= len(blocks) {
			return cairn.Errorf(op, cairn.Invalid, "block %d of %d is wanted", i, len(blocks))
		}
		required[i] = true
		missing = missing || len(blocks[i]) == 0
	}
	switch {
	case !missing:
		return nil
	case c.rs == nil:
		c.copyBlocks(blocks, required, size)
		return nil
	}
	if err := c.rs.ReconstructSome(blocks, required); err != nil {
		return fmt.Errorf("reconstruct stripe %d+%d: %w", c.data, c.parity, err)
	}
	return nil
}

// copyBlocks is Reconstruct for one data block: any block is every block.
func (c *Code) copyBlocks(blocks [][]byte, required []bool, size int) {
	var source []byte
	for _, b := range blocks {
		if len(b) > 0 {
			source = b
			break
		}
	}
	for i, b := range blocks {
		if len(b) == 0 && required[i] {
			blocks[i] = append(b[:0], source[:size]...)
		}
	}
}

var errParity = errors.New("parity does not match the data")

// Verify returns a Corrupt error unless the parity blocks are those of the
// data blocks. All n blocks are needed.
func (c *Code) Verify(blocks [][]byte) error {
	const op = "verify stripe"
	if _, err := c.check(op, blocks, c.Shards()); err != nil {
		return err
	}
	ok := true
	if c.rs != nil {
		var err error
		if ok, err = c.rs.Verify(blocks); err != nil {
			return fmt.Errorf("verify stripe %d+%d: %w", c.data, c.parity, err)
		}
	} else if c.data == 1 {
		for _, b := range blocks[1:] {
			ok = ok && bytes.Equal(b, blocks[0])
		}
	}
	if !ok {
		return cairn.NewError(op, cairn.Corrupt, errParity)
	}
	return nil
}

// check returns the length of the blocks that are there, of which there must
// be at least need.
func (c *Code) check(op string, blocks [][]byte, need int) (size int, err error) {
	if len(blocks) != c.Shards() {
		return 0, cairn.Errorf(op, cairn.Invalid, "%d blocks for a code of %d+%d", len(blocks), c.data, c.parity)
	}
	have := 0
	for i, b := range blocks {
		switch {
		case len(b) == 0:
			continue
		case size == 0:
			size = len(b)
		case size != len(b):
			return 0, cairn.Errorf(op, cairn.Invalid, "block %d has %d bytes, others have %d", i, len(b), size)
		}
		have++
	}
	switch {
	case have < need && need == c.Shards():
		return 0, cairn.Errorf(op, cairn.Invalid, "%d of %d blocks are empty", need-have, need)
	case have < need:
		return 0, cairn.Errorf(op, cairn.Unavailable, "%d blocks are there, %d are needed", have, need)
	}
	return size, nil
}
