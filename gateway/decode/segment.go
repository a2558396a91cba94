package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/placement/erasure"
	"github.com/cairn-store/cairn/proofs"
)

// stripe is the memory of one stripe, kept from segment to segment.
type stripe struct {
	memory [][]byte // one buffer per shard
	blocks [][]byte // those that are there, else empty
}

func (s *stripe) reset(shards, size int) {
	for len(s.memory) < shards {
		s.memory = append(s.memory, nil)
	}
	s.blocks = make([][]byte, shards)
	for i := range shards {
		if cap(s.memory[i]) < size {
			s.memory[i] = make([]byte, size)
		}
		s.blocks[i] = s.memory[i][:0]
	}
}

// writeSegment writes the plaintext of a segment.
func (d *decoder) writeSegment(ctx context.Context, w io.Writer, s *segment, content seal.ContentKey) error {
	m := s.manifest
	layout, err := cairn.NewLayout(s.scheme(), m.PlainLen)
	if err != nil {
		return err
	}
	code, err := erasure.New(layout.Scheme)
	if err != nil {
		return err
	}
	sealed, err := content.Segment(s.id, seal.Context{Owner: d.keys.Owner(), Object: m.Object, Part: m.Part, Number: m.Number, PartLen: m.PartLen}, layout)
	if err != nil {
		return err
	}
	tops := map[uint8][]byte{}
	for i, sh := range s.shards {
		t, err := readTail(sh.file)
		if err == nil {
			err = proofs.VerifyTop(t.TreeTop, t.Header.PayloadLen, m.Roots[i])
		}
		if err != nil {
			return fmt.Errorf("read shard %d again: %w", i, err)
		}
		tops[i] = t.TreeTop
	}
	for i := range layout.Stripes() {
		if err := ctx.Err(); err != nil {
			return err
		}
		st := layout.Stripe(i)
		if err := d.readStripe(s, sealed, code, st, tops); err != nil {
			return fmt.Errorf("stripe %d: %w", i, err)
		}
		if err := d.writeStripe(w, sealed, st, layout.Scheme.Data); err != nil {
			return err
		}
		d.progress.Bytes += int64(st.PlainLen)
		d.opts.Progress(d.progress)
	}
	return nil
}

// readStripe fills the data blocks of a stripe: from data shards where their
// leaves verify, else from any k blocks that do.
func (d *decoder) readStripe(s *segment, sealed *seal.Segment, code *erasure.Code, st cairn.Stripe, tops map[uint8][]byte) error {
	k := s.scheme().Data
	d.stripe.reset(code.Shards(), st.BlockLen())
	have := 0
	var bad []error
	for _, i := range slices.Sorted(maps.Keys(s.shards)) { // data shards first
		if have == k {
			break
		}
		block := d.stripe.memory[i][:st.BlockLen()]
		err := readAt(s.shards[i].file, block, cairn.HeaderSize+st.ShardOffset)
		if err == nil {
			err = proofs.VerifyLeaves(tops[i], int(st.ShardOffset/cairn.LeafSize), block, s.shards[i].header.PayloadLen)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("shard %d (%s): %w", i, s.shards[i].file.Name, err))
			continue
		}
		sealed.Mask(int(i), st.ShardOffset, block)
		d.stripe.blocks[i] = block
		have++
	}
	if have < k {
		return cairn.Errorf("decode", cairn.Corrupt, "have %d good blocks of shards %s; need %d more: %w", have, s.indices(), k-have, errors.Join(bad...))
	}
	var want []int
	for i := range k {
		if len(d.stripe.blocks[i]) == 0 {
			want = append(want, i)
		}
	}
	return code.Reconstruct(d.stripe.blocks, want)
}

// writeStripe opens the frames of a stripe and writes what they hold.
func (d *decoder) writeStripe(w io.Writer, sealed *seal.Segment, st cairn.Stripe, data int) error {
	left := st.PlainLen
	for i := range data {
		block := d.stripe.blocks[i]
		if err := sealed.OpenFrames(st, i, 0, st.Frames, block); err != nil {
			return err
		}
		for f := 0; f < st.Frames && left > 0; f++ {
			n := min(left, st.FramePlain())
			if _, err := w.Write(block[f*st.FrameSize : f*st.FrameSize+n]); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			left -= n
		}
	}
	return nil
}
