package gateway_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/internal/testnet"
)

// TestWritesAfterTheClockSteppedBackAreNotLost deletes an object, and writes it
// again in a gateway whose clock is an hour behind: recovery must not take the
// new object for what was deleted. Neither may it after a recovery, which knows
// of the deletion from the nodes alone.
func TestWritesAfterTheClockSteppedBackAreNotLost(t *testing.T) {
	for _, recovered := range []bool{false, true} {
		m := testnet.NewMem(t, 6)
		cfg := fastEngine()
		e, stop := m.Engine(t, cfg)
		if err := e.CreateBucket(t.Context(), "b", ""); err != nil {
			t.Fatal(err)
		}
		put(t, e, "k", body(1, 1000))
		if _, err := e.Delete(t.Context(), gateway.DeleteRequest{Bucket: "b", Key: "k"}); err != nil {
			t.Fatal(err)
		}
		stop()
		if recovered {
			recoverCatalog(t, m)
		}
		cfg.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		e, stop = m.Engine(t, cfg)
		data := body(2, 1000)
		put(t, e, "k", data)
		stop()
		recoverCatalog(t, m)
		e, stop = m.Engine(t, cfg)
		if got, err := tryGet(t, e, gateway.GetRequest{Key: "k"}); err != nil || !bytes.Equal(got, data) {
			t.Errorf("recovered before %v: got %d bytes, %v", recovered, len(got), err)
		}
		stop()
	}
}
