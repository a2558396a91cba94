package transport

import (
	"bufio"
	"net"
	"sync"
	"time"
)

const (
	// readBuffer is what one system call takes from a connection at most.
	readBuffer = 64 << 10
	// writeBuffer collects TLS records (16 KiB each) into one system call.
	writeBuffer = 256 << 10
)

// Link is an authenticated stream of bytes to exactly one peer. One goroutine
// may read while another writes; Close may be called by anybody and ends both.
type Link interface {
	Read(p []byte) (int, error)
	// Write may hold bytes back until Flush.
	Write(p []byte) (int, error)
	Flush() error
	Close() error
	SetReadDeadline(t time.Time) error
	// Binding is the same at both ends and differs between any two links, even
	// when a man in the middle made both; sessions are signed over it.
	Binding() []byte
	// Quiet reports whether an idle link is still open with nothing to read.
	Quiet() bool
}

// coalescer is a connection whose writes are collected until flush and whose
// reads are buffered. TLS runs over it, so that its records leave in large
// pieces.
type coalescer struct {
	net.Conn
	in *bufio.Reader
	// pace bounds one write to the connection; zero does not.
	pace time.Duration

	mu      sync.Mutex // guards the fields below; held across writes to keep their order
	collect bool       // false during the handshake: every write goes out at once
	out     *[]byte    // from outPool while it holds bytes, else nil
}

var outPool = sync.Pool{New: func() any { b := make([]byte, 0, writeBuffer); return &b }}

func newCoalescer(c net.Conn, pace time.Duration) *coalescer {
	return &coalescer{Conn: c, in: bufio.NewReaderSize(c, readBuffer), pace: pace}
}

func (c *coalescer) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *coalescer) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.collect {
		return c.Conn.Write(p)
	}
	for done := 0; done < len(p); {
		if c.out == nil {
			c.out = outPool.Get().(*[]byte)
		}
		n := min(len(p)-done, cap(*c.out)-len(*c.out))
		*c.out = append(*c.out, p[done:done+n]...)
		done += n
		if len(*c.out) == cap(*c.out) {
			if err := c.flushLocked(); err != nil {
				return done, err
			}
		}
	}
	return len(p), nil
}

// hold makes later writes wait for flush.
func (c *coalescer) hold() {
	c.mu.Lock()
	c.collect = true
	c.mu.Unlock()
}

func (c *coalescer) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushLocked()
}

func (c *coalescer) flushLocked() error {
	if c.out == nil {
		return nil
	}
	b := c.out
	c.out = nil
	if c.pace > 0 {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.pace)); err != nil {
			return err
		}
	}
	_, err := c.Conn.Write(*b)
	*b = (*b)[:0]
	outPool.Put(b)
	return err
}

// quiet reports whether nothing is buffered and the connection is open.
func (c *coalescer) quiet() bool { return c.in.Buffered() == 0 && quiet(c.Conn) }
