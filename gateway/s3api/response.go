package s3api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/cairn-store/cairn"
)

// pace is a deadline that moves with the client's progress. On HTTP/1 it is
// looked at only while the connection is read or written, and moved in steps. On
// HTTP/2 it is an alarm that ends the stream whenever it goes off, so it must be
// set only while we wait for the client.
type pace struct {
	set      func(time.Time) error
	patience time.Duration
	alarm    bool
	until    time.Time // what is set; zero is none
}

// begin is called before waiting for the client, end after it.
func (p *pace) begin() {
	if now := time.Now(); p.until.Sub(now) <= p.patience/2 {
		p.until = now.Add(p.patience)
		_ = p.set(p.until) // not every ResponseWriter has a connection
	}
}

func (p *pace) end() {
	if p.alarm {
		p.clear()
	}
}

func (p *pace) clear() {
	p.until = time.Time{}
	_ = p.set(p.until)
}

// response counts what is sent, and gives a client that stops reading up.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    pace
	status  int // 0 until the header was sent
	sent    int64
}

func newResponse(w http.ResponseWriter, r *http.Request, patience time.Duration) *response {
	control := http.NewResponseController(w)
	// net/http clears what is left of the deadline between requests.
	p := pace{set: control.SetWriteDeadline, patience: patience, alarm: r.ProtoMajor != 1}
	return &response{ResponseWriter: w, control: control, pace: p}
}

// Unwrap lets http.ResponseController find what is beneath.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) begun() bool { return w.status != 0 }

func (w *response) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.status = status
	}
	w.pace.begin()
	w.ResponseWriter.WriteHeader(status)
	w.pace.end()
}

func (w *response) Write(p []byte) (int, error) {
	if !w.begun() {
		w.status = http.StatusOK
	}
	w.pace.begin()
	n, err := w.ResponseWriter.Write(p)
	w.pace.end()
	w.sent += int64(n)
	return n, err
}

// pacedBody gives a client up that stops sending. The deadline is per progress,
// not for the whole body.
type pacedBody struct {
	io.ReadCloser
	pace     pace
	received int64
	ended    bool // nothing more will come
}

func newPacedBody(w http.ResponseWriter, r *http.Request, patience time.Duration) *pacedBody {
	p := pace{set: http.NewResponseController(w).SetReadDeadline, patience: patience, alarm: r.ProtoMajor != 1}
	return &pacedBody{ReadCloser: r.Body, pace: p, ended: r.Body == http.NoBody}
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	b.pace.begin()
	n, err := b.ReadCloser.Read(p)
	b.pace.end()
	b.received += int64(n)
	switch {
	case err == io.EOF: //nolint:errorlint // a Reader returns it bare
		b.ended = true
		// net/http watches the connection from here on; the deadline must not
		// look like the client hanging up.
		b.pace.clear()
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fail("RequestTimeout")
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		err = fail("IncompleteBody") // whatever it was, it was on the client's side
	}
	return n, err
}

// sendXML sends a finished document.
func (c *call) sendXML(status int, x *xmlWriter) {
	head := c.w.Header()
	head.Set("Content-Type", "application/xml")
	head.Set("Content-Length", number(x.b.Len()))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(x.b.Bytes()) // a client that went away is nobody's fault
	}
}

// done sends an answer without a body.
func (c *call) done(status int) {
	if status != http.StatusNoContent {
		c.w.Header().Set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
}

// outcome is what an operation that may take long has to say.
type outcome struct {
	document   *xmlWriter
	version    *cairn.Version // made by it; may be nil
	durability string
}

// patiently runs an operation that may take long and sends its document. While
// it runs, blanks are sent so that the client keeps waiting; from then on the
// status is 200, and a failure becomes an Error document, as in S3. The context
// of op is that of the request.
func (c *call) patiently(op func() (outcome, error)) error {
	type result struct {
		outcome
		err error
	}
	finished := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil { // here it would end the process
				r.err = fmt.Errorf("panic in %s: %v\n%s", c.operation(), p, debug.Stack())
			}
			finished <- r
		}()
		r.outcome, r.err = op()
	}()
	ticker := time.NewTicker(c.cfg.KeepAlive)
	defer ticker.Stop()
	for {
		select {
		case r := <-finished:
			switch {
			case r.err != nil && !c.w.begun():
				return r.err
			case r.err != nil:
				e, known := ErrorOf(r.err)
				if !known {
					c.report(r.err, known)
				}
				r.document = c.errorDocument(e)
			}
			c.sendLate(r.outcome)
			return nil
		case <-ticker.C:
			c.blank()
		}
	}
}

// blank sends white space, which XML allows after its declaration.
func (c *call) blank() {
	if !c.w.begun() {
		c.w.Header().Set("Content-Type", "application/xml")
		c.w.WriteHeader(http.StatusOK)
		_, _ = c.w.Write([]byte(xmlDeclaration))
	}
	_, _ = c.w.Write([]byte("\n"))
	_ = c.w.control.Flush() // a client that went away ends the request's context
}

// sendLate sends the document, or what is left of it when blanks went before.
func (c *call) sendLate(o outcome) {
	if c.w.begun() {
		_, _ = c.w.Write(o.document.b.Bytes()[len(xmlDeclaration):])
		return
	}
	c.storedHeaders(o.version, o.durability)
	c.sendXML(http.StatusOK, o.document)
}
