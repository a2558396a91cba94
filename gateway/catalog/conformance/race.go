package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// testOneWinner lets many goroutines create the same key, round after round.
func testOneWinner(t *testing.T, c catalog.Catalog) {
	const racers, rounds = 16, 20
	for round := range rounds {
		key := fmt.Sprint("key", round)
		var winners, losers atomic.Int32
		together(racers, func(i int) {
			err := c.Commit(t.Context(), &catalog.Batch{
				If:          []catalog.Condition{{Newest: &catalog.VersionKey{Bucket: "b", Key: key}}},
				PutVersions: []*catalog.VersionEntry{version("b", key, i+1)},
			})
			var failed *catalog.ConditionError
			switch {
			case err == nil:
				winners.Add(1)
			case errors.As(err, &failed):
				losers.Add(1)
			default:
				t.Errorf("Commit = %v, want nil or a ConditionError", err)
			}
		})
		if winners.Load() != 1 || losers.Load() != racers-1 {
			t.Errorf("round %d: %d of %d creations succeeded, %d were refused, want exactly one success", round, winners.Load(), racers, losers.Load())
		}
	}
	wantEqual(t, "versions", must(c.Stats(t.Context()))(t).Versions, int64(rounds))
}

// together runs f(0) to f(n-1) at once and waits for all.
func together(n int, f func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// registerOp is an operation on a key seen as a register that holds the id of
// its newest version: a read of it, or a compare-and-set.
type registerOp struct {
	key      string
	isSwap   bool
	old, new cairn.VersionID // of a swap
}

// registerResult is what the operation answered.
type registerResult struct {
	value   cairn.VersionID // of a read
	swapped bool
}

var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(registerOp).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return cairn.VersionID{} },
	Step: func(state, input, output any) (bool, any) {
		holds, op, result := state.(cairn.VersionID), input.(registerOp), output.(registerResult)
		switch {
		case !op.isSwap:
			return result.value == holds, holds
		case result.swapped:
			return op.old == holds, op.new
		}
		return op.old != holds, holds
	},
}

// testLinearizable records what clients see who read and swap a few keys, and
// looks for an order of events that explains it.
func testLinearizable(t *testing.T, c catalog.Catalog) {
	const clients, steps = 8, 60
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var (
		ids     atomic.Int64
		mu      sync.Mutex // guards history
		history []porcupine.Operation
	)
	begin := time.Now()
	together(clients, func(client int) {
		rng := rand.New(rand.NewPCG(seed, uint64(client)))
		known := map[string]cairn.VersionID{}
		for range steps {
			op := registerOp{key: pick(rng, randomKeys[:3]), isSwap: rng.IntN(2) == 0}
			if op.isSwap {
				op.old, op.new = known[op.key], versionID(int(ids.Add(1)))
			}
			called := time.Since(begin)
			result, err := runRegister(t.Context(), c, op)
			returned := time.Since(begin)
			if err != nil {
				t.Errorf("%+v: %v", op, err)
				return
			}
			switch {
			case !op.isSwap:
				known[op.key] = result.value
			case result.swapped:
				known[op.key] = op.new
			}
			mu.Lock()
			history = append(history, porcupine.Operation{ClientId: client, Input: op, Call: int64(called), Output: result, Return: int64(returned)})
			mu.Unlock()
		}
	})
	if got := porcupine.CheckOperationsTimeout(registers, history, 10*time.Second); got != porcupine.Ok {
		t.Errorf("seed %d: a history of %d operations is %v, want linearizable", seed, len(history), got)
	}
}

func runRegister(ctx context.Context, c catalog.Catalog, op registerOp) (registerResult, error) {
	if !op.isSwap {
		e, err := c.Newest(ctx, "b", op.key)
		switch {
		case errors.Is(err, cairn.NotFound):
			return registerResult{}, nil
		case err != nil:
			return registerResult{}, err
		}
		return registerResult{value: e.Version.ID}, nil
	}
	b := &catalog.Batch{
		If:          []catalog.Condition{{Newest: &catalog.VersionKey{Bucket: "b", Key: op.key, ID: op.old}}},
		PutVersions: []*catalog.VersionEntry{{Version: cairn.Version{Bucket: "b", Key: op.key, ID: op.new}}},
	}
	if !op.old.IsZero() { // as an overwrite without versioning does
		b.DropVersions = []catalog.VersionKey{{Bucket: "b", Key: op.key, ID: op.old}}
	}
	err := c.Commit(ctx, b)
	var failed *catalog.ConditionError
	if errors.As(err, &failed) {
		return registerResult{}, nil
	}
	return registerResult{swapped: err == nil}, err
}

// testDeleteBucketRace lets a deletion of an empty bucket race with puts: a
// key must never end up in a bucket that is gone.
func testDeleteBucketRace(t *testing.T, c catalog.Catalog) {
	for round := range 30 {
		name := fmt.Sprint("bucket", round)
		commit(t, c, &catalog.Batch{PutBuckets: []*catalog.BucketEntry{bucket(name)}})
		together(4, func(i int) {
			b := &catalog.Batch{
				If:          []catalog.Condition{{BucketExists: name}},
				PutVersions: []*catalog.VersionEntry{version(name, "k", i+1)},
			}
			if i == 0 {
				gone := bucket(name)
				gone.Bucket.Deleted = true
				b = &catalog.Batch{
					If:         []catalog.Condition{{BucketExists: name}, {BucketEmpty: name}},
					PutBuckets: []*catalog.BucketEntry{gone},
				}
			}
			var failed *catalog.ConditionError
			if err := c.Commit(t.Context(), b); err != nil && !errors.As(err, &failed) {
				t.Errorf("Commit = %v, want nil or a ConditionError", err)
			}
		})
		_, err := c.Bucket(t.Context(), name)
		gone := errors.Is(err, cairn.NotFound)
		if keys := keysOf(t.Context(), t, c, name); gone != (len(keys) == 0) {
			t.Errorf("round %d: the bucket is gone: %v, but it has %d versions", round, gone, len(keys))
		}
	}
}
