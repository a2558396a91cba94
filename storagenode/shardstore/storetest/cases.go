package storetest

import (
	"bytes"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

func testRoundTrip(t *testing.T, e *env) {
	for i, size := range []int{0, 1, 4096, cairn.LeafSize, cairn.LeafSize + 1, 1 << 20, 5<<20 + 123} {
		r := e.owner.Record(uint64(i), size, 100*i)
		e.put(t, r)
		e.stored(t, r)
	}
	if got := e.info(t); got.Shards != 7 || got.Uploads != 0 || !got.Writable {
		t.Errorf("Info = %d shards, %d uploads, writable %v; want 7, 0, true", got.Shards, got.Uploads, got.Writable)
	}
}

func testSmallRoundTrip(t *testing.T, e *env) {
	for i, size := range []int{0, 1, 500, 4096, cairn.LeafSize, 300_000} {
		r := e.owner.Record(uint64(i), size, 300)
		e.putSmall(t, r)
		e.stored(t, r)
	}
	_, err := PutSmall(t.Context(), e.svc, e.owner, e.owner.Record(9, nodeapi.MaxSmall, 10))
	want(t, "PutRecord above MaxSmall", err, cairn.Invalid)
}

func testIdempotent(t *testing.T, e *env) {
	a, b := e.owner.Record(1, 100_000, 50), e.owner.Record(2, 3000, 50)
	e.put(t, a)
	e.putSmall(t, b)
	used := e.info(t).UsedBytes
	e.put(t, a)
	e.putSmall(t, b)
	e.putSmall(t, a)
	e.put(t, b)
	e.stored(t, a)
	e.stored(t, b)
	if got := e.info(t); got.UsedBytes != used || got.Shards != 2 {
		t.Errorf("after the same puts again: %d bytes in %d shards, want %d in 2", got.UsedBytes, got.Shards, used)
	}
}

func testExists(t *testing.T, e *env) {
	a := e.owner.Record(1, 70_000, 50)
	sameID := func(h *cairn.Header) { h.Shard = a.ID() }
	e.put(t, a)
	for i, b := range []Record{e.owner.Record(2, 70_000, 50, sameID), e.owner.Record(3, 50, 50, sameID), e.other.Record(4, 70_000, 50, sameID)} {
		o := []*Owner{e.owner, e.owner, e.other}[i]
		_, err := PutSmall(t.Context(), e.svc, o, b)
		want(t, "PutRecord of other content", err, cairn.Exists)
		_, err = Put(t.Context(), e.svc, o.Put(b), b)
		want(t, "Put of other content", err, cairn.Exists)
	}
	e.stored(t, a)
}

func testWrongBytes(t *testing.T, e *env) {
	r := e.owner.Record(1, 200_000, 500)
	s := e.owner.Session()
	flip := func(b []byte, i int) []byte { c := bytes.Clone(b); c[i] ^= 4; return c }

	bad := r
	bad.Payload = flip(r.Payload, 123_456)
	_, err := Put(t.Context(), e.svc, e.owner.Put(r), bad)
	want(t, "Put with a payload bit flipped", err, cairn.Corrupt)
	_, err = PutSmall(t.Context(), e.svc, e.owner, bad)
	want(t, "PutRecord with a payload bit flipped", err, cairn.Corrupt)

	for name, damage := range map[string]func(*Record){
		"tree top":      func(r *Record) { r.Tail.TreeTop = flip(r.Tail.TreeTop, 40) },
		"manifest":      func(r *Record) { r.Tail.Manifest = flip(r.Tail.Manifest, 3) },
		"root":          func(r *Record) { r.Tail.Trailer.Root[0] ^= 1 },
		"record digest": func(r *Record) { r.Tail.Trailer.Record[0] ^= 1 },
		"top too short": func(r *Record) { r.Tail.TreeTop = r.Tail.TreeTop[32:] },
	} {
		bad := r
		damage(&bad)
		_, err := Put(t.Context(), e.svc, e.owner.Put(r), bad)
		want(t, "Put with damaged "+name, err, cairn.Corrupt)
	}

	bad = r
	bad.Payload = r.Payload[:100_000]
	_, err = Put(t.Context(), e.svc, e.owner.Put(r), bad)
	want(t, "Put of half the payload", err, cairn.Invalid)
	bad.Payload = append(bytes.Clone(r.Payload), 0)
	_, err = Put(t.Context(), e.svc, e.owner.Put(r), bad)
	want(t, "Put of too much payload", err, cairn.Invalid)
	_, err = e.svc.PutRecord(t.Context(), e.owner.Put(r).Auth, r.Bytes()[:1000])
	want(t, "PutRecord cut short", err, cairn.Corrupt)

	e.gone(t, s, r)
	if got := e.info(t); got.Shards != 0 || got.UsedBytes != 0 || got.Uploads != 0 {
		t.Errorf("after refusals: %d shards, %d bytes, %d uploads; want none", got.Shards, got.UsedBytes, got.Uploads)
	}
	e.put(t, r)
	e.stored(t, r)
}

func testAuthorization(t *testing.T, e *env) {
	r := e.owner.Record(1, 1000, 100)
	good := e.owner.Put(r)
	stale := NewOwner(e.owner.Node, 1)
	stale.Expires = time.Now().Add(-time.Minute)
	elsewhere := NewOwner(cairn.NodeID{1}, 1)
	other := e.owner.Record(2, 1000, 100)
	for name, auth := range map[string]cairn.Authorization{
		"none":           {},
		"another owner":  e.other.Put(r).Auth,
		"expired":        stale.Put(r).Auth,
		"another node":   elsewhere.Put(r).Auth,
		"another header": e.owner.Put(other).Auth,
		"another verb":   e.owner.Sign(cairn.VerbDelete, cairn.PutSubject(r.Tail.Header, 100)),
		"forged":         func() cairn.Authorization { a := good.Auth; a.Signature[5] ^= 1; return a }(),
	} {
		req := good
		req.Auth = auth
		_, err := e.svc.Put(t.Context(), req)
		want(t, "Put with leave: "+name, err, cairn.Denied)
		_, err = e.svc.PutRecord(t.Context(), auth, r.Bytes())
		want(t, "PutRecord with leave: "+name, err, cairn.Denied)
	}
	e.put(t, r)
	for name, auth := range map[string]cairn.Authorization{
		"none":         {},
		"other ids":    e.owner.Delete(other.ID()).Auth,
		"expired":      stale.Delete(r.ID()).Auth,
		"another node": elsewhere.Delete(r.ID()).Auth,
		"a put's":      good.Auth,
	} {
		_, err := e.svc.Delete(t.Context(), nodeapi.DeleteRequest{Auth: auth, IDs: []cairn.ShardID{r.ID()}})
		want(t, "Delete with leave: "+name, err, cairn.Denied)
	}
	_, err := e.svc.Delete(t.Context(), nodeapi.DeleteRequest{Auth: good.Auth})
	want(t, "Delete of nothing", err, cairn.Invalid)
	e.stored(t, r)
}

func testOtherOwners(t *testing.T, e *env) {
	r := e.owner.Record(1, 1000, 100)
	e.put(t, r)
	e.gone(t, nodeapi.Session{}, r)
	e.gone(t, nodeapi.Session{Owner: e.owner.Tag()}, r) // named, not proved
	e.gone(t, e.other.Session(), r)
	reply, err := e.svc.Delete(t.Context(), e.other.Delete(r.ID()))
	if err != nil || reply.Deleted != 0 || len(reply.Retained) != 0 {
		t.Errorf("Delete of another's shard = %+v, %v, want nothing deleted", reply, err)
	}
	e.stored(t, r)
}

func testDelete(t *testing.T, e *env) {
	a, b, c := e.owner.Record(1, 600_000, 100), e.owner.Record(2, 2000, 100), e.owner.Record(3, 9000, 100)
	e.put(t, a)
	e.putSmall(t, b)
	e.putSmall(t, c)
	e.delete(t, 2, a.ID(), b.ID(), e.owner.Record(7, 1, 1).ID())
	e.gone(t, e.owner.Session(), a)
	e.gone(t, e.owner.Session(), b)
	e.stored(t, c)
	e.delete(t, 0, a.ID(), b.ID())
	e.delete(t, 1, c.ID(), c.ID())
	if got := e.info(t); got.UsedBytes != 0 || got.Shards != 0 {
		t.Errorf("after deleting all: %d bytes in %d shards, want none", got.UsedBytes, got.Shards)
	}
	e.putSmall(t, a)
	e.put(t, b)
	e.stored(t, a)
	e.stored(t, b)
}

func testDeleteReplay(t *testing.T, e *env) {
	r := e.owner.Record(1, 1000, 100)
	e.put(t, r)
	req := e.owner.Delete(r.ID())
	if _, err := e.svc.Delete(t.Context(), req); err != nil {
		t.Fatalf("Delete = %v", err)
	}
	e.put(t, r)
	_, err := e.svc.Delete(t.Context(), req)
	want(t, "the same Delete again", err, cairn.Denied)
	e.stored(t, r)
}

func testRetention(t *testing.T, e *env) {
	locked := e.owner.Record(1, 1000, 100, Retain(time.Now().Add(time.Hour)))
	past := e.owner.Record(2, 1000, 100, Retain(time.Now().Add(-time.Hour)))
	e.put(t, locked)
	e.putSmall(t, past)
	reply, err := e.svc.Delete(t.Context(), e.owner.Delete(locked.ID(), past.ID()))
	if err != nil || reply.Deleted != 1 || len(reply.Retained) != 1 || reply.Retained[0] != locked.ID() {
		t.Errorf("Delete = %+v, %v, want 1 deleted and %v retained", reply, err, locked.ID())
	}
	e.stored(t, locked)
	e.gone(t, e.owner.Session(), past)
}

func testList(t *testing.T, e *env) {
	all := map[cairn.ShardID]Record{}
	for i := range 25 {
		r := e.owner.Record(uint64(i), 100*i, 50)
		all[r.ID()] = r
		e.putSmall(t, r)
	}
	x := e.other.Record(99, 100, 10)
	if _, err := PutSmall(t.Context(), e.svc, e.other, x); err != nil {
		t.Fatal(err)
	}
	var after cairn.ShardID
	seen := 0
	for {
		page, err := e.svc.List(t.Context(), e.owner.Session(), after, 7)
		if err != nil || len(page.Entries) > 7 {
			t.Fatalf("List = %d entries, %v", len(page.Entries), err)
		}
		for _, got := range page.Entries {
			if bytes.Compare(after.Segment[:], got.Shard.Segment[:]) > 0 {
				t.Errorf("List gives %v after %v", got.Shard, after)
			}
			after = got.Shard
			r, ok := all[got.Shard]
			size := r.Tail.Header.RecordLen(len(r.Tail.Manifest))
			if !ok || got.Size != size || got.Kind != cairn.KindData || got.Record != r.Tail.Trailer.Record || got.Created != r.Tail.Header.Created {
				t.Errorf("List entry = %+v, want the record of %d bytes", got, size)
			}
			seen++
		}
		if !page.More {
			break
		}
	}
	if seen != 25 {
		t.Errorf("List gave %d entries in all, want 25", seen)
	}
	for _, limit := range []int{0, -1, nodeapi.MaxList + 1} {
		_, err := e.svc.List(t.Context(), e.owner.Session(), after, limit)
		want(t, "List with a bad limit", err, cairn.Invalid)
	}
}

func testTails(t *testing.T, e *env) {
	a, b := e.owner.Record(1, 200_000, 1000), e.owner.Record(2, 0, 0)
	e.put(t, a)
	e.putSmall(t, b)
	ids := []cairn.ShardID{b.ID(), e.owner.Record(3, 1, 1).ID(), a.ID()}
	tails, err := e.svc.Tails(t.Context(), e.owner.Session(), ids)
	if err != nil || len(tails) != 2 || !SameTail(tails[0], b.Tail) || !SameTail(tails[1], a.Tail) {
		t.Errorf("Tails = %d tails, %v, want those of b and a", len(tails), err)
	}
	_, err = e.svc.Tails(t.Context(), e.owner.Session(), make([]cairn.ShardID, nodeapi.MaxBatch+1))
	want(t, "Tails of too many", err, cairn.Invalid)
}

func testCapacity(t *testing.T, e *env) {
	var ups []nodeapi.Upload
	for i := range 20 {
		r := e.owner.Record(uint64(i), 8<<20, 0)
		up, err := e.svc.Put(t.Context(), e.owner.Put(r))
		if err != nil {
			want(t, "Put beyond the capacity", err, cairn.Full)
			break
		}
		ups = append(ups, up)
	}
	if len(ups) == 0 || len(ups) > Capacity/(8<<20) {
		t.Errorf("%d uploads of 8 MiB were taken into a capacity of 64 MiB", len(ups))
	}
	if got := e.info(t); got.Uploads != len(ups) || got.FreeBytes > Capacity-int64(len(ups))*8<<20 {
		t.Errorf("Info = %d uploads, %d bytes free, with %d uploads of 8 MiB open", got.Uploads, got.FreeBytes, len(ups))
	}
	for _, up := range ups {
		up.Abort()
		up.Abort()
	}
	r := e.owner.Record(50, 8<<20, 100)
	e.put(t, r)
	e.stored(t, r)
}
