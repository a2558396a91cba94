package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// serverConn is one connection at the node; one goroutine runs it.
//
//	hello -> welcome -> { request -> answer } -> closed
//
// A request is answered by exactly one Reply or Error. An error of the service
// leaves the connection usable; anything else ends it.
type serverConn struct {
	s *server
	wire
	session nodeapi.Session
	expires int64 // Unix seconds, of the session

	busy bool // guarded by s.mu
}

// fatal is an error after which the connection cannot go on.
type fatal struct{ err error }

func (f fatal) Error() string { return f.err.Error() }
func (f fatal) Unwrap() error { return f.err }

// run serves the connection to its end. An end between requests is nil.
func (c *serverConn) run(ctx context.Context) error {
	if err := c.hello(); err != nil {
		c.s.metrics.refused.WithLabelValues("hello").Inc()
		return err
	}
	for {
		if !c.s.setBusy(c, false) {
			return nil
		}
		h, err := c.header(c.s.cfg.IdleTimeout)
		if err == io.EOF {
			return nil
		}
		if err == nil && !h.Type.IsRequest() {
			err = errProtocol("%v message where a request was expected", h.Type)
		}
		if err != nil {
			c.complain(h.Number, err)
			return err
		}
		c.s.setBusy(c, true)
		if err := c.request(ctx, h); err != nil {
			return err
		}
	}
}

// hello learns who the client is and welcomes it.
func (c *serverConn) hello() error {
	h, err := c.header(c.s.cfg.HandshakeTimeout)
	if err != nil {
		c.complain(0, err)
		return fmt.Errorf("read hello: %w", err)
	}
	if h.Type != nodeapi.TypeHello {
		err := errProtocol("%v message where hello was expected", h.Type)
		c.complain(h.Number, err)
		return err
	}
	body := make([]byte, h.Length)
	if err := c.full(body); err != nil {
		return err
	}
	version, err := c.identify(body)
	if err != nil {
		c.complain(h.Number, err)
		return err
	}
	w := nodeapi.Welcome{Version: version, Node: c.s.node, Clock: c.s.cfg.Now().UnixNano()}
	return c.send(nodeapi.TypeWelcome, h.Number, w.Append(c.begin()))
}

// identify checks a hello and sets the session.
func (c *serverConn) identify(body []byte) (version uint8, err error) {
	hello, err := nodeapi.ParseHello(body)
	if err != nil {
		return 0, err
	}
	if version, err = hello.Negotiate(); err != nil || hello.Auth == nil {
		return version, err
	}
	subject := cairn.SessionSubject(c.link.Binding())
	if err := hello.Auth.Verify(c.s.node, cairn.VerbSession, subject, c.s.cfg.Now()); err != nil {
		return 0, err
	}
	c.session = nodeapi.Session{Owner: cairn.Tag(hello.Auth.OwnerKey), Known: true}
	c.expires = hello.Auth.Expires
	return version, nil
}

// complain tells a client why its connection ends, when it is still there to
// hear it.
func (c *serverConn) complain(number uint16, err error) {
	if k := cairn.KindOf(err); k != cairn.Invalid && k != cairn.Denied {
		return // the link itself failed
	}
	_ = c.send(nodeapi.TypeError, number, nodeapi.AppendError(c.begin(), "serve connection", err))
}

// request answers one request. An error ends the connection.
func (c *serverConn) request(ctx context.Context, h nodeapi.MessageHeader) (end error) {
	start := time.Now()
	answered := error(nil)
	defer func() {
		if p := recover(); p != nil {
			c.s.cfg.Log.ErrorContext(ctx, "request panicked", "operation", h.Type.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			answered = cairn.Errorf(h.Type.String(), cairn.Internal, "panic")
			end = answered
		}
		c.s.metrics.answered(h.Type, answered, time.Since(start))
	}()
	answered = c.dispatch(ctx, h)
	if answered == nil {
		return nil
	}
	if f, ok := errors.AsType[fatal](answered); ok {
		c.complain(h.Number, f.err)
		return f.err
	}
	if cairn.KindOf(answered) == cairn.Internal {
		c.s.cfg.Log.ErrorContext(ctx, "request failed", "operation", h.Type.String(), "err", answered)
	}
	return c.refuse(h, answered)
}

// refuse answers an error and, after a put, takes what its client still sends.
func (c *serverConn) refuse(h nodeapi.MessageHeader, err error) error {
	put, sending := errors.AsType[putFailed](err)
	if sending {
		err = put.err
	}
	if err := c.send(nodeapi.TypeError, h.Number, nodeapi.AppendError(c.begin(), h.Type.String(), err)); err != nil {
		return err
	}
	if sending {
		return c.drainUpload(h.Number, put.unread)
	}
	return nil
}

// dispatch reads the body of a request and has it answered. What it returns is
// still to be answered, unless it is fatal.
func (c *serverConn) dispatch(ctx context.Context, h nodeapi.MessageHeader) error {
	if c.session.Known && c.s.cfg.Now().Unix() > c.expires {
		return fatal{cairn.Errorf(h.Type.String(), cairn.Denied, "the session has expired")}
	}
	if !c.s.flight.TryAcquire(1) {
		return c.busyAnswer(h)
	}
	defer c.s.flight.Release(1)
	body, release, err := c.body(ctx, h.Length)
	if err != nil {
		return fatal{err}
	}
	defer release()
	switch h.Type {
	case nodeapi.TypeInfo:
		return c.info(ctx, h.Number)
	case nodeapi.TypePut:
		return c.put(ctx, h.Number, body)
	case nodeapi.TypePutRecord:
		return c.putRecord(ctx, h.Number, body)
	case nodeapi.TypeRead:
		return c.read(ctx, h.Number, body)
	case nodeapi.TypeTails:
		return c.tails(ctx, h.Number, body)
	case nodeapi.TypeList:
		return c.list(ctx, h.Number, body)
	case nodeapi.TypeDelete:
		return c.delete(ctx, h.Number, body)
	default:
		return fatal{errProtocol("%v message where a request was expected", h.Type)}
	}
}

// busyAnswer reads a request away that there is no room for.
func (c *serverConn) busyAnswer(h nodeapi.MessageHeader) error {
	if err := c.discard(h.Length); err != nil {
		return fatal{err}
	}
	err := cairn.Errorf(h.Type.String(), cairn.Unavailable, "the node has too many requests under way").
		WithHint("try again shortly")
	if h.Type == nodeapi.TypePut {
		return putFailed{err: err}
	}
	return err
}

// body reads n bytes within the memory budget. They belong to the caller;
// release gives their share of the budget back.
func (c *serverConn) body(ctx context.Context, n int) (b []byte, release func(), err error) {
	if n == 0 {
		return nil, func() {}, nil
	}
	if err := c.s.memory.Acquire(ctx, int64(n)); err != nil {
		return nil, nil, fmt.Errorf("wait for memory: %w", err)
	}
	b = make([]byte, n)
	if err := c.full(b); err != nil {
		c.s.memory.Release(int64(n))
		return nil, nil, err
	}
	return b, func() { c.s.memory.Release(int64(n)) }, nil
}

// reply sends a success; failing to is fatal.
func (c *serverConn) reply(number uint16, b []byte) error {
	if err := c.send(nodeapi.TypeReply, number, b); err != nil {
		return fatal{err}
	}
	return nil
}
