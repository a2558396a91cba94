package placement

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
)

// newRand returns a generator whose seed a failing test prints.
func newRand(t *testing.T) *mrand.Rand {
	t.Helper()
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	t.Logf("seed %x", seed)
	return mrand.New(mrand.NewChaCha8(seed))
}

func randomKey(r *mrand.Rand) (key [32]byte) {
	for i := range key {
		key[i] = byte(r.Uint32())
	}
	return key
}

func nodes(r *mrand.Rand, n int) []Candidate {
	list := make([]Candidate, n)
	for i := range list {
		list[i] = Candidate{ID: cairn.NodeID(randomKey(r)), FreeBytes: 1 << 40, CapacityBytes: 1 << 40}
	}
	return list
}

// scrambled returns a network with every kind of node in it.
func scrambled(r *mrand.Rand, n int) []Candidate {
	list := nodes(r, n)
	for i := range list {
		c := &list[i]
		c.FreeBytes = r.Int64N(1 << 40)
		if r.IntN(8) == 0 {
			c.FreeBytes = 0
		}
		c.Domain = fmt.Sprintf("house-%d", r.IntN(n))
		c.Operator = fmt.Sprintf("op-%d", r.IntN(5))
		c.Region = fmt.Sprintf("region-%d", r.IntN(3))
		c.Subnet = fmt.Sprintf("203.0.%d.0/24", r.IntN(n))
		c.RTT = time.Duration(r.IntN(300)) * time.Millisecond
		c.Standing = r.Float64()
		if r.IntN(4) == 0 {
			c.State = State(r.IntN(int(Gone) + 1))
		}
	}
	return list
}

func ids(list []Candidate) []cairn.NodeID {
	out := make([]cairn.NodeID, len(list))
	for i := range list {
		out[i] = list[i].ID
	}
	return out
}

// chooseTwin is Choose written the slow and obvious way: look at everybody,
// take the best that may be taken, look again.
func chooseTwin(candidates []Candidate, want int, key [32]byte, c Constraints) []Candidate {
	var chosen []Candidate
	for len(chosen) < want {
		best, bestScore := -1, math.Inf(-1)
		for i, cand := range candidates {
			operators, vetting := 0, 0
			ok := cand.FreeBytes-c.ReserveBytes >= max(c.SizeBytes, 1) && !slices.Contains(c.Exclude, cand.ID)
			ok = ok && (cand.State == Active || cand.State == Vetting)
			for _, got := range chosen {
				if got.Operator == cand.Operator {
					operators++
				}
				if got.State == Vetting {
					vetting++
				}
				ok = ok && got.ID != cand.ID && got.FailureDomain() != cand.FailureDomain()
				ok = ok && !(c.DistinctSubnets && got.Subnet == cand.Subnet)
			}
			ok = ok && (c.MaxPerOperator == 0 || operators < c.MaxPerOperator)
			ok = ok && (cand.State != Vetting || vetting < c.MaxVetting)
			if score := newDraw(key).score(cand.ID, cand.Weight()); ok && score > bestScore {
				best, bestScore = i, score
			}
		}
		if best < 0 {
			return nil
		}
		chosen = append(chosen, candidates[best])
	}
	return chosen
}

func TestChooseAgreesWithItsTwin(t *testing.T) {
	r := newRand(t)
	for range 500 {
		list := scrambled(r, 1+r.IntN(30))
		want := 1 + r.IntN(8)
		c := Constraints{
			SizeBytes: r.Int64N(1 << 38), ReserveBytes: r.Int64N(1 << 38), MaxPerOperator: r.IntN(4),
			MaxVetting: r.IntN(3), DistinctSubnets: r.IntN(2) == 0, Exclude: ids(list[:r.IntN(len(list))/4]),
		}
		key := randomKey(r)
		got, err := Choose(list, want, key, c)
		twin := chooseTwin(list, want, key, c)
		if !slices.Equal(got, twin) {
			t.Fatalf("Choose(%d of %d, %+v) = %v (%v), want %v", want, len(list), c, ids(got), err, ids(twin))
		}
		if (err == nil) != (twin != nil) {
			t.Fatalf("Choose(%d of %d, %+v): error %v, twin found %d", want, len(list), c, err, len(twin))
		}
		var short *Shortage
		if err != nil && !errors.As(err, &short) {
			t.Fatalf("%v holds no Shortage", err)
		}
		if short == nil {
			continue
		}
		sum := short.Found + short.Excluded + short.Down + short.Gone + short.Suspended + short.Draining + short.Vetting +
			short.Full + short.SameDomain + short.SameOperator + short.SameSubnet
		if sum != len(list) || cairn.HintOf(err) == "" {
			t.Fatalf("%v accounts for %d of %d candidates, hint %q", err, sum, len(list), cairn.HintOf(err))
		}
	}
}

func TestChooseDoesNotDependOnTheOrderOfCandidates(t *testing.T) {
	r := newRand(t)
	list, key := scrambled(r, 40), randomKey(r)
	want, err := Choose(list, 4, key, Constraints{MaxVetting: 1})
	if err != nil {
		t.Skipf("this network cannot place 4: %v", err)
	}
	for range 20 {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if got, err := Choose(list, 4, key, Constraints{MaxVetting: 1}); err != nil || !slices.Equal(got, want) {
			t.Fatalf("shuffled: %v (%v), want %v", ids(got), err, ids(want))
		}
	}
}

func TestNoTwoShardsShareADomain(t *testing.T) {
	r := newRand(t)
	for range 300 {
		list := scrambled(r, 24)
		chosen, err := Choose(list, 6, randomKey(r), Constraints{})
		if err != nil {
			continue
		}
		seen := map[string]bool{}
		for _, c := range chosen {
			if seen[c.FailureDomain()] {
				t.Fatalf("two shards in %q", c.Domain)
			}
			seen[c.FailureDomain()] = true
		}
	}
}

func TestSharesFollowWeights(t *testing.T) {
	r := newRand(t)
	list := nodes(r, 10)
	sum := 0.0
	for i := range list {
		list[i].FreeBytes = int64(i+1) << 36
		list[i].RTT = []time.Duration{time.Millisecond, 100 * time.Millisecond}[i%2]
		sum += list[i].Weight()
	}
	const draws = 60_000
	wins := map[cairn.NodeID]int{}
	for range draws {
		chosen, err := Choose(list, 1, randomKey(r), Constraints{})
		if err != nil {
			t.Fatal(err)
		}
		wins[chosen[0].ID]++
	}
	for i, c := range list {
		p := c.Weight() / sum
		got := float64(wins[c.ID]) / draws
		if sigma := math.Sqrt(p * (1 - p) / draws); math.Abs(got-p) > 5*sigma {
			t.Errorf("node %d: share %.4f, want %.4f within %.4f", i, got, p, 5*sigma)
		}
	}
}

func TestEqualNodesGetEqualSharesOfAllShards(t *testing.T) {
	r := newRand(t)
	list := nodes(r, 20)
	const draws = 20_000
	wins := map[cairn.NodeID]int{}
	for range draws {
		chosen, err := Choose(list, 6, randomKey(r), Constraints{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chosen {
			wins[c.ID]++
		}
	}
	for id, n := range wins {
		if want := draws * 6 / 20; math.Abs(float64(n-want)) > 0.06*float64(want) {
			t.Errorf("node %s holds %d shards, want %d within 6%%", id.Short(), n, want)
		}
	}
}

func TestLeavingMovesOnlyTheShardsOfWhoLeft(t *testing.T) {
	r := newRand(t)
	list := scrambled(r, 60)
	for i := range list {
		list[i].Domain, list[i].State, list[i].FreeBytes = "", Active, list[i].FreeBytes+1
	}
	gone, rest := list[0], list[1:]
	for range 2000 {
		key := randomKey(r)
		before, err1 := Choose(list, 6, key, Constraints{})
		after, err2 := Choose(rest, 6, key, Constraints{})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		kept := slices.DeleteFunc(slices.Clone(before), func(c Candidate) bool { return c.ID == gone.ID })
		if !slices.Equal(after[:len(kept)], kept) {
			t.Fatalf("before %v, after %v: more moved than the shard of %s", ids(before), ids(after), gone.ID.Short())
		}
	}
}

func TestWeightIgnoresSmallChangesOfFreeSpace(t *testing.T) {
	changes := 0
	c := Candidate{FreeBytes: 1 << 40}
	last := c.Weight()
	for range 100 {
		c.FreeBytes -= 1 << 31 // 0.2 %
		if w := c.Weight(); w != last {
			changes, last = changes+1, w
		}
	}
	if changes > 4 {
		t.Errorf("weight changed %d times while a fifth of the space was filled, want at most 4", changes)
	}
}

func BenchmarkChooseAmongTenThousand(b *testing.B) {
	list := nodes(mrand.New(mrand.NewPCG(1, 2)), 10_000)
	for i := 0; b.Loop(); i++ {
		if _, err := Choose(list, 12, [32]byte{byte(i), byte(i >> 8)}, Constraints{}); err != nil {
			b.Fatal(err)
		}
	}
}
