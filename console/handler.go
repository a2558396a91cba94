package console

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says what a Handler shows.
type Config struct {
	// Ready returns nil when reads, or with write also writes, can be served,
	// and otherwise why not. Required.
	Ready func(write bool) error
	// Status describes the process. Required.
	Status func(ctx context.Context) (Status, error)
	// Peers lists the nodes known. Nil shows none.
	Peers func(ctx context.Context) ([]Peer, error)
	// Metrics are served at /metrics. Required.
	Metrics prometheus.Gatherer
	// Log may be nil.
	Log *slog.Logger
	// Now returns wall time; nil means time.Now.
	Now func() time.Time
}

//go:embed page.html style.css
var files embed.FS

// requestTimeout bounds the work behind one page.
const requestTimeout = 5 * time.Second

type handler struct {
	cfg   Config
	page  *template.Template
	style []byte
}

// Handler returns the handler of a console or admin listener. A Config without
// its required fields is an error.
func Handler(cfg Config) (http.Handler, error) {
	if cfg.Ready == nil || cfg.Status == nil || cfg.Metrics == nil {
		return nil, errors.New("console: Ready, Status and Metrics are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	page, err := template.New("page.html").Funcs(functions).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("parse status page: %w", err)
	}
	style, err := files.ReadFile("style.css")
	if err != nil {
		return nil, fmt.Errorf("read style sheet: %w", err)
	}
	h := &handler{cfg: cfg, page: page, style: style}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: requestTimeout,
	}))
	mux.HandleFunc("GET /style.css", h.styleSheet)
	mux.HandleFunc("GET /{$}", h.statusPage)
	return harden(mux), nil
}

// harden sets the headers that keep a page from being framed, sniffed, cached
// or extended by scripts.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	write := r.URL.Query().Has("write")
	if err := h.cfg.Ready(write); err != nil {
		w.Header().Set("Retry-After", "5")
		plain(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	plain(w, http.StatusOK, "ok")
}

func (h *handler) styleSheet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(h.style) // the client may be gone
}

func (h *handler) statusPage(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	var view struct {
		Status
		Peers []Peer
		Now   time.Time
	}
	var err error
	view.Now = h.cfg.Now()
	if view.Status, err = h.cfg.Status(ctx); err == nil && h.cfg.Peers != nil {
		view.Peers, err = h.cfg.Peers(ctx)
	}
	var out strings.Builder
	if err == nil {
		err = h.page.Execute(&out, view)
	}
	if err != nil {
		h.cfg.Log.ErrorContext(ctx, "status page failed", "err", err)
		plain(w, http.StatusInternalServerError, "the status is not known at the moment; see the log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(out.String()))
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) // the client may be gone
}
