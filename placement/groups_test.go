package placement

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
)

func TestMirrorIsDisjointAndPrefersOtherOperatorsAndRegions(t *testing.T) {
	r := newRand(t)
	list := nodes(r, 36)
	for i := range list {
		list[i].Operator = fmt.Sprintf("op-%d", i/12)
		list[i].Region = fmt.Sprintf("region-%d", i/12)
	}
	for range 200 {
		key := randomKey(r)
		first, err := Choose(list[:12], 6, key, Constraints{})
		if err != nil {
			t.Fatal(err)
		}
		second, err := ChooseMirror(list, first, 6, key, Constraints{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range second {
			if slices.Contains(ids(first), c.ID) || c.Operator == "op-0" || c.Region == "region-0" {
				t.Fatalf("mirror node %s of %s in %s, though others had room", c.ID.Short(), c.Operator, c.Region)
			}
		}
	}
}

func TestMirrorFallsBackToOtherNodesOfTheSameDomains(t *testing.T) {
	r := newRand(t)
	list := nodes(r, 12)
	for i := range list {
		list[i].Domain = fmt.Sprintf("house-%d", i%6)
		list[i].Operator = "me"
	}
	key := randomKey(r)
	first, err := Choose(list, 6, key, Constraints{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := ChooseMirror(list, first, 6, key, Constraints{})
	if err != nil {
		t.Fatal(err)
	}
	if all := append(ids(first), ids(second)...); len(slices.CompactFunc(sorted(all), equal)) != 12 {
		t.Errorf("groups %v and %v share a node", ids(first), ids(second))
	}
	if _, err := ChooseMirror(list, first, 6, key, Constraints{MaxPerOperator: 11}); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("12 shards with one operator bound to 11: %v, want Unavailable", err)
	}
}

func sorted(list []cairn.NodeID) []cairn.NodeID {
	slices.SortFunc(list, func(a, b cairn.NodeID) int { return slices.Compare(a[:], b[:]) })
	return list
}

func equal(a, b cairn.NodeID) bool { return a == b }

func TestReplaceTakesTheFreedDomainAndNoOther(t *testing.T) {
	r := newRand(t)
	list := nodes(r, 12)
	for i := range list {
		list[i].Domain = fmt.Sprintf("house-%d", i%6)
	}
	for range 100 {
		key := randomKey(r)
		group, err := Choose(list, 6, key, Constraints{})
		if err != nil {
			t.Fatal(err)
		}
		lost := group[r.IntN(len(group))]
		got, err := Replace(list, group, lost.ID, key, Constraints{})
		if err != nil {
			t.Fatal(err)
		}
		if got.ID == lost.ID || got.Domain != lost.Domain {
			t.Fatalf("replaced %s in %s by %s in %s", lost.ID.Short(), lost.Domain, got.ID.Short(), got.Domain)
		}
	}
}

func TestReplacePicksTheRunnerUp(t *testing.T) {
	r := newRand(t)
	list := nodes(r, 12)
	for range 100 {
		key := randomKey(r)
		seven, err := Choose(list, 7, key, Constraints{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Replace(list, seven[:6], seven[2].ID, key, Constraints{})
		if err != nil || got.ID != seven[6].ID {
			t.Fatalf("Replace = %s, %v; want the seventh, %s", got.ID.Short(), err, seven[6].ID.Short())
		}
	}
}

func TestShortageSaysWhyAndWhatToDo(t *testing.T) {
	r := newRand(t)
	list := nodes(r, 6)
	list[0].State, list[1].State = Down, Down
	list[2].FreeBytes = 10
	list[3].Domain, list[4].Domain = "attic", "attic"
	_, err := Choose(list, 4, randomKey(r), Constraints{SizeBytes: 100})
	var short *Shortage
	if !errors.Is(err, cairn.Unavailable) || !errors.As(err, &short) {
		t.Fatalf("got %v, want Unavailable with a Shortage", err)
	}
	want := Shortage{Want: 4, Found: 2, Candidates: 6, Down: 2, Full: 1, SameDomain: 1}
	if *short != want {
		t.Errorf("got %+v, want %+v", *short, want)
	}
	if text := err.Error(); !strings.Contains(text, "2 of 4 nodes") || !strings.Contains(text, "2 down, 1 full, 1 in a failure domain") {
		t.Errorf("text %q", text)
	}
	for i := range list {
		list[i].State, list[i].Domain, list[i].FreeBytes = Active, "", 10
	}
	if _, err := Choose(list, 4, randomKey(r), Constraints{SizeBytes: 100}); !errors.Is(err, cairn.Full) {
		t.Errorf("a full network: %v, want Full", err)
	}
}

func TestDomainsCountsWhatChooseCanUse(t *testing.T) {
	r := newRand(t)
	for range 300 {
		list := scrambled(r, 1+r.IntN(20))
		c := Constraints{SizeBytes: r.Int64N(1 << 39), MaxVetting: r.IntN(3)}
		n := Domains(list, c)
		if n > 0 {
			if _, err := Choose(list, n, randomKey(r), c); err != nil && c.MaxVetting == 0 {
				t.Fatalf("Domains = %d, but Choose fails: %v", n, err)
			}
		}
		if _, err := Choose(list, n+1, randomKey(r), c); err == nil {
			t.Fatalf("Domains = %d, but Choose finds one more", n)
		}
	}
}

func TestStatesKeepTheirWords(t *testing.T) {
	for s := Active; s <= Gone; s++ {
		text, err := s.MarshalText()
		var back State
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v does not survive its text %q", s, text)
		}
	}
	var s State
	if err := s.UnmarshalText([]byte("asleep")); !errors.Is(err, cairn.Invalid) {
		t.Errorf("UnmarshalText(asleep) = %v, want Invalid", err)
	}
}
