package transport

import (
	"context"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// lastWords is how long an upload listens after it could not write.
const lastWords = time.Second

// abortWait is how long an aborted upload waits for the node to agree.
const abortWait = 500 * time.Millisecond

// upload is one shard on its way to the node. While its user writes, a
// goroutine waits for the answer, so that a refusal is noticed at the next
// Write; the node goes on reading what was sent before.
type upload struct {
	pool   *pool
	conn   *conn
	number uint16
	left   int64                 // payload bytes still to be written
	stop   func() bool           // undoes the link's tie to the context of Put
	failed func(err error) error // says why there is no answer

	done    chan struct{} // closed when the fields below are set
	receipt cairn.Receipt
	remote  *cairn.Error
	err     error

	ended bool // the connection went back to the pool
}

var _ nodeapi.Upload = (*upload)(nil)

// Put starts to store a shard. It returns once the request is on its way, not
// accepted: a refusal comes from Write or Commit. The upload ends when ctx
// does, and must be ended by Commit or Abort in any case. Write sends at most
// the payload that the header announced, best in whole blocks.
func (c *Channel) Put(ctx context.Context, req nodeapi.PutRequest) (nodeapi.Upload, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	conn, err := c.pool.get(ctx, false)
	if err != nil {
		return nil, err
	}
	u := &upload{
		pool: c.pool, conn: conn, number: conn.nextNumber(), left: req.Header.PayloadLen,
		stop: context.AfterFunc(ctx, conn.close), done: make(chan struct{}),
		failed: func(err error) error { return c.pool.failure(ctx, nodeapi.TypePut, false, err) },
	}
	if err := conn.send(nodeapi.TypePut, u.number, req.Append(conn.begin())); err != nil {
		u.end(false)
		return nil, c.pool.failure(ctx, nodeapi.TypePut, conn.reused, err)
	}
	go u.await()
	return u, nil
}

// await reads the one answer to the upload. It ends with the connection at the
// latest.
func (u *upload) await() {
	defer close(u.done)
	u.remote, _, u.err = u.conn.answer(u.number, func(w *wire, n int) error {
		return parsed(w, n, nodeapi.ParseReceipt, &u.receipt)
	})
}

// answered reports whether the answer is in.
func (u *upload) answered() bool {
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

// early is the error for an answer before the upload is complete.
func (u *upload) early() error {
	switch {
	case u.remote != nil:
		return u.remote
	case u.err != nil:
		return u.failed(u.err)
	default:
		return u.failed(errProtocol("a receipt before the upload is complete"))
	}
}

// Write implements nodeapi.Upload.
func (u *upload) Write(p []byte) error {
	if int64(len(p)) > u.left {
		return cairn.Errorf("put shard", cairn.Invalid, "%d bytes of payload where %d are left", len(p), u.left)
	}
	for len(p) > 0 {
		if u.answered() {
			return u.early()
		}
		n := min(len(p), nodeapi.MaxChunk)
		if err := u.conn.chunk(u.number, p[:n]); err != nil {
			return u.broken(err)
		}
		u.left -= int64(n)
		p = p[n:]
	}
	return nil
}

// broken ends the connection after a failed write. What the node said before
// it closed its end tells more than the failure to write.
func (u *upload) broken(err error) error {
	if !u.awaitLastWords() {
		return u.failed(err)
	}
	return u.early()
}

// Commit implements nodeapi.Upload.
func (u *upload) Commit(ctx context.Context, tail nodeapi.UploadTail) (cairn.Receipt, error) {
	if u.ended {
		return cairn.Receipt{}, cairn.Errorf("put shard", cairn.Invalid, "the upload has ended")
	}
	defer u.Abort()
	switch {
	case u.answered():
		return cairn.Receipt{}, u.early()
	case u.left > 0:
		return cairn.Receipt{}, cairn.Errorf("put shard", cairn.Invalid, "the payload ends %d bytes early", u.left)
	case tail.WireSize() > nodeapi.MaxMessage:
		return cairn.Receipt{}, cairn.Errorf("put shard", cairn.Invalid, "tail of %d bytes, at most %d", tail.WireSize(), nodeapi.MaxMessage)
	}
	stop := context.AfterFunc(ctx, u.conn.close)
	failed := u.failed
	u.failed = func(err error) error {
		if ctx.Err() != nil {
			return u.pool.failure(ctx, nodeapi.TypePut, false, err)
		}
		return failed(err)
	}
	err := u.conn.send(nodeapi.TypeUploadTail, u.number, tail.Append(u.conn.begin()))
	if err != nil {
		defer stop()
		return cairn.Receipt{}, u.broken(err)
	}
	<-u.done
	inOrder := stop() && u.err == nil
	u.end(inOrder)
	if u.remote != nil || u.err != nil {
		return cairn.Receipt{}, u.early()
	}
	return u.receipt, nil
}

// Abort implements nodeapi.Upload. It tells the node, so that the space is free
// again when it returns and the connection can be kept; when the node does not
// say so soon, the connection is closed, by which the node knows as well.
func (u *upload) Abort() {
	if u.ended {
		return
	}
	late := time.AfterFunc(abortWait, u.conn.close)
	err := u.conn.send(nodeapi.TypeAbort, u.number, u.conn.begin())
	if err != nil {
		u.conn.close()
	}
	<-u.done
	u.end(late.Stop() && err == nil && u.err == nil && u.remote != nil)
}

// end gives the connection back.
func (u *upload) end(inOrder bool) {
	u.ended = true
	if u.stop() && inOrder {
		u.pool.put(u.conn)
	} else {
		u.pool.drop(u.conn)
	}
}

// awaitLastWords waits a moment for the answer after the connection failed in
// the direction of the node, then closes it. It reports whether one came.
func (u *upload) awaitLastWords() bool {
	_ = u.conn.link.SetReadDeadline(time.Now().Add(lastWords))
	<-u.done
	u.conn.close()
	return u.remote != nil
}
