package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/lifecycle"
)

// Config describes a Server.
type Config struct {
	// Name is how the server is called in messages. Required.
	Name string
	// Addr is host:port. A port of 0 takes a free one. Required, unless Listen
	// is given.
	Addr string
	// Listen opens the listener. Nil means TCP at Addr.
	Listen func(ctx context.Context) (net.Listener, error)
	// Handler serves. Required, unless Server is given.
	Handler http.Handler
	// Server serves with limits of its own. Nil means one for Handler.
	Server *http.Server
	// Wrap is put around the listener, below TLS. May be nil.
	Wrap func(net.Listener) net.Listener
	// TLS is how connections are secured; nil means they are not.
	TLS *tls.Config
	// MaxConns bounds open connections; more wait in the kernel's queue. Zero
	// means 1024.
	MaxConns int
	// RequestTimeout bounds one request with its answer. Zero means no bound,
	// for bodies whose size nobody knows.
	RequestTimeout time.Duration
	// Log takes what goes wrong with connections, at Debug. Nil discards.
	Log *slog.Logger
}

// Server is one HTTP server. Start comes first, then Run; Stop ends both.
type Server struct {
	cfg    Config
	server *http.Server

	mu       sync.Mutex // guards listener
	listener net.Listener
}

// New returns a server that does not listen yet.
func New(cfg Config) *Server {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 1024
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Server == nil {
		cfg.Server = newHTTPServer(cfg)
	}
	return &Server{cfg: cfg, server: cfg.Server}
}

func newHTTPServer(cfg Config) *http.Server {
	return &http.Server{
		Handler:           cfg.Handler,
		ReadHeaderTimeout: 15 * time.Second,
		ReadTimeout:       cfg.RequestTimeout,
		WriteTimeout:      cfg.RequestTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(logWriter{cfg.Log, cfg.Name}, "", 0),
		// HTTP/1.1 only: S3 clients speak it, and one connection then carries
		// one request, which is what MaxConns counts on.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

// Start opens the listener. An address that cannot be had is an Unavailable
// error.
func (s *Server) Start(ctx context.Context) error {
	listen := s.cfg.Listen
	if listen == nil {
		listen = func(ctx context.Context) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
		}
	}
	l, err := listen(ctx)
	if err != nil {
		return cairn.Errorf("listen for "+s.cfg.Name, cairn.Unavailable, "%w", err).
			WithHint("is another process listening there? choose another address")
	}
	l = &boundedListener{Listener: l, slots: make(chan struct{}, s.cfg.MaxConns), closed: make(chan struct{})}
	if s.cfg.Wrap != nil {
		l = s.cfg.Wrap(l)
	}
	if s.cfg.TLS != nil {
		l = tls.NewListener(l, s.cfg.TLS)
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	return nil
}

// Addr returns the address listened at, "" before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL returns what clients connect to, "" before Start. A listener on every
// address is named by loopback, which is one of them.
func (s *Server) URL() string {
	addr := s.Addr()
	if addr == "" {
		return ""
	}
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
	}
	if s.cfg.TLS != nil {
		return "https://" + addr
	}
	return "http://" + addr
}

// Run serves until Stop. Requires Start.
func (s *Server) Run(context.Context) error {
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.cfg.Name, err)
	}
	return nil
}

// Stop ends the server; requests still under way when ctx ends are cut off.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests under way were cut off: %w", err), s.server.Close())
	}
	return nil
}

// Service returns the server as a part of a process.
func (s *Server) Service() lifecycle.Service {
	return lifecycle.Service{Name: s.cfg.Name, Start: s.Start, Run: s.Run, Stop: s.Stop}
}

// logWriter turns what net/http says about broken connections into log lines.
type logWriter struct {
	log  *slog.Logger
	name string
}

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug("http connection failed", "server", w.name, "err", string(p))
	return len(p), nil
}

// boundedListener accepts only as many connections as there are slots.
type boundedListener struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// ReadFrom keeps sendfile and splice within reach of net/http.
func (c *boundedConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }
