package process

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cairn-store/cairn/e2e/harness"
)

// putMany stores count objects of size bytes each below prefix.
func (s *story) putMany(prefix string, count int, size int64) {
	s.t.Helper()
	var keys []string
	objects := map[string]*object{}
	random := rand.New(rand.NewPCG(s.seed, uint64(len(prefix))))
	for i := range count {
		key := fmt.Sprintf("%s%04d", prefix, i)
		keys = append(keys, key)
		objects[key] = s.m.fresh(random, size)
	}
	s.each(keys, func(key string) error {
		ctx, cancel := opContext()
		defer cancel()
		return s.put(ctx, key, objects[key])
	})
}

func TestNodesComeAndGoWithoutAGatewayRestart(t *testing.T) {
	long(t)
	t.Parallel() // it waits more than it works
	s := begin(t, harness.Options{Nodes: 5})
	gateway := s.Gateway.PID()
	s.step("a new node takes shards", func(t *testing.T) {
		s.putMany("before/", 20, 200<<10)
		i := s.AddNode("")
		s.WaitNodes(6)
		s.putMany("joined/", 40, 200<<10)
		harness.Eventually(t, opLimit, "new node keeps shards", func() error {
			st, err := s.NodeStatus(i)
			if err == nil && st.Shards == 0 {
				err = fmt.Errorf("it keeps none: %+v", st)
			}
			return err
		})
	})
	s.step("a dead node is noticed though nobody asks it for anything", func(t *testing.T) {
		s.KillNode(2)
		s.KillNode(3)
		s.WaitNodes(4)
		s.verify(t)
	})
	s.step("a node that returns is noticed, too", func(t *testing.T) {
		s.StartNode(2)
		s.StartNode(3)
		s.WaitNodes(6)
		s.verify(t)
	})
	if pid := s.Gateway.PID(); pid != gateway || !s.Gateway.Running() {
		t.Errorf("the gateway was process %d, is %d", gateway, pid)
	}
}

// TestGatewayServesWithoutTheNodesItJoinedThrough restarts a gateway when none
// of its --join addresses answers, and when no node at all does.
func TestGatewayServesWithoutTheNodesItJoinedThrough(t *testing.T) {
	s := begin(t, harness.Options{})
	s.putMany("k/", 30, 100<<10)
	s.step("both nodes to join at are down", func(t *testing.T) {
		s.StopGateway()
		s.KillNode(0)
		s.KillNode(1)
		s.StartGateway()
		s.connect()
		s.verify(t)
		s.putMany("fewer/", 10, 300<<10)
		s.verify(t)
	})
	s.step("no node answers", func(t *testing.T) {
		s.KillGateway()
		for i := 2; i < 6; i++ {
			s.KillNode(i)
		}
		s.LaunchGateway()
		s.WaitGateway("/readyz")
		s.connect()
		s.verifyListing(t, "")
		s.refusesCleanly(t)
	})
	s.step("and when they are back, nobody has to be told", func(t *testing.T) {
		for i := range s.Nodes {
			s.StartNode(i)
		}
		s.WaitNodes(6)
		s.WaitGateway("/readyz?write")
		s.putMany("again/", 10, 300<<10)
		s.verify(t)
	})
}

// refusesCleanly wants 503 for what cannot be done, soon.
func (s *story) refusesCleanly(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := s.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("new"), Body: bytes.NewReader(make([]byte, 300<<10)),
	})
	if code := s3Code(err); code != "SlowDown" && code != "ServiceUnavailable" {
		t.Errorf("put without nodes: %v, want SlowDown or ServiceUnavailable", err)
	}
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k/0000")})
	if err == nil {
		n, readErr := new(bytes.Buffer).ReadFrom(out.Body)
		_ = out.Body.Close() // the read says what there is to say
		t.Logf("get without nodes: %d bytes, then %v", n, readErr)
		if readErr == nil {
			t.Error("get without nodes succeeded")
		}
	} else if code := s3Code(err); code != "SlowDown" && code != "ServiceUnavailable" {
		t.Errorf("get without nodes: %v, want SlowDown or ServiceUnavailable", err)
	}
	if s.checkAbsent("new") != nil {
		t.Error("the object that was refused is there")
	}
}

func TestAFullNodeIsPassedOver(t *testing.T) {
	long(t)
	s := begin(t, harness.Options{Nodes: 5})
	const capacity = 12 << 20
	tiny := s.AddNode("12MiB") // the sixth domain, wanted by every segment
	s.WaitNodes(6)
	s.putMany("k/", 120, 1<<20) // a quarter of each, twice what fits
	harness.Eventually(t, opLimit, "the node is about full", func() error {
		st, err := s.NodeStatus(tiny)
		if err == nil && st.UsedBytes > capacity {
			t.Fatalf("a node of %d bytes keeps %d", capacity, st.UsedBytes)
		}
		if err == nil && st.UsedBytes < capacity*3/4 {
			err = fmt.Errorf("%+v", st)
		}
		return err
	})
	s.verify(t)
	for _, i := range []int{0, 3} {
		s.KillNode(i)
	}
	s.verify(t)
}

// TestANodeKeepsWhatItAcknowledged kills one node after the other during
// writes; in the end two that were never killed vanish.
func TestANodeKeepsWhatItAcknowledged(t *testing.T) {
	s := begin(t, harness.Options{})
	rounds := []int{1, 2, 3, 4}
	if testing.Short() {
		rounds = rounds[:2]
	}
	for _, i := range rounds {
		stop, ended := make(chan struct{}), make(chan struct{})
		after := s.m.nextID
		go func() {
			defer close(ended)
			s.write(fmt.Sprintf("round%d", i), 100000, stop, false)
		}()
		harness.Eventually(t, opLimit, "writers have written", func() error { return s.m.reached(after + 25) })
		s.KillNode(i)
		harness.Eventually(t, opLimit, "writers go on", func() error { return s.m.reached(after + 60) })
		s.StartNode(i)
		close(stop)
		<-ended
		s.WaitNodes(6)
	}
	s.KillNode(0)
	s.KillNode(5)
	s.verify(t)
}

func TestDeletedObjectsGiveTheirSpaceBack(t *testing.T) {
	long(t)
	t.Parallel() // it waits more than it works
	s := begin(t, harness.Options{})
	s.putMany("large/", 30, 4<<20)
	s.putMany("small/", 100, 20<<10)
	var shards, disk int64
	harness.Eventually(t, opLimit, "nodes count what was stored", func() (err error) {
		if shards, disk, err = s.Stored(); err == nil && shards < 30*6+100*4 {
			err = fmt.Errorf("%d shards", shards)
		}
		return err
	})
	s.each(s.m.keys(), func(key string) error {
		ctx, cancel := opContext()
		defer cancel()
		return s.remove(ctx, key)
	})
	harness.Eventually(t, opLimit, "space returns", func() error {
		left, diskLeft, err := s.Stored()
		// What stays are tombstones on three nodes each and the bucket's
		// record; on disk, logs that were allocated ahead.
		if err == nil && (left > 130*3+3 || disk-diskLeft < 30*4<<20*3/2*9/10) {
			err = fmt.Errorf("%d of %d shards, %d of %d MiB of disk", left, shards, diskLeft>>20, disk>>20)
		}
		return err
	})
	s.verify(t)
}
