package shardstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
	"github.com/cairn-store/cairn/storagenode/shardstore"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

var owner = storetest.NewOwner(cairn.NodeID{1}, 1)

// smallLogs makes logs roll over, seal and compact within a short test.
func smallLogs(fs durable.FS) shardstore.Config {
	return shardstore.Config{Dir: "/vol/store", FS: fs, LogBytes: 192 << 10, PunchBytes: 32 << 10, MinFreeBytes: 1, IndexCacheBytes: 1 << 20}
}

func put(s *shardstore.Store, r storetest.Record) error {
	up, err := s.Begin(r.Tail.Header, len(r.Tail.Manifest)+500)
	if err != nil {
		return err
	}
	defer up.Abort()
	if err := up.Write(r.Payload); err != nil {
		return err
	}
	return up.Commit(context.Background(), r.Upload())
}

func putSmall(s *shardstore.Store, r storetest.Record) error {
	return s.PutRecord(context.Background(), r.Tail, r.Bytes())
}

// check returns an error unless the store serves r byte for byte.
func check(s *shardstore.Store, r storetest.Record) error {
	buf := make([]byte, len(r.Payload))
	if err := s.Read(owner.Tag(), r.ID(), 0, buf); err != nil {
		return err
	}
	if string(buf) != string(r.Payload) {
		return fmt.Errorf("payload of %v differs", r.ID())
	}
	tail, err := s.Tail(owner.Tag(), r.ID())
	if err != nil {
		return err
	}
	if !storetest.SameTail(tail, r.Tail) {
		return fmt.Errorf("tail of %v differs", r.ID())
	}
	return s.Verify(r.ID())
}

// model is what the client of a store knows: what each shard's fate was when
// it last heard of it.
type model struct {
	mu      sync.Mutex
	state   map[uint64]fate
	changes map[uint64]int // how often the fate changed
	records map[uint64]storetest.Record
}

type fate int

const (
	never  fate = iota // not here, for certain
	kept               // put was acknowledged
	gone               // delete was acknowledged
	unsure             // asked for, not answered
	dying              // delete asked for, not answered
)

func newModel() *model {
	return &model{state: map[uint64]fate{}, changes: map[uint64]int{}, records: map[uint64]storetest.Record{}}
}

func (m *model) record(n uint64) storetest.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[n]
	if !ok {
		sizes := []int{0, 700, 4000, 20_000, 70_000, 150_000}
		size := sizes[n%uint64(len(sizes))]
		if n%31 == 7 {
			size = 1_300_000 // more than an upload buffer, and than a log
		}
		r = owner.Record(n, size, int(n%400))
		m.records[n] = r
	}
	return r
}

func (m *model) get(n uint64) fate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state[n]
}

func (m *model) set(n uint64, f fate) {
	m.mu.Lock()
	m.state[n] = f
	m.changes[n]++
	m.mu.Unlock()
}

func (m *model) snapshot() (state map[uint64]fate, changes map[uint64]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.state), maps.Clone(m.changes)
}

// around returns the fates that were certain while take ran; where something
// was asked for meanwhile, nothing is.
func (m *model) around(take func()) map[uint64]fate {
	_, before := m.snapshot()
	take()
	state, after := m.snapshot()
	for n := range state {
		if before[n] != after[n] {
			state[n] = unsure
		}
	}
	return state
}

// work runs random operations on shards n with n%workers == w until the store
// stops or ops are used up.
func (m *model) work(s *shardstore.Store, rng *rand.Rand, w, workers uint64, ops int) {
	for range ops {
		n := rng.Uint64N(24)*workers + w
		r := m.record(n)
		var err error
		switch was := m.get(n); {
		case rng.IntN(3) == 0 && (was == kept || was == unsure):
			m.set(n, dying)
			if _, _, err = s.Delete(context.Background(), owner.Tag(), []cairn.ShardID{r.ID()}, time.Unix(1, 0)); err == nil {
				m.set(n, gone)
			}
		case was == kept && rng.IntN(8) == 0:
			err = check(s, r)
		case was != kept && rng.IntN(8) == 0:
			err = giveUpHalfway(s, r)
		case was == kept:
		default:
			m.set(n, unsure)
			if n%2 == 0 || len(r.Payload) > 100_000 {
				err = put(s, r)
			} else {
				err = putSmall(s, r)
			}
			if err == nil {
				m.set(n, kept)
			}
		}
		if err != nil {
			return
		}
	}
}

func giveUpHalfway(s *shardstore.Store, r storetest.Record) error {
	up, err := s.Begin(r.Tail.Header, len(r.Tail.Manifest))
	if err != nil {
		return err
	}
	defer up.Abort()
	return up.Write(r.Payload[:len(r.Payload)/2])
}

// verify returns what the store lost or resurrected, by the fates known before
// the crash.
func (m *model) verify(s *shardstore.Store) (lost []error) {
	before, _ := m.snapshot()
	listed := map[cairn.ShardID]bool{}
	var after cairn.ShardID
	for {
		page, err := s.List(owner.Tag(), after, 7)
		if err != nil {
			return []error{err}
		}
		for _, e := range page.Entries {
			listed[e.Shard] = true
			after = e.Shard
		}
		if !page.More {
			break
		}
	}
	for n, f := range before {
		r := m.record(n)
		err := check(s, r)
		switch {
		case f == kept && err != nil:
			lost = append(lost, fmt.Errorf("acknowledged shard %d is lost: %w", n, err))
		case f == gone && !errors.Is(err, cairn.NotFound):
			lost = append(lost, fmt.Errorf("deleted shard %d is back: %v", n, err))
		case (f == unsure || f == dying) && err != nil && !errors.Is(err, cairn.NotFound):
			lost = append(lost, fmt.Errorf("shard %d is half there: %w", n, err))
		case listed[r.ID()] != (err == nil):
			lost = append(lost, fmt.Errorf("shard %d: listed %v, read %v", n, listed[r.ID()], err))
		}
		delete(listed, r.ID())
		switch { // what is known now
		case err == nil:
			m.set(n, kept)
		case f != gone:
			m.set(n, never)
		}
	}
	if len(listed) > 0 {
		lost = append(lost, fmt.Errorf("%d shards listed that nobody stored", len(listed)))
	}
	return lost
}

// crashRun works on a store, cuts the power at a random moment, opens what is
// left, and does that a few times over. It returns what was lost.
func crashRun(t *testing.T, seed uint64, forget bool) (lost []error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	fs := durable.NewMemFS()
	if err := durable.MakeDir(fs, "/vol"); err != nil {
		t.Fatal(err)
	}
	m := newModel()
	for round := range 3 {
		if forget {
			fs.ForgetSyncs()
		}
		s, err := shardstore.Open(smallLogs(fs))
		if err != nil {
			return append(lost, fmt.Errorf("round %d: %w", round, err))
		}
		if round > 0 {
			if lost := m.verify(s); len(lost) > 0 {
				_ = s.Close()
				return lost
			}
		}
		after, before := cutPower(s, fs, m, rng)
		if err := s.Close(); err != nil {
			t.Logf("seed %d: close of the store that goes on without us: %v", seed, err)
		}
		if rng.IntN(4) == 0 { // the index is lost with it
			removeTree(t, after, "/vol/store/index")
		}
		fs = after
		m.mu.Lock()
		m.state = before
		m.mu.Unlock()
	}
	s, err := shardstore.Open(smallLogs(fs))
	if err != nil {
		return append(lost, fmt.Errorf("last open: %w", err))
	}
	lost = m.verify(s)
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if st.UsedBytes < 0 || st.HeldBytes < st.UsedBytes {
		lost = append(lost, fmt.Errorf("account: %d bytes used, %d held", st.UsedBytes, st.HeldBytes))
	}
	if err := s.Close(); err != nil {
		lost = append(lost, err)
	}
	return lost
}

// cutPower works on a store with three hands and a compactor, and takes what a
// crash leaves after a random number of syncs. It returns that, and the fates
// that were known just before.
func cutPower(s *shardstore.Store, fs *durable.MemFS, m *model, rng *rand.Rand) (*durable.MemFS, map[uint64]fate) {
	type cut struct {
		fs     *durable.MemFS
		before map[uint64]fate
	}
	at := 1 + rng.IntN(120)
	crashSeed := rng.Uint64()
	reached := make(chan struct{})
	ops := 0
	fs.SetHook(func(op, name string) error {
		if ops++; ops == at*4 {
			close(reached)
		}
		return nil
	})
	cuts := make(chan cut, 1)
	done := make(chan struct{})
	take := func() (c cut) {
		c.before = m.around(func() { c.fs = fs.Crash(rand.New(rand.NewPCG(crashSeed, 1))) })
		return c
	}
	go func() {
		select {
		case <-reached:
		case <-done:
		}
		cuts <- take()
	}()
	var hands sync.WaitGroup
	const workers = 3
	for w := range uint64(workers) {
		hands.Go(func() { m.work(s, rand.New(rand.NewPCG(crashSeed, w)), w, workers, 60) })
	}
	compactions := make(chan struct{})
	stop, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(compactions)
		for stop.Err() == nil {
			if s.Compact(stop) != nil {
				return
			}
			select {
			case <-time.After(time.Millisecond):
			case <-stop.Done():
			}
		}
	}()
	hands.Wait()
	cancel()
	<-compactions
	close(done)
	c := <-cuts
	return c.fs, c.before
}

func removeTree(t *testing.T, fs durable.FS, name string) {
	t.Helper()
	names, err := fs.List(name)
	if err != nil {
		return // not there
	}
	for _, n := range names {
		if err := fs.Remove(name + "/" + n); err != nil {
			removeTree(t, fs, name+"/"+n)
		}
	}
	if err := fs.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func runs(t *testing.T, short, full int) int {
	if v := os.Getenv("CAIRN_CRASH_RUNS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return full
}

func firstSeed(t *testing.T) uint64 {
	if v := os.Getenv("CAIRN_CRASH_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return rand.Uint64N(1 << 40)
}

func TestNoAcknowledgedWriteIsLostInACrash(t *testing.T) {
	seed := firstSeed(t)
	n := runs(t, 20, 200)
	t.Logf("%d runs from seed %d (CAIRN_CRASH_SEED, CAIRN_CRASH_RUNS)", n, seed)
	for i := range uint64(n) {
		if lost := crashRun(t, seed+i, false); len(lost) > 0 {
			t.Fatalf("seed %d: %v", seed+i, errors.Join(lost...))
		}
	}
}

// TestTheCrashTestCanFail shows that a store on a disk that lies about syncs
// does lose, and that the test above would see it.
func TestTheCrashTestCanFail(t *testing.T) {
	failures := 0
	for i := range uint64(10) {
		if lost := crashRun(t, 1000+i, true); len(lost) > 0 {
			failures++
		}
	}
	t.Logf("%d of 10 runs without syncs lost something", failures)
	if failures == 0 {
		t.Error("no run without syncs lost anything: the crash test proves nothing")
	}
}
