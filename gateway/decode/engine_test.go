package decode_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/decode"
	"github.com/cairn-store/cairn/internal/testnet"
)

// records reads every record of a node as a file would hold it.
func records(t *testing.T, n gateway.Node) (files []decode.File) {
	t.Helper()
	ctx := t.Context()
	entries, more, err := n.List(ctx, cairn.ShardID{}, 4000)
	if err != nil || more {
		t.Fatalf("list: %v, more: %v", err, more)
	}
	for _, e := range entries {
		tails, err := n.Tails(ctx, []cairn.ShardID{e.Shard})
		if err != nil || len(tails) != 1 {
			t.Fatalf("tails: %v", err)
		}
		tail := tails[0]
		payload := make([]byte, tail.Header.PayloadLen)
		for off := 0; off < len(payload); off += 1 << 20 {
			if err := n.Read(ctx, e.Shard, int64(off), payload[off:min(off+1<<20, len(payload))]); err != nil {
				t.Fatal(err)
			}
		}
		b := tail.Trailer.Append(slices.Concat(tail.Header.Append(nil), payload, tail.TreeTop, tail.Manifest))
		files = append(files, decode.File{Name: e.Shard.String(), R: bytes.NewReader(b), Size: int64(len(b))})
	}
	return files
}

func TestWhatAGatewayWroteDecodesWithoutOne(t *testing.T) {
	m := testnet.NewMem(t, 6)
	e, _ := m.Engine(t, gateway.Config{})
	if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	put := func(key string, n int) {
		b := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
		want[key] = b
		if _, err := e.Put(t.Context(), gateway.PutRequest{Bucket: "b", Key: key, Body: bytes.NewReader(b), Size: int64(n)}); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
	}
	put("empty", 0)
	put("small", 10_000)
	put("one segment", 5<<20+7)
	put("two segments", 64<<20+100_000)
	if _, err := e.Copy(t.Context(), gateway.CopyRequest{Source: gateway.GetRequest{Bucket: "b", Key: "one segment"}, Bucket: "b", Key: "copy"}); err != nil {
		t.Fatal(err)
	}
	want["copy"] = want["one segment"]

	var files []decode.File
	for _, mem := range m.Nodes[1:5] { // two nodes are lost
		n, err := m.Node(mem.ID())
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, records(t, n)...)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	var last decode.Progress
	r, err := decode.Decode(context.Background(), files, m.Keys, decode.Options{Create: decode.Dir(root), Progress: func(p decode.Progress) { last = p }})
	if err != nil {
		t.Fatalf("Decode = %v", err)
	}
	if len(r.Restored) != len(want) || last.Done != len(want) || last.Bytes != last.TotalBytes {
		t.Errorf("%d objects restored, progress %+v, want %d", len(r.Restored), last, len(want))
	}
	for _, o := range r.Restored {
		b, err := os.ReadFile(filepath.Join(dir, "b", o.Version.Key))
		if err != nil || !bytes.Equal(b, want[o.Version.Key]) {
			t.Errorf("%s: %d bytes, %v, want %d", o.Name(), len(b), err, len(want[o.Version.Key]))
		}
		sum := md5.Sum(b)
		if o.Version.ETag != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: ETag %s", o.Name(), o.Version.ETag)
		}
	}
}
