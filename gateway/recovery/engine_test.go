package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
	"github.com/cairn-store/cairn/gateway/recovery"
	"github.com/cairn-store/cairn/internal/testnet"
)

func body(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(n)}).Read(b)
	return b
}

func put(t *testing.T, e *gateway.Engine, key string, b []byte, class string) {
	t.Helper()
	_, err := e.Put(t.Context(), gateway.PutRequest{
		Bucket: "b", Key: key, Body: bytes.NewReader(b), Size: int64(len(b)),
		Attributes: gateway.Attributes{Headers: []cairn.Attr{{Name: "content-type", Value: "text/" + key}}, StorageClass: class},
	})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func multipart(t *testing.T, e *gateway.Engine, key string, parts ...[]byte) {
	t.Helper()
	u, err := e.CreateUpload(t.Context(), gateway.CreateUploadRequest{Bucket: "b", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	complete := gateway.CompleteRequest{Bucket: "b", Key: key, UploadID: u.ID, Size: -1}
	for i, b := range parts {
		p, err := e.PutPart(t.Context(), gateway.PutPartRequest{Bucket: "b", Key: key, UploadID: u.ID, Number: i + 1, Body: bytes.NewReader(b), Size: int64(len(b))})
		if err != nil {
			t.Fatal(err)
		}
		complete.Parts = append(complete.Parts, gateway.CompletedPart{Number: i + 1, ETag: p.ETag})
	}
	if _, err := e.CompleteUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
}

// fill stores some of everything and returns what the bucket should hold.
func fill(t *testing.T, e *gateway.Engine) map[string][]byte {
	t.Helper()
	if err := e.CreateBucket(t.Context(), "b", "eu"); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for i, n := range []int{0, 1, 5000, 128 << 10, 200_000, 3 << 20} {
		key := fmt.Sprintf("size/%d", n)
		want[key] = body(uint64(i), n)
		put(t, e, key, want[key], "")
	}
	put(t, e, "over", body(100, 70_000), "")
	want["over"] = body(101, 300_000)
	put(t, e, "over", want["over"], "")
	put(t, e, "gone", body(102, 10_000), "")
	if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "gone"}); err != nil {
		t.Fatal(err)
	}
	parts := [][]byte{body(103, 5<<20), body(104, 5<<20), body(105, 77)}
	multipart(t, e, "multi", parts...)
	want["multi"] = bytes.Join(parts, nil)
	for _, c := range [][2]string{{"multi", "copy/multi"}, {"size/5000", "copy/small"}, {"gone-source", "copy/gone-source"}} {
		if c[0] == "gone-source" {
			want[c[0]] = body(106, 40_000)
			put(t, e, c[0], want[c[0]], "")
		}
		if _, err := e.Copy(t.Context(), gateway.CopyRequest{Source: gateway.GetRequest{Bucket: "b", Key: c[0]}, Bucket: "b", Key: c[1]}); err != nil {
			t.Fatal(err)
		}
		want[c[1]] = want[c[0]]
	}
	if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "gone-source"}); err != nil {
		t.Fatal(err)
	}
	delete(want, "gone-source")
	_, err := e.Copy(t.Context(), gateway.CopyRequest{
		Source: gateway.GetRequest{Bucket: "b", Key: "size/200000"}, Bucket: "b", Key: "size/200000",
		ReplaceHeaders: true, Attributes: gateway.Attributes{Headers: []cairn.Attr{{Name: "cache-control", Value: "changed"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want["mirrored"] = body(107, 250_000)
	put(t, e, "mirrored", want["mirrored"], "MIRRORED")
	if err := e.CreateBucket(t.Context(), "empty", ""); err != nil {
		t.Fatal(err)
	}
	if err := e.CreateBucket(t.Context(), "dropped", ""); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteBucket(t.Context(), "dropped"); err != nil {
		t.Fatal(err)
	}
	// An upload that is never completed.
	u, err := e.CreateUpload(t.Context(), gateway.CreateUploadRequest{Bucket: "b", Key: "open"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.PutPart(t.Context(), gateway.PutPartRequest{Bucket: "b", Key: "open", UploadID: u.ID, Number: 1, Body: bytes.NewReader(body(108, 99)), Size: 99}); err != nil {
		t.Fatal(err)
	}
	return want
}

// contents writes down every bucket, version and segment in use.
func contents(t *testing.T, c catalog.Catalog) map[string]string {
	t.Helper()
	out := map[string]string{}
	buckets, err := c.Buckets(t.Context(), "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	inUse := map[cairn.SegmentID]int{}
	for _, b := range buckets {
		out["bucket "+b.Bucket.Name] = fmt.Sprintf("%x %v", b.Bucket.Encode(), b.Record)
		it, err := c.Versions(t.Context(), b.Bucket.Name)
		if err != nil {
			t.Fatal(err)
		}
		for ok := it.Seek(""); ok; ok = it.Next() {
			e, err := it.Entry()
			if err != nil {
				t.Fatal(err)
			}
			out["version "+e.Version.Key+" "+e.Version.ID.String()] = fmt.Sprintf("%x %v", e.Version.Encode(), e.Record)
			for _, p := range e.Version.Parts {
				for _, s := range p.Segments {
					inUse[s.ID]++
					inUse[s.Mirror]++
				}
			}
		}
		if err := errors.Join(it.Err(), it.Close()); err != nil {
			t.Fatal(err)
		}
	}
	err = c.Segments(t.Context(), cairn.SegmentID{}, func(s *catalog.SegmentEntry) error {
		if n := inUse[s.Segment]; n > 0 { // those of open uploads are not recovered
			s.Refs = n
			out["segment "+s.Segment.String()] = fmt.Sprintf("%+v", *s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func recoverInto(t *testing.T, m *testnet.Mem, c catalog.Catalog) recovery.Verdict {
	t.Helper()
	v, err := recovery.Run(t.Context(), recovery.Config{
		Keys: m.Keys, Catalog: c, Dir: t.TempDir(), Pause: time.Microsecond, Timeout: 5 * time.Second, PageEntries: 16, BatchSegments: 8,
		Nodes: func() (out []recovery.Node) {
			for _, id := range m.Nodes {
				n, err := m.Node(id.ID())
				if err != nil {
					t.Error(err)
				}
				out = append(out, n)
			}
			return out
		},
	})
	if err != nil {
		t.Fatalf("Run = %v", err)
	}
	return v
}

func checkObjects(t *testing.T, e *gateway.Engine, want map[string][]byte) {
	t.Helper()
	list, err := e.List(t.Context(), gateway.ListRequest{Bucket: "b", Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Versions) != len(want) {
		t.Errorf("%d objects, want %d", len(list.Versions), len(want))
	}
	for key, b := range want {
		if got, err := get(t.Context(), e, key); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes, %v, want %d", key, len(got), err, len(b))
		}
	}
}

func get(ctx context.Context, e *gateway.Engine, key string) ([]byte, error) {
	o, err := e.Get(ctx, gateway.GetRequest{Bucket: "b", Key: key})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = o.Body.WriteTo(&out)
	return out.Bytes(), errors.Join(err, o.Body.Close())
}

func TestARecoveredGatewayServesWhatTheOldOneServed(t *testing.T) {
	m := testnet.NewMem(t, 12)
	e, stop := m.Engine(t, gateway.Config{})
	want := fill(t, e)
	stop()
	before := contents(t, m.Catalog)

	c := memory.New()
	v := recoverInto(t, m, c)
	if v.Objects != int64(len(want)) || v.Unreadable+v.Degraded+v.Corrupt+v.Lost+v.BucketsMade != 0 || v.Buckets != 2 {
		t.Errorf("verdict %v: %+v, want %d objects", v, v, len(want))
	}
	after := contents(t, c)
	for name, w := range before {
		if after[name] != w {
			t.Errorf("%s = %.300s\nwant %.300s", name, after[name], w)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s was not there before", name)
		}
	}

	m.Catalog = c
	again, stop := m.Engine(t, gateway.Config{GarbageGrace: time.Nanosecond, CollectInterval: time.Millisecond})
	checkObjects(t, again, want)
	put(t, again, "over", []byte("new"), "")
	want["over"] = []byte("new")
	stop()

	// And once more, after the new gateway has collected garbage.
	c = memory.New()
	v = recoverInto(t, m, c)
	m.Catalog = c
	last, _ := m.Engine(t, gateway.Config{})
	checkObjects(t, last, want)
	if !strings.HasPrefix(v.String(), fmt.Sprintf("%d objects", len(want))) {
		t.Errorf("verdict %q", v)
	}
	if list, err := last.ListUploads(t.Context(), gateway.ListUploadsRequest{Bucket: "b", Max: 10}); err != nil || !reflect.DeepEqual(len(list.Uploads), 0) {
		t.Errorf("uploads = %+v, %v, want none", list, err)
	}
}

func TestTwoLostNodesLoseNothing(t *testing.T) {
	m := testnet.NewMem(t, 12)
	e, stop := m.Engine(t, gateway.Config{})
	want := fill(t, e)
	stop()
	m.Nodes[3].SetDown(true)
	m.Nodes[8].SetDown(true)
	c := memory.New()
	v := recoverInto(t, m, c)
	if v.Objects != int64(len(want)) || v.Unreadable != 0 || len(v.Unanswered) != 2 || v.DeletionsMayBeHidden {
		t.Errorf("verdict %v: %+v, want %d objects", v, v, len(want))
	}
	m.Catalog = c
	again, _ := m.Engine(t, gateway.Config{})
	checkObjects(t, again, want)

	// The two come back, and whatever they keep counts again.
	m.Nodes[3].SetDown(false)
	m.Nodes[8].SetDown(false)
	m.Nodes[0].SetDown(true)
	m.Nodes[5].SetDown(true)
	checkObjects(t, again, want)
}
