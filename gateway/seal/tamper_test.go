package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-store/cairn"
)

func TestFramesOpenNowhereElse(t *testing.T) {
	l := testLayout(t, 4, 2, 8<<20+3)
	st := l.Stripe(0)
	_, block := sealed(t, testSegment(t, l, nil), st, 1)
	for name, change := range map[string]func(*cairn.SegmentID, *Context){
		"another segment": func(id *cairn.SegmentID, _ *Context) { id[31]++ },
		"another owner":   func(_ *cairn.SegmentID, c *Context) { c.Owner[31]++ },
		"another object":  func(_ *cairn.SegmentID, c *Context) { c.Object[15]++ },
		"another part":    func(_ *cairn.SegmentID, c *Context) { c.Part++ },
		"another number":  func(_ *cairn.SegmentID, c *Context) { c.Number++ },
		"another length":  func(_ *cairn.SegmentID, c *Context) { c.PartLen++ },
	} {
		if _, err := opened(t, testSegment(t, l, change), st, 1, 0, 1, block); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("opened as of %s: %v, want Corrupt", name, err)
		}
	}
	s := testSegment(t, l, nil)
	if _, err := opened(t, s, st, 0, 0, 1, block); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("opened as of another shard: %v, want Corrupt", err)
	}
	if _, err := opened(t, s, l.Stripe(1), 1, 0, 1, block); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("opened as of another stripe: %v, want Corrupt", err)
	}
	// A node that lies about the layout.
	for name, lie := range map[string]cairn.Layout{
		"another k":          testLayout(t, 5, 2, 8<<20+3),
		"a longer plaintext": testLayout(t, 4, 2, 8<<20+4),
		"a cut plaintext":    testLayout(t, 4, 2, 4<<20-1024),
	} {
		other := testSegment(t, lie, nil)
		if _, err := opened(t, other, lie.Stripe(0), 1, 0, 1, block); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("opened under %s: %v, want Corrupt", name, err)
		}
	}
	if _, err := ContentKey.Segment(ContentKey{6}, cairn.SegmentID{1, 2, 3}, Context{PartLen: 1 << 30}, l); err != nil {
		t.Fatal(err)
	}
	otherKey, err := ContentKey{6}.Segment(cairn.SegmentID{1, 2, 3}, Context{Owner: [32]byte{9}, Object: cairn.ObjectID{7}, Part: 3, Number: 2, PartLen: 1 << 30}, l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, otherKey, st, 1, 0, 1, block); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("opened under another content key: %v, want Corrupt", err)
	}
}

func TestEveryByteOfTheAssociatedDataCounts(t *testing.T) {
	l := testLayout(t, 4, 2, 3000)
	st := l.Stripe(0)
	s := testSegment(t, l, nil)
	_, block := sealed(t, s, st, 0)
	for i := range s.aad {
		switch {
		case i == aadFinal, i >= aadNumber && i < aadNumber+4, i == aadShard:
			continue // set for each frame; the other tests change them
		}
		other := testSegment(t, l, nil)
		other.aad[i] ^= 0x40 // format and suite are among these
		if _, err := opened(t, other, st, 0, 0, 1, block); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("opened with byte %d of the associated data changed: %v, want Corrupt", i, err)
		}
	}
}

func TestFramesCannotBeMovedCutOrChanged(t *testing.T) {
	l := testLayout(t, 4, 2, 4<<20)
	s, st := testSegment(t, l, nil), l.Stripe(0)
	plain, block := sealed(t, s, st, 3)
	frame := func(b []byte, i int) []byte { return b[i*st.FrameSize : (i+1)*st.FrameSize] }

	swapped := bytes.Clone(block)
	copy(frame(swapped, 2), frame(block, 5))
	copy(frame(swapped, 5), frame(block, 2))
	err := s.OpenFrames(st, 3, 0, st.Frames, swapped)
	if !errors.Is(err, cairn.Corrupt) || !strings.Contains(err.Error(), "frame 2 of shard 3") {
		t.Errorf("frames swapped: %v, want Corrupt naming frame 2", err)
	}
	if got, err := opened(t, s, st, 3, 6, 4, block); err != nil || !bytes.Equal(got, plain[6*st.FramePlain():10*st.FramePlain()]) {
		t.Errorf("frames 6 to 10: %v, want their plaintext", err)
	}
	for _, at := range []int{0, st.FramePlain() - 1, st.FramePlain(), st.FrameSize - 1, 7*st.FrameSize + 100} {
		bad := bytes.Clone(block)
		bad[at] ^= 1
		if err := s.OpenFrames(st, 3, 0, st.Frames, bad); !errors.Is(err, cairn.Corrupt) {
			t.Errorf("byte %d changed: %v, want Corrupt", at, err)
		}
	}
	for name, err := range map[string]error{
		"a short frame":      s.OpenFrames(st, 3, 0, 1, block[:st.FrameSize-1]),
		"beyond the block":   s.OpenFrames(st, 3, st.Frames-1, 2, block[:2*st.FrameSize]),
		"before the block":   s.OpenFrames(st, 3, -1, 1, block[:st.FrameSize]),
		"a parity shard":     s.OpenFrames(st, 4, 0, 1, block[:st.FrameSize]),
		"no shard":           s.SealBlock(st, -1, block),
		"a short block":      s.SealBlock(st, 0, block[1:]),
		"a made-up stripe":   s.SealBlock(cairn.Stripe{FrameSize: st.FrameSize, Frames: st.Frames, FirstFrame: 1}, 0, block),
		"a stripe too many":  s.SealBlock(cairn.Stripe{Index: 99, FrameSize: st.FrameSize, Frames: st.Frames}, 0, block),
		"an impossible part": segmentError(l, Context{Part: cairn.MaxPartNumber + 1, PartLen: 1 << 30}),
		"a negative number":  segmentError(l, Context{Number: -1, PartLen: 1 << 30}),
		"too short a part":   segmentError(l, Context{PartLen: 1}),
		"no layout":          segmentError(cairn.Layout{}, Context{}),
	} {
		if !errors.Is(err, cairn.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

func segmentError(l cairn.Layout, c Context) error {
	_, err := ContentKey{}.Segment(cairn.SegmentID{}, c, l)
	return err
}

// TestTheLastFrameSaysSo checks that a segment cut at a stripe cannot pass for
// a shorter one, even to a reader that was told the shorter length.
func TestTheLastFrameSaysSo(t *testing.T) {
	whole, half := testLayout(t, 4, 2, 8*16*cairn.FramePlain), testLayout(t, 4, 2, 4*16*cairn.FramePlain)
	s := testSegment(t, whole, nil)
	st := whole.Stripe(0)
	_, block := sealed(t, s, st, 0)
	lied := testSegment(t, half, nil)
	lied.aad = s.aad // as if length and layout were not authenticated
	if _, err := opened(t, lied, half.Stripe(0), 0, 15, 1, block); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("frame 15 opened as the last: %v, want Corrupt", err)
	}
	if _, err := opened(t, lied, half.Stripe(0), 0, 0, 15, block); err != nil {
		t.Errorf("frames 0 to 15: %v, want nil", err)
	}
}

func TestSegmentsServeManyGoroutines(t *testing.T) {
	l := testLayout(t, 4, 2, 4<<20)
	s, st := testSegment(t, l, nil), l.Stripe(0)
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for g := range 16 {
		wg.Go(func() {
			block := make([]byte, st.BlockLen())
			s.Mask(4+g%2, int64(g), make([]byte, 1000))
			if err := s.SealBlock(st, g%4, block); err != nil {
				errs <- err
			}
			if err := s.OpenFrames(st, g%4, 0, st.Frames, block); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func TestSealingDoesNotAllocate(t *testing.T) {
	l := testLayout(t, 4, 2, 4<<20)
	s, st := testSegment(t, l, nil), l.Stripe(0)
	block := make([]byte, st.BlockLen())
	if n := testing.AllocsPerRun(20, func() {
		if err := s.SealBlock(st, 0, block); err != nil {
			t.Fatal(err)
		}
		if err := s.OpenFrames(st, 0, 0, st.Frames, block); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations in sealing and opening a block, want none", n)
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := testKeys(t)
	ck := ContentKey(bytes.Repeat([]byte{'k'}, 32))
	m := MaskSecret(bytes.Repeat([]byte{'k'}, 32))
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("keys", "keys", k, "content", ck, "mask", m, "group", []any{k, ck, m})
	text, err := json.Marshal(map[string]any{"a": k, "b": ck, "c": m, "d": *k})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		all += fmt.Sprintf(verb+verb+verb, k, ck, m)
		all += fmt.Sprintf(verb, struct {
			K *Keys
			C ContentKey
			M MaskSecret
		}{k, ck, m})
	}
	all += fmt.Sprint(k.String(), k.GoString(), ck.String(), ck.GoString(), m.String(), m.GoString())
	secrets := []string{"kkkk", "6b6b6b", "6B6B6B", "107 107", "107,107"}
	for _, p := range k.purposes {
		secrets = append(secrets, fmt.Sprintf("%x", p[:8]), fmt.Sprintf("%d %d %d %d", p[0], p[1], p[2], p[3]), fmt.Sprintf("%d,%d,%d,%d", p[0], p[1], p[2], p[3]))
	}
	for _, s := range secrets {
		if strings.Contains(all, s) {
			t.Errorf("a key shows as %q", s)
		}
	}
}
