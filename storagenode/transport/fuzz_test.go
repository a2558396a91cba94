package transport

import (
	"crypto/ed25519"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/memnode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

// FuzzServer lets a client that passed the handshake send anything. The server
// must neither crash nor hang nor keep an upload. Coverage differs between runs
// of one input, so fuzz with -fuzzminimizetime 1x.
func FuzzServer(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // every process fuzzes the same node
	mem := memnode.New(memnode.Config{Key: key, CapacityBytes: 1 << 20})
	owner := storetest.NewOwner(mem.ID(), 1)
	r := owner.Record(1, 1000, 10)
	msg := func(typ nodeapi.MessageType, body []byte) []byte {
		return append(nodeapi.MessageHeader{Length: len(body), Type: typ, Number: 1}.Append(nil), body...)
	}
	put := msg(nodeapi.TypePut, owner.Put(r).Append(nil))
	whole := append(append([]byte{}, put...), msg(nodeapi.TypePayload, r.Payload)...)
	whole = append(whole, msg(nodeapi.TypeUploadTail, r.Upload().Append(nil))...)
	f.Add([]byte{})
	f.Add(whole)
	f.Add(whole[:len(whole)-5])
	f.Add(append(append([]byte{}, put...), msg(nodeapi.TypeAbort, nil)...))
	f.Add(msg(nodeapi.TypeInfo, nil))
	f.Add(msg(nodeapi.TypePutRecord, nodeapi.PutRecordRequest{Auth: owner.Put(r).Auth, Record: r.Bytes()}.Append(nil)))
	f.Add(msg(nodeapi.TypeRead, nodeapi.ReadRequest{Shard: r.ID(), Length: 100}.Append(nil)))
	f.Add(msg(nodeapi.TypeTails, nodeapi.TailsRequest{IDs: []cairn.ShardID{r.ID()}}.Append(nil)))
	f.Add(msg(nodeapi.TypeList, nodeapi.ListRequest{Limit: 10}.Append(nil)))
	f.Add(msg(nodeapi.TypeDelete, owner.Delete(r.ID()).Append(nil)))
	s, err := newServer(mem, Config{Key: key, IdleTimeout: time.Second, UploadIdleTimeout: time.Second, PaceTimeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			s.serveLink(t.Context(), &tlsLinkless{far})
		}()
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			_, _ = io.Copy(io.Discard, near)
		}()
		hello := msg(nodeapi.TypeHello, nodeapi.Hello{Oldest: 1, Newest: 1, Auth: session(owner, []byte("the same at both ends"))}.Append(nil))
		if _, err := near.Write(hello); err != nil {
			t.Fatal(err)
		}
		_, _ = near.Write(b) // the server may have hung up
		_ = near.Close()
		select {
		case <-served:
		case <-time.After(patience):
			t.Fatalf("the server hangs on %x", b)
		}
		<-heard
		if i, err := mem.Info(t.Context()); err != nil || i.Uploads != 0 {
			t.Fatalf("%d uploads are left, %v", i.Uploads, err)
		}
	})
}
