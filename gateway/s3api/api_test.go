package s3api_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/refmodel"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

const (
	accessKey = "CAIRNTESTKEY"
	secretKey = "secret/of+the-test"
	region    = "us-east-1"
)

var _ s3api.Store = (*refmodel.Store)(nil)

func verifier(t testing.TB) *sigv4.Verifier {
	t.Helper()
	v, err := sigv4.NewVerifier(sigv4.Config{Region: region, Lookup: func(_ context.Context, key string) (sigv4.Credential, error) {
		if key != accessKey {
			return sigv4.Credential{}, cairn.NewError("look up key", cairn.NotFound, nil)
		}
		return sigv4.Credential{SecretKey: secretKey}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// serve starts a server as the gateway runs it and returns a client for it.
func serve(t testing.TB, cfg s3api.Config) *apitest.Client {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = refmodel.New(refmodel.Config{})
	}
	cfg.Verifier = verifier(t)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	h, err := s3api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := s3api.NewServer(h, nil)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(s3api.Guard(l)) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-done; err != http.ErrServerClosed {
			t.Errorf("serve: %v", err)
		}
	})
	c := apitest.NewClient("http://"+l.Addr().String(), region, accessKey, secretKey)
	t.Cleanup(c.HTTP.CloseIdleConnections)
	return c
}

func TestReferenceModelOverTheWire(t *testing.T) {
	c := serve(t, s3api.Config{})
	apitest.Run(t, c.Endpoint, accessKey, secretKey)
}
