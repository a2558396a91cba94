package gateway_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway"
)

// TestReadsThatFailGiveTheirMemoryBack makes more reads fail than there are
// buffers for, and then reads what needs them.
func TestReadsThatFailGiveTheirMemoryBack(t *testing.T) {
	m, e := newEngine(t, 6)
	data := body(11, 1<<20)
	put(t, e, "k", data)
	for _, n := range m.Nodes[:3] {
		n.SetDown(true)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	read := func() ([]byte, error) {
		o, err := e.Get(ctx, gateway.GetRequest{Bucket: "b", Key: "k"})
		if err != nil {
			return nil, err
		}
		defer o.Body.Close()
		var got bytes.Buffer
		_, err = o.Body.WriteTo(&got)
		return got.Bytes(), err
	}
	for range 20 {
		if _, err := read(); err == nil {
			t.Fatal("get with three of six nodes down succeeded")
		}
	}
	m.Nodes[0].SetDown(false)
	got, err := read()
	if err != nil {
		t.Fatalf("get with two nodes down, after reads that failed: %v", err)
	}
	if !bytes.Equal(got, data) {
		t.Error("get with two nodes down differs")
	}
}
