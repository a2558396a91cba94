package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// Capacity is what the nodes under test are made with, in bytes.
const Capacity = 64 << 20

// Run checks a node's promises. open returns a fresh, empty node of the given
// Capacity; it cleans up after itself.
func Run(t *testing.T, open func(t *testing.T) nodeapi.Service) {
	tests := []struct {
		name string
		run  func(t *testing.T, e *env)
	}{
		{"PutThenReadGivesTheSameBytes", testRoundTrip},
		{"PutRecordThenReadGivesTheSameBytes", testSmallRoundTrip},
		{"SamePutAgainIsAnsweredWithAReceipt", testIdempotent},
		{"OtherContentUnderAnIDExists", testExists},
		{"WrongBytesAreRefusedAndNotKept", testWrongBytes},
		{"WritesNeedTheOwnersLeave", testAuthorization},
		{"StrangersAndOthersSeeNothing", testOtherOwners},
		{"DeletedShardsAreGoneAndMayComeBack", testDelete},
		{"ADeleteWorksOnce", testDeleteReplay},
		{"RetainedShardsStay", testRetention},
		{"ListPagesInOrder", testList},
		{"TailsKeepTheOrderAskedAndSkipTheMissing", testTails},
		{"TheCapacityHoldsAndAbortGivesSpaceBack", testCapacity},
		{"ReadsOutsideThePayloadAreInvalid", testReadBounds},
		{"AnEndedContextIsUnavailable", testContext},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, newEnv(t, open(t))) })
	}
}

type env struct {
	svc   nodeapi.Service
	owner *Owner
	other *Owner
}

func newEnv(t *testing.T, svc nodeapi.Service) *env {
	t.Helper()
	info, err := svc.Info(context.Background())
	if err != nil {
		t.Fatalf("Info = %v", err)
	}
	return &env{svc: svc, owner: NewOwner(info.Node, 1), other: NewOwner(info.Node, 2)}
}

func (e *env) put(t *testing.T, r Record) cairn.Receipt {
	t.Helper()
	receipt, err := Put(t.Context(), e.svc, e.owner.Put(r), r)
	if err != nil {
		t.Fatalf("Put(%v, %d bytes) = %v", r.ID(), len(r.Payload), err)
	}
	e.checkReceipt(t, r, receipt)
	return receipt
}

func (e *env) putSmall(t *testing.T, r Record) cairn.Receipt {
	t.Helper()
	receipt, err := PutSmall(t.Context(), e.svc, e.owner, r)
	if err != nil {
		t.Fatalf("PutRecord(%v, %d bytes) = %v", r.ID(), len(r.Payload), err)
	}
	e.checkReceipt(t, r, receipt)
	return receipt
}

func (e *env) checkReceipt(t *testing.T, r Record, got cairn.Receipt) {
	t.Helper()
	if err := got.Verify(); err != nil {
		t.Errorf("receipt does not verify: %v", err)
	}
	if got.Node != e.owner.Node || got.Shard != r.ID() || got.Root != r.Tail.Trailer.Root || got.Record != r.Tail.Trailer.Record {
		t.Errorf("receipt = %+v, want one for %v", got, r.ID())
	}
}

// Put uploads r in pieces of odd sizes.
func Put(ctx context.Context, svc nodeapi.Service, req nodeapi.PutRequest, r Record) (cairn.Receipt, error) {
	up, err := svc.Put(ctx, req)
	if err != nil {
		return cairn.Receipt{}, err
	}
	defer up.Abort()
	for p, size := r.Payload, 1000; len(p) > 0; size = size*3 + 1 {
		n := min(size, len(p))
		if err := up.Write(p[:n]); err != nil {
			return cairn.Receipt{}, err
		}
		p = p[n:]
	}
	return up.Commit(ctx, r.Upload())
}

// PutSmall stores r with one PutRecord.
func PutSmall(ctx context.Context, svc nodeapi.Service, o *Owner, r Record) (cairn.Receipt, error) {
	auth := o.Sign(cairn.VerbPut, cairn.PutSubject(r.Tail.Header, len(r.Tail.Manifest)))
	return svc.PutRecord(ctx, auth, r.Bytes())
}

// CheckStored returns an error unless the node serves r byte for byte.
func CheckStored(ctx context.Context, svc nodeapi.Service, s nodeapi.Session, r Record) error {
	for off := 0; off < len(r.Payload); off += nodeapi.MaxRead {
		buf := make([]byte, min(nodeapi.MaxRead, len(r.Payload)-off))
		if err := svc.Read(ctx, s, r.ID(), int64(off), buf); err != nil {
			return err
		}
		if !bytes.Equal(buf, r.Payload[off:off+len(buf)]) {
			return cairn.Errorf("check", cairn.Corrupt, "%v: payload differs in the %d bytes at %d", r.ID(), len(buf), off)
		}
	}
	tails, err := svc.Tails(ctx, s, []cairn.ShardID{r.ID()})
	switch {
	case err != nil:
		return err
	case len(tails) != 1:
		return cairn.Errorf("check", cairn.NotFound, "%v: %d tails", r.ID(), len(tails))
	case !SameTail(tails[0], r.Tail):
		return cairn.Errorf("check", cairn.Corrupt, "%v: tail differs", r.ID())
	}
	return nil
}

// SameTail reports whether two tails are equal.
func SameTail(a, b cairn.Tail) bool {
	return a.Header == b.Header && a.Trailer == b.Trailer && bytes.Equal(a.TreeTop, b.TreeTop) && bytes.Equal(a.Manifest, b.Manifest)
}

func (e *env) stored(t *testing.T, r Record) {
	t.Helper()
	if err := CheckStored(t.Context(), e.svc, e.owner.Session(), r); err != nil {
		t.Errorf("stored record: %v", err)
	}
}

func (e *env) gone(t *testing.T, s nodeapi.Session, r Record) {
	t.Helper()
	if err := e.svc.Read(t.Context(), s, r.ID(), 0, make([]byte, min(1, len(r.Payload)))); !errors.Is(err, cairn.NotFound) {
		t.Errorf("Read(%v) = %v, want NotFound", r.ID(), err)
	}
	if tails, err := e.svc.Tails(t.Context(), s, []cairn.ShardID{r.ID()}); err != nil || len(tails) != 0 {
		t.Errorf("Tails(%v) = %d tails, %v, want none", r.ID(), len(tails), err)
	}
	reply, err := e.svc.List(t.Context(), s, cairn.ShardID{}, nodeapi.MaxList)
	if err != nil {
		t.Errorf("List = %v", err)
	}
	for _, entry := range reply.Entries {
		if entry.Shard == r.ID() {
			t.Errorf("List names %v, want it gone", r.ID())
		}
	}
}

func (e *env) delete(t *testing.T, want int, ids ...cairn.ShardID) {
	t.Helper()
	reply, err := e.svc.Delete(t.Context(), e.owner.Delete(ids...))
	if err != nil || reply.Deleted != want || len(reply.Retained) != 0 {
		t.Fatalf("Delete(%d ids) = %+v, %v, want %d deleted", len(ids), reply, err, want)
	}
}

func want(t *testing.T, what string, err error, kind cairn.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s = %v, want %v", what, err, kind)
	}
}

func (e *env) info(t *testing.T) nodeapi.Info {
	t.Helper()
	info, err := e.svc.Info(t.Context())
	if err != nil {
		t.Fatalf("Info = %v", err)
	}
	return info
}

func testReadBounds(t *testing.T, e *env) {
	r := e.owner.Record(1, 100_000, 10)
	e.put(t, r)
	for _, c := range []struct {
		off int64
		n   int
	}{{-1, 1}, {100_000, 1}, {99_999, 2}, {1 << 62, 1}, {0, nodeapi.MaxRead + 1}} {
		err := e.svc.Read(t.Context(), e.owner.Session(), r.ID(), c.off, make([]byte, c.n))
		want(t, "Read outside the payload", err, cairn.Invalid)
	}
	if err := e.svc.Read(t.Context(), e.owner.Session(), r.ID(), 100_000, nil); err != nil {
		t.Errorf("Read of nothing at the end = %v, want nil", err)
	}
}

func testContext(t *testing.T, e *env) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	cancel()
	r := e.owner.Record(1, 1000, 10)
	_, err := PutSmall(ctx, e.svc, e.owner, r)
	want(t, "PutRecord", err, cairn.Unavailable)
	_, err = e.svc.Put(ctx, e.owner.Put(r))
	want(t, "Put", err, cairn.Unavailable)
	e.gone(t, e.owner.Session(), r)
}
