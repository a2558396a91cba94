package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn/console"
)

// fake is a process whose health the test sets.
type fake struct {
	readErr, writeErr, statusErr error
	status                       console.Status
	peers                        []console.Peer
}

func (f *fake) handler(t *testing.T) http.Handler {
	t.Helper()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "stones_total", Help: "Stones laid."})
	registry.MustRegister(counter)
	counter.Add(3)
	h, err := console.Handler(console.Config{
		Ready: func(write bool) error {
			if f.readErr != nil || !write {
				return f.readErr
			}
			return f.writeErr
		},
		Status:  func(context.Context) (console.Status, error) { return f.status, f.statusErr },
		Peers:   func(context.Context) ([]console.Peer, error) { return f.peers, nil },
		Metrics: registry,
		Now:     func() time.Time { return time.Unix(1_000_000, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestHealthTellsReadsFromWrites(t *testing.T) {
	f := &fake{}
	h := f.handler(t)
	check := func(path string, want int) {
		t.Helper()
		if got := get(t, h, "GET", path).Code; got != want {
			t.Errorf("GET %s = %d, want %d", path, got, want)
		}
	}
	check("/livez", 200)
	check("/readyz", 200)
	check("/readyz?write", 200)
	f.writeErr = errors.New("2 failure domains, want 3")
	check("/readyz", 200)
	check("/readyz?write", 503)
	check("/readyz?write=1", 503)
	if w := get(t, h, "GET", "/readyz?write"); w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "2 failure domains") {
		t.Errorf("readyz?write says %q with Retry-After %q, want the reason and a time", w.Body, w.Header().Get("Retry-After"))
	}
	f.readErr = errors.New("starting")
	check("/readyz", 503)
	check("/livez", 200)
	check("/nothing", 404)
	if got := get(t, h, "POST", "/readyz").Code; got != 405 {
		t.Errorf("POST /readyz = %d, want 405", got)
	}
}

func TestMetricsAreServed(t *testing.T) {
	w := get(t, (&fake{}).handler(t), "GET", "/metrics")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "stones_total 3") {
		t.Errorf("GET /metrics = %d %q, want stones_total 3", w.Code, w.Body)
	}
}

func TestPageIsNotOKWhileSomethingIsShort(t *testing.T) {
	f := &fake{status: console.Status{
		Role: "gateway", Started: time.Unix(999_000, 0),
		Gateway: &console.Gateway{ReadReady: true, WriteReady: true, Scheme: "4+2", Losses: 2},
	}}
	h := f.handler(t)
	page := func() string {
		t.Helper()
		f.status.Judge()
		w := get(t, h, "GET", "/")
		if w.Code != 200 {
			t.Fatalf("GET / = %d %q", w.Code, w.Body)
		}
		return w.Body.String()
	}
	if p := page(); !strings.Contains(p, `class="verdict ok"`) || !strings.Contains(p, "16m40s") {
		t.Errorf("healthy page lacks its verdict or uptime:\n%s", p)
	}
	f.status.Problems = []string{"1 of 6 nodes is down"}
	if p := page(); !strings.Contains(p, `class="verdict degraded"`) || !strings.Contains(p, "1 of 6 nodes is down") {
		t.Errorf("page with a problem:\n%s", p)
	}
	f.status.Gateway.WriteReady = false
	if p := page(); !strings.Contains(p, `class="verdict unavailable"`) || !strings.Contains(p, "refused") {
		t.Errorf("page without writes:\n%s", p)
	}
}

func TestPageEscapesWhatNodesSay(t *testing.T) {
	f := &fake{
		status: console.Status{Role: "gateway", Gateway: &console.Gateway{}},
		peers:  []console.Peer{{State: "down", FailureDomain: `<script>alert(1)</script>`, Reason: `"><img src=x>`}},
	}
	w := get(t, f.handler(t), "GET", "/")
	if body := w.Body.String(); strings.Contains(body, "<script") || strings.Contains(body, "<img") {
		t.Errorf("a node's words became markup:\n%s", body)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy = %q", csp)
	}
}

func TestPageDoesNotShowInternalErrors(t *testing.T) {
	f := &fake{statusErr: errors.New("open /secret/path: permission denied")}
	w := get(t, f.handler(t), "GET", "/")
	if w.Code != 500 || strings.Contains(w.Body.String(), "/secret") {
		t.Errorf("GET / = %d %q, want 500 without the cause", w.Code, w.Body)
	}
}
