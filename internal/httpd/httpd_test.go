package httpd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/httpd"
)

func start(t *testing.T, cfg httpd.Config) (*httpd.Server, <-chan error) {
	t.Helper()
	cfg.Name, cfg.Addr = "test", "127.0.0.1:0"
	s := httpd.New(cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	return s, ended
}

func TestStopLetsRequestsUnderWayFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, ended := start(t, httpd.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.URL())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	if err := <-ended; err != nil { // the listener is closed, the request goes on
		t.Errorf("Run = %v", err)
	}
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("request under way got %q, want %q", got, "done")
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop = %v", err)
	}
}

func TestStopCutsOffWhatOutlivesTheDeadline(t *testing.T) {
	entered := make(chan struct{})
	s, _ := start(t, httpd.Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})})
	failed := make(chan error, 1)
	go func() {
		resp, err := http.Get(s.URL())
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop = %v, want a deadline error", err)
	}
	if err := <-failed; err == nil {
		t.Error("request that outlived the deadline succeeded")
	}
}

func TestTakenPortFailsTheStartWithAHint(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := httpd.New(httpd.Config{Name: "S3", Addr: l.Addr().String(), Handler: http.NotFoundHandler()})
	err = s.Start(t.Context())
	if !errors.Is(err, cairn.Unavailable) || cairn.HintOf(err) == "" {
		t.Errorf("Start on a taken port = %v, hint %q; want Unavailable with a hint", err, cairn.HintOf(err))
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s, _ := start(t, httpd.Config{MaxConns: 1, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	first, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	// The first connection is accepted; the second waits until it goes away.
	second, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := io.WriteString(second, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := second.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Errorf("second connection was served beside the first, with room for one")
	}
	first.Close()
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := second.Read(make([]byte, 1)); err != nil || n != 1 {
		t.Errorf("second connection after the first closed: %d bytes, %v", n, err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v", err)
	}
}
