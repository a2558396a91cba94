package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/cairn-store/cairn/e2e/harness"
)

// TestALargeObjectDoesNotFillTheGateway stores and reads one large object. In
// a soak it has 5 GiB, the most a PUT may have.
func TestALargeObjectDoesNotFillTheGateway(t *testing.T) {
	const memoryLimit = 400 << 20
	size := int64(512 << 20)
	switch {
	case os.Getenv("CAIRN_SOAK") != "":
		size = 5 << 30
	case testing.Short():
		t.Skip("moves 512 MiB")
	}
	s := begin(t, harness.Options{Capacity: "8GiB"})
	began := time.Now()
	sent := s.putStream(t, "large", size)
	t.Logf("put of %d MiB took %.1fs", size>>20, time.Since(began).Seconds())
	began = time.Now()
	if got := s.getStream(t, "large", size); got != sent {
		t.Errorf("get gives bytes of SHA-256 %s, put had %s", got, sent)
	}
	t.Logf("get of %d MiB took %.1fs", size>>20, time.Since(began).Seconds())
	s.KillNode(0)
	s.KillNode(1)
	if got := s.getStream(t, "large", size); got != sent {
		t.Errorf("get with two nodes dead gives bytes of SHA-256 %s, put had %s", got, sent)
	}
	m, err := s.Gateway.Memory()
	if err != nil {
		t.Fatal(err)
	}
	cpu, err := s.Gateway.CPU()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("gateway: %d MiB at most, %.1fs of processor time for one put and two gets", m.Peak>>20, cpu.Seconds())
	if m.Peak >= memoryLimit {
		t.Errorf("the gateway took %d MiB, want less than %d", m.Peak>>20, memoryLimit>>20)
	}
}

// request sends one presigned request and wants 200.
func (s *story) request(t *testing.T, method, key string, body io.Reader, size int64) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	u, err := s.Minio().Presign(ctx, method, bucket, key, time.Hour, nil)
	if err != nil {
		t.Fatalf("presign %s %q: %v", method, key, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %q: %v", method, key, err)
	}
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		t.Fatalf("%s %q: %s: %s, %v", method, key, resp.Status, text, err)
	}
	return resp
}

// putStream stores random bytes and returns their SHA-256. They are made on
// the way, so that the test is no larger than the gateway.
func (s *story) putStream(t *testing.T, key string, size int64) string {
	t.Helper()
	var seed [32]byte
	copy(seed[:], fmt.Sprint(s.seed))
	sum := sha256.New()
	body := io.TeeReader(io.LimitReader(rand.NewChaCha8(seed), size), sum)
	resp := s.request(t, http.MethodPut, key, body, size)
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return text(sum)
}

func (s *story) getStream(t *testing.T, key string, size int64) string {
	t.Helper()
	resp := s.request(t, http.MethodGet, key, nil, 0)
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil || n != size {
		t.Fatalf("get %q: %d bytes, %v, want %d", key, n, err, size)
	}
	return text(sum)
}

func text(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
