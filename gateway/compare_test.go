package gateway_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/refmodel"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
	"github.com/cairn-store/cairn/internal/testnet"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

// minPart keeps the parts of random uploads small.
const minPart = 1000

func comparedEngine() gateway.Config {
	return gateway.Config{MinPart: minPart, GarbageGrace: time.Nanosecond, CollectInterval: 20 * time.Millisecond, RequestTimeout: 2 * time.Second}
}

func model() s3api.Store { return refmodel.New(refmodel.Config{MinPart: minPart}) }

func compareSteps(t *testing.T) int {
	if testing.Short() {
		return 150
	}
	return 1200
}

func TestTheEngineDoesWhatTheModelDoes(t *testing.T) {
	for range 2 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		m := testnet.NewMem(t, 6)
		e, _ := m.Engine(t, comparedEngine())
		apitest.Compare(t, seed, compareSteps(t), model(), e, apitest.MinPart(minPart))
	}
}

func TestTheEngineDoesWhatTheModelDoesAcrossRestarts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := testnet.NewMem(t, 6)
	e, stop := m.Engine(t, comparedEngine())
	rnd := rand.New(rand.NewPCG(seed, 1))
	apitest.Compare(t, seed, compareSteps(t), model(), e, apitest.MinPart(minPart), apitest.MaxSize(300_000),
		apitest.Reopen(func(int) s3api.Store {
			if rnd.IntN(10) > 0 {
				return nil
			}
			stop()
			var again *gateway.Engine
			again, stop = m.Engine(t, comparedEngine())
			return again
		}))
}

// TestTheEngineDoesWhatTheModelDoesWithTwoNodesAtFault lets up to two nodes at
// a time be down, corrupt or forgetful: every answer must still be right.
func TestTheEngineDoesWhatTheModelDoesWithTwoNodesAtFault(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := testnet.NewMem(t, 8)
	e, _ := m.Engine(t, comparedEngine())
	rnd := rand.New(rand.NewPCG(seed, 2))
	var sick []*memnode.Node
	heal := func() {
		for _, n := range sick {
			n.SetDown(false)
			n.CorruptReads(false)
			n.SetFull(false)
			n.Before(nil)
			n.After(nil)
		}
		sick = nil
	}
	apitest.Compare(t, seed, compareSteps(t), model(), e, apitest.MinPart(minPart), apitest.MaxSize(5<<20),
		apitest.Before(func(int, string) {
			if rnd.IntN(4) > 0 {
				return
			}
			heal()
			for _, i := range rnd.Perm(len(m.Nodes))[:rnd.IntN(3)] {
				n := m.Nodes[i]
				sick = append(sick, n)
				switch rnd.IntN(5) {
				case 0:
					n.SetDown(true)
				case 1:
					n.CorruptReads(true)
				case 2:
					n.SetFull(true)
				case 3:
					n.Before(memnode.FailNth(1+rnd.IntN(3), memnode.OpWrite, memnode.OpPutRecord, memnode.OpCommit))
				case 4:
					n.After(memnode.FailNth(1+rnd.IntN(2), memnode.OpCommit, memnode.OpPutRecord))
				}
			}
		}))
}

// TestTheEngineAnswersFaultsItCannotHideCleanly takes so many nodes away that
// operations fail: they must fail with a kind, and have happened or not.
func TestTheEngineAnswersFaultsItCannotHideCleanly(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := testnet.NewMem(t, 6)
	e, _ := m.Engine(t, comparedEngine())
	rnd := rand.New(rand.NewPCG(seed, 3))
	heal := func() {
		for _, n := range m.Nodes {
			n.SetDown(false)
			n.Before(nil)
		}
	}
	tolerated := func(err error) bool {
		return errors.Is(err, cairn.Unavailable) || errors.Is(err, cairn.Full)
	}
	apitest.Compare(t, seed, compareSteps(t)/2, model(), e, apitest.MinPart(minPart), apitest.MaxSize(300_000),
		apitest.Tolerate(tolerated, heal),
		apitest.Before(func(int, string) {
			heal()
			if rnd.IntN(3) > 0 {
				return
			}
			for _, i := range rnd.Perm(len(m.Nodes))[:3+rnd.IntN(3)] {
				if rnd.IntN(2) == 0 {
					m.Nodes[i].SetDown(true)
				} else {
					m.Nodes[i].Before(memnode.FailNth(1+rnd.IntN(2), memnode.OpWrite, memnode.OpPutRecord, memnode.OpCommit))
				}
			}
		}))
}
