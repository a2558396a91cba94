package admission

import (
	"errors"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

func TestASerialWorksOnceWhileItIsValid(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	var s Serials
	auth := cairn.Authorization{Serial: 7, Expires: now.Add(time.Minute).Unix()}
	if err := s.Use(auth, now); err != nil {
		t.Fatalf("Use = %v", err)
	}
	if err := s.Use(auth, now.Add(time.Minute)); !errors.Is(err, cairn.Denied) {
		t.Errorf("Use again = %v, want Denied", err)
	}
	other := auth
	other.OwnerKey[0] = 1
	if err := s.Use(other, now); err != nil {
		t.Errorf("Use of another owner's serial = %v, want nil", err)
	}
	s.Forget(auth)
	if err := s.Use(auth, now); err != nil {
		t.Errorf("Use after Forget = %v, want nil", err)
	}
	auth.Serial, auth.Expires = 8, now.Add(MaxValidity+time.Minute).Unix()
	if err := s.Use(auth, now); !errors.Is(err, cairn.Denied) {
		t.Errorf("Use of what stays valid for too long = %v, want Denied", err)
	}
}

func TestSerialsAreBoundedAndExpire(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	var s Serials
	for i := range uint64(MaxSerials) {
		if err := s.Use(cairn.Authorization{Serial: i, Expires: now.Unix() + 10}, now); err != nil {
			t.Fatalf("Use of serial %d = %v", i, err)
		}
	}
	next := cairn.Authorization{Serial: MaxSerials, Expires: now.Unix() + 100}
	if err := s.Use(next, now); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("Use when all places are taken = %v, want Unavailable", err)
	}
	if err := s.Use(next, now.Add(11*time.Second)); err != nil {
		t.Errorf("Use when the others have expired = %v, want nil", err)
	}
	if len(s.used) != 1 {
		t.Errorf("%d serials remembered, want 1", len(s.used))
	}
}

func FuzzSplitNeverPanics(f *testing.F) {
	o := storetest.NewOwner(cairn.NodeID{1}, 1)
	for _, size := range []int{0, 1, 70_000} {
		f.Add(o.Record(1, size, size%100).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tail, payload, err := Split(b)
		if err != nil {
			return
		}
		if n := tail.Header.RecordLen(len(tail.Manifest)); n != int64(len(b)) || int64(len(payload)) != tail.Header.PayloadLen {
			t.Fatalf("Split of %d bytes: a record of %d, payload of %d", len(b), n, len(payload))
		}
		if again := (storetest.Record{Tail: tail, Payload: payload}).Bytes(); string(again) != string(b) {
			t.Fatalf("a record of %d bytes has a second encoding", len(b))
		}
		_ = Whole(tail, payload)
	})
}
