package s3api

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// NewServer returns a server for the handler, with limits on everything a
// stranger can make it hold. Bodies have no total time limit; the handler gives
// up clients that stop making progress. Listen with Guard.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 128, MaxReceiveBufferPerStream: 4 << 20},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if g, ok := c.(*guardedConn); ok {
				return context.WithValue(ctx, guardKey{}, g)
			}
			return ctx
		},
		ConnState: func(c net.Conn, s http.ConnState) {
			if g, ok := c.(*guardedConn); ok && s == http.StateIdle {
				g.record()
			}
		},
	}
}

type guardKey struct{}

// Guard makes connections remember the header they read last. net/http drops
// Content-Length when there is a Transfer-Encoding too, and such a request must
// be refused: a proxy in front may believe the other of the two.
func Guard(l net.Listener) net.Listener { return guardedListener{l} }

type guardedListener struct{ net.Listener }

func (l guardedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: c, recording: true}, nil
}

// maxRecorded leaves room for the part of a body that is read with the header.
const maxRecorded = maxHeaderBytes + 16<<10

type guardedConn struct {
	net.Conn

	mu        sync.Mutex // guards the fields below; reads and state changes come from different goroutines
	recording bool       // from the start of a request until its handler runs
	head      []byte
}

func (g *guardedConn) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.recording {
		if len(g.head)+n > maxRecorded {
			g.recording, g.head = false, nil
		} else {
			g.head = append(g.head, p[:n]...)
		}
	}
	return n, err
}

// record begins to remember anew.
func (g *guardedConn) record() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.recording, g.head = true, nil
}

// take returns what was remembered and stops.
func (g *guardedConn) take() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	head := g.head
	g.recording, g.head = false, nil
	return head
}

// rejectAmbiguous refuses a request that gives its length in two ways. Where the
// header as sent is not known (TLS, pipelining), the connection is closed after
// the answer, as RFC 9112 6.1 demands, so that nothing can follow on it.
func rejectAmbiguous(r *http.Request, w http.ResponseWriter) error {
	g, guarded := r.Context().Value(guardKey{}).(*guardedConn)
	var head []byte
	if guarded {
		head = g.take()
	}
	if r.ProtoMajor != 1 || len(r.TransferEncoding) == 0 {
		return nil
	}
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 || !bytes.HasPrefix(head, []byte(r.Method+" "+r.RequestURI+" HTTP/1.")) {
		w.Header().Set("Connection", "close")
		return nil
	}
	for line := range strings.SplitSeq(string(head[:end]), "\n") {
		name, _, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "content-length") {
			w.Header().Set("Connection", "close")
			return failf("InvalidRequest", "Content-Length and Transfer-Encoding cannot be used together.")
		}
	}
	return nil
}
