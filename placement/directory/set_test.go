package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/placement"
)

// clock is a wall clock that moves when told.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// still returns a directory that is not running, so that nothing but the test
// changes it.
func still(t *testing.T, c Config) (*Directory, *clock) {
	t.Helper()
	cl := &clock{testTime}
	c.Now = cl.now
	c.Checker = func(context.Context, Record) (Status, error) { return Status{}, errors.New("never called") }
	d, err := New(&Host{network: testNetwork, id: testID("self"), key: testKey("self")}, c)
	if err != nil {
		t.Fatal(err)
	}
	return d, cl
}

func TestOnlyNewerRecordsReplaceKnownOnes(t *testing.T) {
	d, cl := still(t, Config{})
	first := signed(t, "a", 5, testTime, nil)
	if err := d.Offer(first); err != nil {
		t.Fatal(err)
	}
	forged := signed(t, "a", 9, testTime, nil)
	forged[len(forged)-1] ^= 1
	for name, tc := range map[string]struct {
		raw  []byte
		kind error
	}{
		"the same":         {first, cairn.Exists},
		"an older one":     {signed(t, "a", 4, testTime, nil), cairn.Exists},
		"another of equal": {signed(t, "a", 5, testTime, func(r *Record) { r.Operator = "x" }), cairn.Exists},
		"a forged one":     {forged, cairn.Corrupt},
		"an expired one":   {signed(t, "a", 9, testTime.Add(-time.Hour), nil), cairn.Denied},
		"a foreign one":    {signed(t, "a", 9, testTime, func(r *Record) { r.Network = "else" }), cairn.Invalid},
	} {
		if err := d.Offer(tc.raw); !errors.Is(err, tc.kind) {
			t.Errorf("%s: %v, want %v", name, err, tc.kind)
		}
	}
	if r, ok := d.Lookup(testID("a")); !ok || r.Seq != 5 || r.Operator != "" {
		t.Errorf("Lookup = %+v, %v", r, ok)
	}
	cl.t = cl.t.Add(time.Minute)
	if err := d.Offer(signed(t, "a", 6, cl.t, func(r *Record) { r.Operator = "new" })); err != nil {
		t.Fatal(err)
	}
	if r, _ := d.Lookup(testID("a")); r.Seq != 6 || r.Operator != "new" {
		t.Errorf("the newer record was not taken: %+v", r)
	}
}

func TestLivenessFollowsCheckInsAndTheDataPath(t *testing.T) {
	d, cl := still(t, Config{})
	id := testID("a")
	if err := d.Offer(signed(t, "a", 1, testTime, nil)); err != nil {
		t.Fatal(err)
	}
	notify, cancel := d.Subscribe()
	defer cancel()
	answer, failure := Status{RTT: time.Millisecond, CapacityBytes: 100, FreeBytes: 40}, errors.New("connection refused")
	var result error
	d.c.Checker = func(context.Context, Record) (Status, error) { return answer, result }
	check := func(err error) {
		result = err
		d.check(t.Context(), Record{NodeID: id})
	}
	steps := []struct {
		what   string
		do     func()
		want   Liveness
		state  placement.State
		silent bool // no change to be told of
	}{
		{"learned", func() {}, Suspect, placement.Down, true},
		{"check-in works", func() { check(nil) }, Alive, placement.Active, false},
		{"works again", func() { check(nil) }, Alive, placement.Active, true},
		{"fails once", func() { check(failure) }, Suspect, placement.Down, false},
		{"fails twice", func() { check(failure) }, Down, placement.Down, false},
		{"data path works", func() { d.MarkOK(id) }, Alive, placement.Active, false},
		{"a race is lost", func() { d.MarkFailed(id, fmt.Errorf("read: %w", context.Canceled)) }, Alive, placement.Active, true},
		{"a shard is missing", func() { d.MarkFailed(id, cairn.NotFound) }, Alive, placement.Active, true},
		{"data path fails", func() { d.MarkFailed(id, cairn.Unavailable) }, Suspect, placement.Down, false},
		{"check-in fails too", func() { check(failure) }, Down, placement.Down, false},
		{"it comes back", func() { check(nil) }, Alive, placement.Active, false},
		{"it leaves", func() { answer.Draining = true; check(nil) }, Alive, placement.Draining, true},
		{"it is silent past its record", func() { check(failure); cl.t = cl.t.Add(2 * time.Hour) }, Gone, placement.Gone, false},
		{"it answers after all", func() { answer.Draining = false; check(nil) }, Alive, placement.Active, false},
	}
	for _, s := range steps {
		select {
		case <-notify:
		default:
		}
		s.do()
		told := false
		select {
		case <-notify:
			told = true
		default:
		}
		node, ok := d.Node(id)
		c := d.Candidates()[0]
		if !ok || node.Liveness != s.want || c.State != s.state || told == s.silent {
			t.Fatalf("%s: %v (%q), candidate %v, told %v; want %v, %v, told %v", s.what, node.Liveness, node.Reason, c.State, told, s.want, s.state, !s.silent)
		}
		if (c.Reason == "") != (c.State == placement.Active) {
			t.Errorf("%s: state %v with reason %q", s.what, c.State, c.Reason)
		}
	}
	if node, _ := d.Node(id); node.Free != 40 || node.Capacity != 100 || node.RTT != time.Millisecond {
		t.Errorf("check-in's figures not taken: %+v", node)
	}
	d.MarkFailed(id, cairn.Full)
	if c := d.Candidates()[0]; c.FreeBytes != 0 || c.State != placement.Active {
		t.Errorf("full node: %d bytes free, %v", c.FreeBytes, c.State)
	}
}

func TestNodeThatAnswersButFailsWorkIsTrustedLessAndLess(t *testing.T) {
	d, cl := still(t, Config{})
	id := testID("a")
	if err := d.Offer(signed(t, "a", 1, testTime, nil)); err != nil {
		t.Fatal(err)
	}
	d.c.Checker = func(context.Context, Record) (Status, error) { return Status{}, nil }
	check := func() { d.check(t.Context(), Record{NodeID: id}) }
	check()
	var held []time.Duration
	for range 4 {
		d.MarkFailed(id, cairn.Unavailable)
		start := cl.t
		for check(); ; check() {
			if n, _ := d.Node(id); n.Liveness == Alive {
				break
			}
			cl.t = cl.t.Add(10 * time.Millisecond)
		}
		held = append(held, cl.t.Sub(start))
	}
	if held[0] != 0 || held[1] == 0 || held[2] < 2*held[1] || held[3] < 2*held[2] {
		t.Errorf("held back for %v, want nothing and then doubling", held)
	}
}

func TestFullSetForgetsWhoNeverAnswered(t *testing.T) {
	d, cl := still(t, Config{MaxNodes: 4})
	ok := func(name string) { d.MarkOK(testID(name)) }
	for i := range 4 {
		if err := d.Offer(signed(t, nodeName(i), 1, testTime, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Offer(signed(t, "extra", 1, testTime, nil)); !errors.Is(err, cairn.Full) {
		t.Fatalf("before anybody had a chance to answer: %v, want Full", err)
	}
	ok(nodeName(0))
	ok(nodeName(1))
	d.c.Checker = func(context.Context, Record) (Status, error) { return Status{}, errors.New("refused") }
	for _, i := range []int{1, 2, 3} {
		d.check(t.Context(), Record{NodeID: testID(nodeName(i))})
	}
	for i := range 2 { // nodes 2 and 3 make room
		if err := d.Offer(signed(t, fmt.Sprint("extra ", i), 1, cl.t, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Offer(signed(t, "one more", 1, cl.t, nil)); !errors.Is(err, cairn.Full) {
		t.Errorf("a node that answered once was forgotten for a stranger: %v", err)
	}
	for _, name := range []string{nodeName(0), nodeName(1), "extra 0", "extra 1"} {
		if _, known := d.Lookup(testID(name)); !known {
			t.Errorf("%s is forgotten", name)
		}
	}
}

func TestOwnRecordIsRenewedInTimeAndOutdoesItsForebears(t *testing.T) {
	free := int64(1 << 39)
	d, cl := still(t, Config{Lifetime: 3 * time.Hour, Self: func() Record {
		return Record{Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"}, CapacityBytes: 1 << 40, FreeBytes: free}
	}})
	renew := func(want bool) Record {
		t.Helper()
		got, err := d.renewSelf()
		if err != nil || got != want {
			t.Fatalf("renewed %v (%v), want %v", got, err, want)
		}
		r, err := Verify(d.selfRaw(), testNetwork, cl.t)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := renew(true)
	renew(false)
	cl.t = cl.t.Add(time.Hour)
	second := renew(true)
	if second.Seq <= first.Seq || !second.Expires.After(first.Expires) {
		t.Errorf("renewed as %+v after %+v", second, first)
	}
	free -= 1 << 37
	renew(true)
	// A record of ours from a clock that ran ahead.
	ahead := signed(t, "self", 1<<63, cl.t, nil)
	if err := d.Offer(ahead); !errors.Is(err, cairn.Exists) {
		t.Errorf("our own record offered: %v, want Exists", err)
	}
	if r := renew(true); r.Seq != 1<<63+1 {
		t.Errorf("sequence %d, want one more than the record seen", r.Seq)
	}
	cl.t = cl.t.Add(-30 * time.Minute) // the clock steps back
	if r := renew(true); r.Seq <= 1<<63+1 {
		t.Errorf("sequence %d after the clock stepped back", r.Seq)
	}
}

func TestPagesListEveryValidRecordOnce(t *testing.T) {
	d, cl := still(t, Config{})
	for i := range 25 {
		at := testTime
		if i%5 == 0 {
			at = at.Add(-50 * time.Minute) // expires first
		}
		if err := d.Offer(signed(t, nodeName(i), 1, at, nil)); err != nil {
			t.Fatal(err)
		}
	}
	cl.t = cl.t.Add(15 * time.Minute)
	var all []header
	for after, more := (cairn.NodeID{}), true; more; {
		var page []header
		page, more = d.headers(after, 7)
		if _, err := splitHeaders(appendHeaders(nil, page), after); err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		after = page[len(page)-1].id
	}
	if len(all) != 20 {
		t.Errorf("%d records listed, want 20", len(all))
	}
	if d.lacks(all) != nil {
		t.Error("lacks what it lists")
	}
	same := append([]byte{opList}, make([]byte, 64)...)
	digest := d.digest()
	copy(same[1:], digest[:])
	if reply, err := d.reply(same, ""); err != nil || !bytes.Equal(reply, []byte{listSame, 0, 0}) {
		t.Errorf("asked with its own digest: %x, %v", reply, err)
	}
}

func TestSubnetIsThatOfAPublicAddressOnly(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:1": "", "10.1.2.3:1": "", "[fe80::1]:1": "", "node.example:1": "",
		"203.0.113.77:1": "203.0.113.0/24", "[2001:db8:1:2::3]:1": "2001:db8:1::/48",
	} {
		if got := subnet(Record{DataAddrs: []string{addr}}); got != want {
			t.Errorf("subnet of %s = %q, want %q", addr, got, want)
		}
	}
	r := Record{DataAddrs: []string{"10.0.0.1:1"}, Multiaddrs: []string{"/dns4/x/tcp/1", "/ip4/198.51.100.9/tcp/1"}}
	if got := subnet(r); got != "198.51.100.0/24" {
		t.Errorf("subnet = %q", got)
	}
}

func TestStaticForgivesAfterItsHold(t *testing.T) {
	cl := &clock{testTime}
	s := &Static{Now: cl.now}
	s.Put(Record{NodeID: testID("a"), CapacityBytes: 2, FreeBytes: 1})
	s.Put(Record{NodeID: testID("b"), CapacityBytes: 2, FreeBytes: 1})
	notify, cancel := s.Subscribe()
	defer cancel()
	s.MarkFailed(testID("a"), cairn.Unavailable)
	select {
	case <-notify:
	default:
		t.Error("subscribers were not told")
	}
	if n := len(s.Live()); n != 1 || len(s.Candidates()) != 2 {
		t.Errorf("%d live, want 1", n)
	}
	cl.t = cl.t.Add(3 * time.Second)
	if n := len(s.Live()); n != 2 {
		t.Errorf("%d live after the hold, want 2", n)
	}
	s.SetLiveness(testID("b"), Down, "pulled the plug")
	s.MarkOK(testID("b"))
	if n, _ := s.Node(testID("b")); n.Liveness != Down {
		t.Errorf("liveness %v, want what the owner set", n.Liveness)
	}
	s.MarkFailed(testID("a"), cairn.Full)
	if n, ok := s.Node(testID("a")); !ok || n.Free != 0 || n.Liveness != Alive {
		t.Errorf("full node: %+v", n)
	}
	s.Remove(testID("a"))
	if _, ok := s.Lookup(testID("a")); ok {
		t.Error("removed node is still there")
	}
}
