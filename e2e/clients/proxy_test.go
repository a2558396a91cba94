package clients

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// resolver is a forward proxy that takes every host name for the gateway. It
// stands in for the wildcard DNS entry of a real virtual-host style endpoint.
// With CONNECT it is a tunnel; requests of plain http pass through it as they
// are, in absolute form, which every HTTP/1.1 server has to understand.
type resolver struct {
	listener net.Listener
	gateway  string
	wait     sync.WaitGroup

	mu    sync.Mutex // guards open
	open  map[net.Conn]bool
	ended bool
}

// startResolver returns the URL of a resolver that ends with t.
func startResolver(t testing.TB, gateway string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &resolver{listener: l, gateway: gateway, open: map[net.Conn]bool{}}
	r.wait.Go(r.serve)
	t.Cleanup(r.close)
	return "http://" + l.Addr().String()
}

// close ends all connections and waits for them.
func (r *resolver) close() {
	_ = r.listener.Close() // ends serve
	r.mu.Lock()
	r.ended = true
	for c := range r.open {
		_ = c.Close() // ends its pipes
	}
	r.mu.Unlock()
	r.wait.Wait()
}

// hold remembers a connection for close; release closes it.
func (r *resolver) hold(c net.Conn) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[c] = true
	if r.ended {
		_ = c.Close()
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, c)
		_ = c.Close()
	}
}

func (r *resolver) serve() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wait.Go(func() { r.forward(c) })
	}
}

func (r *resolver) forward(c net.Conn) {
	defer r.hold(c)()
	g, err := net.Dial("tcp", r.gateway)
	if err != nil {
		return // the client sees the connection end
	}
	defer r.hold(g)()
	in := bufio.NewReader(c)
	if start, err := in.Peek(len("CONNECT ")); err != nil {
		return
	} else if strings.EqualFold(string(start), "CONNECT ") {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
	}
	var both sync.WaitGroup
	both.Go(func() { pipe(g, in) })
	both.Go(func() { pipe(c, g) })
	both.Wait()
}

// pipe copies until either side ends, and lets the receiver know.
func pipe(to net.Conn, from io.Reader) {
	_, err := io.Copy(to, from)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		_ = to.Close() // broken: nothing more can come over it
		return
	}
	_ = to.(*net.TCPConn).CloseWrite() // may be closed already
}
