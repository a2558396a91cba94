package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// ErrStale is in the chain of an error when a pooled connection turned out to
// be closed before a byte of the reply. The node almost certainly never saw the
// request; one that changes something may be signed anew and sent again.
var ErrStale = errors.New("the pooled connection was closed by the node")

// Channel carries requests to one node. It is safe for concurrent use; each
// request has a connection to itself. The errors of the node arrive as
// *cairn.Error with their kind; a node that cannot be reached, breaks the
// connection or speaks nonsense is Unavailable, one that is another Denied.
// When a request's context ends, its connection is closed and the request
// returns at once. Requests that only read are repeated by themselves on a new
// connection when a pooled one was stale.
type Channel struct {
	pool *pool
}

// NewChannel returns a channel to node, found at any of addrs; nothing is
// dialled yet. The owner's key at this node opens sessions; nil stays a
// stranger, who may only ask for Info.
func NewChannel(node cairn.NodeID, addrs []string, key ed25519.PrivateKey, cfg ChannelConfig) *Channel {
	return &Channel{pool: newPool(node, addrs, key, cfg)}
}

// SetAddrs says where the node is found from now on.
func (c *Channel) SetAddrs(addrs []string) { c.pool.setAddrs(addrs) }

// Close closes the idle connections; those in use close when their request
// ends. Later requests fail.
func (c *Channel) Close() error {
	c.pool.close()
	return nil
}

// request is what goes into one message.
type request interface{ Append(b []byte) []byte }

// empty is the body of Info.
type empty struct{}

func (empty) Append(b []byte) []byte { return b }

// Info asks the node to describe itself.
func (c *Channel) Info(ctx context.Context) (i nodeapi.Info, err error) {
	err = c.safely(ctx, nodeapi.TypeInfo, empty{}, func(w *wire, n int) error {
		return parsed(w, n, nodeapi.ParseInfo, &i)
	})
	return i, err
}

// PutRecord stores a whole record.
func (c *Channel) PutRecord(ctx context.Context, auth cairn.Authorization, record []byte) (r cairn.Receipt, err error) {
	req := nodeapi.PutRecordRequest{Auth: auth, Record: record}
	if err := req.Validate(); err != nil {
		return r, err
	}
	err = c.once(ctx, false, nodeapi.TypePutRecord, req, func(w *wire, n int) error {
		return parsed(w, n, nodeapi.ParseReceipt, &r)
	})
	return r, err
}

// Read fills buf with the payload that starts at off; the bytes go from the
// connection straight into buf. After an error buf holds anything.
func (c *Channel) Read(ctx context.Context, id cairn.ShardID, off int64, buf []byte) error {
	req := nodeapi.ReadRequest{Shard: id, Offset: off, Length: len(buf)}
	if err := req.Validate(); err != nil {
		return err
	}
	return c.safely(ctx, nodeapi.TypeRead, req, func(w *wire, n int) error {
		if n != len(buf) {
			return errProtocol("%d bytes of payload, asked for %d", n, len(buf))
		}
		return w.full(buf)
	})
}

// Tails asks for records without their payloads; they are not verified here.
func (c *Channel) Tails(ctx context.Context, ids []cairn.ShardID) (tails []cairn.Tail, err error) {
	req := nodeapi.TailsRequest{IDs: ids}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	err = c.safely(ctx, nodeapi.TypeTails, req, func(w *wire, n int) error {
		return parsed(w, n, nodeapi.ParseTails, &tails)
	})
	return tails, err
}

// List asks for one page of what the owner keeps at the node.
func (c *Channel) List(ctx context.Context, after cairn.ShardID, limit int) (r nodeapi.ListReply, err error) {
	req := nodeapi.ListRequest{After: after, Limit: limit}
	if err := req.Validate(); err != nil {
		return r, err
	}
	err = c.safely(ctx, nodeapi.TypeList, req, func(w *wire, n int) error {
		return parsed(w, n, nodeapi.ParseListReply, &r)
	})
	return r, err
}

// Delete removes shards.
func (c *Channel) Delete(ctx context.Context, req nodeapi.DeleteRequest) (r nodeapi.DeleteReply, err error) {
	if err := req.Validate(); err != nil {
		return r, err
	}
	err = c.once(ctx, false, nodeapi.TypeDelete, req, func(w *wire, n int) error {
		return parsed(w, n, nodeapi.ParseDeleteReply, &r)
	})
	return r, err
}

// parsed reads a reply's body and parses it into v.
func parsed[T any](w *wire, n int, parse func([]byte) (T, error), v *T) error {
	body := make([]byte, n)
	err := w.full(body)
	if err == nil {
		*v, err = parse(body)
	}
	return err
}

// safely makes a request that may be made twice.
func (c *Channel) safely(ctx context.Context, t nodeapi.MessageType, req request, reply func(w *wire, n int) error) error {
	err := c.once(ctx, false, t, req, reply)
	if errors.Is(err, ErrStale) && ctx.Err() == nil {
		err = c.once(ctx, true, t, req, reply)
	}
	return err
}

// once makes a request; reply reads the n bytes of a successful answer.
func (c *Channel) once(ctx context.Context, fresh bool, t nodeapi.MessageType, req request, reply func(w *wire, n int) error) error {
	conn, err := c.pool.get(ctx, fresh)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, conn.close)
	remote, heard, err := conn.exchange(t, req, reply)
	if stop() && err == nil {
		c.pool.put(conn)
	} else {
		c.pool.drop(conn)
	}
	switch {
	case remote != nil:
		return remote
	case err == nil:
		return nil
	default:
		return c.pool.failure(ctx, t, conn.reused && !heard, err)
	}
}

// exchange sends a request and reads its answer. An error message comes back
// as remote, with the connection in order. Heard says that the node began to
// answer.
func (c *conn) exchange(t nodeapi.MessageType, req request, reply func(w *wire, n int) error) (remote *cairn.Error, heard bool, err error) {
	number := c.nextNumber()
	if err := c.send(t, number, req.Append(c.begin())); err != nil {
		return nil, false, err
	}
	return c.answer(number, reply)
}

// answer reads the answer to a request.
func (c *conn) answer(number uint16, reply func(w *wire, n int) error) (remote *cairn.Error, heard bool, err error) {
	h, err := c.header(0)
	switch {
	case err != nil:
		return nil, cairn.KindOf(err) == cairn.Invalid, err
	case h.Type == nodeapi.TypeError:
		remote, err = c.remoteError(h.Length)
		return remote, true, err
	case h.Type != nodeapi.TypeReply || h.Number != number:
		return nil, true, errProtocol("%v message %d in answer to request %d", h.Type, h.Number, number)
	default:
		return nil, true, reply(&c.wire, h.Length)
	}
}

// failure says why a request got no answer.
func (p *pool) failure(ctx context.Context, t nodeapi.MessageType, stale bool, err error) error {
	op := t.String()
	switch {
	case ctx.Err() != nil:
		return cairn.NewError(op, cairn.Unavailable, context.Cause(ctx))
	case stale:
		return cairn.Errorf(op, cairn.Unavailable, "node %v: %w: %v", p.node.Short(), ErrStale, err)
	default:
		return cairn.NewError(op, cairn.Unavailable, fmt.Errorf("node %v: %w", p.node.Short(), broken("read answer", err)))
	}
}
