package transport

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// maxLeftover bounds what a client may still send after its put was refused:
// what was in the sockets' buffers, and then some.
const maxLeftover = 16 << 20

// putFailed is a put that is answered before its client has sent everything.
type putFailed struct {
	err    error
	unread int // bytes of the current message that were not read yet
}

func (p putFailed) Error() string { return p.err.Error() }
func (p putFailed) Unwrap() error { return p.err }

var errAborted = cairn.Errorf("put shard", cairn.Unavailable, "the client aborted the upload")

// put receives one shard. Whatever happens, the service's upload has ended
// when it returns.
func (c *serverConn) put(ctx context.Context, number uint16, body []byte) error {
	req, err := nodeapi.ParsePutRequest(body)
	if err != nil {
		return putFailed{err: err}
	}
	up, err := c.s.svc.Put(ctx, req)
	if err != nil {
		return putFailed{err: err}
	}
	defer up.Abort() // harmless after Commit
	left := req.Header.PayloadLen
	for {
		h, err := c.next(number)
		if err != nil {
			return fatal{err}
		}
		switch h.Type {
		case nodeapi.TypePayload:
			if h.Length == 0 || int64(h.Length) > left {
				return fatal{errProtocol("%d bytes of payload where %d are left", h.Length, left)}
			}
			left -= int64(h.Length)
			if err := c.receive(ctx, up, h.Length); err != nil {
				return err
			}
		case nodeapi.TypeUploadTail:
			return c.commit(ctx, up, h, req, left)
		case nodeapi.TypeAbort:
			return errAborted
		default:
			return fatal{errProtocol("%v message in an upload", h.Type)}
		}
	}
}

// next reads the header of the upload's next message.
func (c *serverConn) next(number uint16) (nodeapi.MessageHeader, error) {
	h, err := c.header(c.s.cfg.UploadIdleTimeout)
	if err == nil && h.Number != number {
		err = errProtocol("message of request %d in the upload of request %d", h.Number, number)
	}
	return h, err
}

// receive hands the n payload bytes of one message to the upload.
func (c *serverConn) receive(ctx context.Context, up nodeapi.Upload, n int) error {
	if err := c.s.memory.Acquire(ctx, chunkSize); err != nil {
		return fatal{fmt.Errorf("wait for memory: %w", err)}
	}
	defer c.s.memory.Release(chunkSize)
	buf := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(buf)
	c.s.metrics.bytes.WithLabelValues("in").Add(float64(n))
	for n > 0 {
		b := (*buf)[:min(n, chunkSize)]
		if err := c.full(b); err != nil {
			return fatal{err}
		}
		n -= len(b)
		if err := up.Write(b); err != nil {
			return putFailed{err: err, unread: n}
		}
	}
	return nil
}

// commit reads the tail, makes the shard durable and answers the receipt.
func (c *serverConn) commit(ctx context.Context, up nodeapi.Upload, h nodeapi.MessageHeader, req nodeapi.PutRequest, left int64) error {
	bound := nodeapi.UploadTail{}.WireSize() + req.Header.TreeTopLen() + req.MaxManifest
	if left > 0 || h.Length > bound {
		if err := c.discard(h.Length); err != nil {
			return fatal{err}
		}
		if left > 0 {
			return cairn.Errorf("put shard", cairn.Invalid, "the payload ends %d bytes early", left)
		}
		return cairn.Errorf("put shard", cairn.Invalid, "tail of %d bytes, at most %d were announced", h.Length, bound)
	}
	body, release, err := c.body(ctx, h.Length)
	if err != nil {
		return fatal{err}
	}
	defer release()
	tail, err := nodeapi.ParseUploadTail(body)
	if err != nil {
		return err
	}
	receipt, err := up.Commit(ctx, tail)
	if err != nil {
		return err
	}
	return c.reply(h.Number, nodeapi.AppendReceipt(c.begin(), receipt))
}

// drainUpload reads away what the client of a refused put still sends, up to
// the tail or abort that ends the request, so that the client hears the refusal
// and the connection can go on.
func (c *serverConn) drainUpload(number uint16, unread int) error {
	if err := c.discard(unread); err != nil {
		return err
	}
	for room := maxLeftover; ; {
		h, err := c.header(c.pace)
		switch {
		case err != nil:
			return err
		case h.Number != number:
			return errProtocol("message of request %d in the upload of request %d", h.Number, number)
		case h.Type != nodeapi.TypePayload && h.Type != nodeapi.TypeUploadTail && h.Type != nodeapi.TypeAbort:
			return errProtocol("%v message in an upload", h.Type)
		}
		if room -= h.Length; room < 0 {
			return errors.New("the client goes on sending after its upload was refused")
		}
		if err := c.discard(h.Length); err != nil {
			return err
		}
		if h.Type != nodeapi.TypePayload {
			return nil
		}
	}
}
