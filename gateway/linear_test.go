package gateway_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/internal/testnet"
)

// keyOp is an operation on one key, as a client sees it. Values are unique; ""
// is no object.
type keyOp struct {
	kind  string // get, put, create, swap, delete
	key   string
	value string // to be written
	old   string // swap: the value that must be there
}

type keyResult struct {
	value   string // get
	refused bool   // the condition did not hold
	unknown bool   // it may have happened or not, at any time from then on
}

// keyModel is a register with compare-and-set.
var keyModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(keyOp).key
			byKey[key] = append(byKey[key], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range byKey {
			out = append(out, ops)
		}
		return out
	},
	Init: func() []any { return []any{""} },
	Step: func(state, input, output any) []any {
		now, op, res := state.(string), input.(keyOp), output.(keyResult)
		next, holds := now, true
		switch op.kind {
		case "get":
			if res.unknown || res.value == now {
				return []any{now}
			}
			return nil
		case "put":
			next = op.value
		case "create":
			next, holds = op.value, now == ""
		case "swap":
			next, holds = op.value, now == op.old
		case "delete":
			next = ""
		}
		switch {
		case res.unknown && holds:
			return []any{now, next}
		case res.unknown || res.refused && !holds:
			return []any{now}
		case res.refused || !holds:
			return nil
		}
		return []any{next}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}).ToModel()

// linearStore is an engine under faults: gatekeepers run operations under the
// read lock, a restart takes the write lock.
type linearStore struct {
	mu     sync.RWMutex
	engine *gateway.Engine
}

func (s *linearStore) do(t *testing.T, op keyOp) keyResult {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var err error
	switch op.kind {
	case "get":
		var o *gateway.Object
		o, err = s.engine.Get(t.Context(), gateway.GetRequest{Bucket: "b", Key: op.key})
		if errors.Is(err, gateway.ErrNoSuchKey) {
			return keyResult{}
		}
		if err != nil {
			return keyResult{unknown: true}
		}
		var data bytes.Buffer
		_, err = o.Body.WriteTo(&data)
		o.Body.Close()
		if err == nil {
			return keyResult{value: strings.TrimRight(data.String(), ".")}
		}
	case "put", "create", "swap":
		data := valueBytes(op.value)
		req := gateway.PutRequest{Bucket: "b", Key: op.key, Body: bytes.NewReader(data), Size: int64(len(data))}
		req.If.IfNoneMatch = op.kind == "create"
		if op.kind == "swap" {
			sum := md5.Sum(valueBytes(op.old))
			req.If.IfMatch = hex.EncodeToString(sum[:])
		}
		_, err = s.engine.Put(t.Context(), req)
	case "delete":
		_, err = s.engine.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: op.key})
	}
	var cond *gateway.PreconditionError
	refused := errors.As(err, &cond) || errors.Is(err, gateway.ErrNoSuchKey)
	return keyResult{refused: refused, unknown: err != nil && !refused}
}

// valueBytes pads every third value, so that it is no small object.
func valueBytes(value string) []byte {
	if strings.HasSuffix(value, "0") {
		return append([]byte(value), bytes.Repeat([]byte("."), 200_000)...)
	}
	return []byte(value)
}

// TestKeysAreLinearizable has clients read, write, swap and delete a few keys
// at once while nodes fail and the gateway dies and starts again, and checks
// that all they saw fits one order.
func TestKeysAreLinearizable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	clients, each := 8, 150
	if testing.Short() {
		each = 40
	}
	m := testnet.NewMem(t, 7)
	real := &mortal{t: t, m: m, healthy: m.Catalog}
	real.start()
	if err := real.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	store := &linearStore{engine: real.Store.(*gateway.Engine)}
	var values, finished atomic.Int64
	histories := make([][]porcupine.Operation, clients)
	began := time.Now()
	var wg sync.WaitGroup
	for c := range clients {
		rnd := rand.New(rand.NewPCG(seed, uint64(c)))
		wg.Go(func() {
			seen := map[string]string{}
			for range each {
				op := keyOp{kind: []string{"get", "get", "put", "create", "swap", "swap", "delete"}[rnd.IntN(7)], key: fmt.Sprint(rnd.IntN(3))}
				op.value = fmt.Sprint("v", values.Add(1))
				if op.old = seen[op.key]; op.kind == "swap" && op.old == "" {
					op.kind = "get"
				}
				from := time.Since(began).Nanoseconds()
				res := store.do(t, op)
				to := time.Since(began).Nanoseconds()
				if res.unknown {
					to = 1 << 60
				} else if op.kind == "get" {
					seen[op.key] = res.value
				} else if !res.refused {
					seen[op.key] = op.value
				}
				histories[c] = append(histories[c], porcupine.Operation{ClientId: c, Input: op, Output: res, Call: from, Return: to})
				finished.Add(1)
			}
		})
	}
	stopped := make(chan struct{})
	go func() { wg.Wait(); close(stopped) }()
	rnd := rand.New(rand.NewPCG(seed, 99))
	for restarts := 0; ; restarts++ {
		target := finished.Load() + int64(clients)
		for finished.Load() < target {
			select {
			case <-stopped:
				checkLinear(t, histories, restarts)
				return
			case <-time.After(time.Millisecond):
			}
		}
		for _, n := range m.Nodes {
			n.SetDown(false)
			n.Before(nil)
			n.After(nil)
		}
		for range rnd.IntN(3) {
			faulty(m.Nodes[rnd.IntN(len(m.Nodes))], rnd)
		}
		if rnd.IntN(2) == 0 {
			real.death.after.Store(rnd.IntN(2) == 0)
			real.death.left.Store(int64(rnd.IntN(3)))
			store.mu.Lock()
			real.restart()
			store.engine = real.Store.(*gateway.Engine)
			store.mu.Unlock()
		}
	}
}

func checkLinear(t *testing.T, histories [][]porcupine.Operation, restarts int) {
	t.Helper()
	var all []porcupine.Operation
	unknown := 0
	for _, h := range histories {
		for _, op := range h {
			if op.Output.(keyResult).unknown {
				unknown++
			}
		}
		all = append(all, h...)
	}
	t.Logf("%d operations, %d of unknown outcome, %d rounds of faults", len(all), unknown, restarts)
	switch result := porcupine.CheckOperationsTimeout(keyModel, all, 20*time.Second); result {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Log("the checker gave up")
	default:
		for _, op := range all {
			t.Logf("%d [%d, %d] %+v -> %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
		}
		t.Error("the history is not linearizable")
	}
}

// TestConditionalWritesHaveOneWinner lets many clients create one key, and then
// replace the same version of it.
func TestConditionalWritesHaveOneWinner(t *testing.T) {
	_, e := newEngine(t, 6)
	race := func(cond gateway.WriteCondition, size int) (winner int) {
		t.Helper()
		var wins, losses atomic.Int64
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				data := body(uint64(i), size)
				_, err := e.Put(t.Context(), gateway.PutRequest{Bucket: "b", Key: "k", Body: bytes.NewReader(data), Size: int64(size), If: cond})
				var refused *gateway.PreconditionError
				switch {
				case err == nil:
					wins.Add(1)
					winner = i
				case errors.As(err, &refused):
					losses.Add(1)
				default:
					t.Errorf("put = %v", err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 || losses.Load() != 23 {
			t.Fatalf("%+v: %d winners and %d losers, want 1 and 23", cond, wins.Load(), losses.Load())
		}
		return winner
	}
	for _, size := range []int{100, 200_000} {
		for _, replace := range []bool{false, true} {
			cond := gateway.WriteCondition{IfNoneMatch: true}
			if replace {
				cond = gateway.WriteCondition{IfMatch: put(t, e, "k", []byte("before")).Version.ETag}
			} else if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "k"}); err != nil {
				t.Fatal(err)
			}
			winner := race(cond, size)
			if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, body(uint64(winner), size)) {
				t.Error("the winner's object is not there")
			}
		}
	}
}
