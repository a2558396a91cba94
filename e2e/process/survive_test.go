package process

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cairn-store/cairn/e2e/harness"
)

// TestNothingAcknowledgedIsEverLost is the life of one owner's data: nodes
// die, the gateway dies, its directory is deleted, shards rot.
func TestNothingAcknowledgedIsEverLost(t *testing.T) {
	changes := 600 // makes about 500 objects
	if testing.Short() {
		changes = 120
	}
	s := begin(t, harness.Options{})
	s.step("mixed objects are written and read back", func(t *testing.T) {
		s.write("write", changes, nil, false)
		s.verify(t)
	})
	s.step("two nodes are killed and everything reads back", func(t *testing.T) {
		s.KillNode(1)
		s.KillNode(4)
		s.verify(t)
	})
	s.step("new writes keep their tolerance with two nodes dead", s.writesWithTwoDead)
	s.step("the gateway is killed during writes", func(t *testing.T) {
		for range 3 {
			s.killGatewayDuringWrites(t)
		}
		s.verify(t)
	})
	s.step("the gateway's directory is deleted and recovered", func(t *testing.T) {
		if v := s.loseGateway(t, "recovered1", 0); v.Lost != 0 {
			t.Errorf("recover: %d lost, want none", v.Lost)
		}
		s.verify(t)
	})
	s.step("and once more with two nodes dead", func(t *testing.T) {
		s.write("between", changes/8, nil, false)
		s.KillNode(0)
		s.KillNode(3)
		if v := s.loseGateway(t, "recovered2", 2); v.Lost != 0 {
			t.Errorf("recover: %d lost, want none", v.Lost)
		}
		s.verify(t)
		s.StartNode(0)
		s.StartNode(3)
		s.WaitNodes(len(s.Nodes))
	})
	s.step("and once more with every twentieth shard damaged", func(t *testing.T) {
		s.write("after", changes/8, nil, false)
		damaged, stored := s.CorruptShards(0.05, s.seed)
		t.Logf("damaged %d of %d shards", damaged, stored)
		if damaged == 0 {
			t.Fatal("no shard was damaged")
		}
		s.verify(t) // by the gateway that wrote them
		// Lost may be what was superseded or half deleted: of that, a node that
		// was away can have kept the only copy, and that one may be damaged.
		s.loseGateway(t, "recovered3", 0)
		s.verify(t)
	})
}

// writesWithTwoDead writes with four nodes left and then kills two more: what
// was written now needs only the last two. All four come back afterwards.
func (s *story) writesWithTwoDead(t *testing.T) {
	before := s.m
	s.m = newModel()
	s.m.nextID = before.nextID
	s.write("fewer", 60, nil, false)
	s.KillNode(2)
	s.KillNode(5)
	s.each(s.m.keys(), s.checkObject)
	for _, i := range []int{1, 2, 4, 5} {
		s.StartNode(i)
	}
	s.WaitNodes(len(s.Nodes))
	for key, o := range s.m.objects {
		before.objects[key] = o
	}
	for key := range s.m.deleted {
		before.deleted[key] = true
	}
	before.nextID = s.m.nextID
	s.m = before
	s.verify(t)
}

// killGatewayDuringWrites kills the gateway once a random number of changes
// were acknowledged, starts it again and settles what was under way.
func (s *story) killGatewayDuringWrites(t *testing.T) {
	t.Helper()
	random := rand.New(rand.NewPCG(s.seed, s.m.nextID))
	after := s.m.nextID + 20 + random.Uint64N(30)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.write("killed-"+time.Duration(after).String(), 100000, nil, true)
	}()
	harness.Eventually(t, opLimit, "writers have written", func() error { return s.m.reached(after) })
	s.KillGateway()
	<-ended
	s.StartGateway()
	s.connect()
	s.resolve(t)
	s.WaitUndone()
}

// loseGateway kills the gateway, deletes its directory and recovers it into
// dir. dead is how many nodes do not answer.
func (s *story) loseGateway(t *testing.T, dir string, dead int) harness.Verdict {
	t.Helper()
	s.KillGateway()
	s.RemoveGatewayDir()
	began := time.Now()
	v := s.Recover(dir)
	t.Logf("recovered in %.1fs: %+v", time.Since(began).Seconds(), v)
	if want := int64(len(s.m.keys())); v.Objects != want || v.Unreadable != 0 || v.Undecided != 0 || v.Buckets != 1 {
		t.Errorf("recover: %d objects in %d buckets, %d unreadable, %d undecided, want %d in 1, none, none",
			v.Objects, v.Buckets, v.Unreadable, v.Undecided, want)
	}
	if v.DeletionsMayBeHidden {
		t.Error("recover: deletions may be hidden, though fewer nodes are missing than tombstones have copies")
	}
	if v.Bytes != s.m.bytes() {
		t.Errorf("recover: %d bytes, want %d", v.Bytes, s.m.bytes())
	}
	s.StartGateway()
	s.connect()
	s.WaitNodes(len(s.Nodes) - dead)
	return v
}
