package cairn

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"
)

func TestAuthorizationIsForOneRequestAtOneNode(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	now := time.Unix(1790000000, 0)
	subject := PutSubject(sampleHeader(), 1000)
	a := Authorization{Verb: VerbPut, Node: NodeID{7}, Subject: subject, Expires: now.Unix() + 60, Serial: 5}
	a.Sign(key)
	if err := a.Verify(NodeID{7}, VerbPut, subject, now); err != nil {
		t.Fatalf("Verify = %v, want nil", err)
	}
	b := a.Append(nil)
	if len(b) != AuthorizationSize {
		t.Errorf("%d bytes, want %d", len(b), AuthorizationSize)
	}
	if got, err := ParseAuthorization(b); err != nil || got != a {
		t.Errorf("ParseAuthorization = %+v, %v, want %+v", got, err, a)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		got, err := ParseAuthorization(bad)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Verify(NodeID{7}, VerbPut, subject, now); !errors.Is(err, Denied) {
			t.Errorf("Verify with byte %d changed = %v, want Denied", i, err)
		}
	}
	for name, err := range map[string]error{
		"another node":    a.Verify(NodeID{8}, VerbPut, subject, now),
		"another verb":    a.Verify(NodeID{7}, VerbDelete, subject, now),
		"another request": a.Verify(NodeID{7}, VerbPut, PutSubject(sampleHeader(), 1001), now),
		"later":           a.Verify(NodeID{7}, VerbPut, subject, now.Add(61*time.Second)),
	} {
		if !errors.Is(err, Denied) {
			t.Errorf("%s: Verify = %v, want Denied", name, err)
		}
	}
	for _, n := range []int{0, AuthorizationSize - 1, AuthorizationSize + 1} {
		if _, err := ParseAuthorization(make([]byte, n)); !errors.Is(err, Invalid) {
			t.Errorf("ParseAuthorization(%d bytes) = %v, want Invalid", n, err)
		}
	}
}

func TestSubjectsDiffer(t *testing.T) {
	ids := []ShardID{{SegmentID{1}, 0}, {SegmentID{2}, 1}}
	seen := map[Digest]string{}
	for name, d := range map[string]Digest{
		"put":              PutSubject(sampleHeader(), 0),
		"delete":           DeleteSubject(ids),
		"delete reordered": DeleteSubject([]ShardID{ids[1], ids[0]}),
		"delete one":       DeleteSubject(ids[:1]),
		"delete nothing":   DeleteSubject(nil),
		"session":          SessionSubject(nil),
		"session of bytes": SessionSubject(ids[0].Segment[:]),
	} {
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one subject", name, other)
		}
		seen[d] = name
	}
}
