package cairn

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// twinLayout writes every stripe down by counting, without a division.
func twinLayout(s Scheme, plain int64) (stripes []Stripe, shardLen int64) {
	framesPerBlock := 0
	for size := 0; size < s.BlockSize; size += FrameSize {
		framesPerBlock++
	}
	firstFrame := 0
	for offset := int64(0); offset < plain; {
		rest := plain - offset
		st := Stripe{Index: len(stripes), PlainOffset: offset, FrameSize: FrameSize, Frames: framesPerBlock, FirstFrame: firstFrame, ShardOffset: shardLen}
		full := int64(s.Data * framesPerBlock * FramePlain)
		if rest >= full {
			st.PlainLen = int(full)
		} else {
			st.PlainLen = int(rest)
			st.Frames = 1
			for int64(s.Data*st.Frames*FramePlain) < rest {
				st.Frames++
			}
			st.FrameSize = FrameStep
			for int64(s.Data*st.Frames*(st.FrameSize-FrameOverhead)) < rest {
				st.FrameSize += FrameStep
			}
		}
		stripes = append(stripes, st)
		offset += int64(st.PlainLen)
		firstFrame += st.Frames
		shardLen += int64(st.Frames * st.FrameSize)
	}
	return stripes, shardLen
}

func checkLayout(t *testing.T, s Scheme, plain int64) {
	t.Helper()
	l, err := NewLayout(s, plain)
	if err != nil {
		t.Fatalf("NewLayout(%v, %d) = %v", s, plain, err)
	}
	stripes, shardLen := twinLayout(s, plain)
	if l.Stripes() != len(stripes) || l.ShardLen() != shardLen {
		t.Fatalf("NewLayout(%v blocks of %d, %d): %d stripes, shards of %d; want %d and %d", s, s.BlockSize, plain, l.Stripes(), l.ShardLen(), len(stripes), shardLen)
	}
	for i, want := range stripes {
		if got := l.Stripe(i); got != want {
			t.Fatalf("NewLayout(%v, %d).Stripe(%d) = %+v, want %+v", s, plain, i, got, want)
		}
		for _, off := range []int64{want.PlainOffset, want.PlainOffset + int64(want.PlainLen) - 1} {
			if got := l.StripeAt(off); got != want {
				t.Fatalf("NewLayout(%v, %d).StripeAt(%d) = stripe %d, want %d", s, plain, off, got.Index, i)
			}
		}
	}
}

func TestLayoutEqualsTheObviousOne(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, s := range []Scheme{{1, 0, FrameSize}, {1, 2, DefaultBlockSize}, {2, 2, FrameSize}, {3, 2, DefaultBlockSize}, {4, 2, DefaultBlockSize}, {16, 16, 1 << 18}, {63, 1, 2 << 20}} {
		row := int64(s.Data) * FramePlain
		stripe := row * int64(s.BlockSize/FrameSize)
		for _, edge := range []int64{0, 1, FrameStep - FrameOverhead, FramePlain, row, 2 * row, stripe, 2 * stripe, MaxSegmentPlain} {
			for d := int64(-1); d <= 1; d++ {
				if n := edge + d; n >= 0 && n <= MaxSegmentPlain {
					checkLayout(t, s, n)
				}
			}
		}
		for range 50 {
			checkLayout(t, s, rng.Int64N(MaxSegmentPlain+1))
		}
	}
}

func TestImpossibleLayoutsAreRefused(t *testing.T) {
	good := Scheme{4, 2, DefaultBlockSize}
	tests := []struct {
		s     Scheme
		plain int64
	}{
		{good, -1}, {good, MaxSegmentPlain + 1},
		{Scheme{0, 2, DefaultBlockSize}, 1}, {Scheme{4, -1, DefaultBlockSize}, 1}, {Scheme{60, 5, DefaultBlockSize}, 1},
		{Scheme{4, 2, 0}, 1}, {Scheme{4, 2, FrameSize / 2}, 1}, {Scheme{4, 2, FrameSize + 1}, 1}, {Scheme{4, 2, MaxSegmentPlain * 2}, 1},
	}
	for _, tt := range tests {
		if _, err := NewLayout(tt.s, tt.plain); !errors.Is(err, Invalid) {
			t.Errorf("NewLayout(%+v, %d) = %v, want Invalid", tt.s, tt.plain, err)
		}
	}
}

func TestBytesReadForPeople(t *testing.T) {
	for n, want := range map[Bytes]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 40: "1.0 TiB", -2048: "-2.0 KiB"} {
		if got := n.String(); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", int64(n), got, want)
		}
	}
}
