package transport

import (
	"context"
	"fmt"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// The requests of one message and one reply. What these return is answered by
// the caller.

func (c *serverConn) info(ctx context.Context, number uint16) error {
	i, err := c.s.svc.Info(ctx)
	if err != nil {
		return err
	}
	return c.reply(number, i.Append(c.begin()))
}

func (c *serverConn) putRecord(ctx context.Context, number uint16, body []byte) error {
	req, err := nodeapi.ParsePutRecordRequest(body)
	if err != nil {
		return err
	}
	c.s.metrics.bytes.WithLabelValues("in").Add(float64(len(req.Record)))
	receipt, err := c.s.svc.PutRecord(ctx, req.Auth, req.Record)
	if err != nil {
		return err
	}
	return c.reply(number, nodeapi.AppendReceipt(c.begin(), receipt))
}

func (c *serverConn) read(ctx context.Context, number uint16, body []byte) error {
	req, err := nodeapi.ParseReadRequest(body)
	if err != nil {
		return err
	}
	n := int64(nodeapi.MessageHeaderSize + req.Length)
	if err := c.s.memory.Acquire(ctx, n); err != nil {
		return fatal{fmt.Errorf("wait for memory: %w", err)}
	}
	defer c.s.memory.Release(n)
	b, done := replyBuffer(int(n))
	defer done()
	if err := c.s.svc.Read(ctx, c.session, req.Shard, req.Offset, b[nodeapi.MessageHeaderSize:]); err != nil {
		return err
	}
	h := nodeapi.MessageHeader{Length: req.Length, Type: nodeapi.TypeReply, Number: number}
	h.Append(b[:0])
	if _, err := c.link.Write(b); err != nil {
		return fatal{fmt.Errorf("write reply: %w", err)}
	}
	if err := c.link.Flush(); err != nil {
		return fatal{fmt.Errorf("write reply: %w", err)}
	}
	c.s.metrics.bytes.WithLabelValues("out").Add(float64(req.Length))
	return nil
}

func (c *serverConn) tails(ctx context.Context, number uint16, body []byte) error {
	req, err := nodeapi.ParseTailsRequest(body)
	if err != nil {
		return err
	}
	if err := c.s.memory.Acquire(ctx, nodeapi.MaxMessage); err != nil {
		return fatal{fmt.Errorf("wait for memory: %w", err)}
	}
	defer c.s.memory.Release(nodeapi.MaxMessage)
	tails, err := c.s.svc.Tails(ctx, c.session, req.IDs)
	if err != nil {
		return err
	}
	return c.reply(number, nodeapi.AppendTails(c.begin(), tails))
}

func (c *serverConn) list(ctx context.Context, number uint16, body []byte) error {
	req, err := nodeapi.ParseListRequest(body)
	if err != nil {
		return err
	}
	page, err := c.s.svc.List(ctx, c.session, req.After, req.Limit)
	if err != nil {
		return err
	}
	if len(page.Entries) > req.Limit {
		return cairn.Errorf("list shards", cairn.Internal, "%d entries on a page of %d", len(page.Entries), req.Limit)
	}
	return c.reply(number, page.Append(c.begin()))
}

func (c *serverConn) delete(ctx context.Context, number uint16, body []byte) error {
	req, err := nodeapi.ParseDeleteRequest(body)
	if err != nil {
		return err
	}
	r, err := c.s.svc.Delete(ctx, req)
	if err != nil {
		return err
	}
	return c.reply(number, r.Append(c.begin()))
}
