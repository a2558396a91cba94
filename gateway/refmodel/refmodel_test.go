package refmodel

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s := New(Config{})
	if err := s.CreateBucket(t.Context(), "bucket", "us-east-1"); err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, key, body string) gateway.Stored {
	t.Helper()
	stored, err := s.Put(t.Context(), gateway.PutRequest{Bucket: "bucket", Key: key, Body: strings.NewReader(body), Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func read(t *testing.T, s *Store, req gateway.GetRequest) (string, error) {
	t.Helper()
	req.Bucket = "bucket"
	o, err := s.Get(t.Context(), req)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if n, err := o.Body.WriteTo(&b); err != nil || n != o.Length {
		t.Fatalf("WriteTo = %d, %v, want %d", n, err, o.Length)
	}
	return b.String(), o.Body.Close()
}

// blocking is a body that ends when it is told to.
type blocking struct {
	reached chan struct{}
	release chan struct{}
}

func (b *blocking) Read(p []byte) (int, error) {
	b.reached <- struct{}{}
	<-b.release
	return copy(p, "x"), nil
}

// The condition is checked again when the body has been read: of two writers
// that both found the key free, the second to finish loses.
func TestConditionHoldsAtTheEndOfTheBody(t *testing.T) {
	s := newStore(t)
	b := &blocking{make(chan struct{}, 2), make(chan struct{})}
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		_, err = s.Put(t.Context(), gateway.PutRequest{Bucket: "bucket", Key: "k", Body: oneByte(b), Size: 1, If: gateway.WriteCondition{IfNoneMatch: true}})
	})
	<-b.reached
	put(t, s, "k", "first")
	close(b.release)
	wg.Wait()
	var condition *gateway.PreconditionError
	if !errors.As(err, &condition) || condition.Condition != "If-None-Match" {
		t.Errorf("the second writer got %v", err)
	}
	if got, err := read(t, s, gateway.GetRequest{Key: "k"}); err != nil || got != "first" {
		t.Errorf("the object reads %q, %v", got, err)
	}
}

// oneByte limits b to its first byte.
func oneByte(b *blocking) *onlyOnce { return &onlyOnce{b: b} }

type onlyOnce struct {
	b    *blocking
	done bool
}

func (o *onlyOnce) Read(p []byte) (int, error) {
	if o.done {
		return 0, io.EOF
	}
	o.done = true
	return o.b.Read(p)
}

func TestRangesAreWhatRFC9110Says(t *testing.T) {
	s := newStore(t)
	put(t, s, "k", "0123456789")
	put(t, s, "empty", "")
	for _, r := range []struct {
		key  string
		r    gateway.Range
		want string
		bad  bool
	}{
		{"k", gateway.Range{First: 0, Last: 0}, "0", false},
		{"k", gateway.Range{First: 3, Last: -1}, "3456789", false},
		{"k", gateway.Range{First: 9, Last: 99}, "9", false},
		{"k", gateway.Range{Suffix: 3}, "789", false},
		{"k", gateway.Range{Suffix: 99}, "0123456789", false},
		{"k", gateway.Range{First: 10, Last: -1}, "", true},
		{"k", gateway.Range{SuffixZero: true}, "", true},
		{"empty", gateway.Range{First: 0, Last: -1}, "", true},
		{"empty", gateway.Range{Suffix: 1}, "", false},
	} {
		got, err := read(t, s, gateway.GetRequest{Key: r.key, Range: &r.r})
		var outside *gateway.RangeError
		if got != r.want || errors.As(err, &outside) != r.bad || !r.bad && err != nil {
			t.Errorf("%s %+v = %q, %v, want %q, bad %v", r.key, r.r, got, err, r.want, r.bad)
		}
	}
}

func TestVersionsAreFoundByIDOnlyWhileTheyAreThere(t *testing.T) {
	s := newStore(t)
	old := put(t, s, "k", "old").Version.ID
	now := put(t, s, "k", "new").Version.ID
	if now.Compare(old) <= 0 {
		t.Errorf("ids %v and %v do not grow", old, now)
	}
	if _, err := read(t, s, gateway.GetRequest{Key: "k", Version: old}); !errors.Is(err, gateway.ErrNoSuchVersion) {
		t.Errorf("the overwritten version: %v", err)
	}
	if got, err := read(t, s, gateway.GetRequest{Key: "k", Version: now}); err != nil || got != "new" {
		t.Errorf("the version: %q, %v", got, err)
	}
	if _, err := s.Delete(t.Context(), gateway.DeleteRequest{Bucket: "bucket", Key: "k", Version: old}); err != nil {
		t.Errorf("delete of a version that is gone: %v", err)
	}
	if _, err := read(t, s, gateway.GetRequest{Key: "k"}); err != nil {
		t.Errorf("deleting another version took the object: %v", err)
	}
}

func TestConditionsWithTheClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	s := New(Config{Now: func() time.Time { return now }})
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "x")
	second := now.Truncate(time.Second)
	now = now.Add(time.Hour)
	for _, c := range []struct {
		cond gateway.ReadCondition
		want error
	}{
		{gateway.ReadCondition{IfModifiedSince: second}, gateway.ErrNotModified},
		{gateway.ReadCondition{IfModifiedSince: second.Add(-time.Second)}, nil},
		{gateway.ReadCondition{IfModifiedSince: now.Add(time.Second)}, nil}, // of the future
		{gateway.ReadCondition{IfModifiedSince: now}, gateway.ErrNotModified},
		{gateway.ReadCondition{IfUnmodifiedSince: second}, nil},
	} {
		if _, err := read(t, s, gateway.GetRequest{Key: "k", If: c.cond}); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.cond, err, c.want)
		}
	}
	var condition *gateway.PreconditionError
	if _, err := read(t, s, gateway.GetRequest{Key: "k", If: gateway.ReadCondition{IfUnmodifiedSince: second.Add(-time.Second)}}); !errors.As(err, &condition) {
		t.Errorf("unmodified since before: %v", err)
	}
}
