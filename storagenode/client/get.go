package client

import (
	"context"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/proofs"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

// Info asks the node to describe itself.
func (c *Client) Info(ctx context.Context) (nodeapi.Info, error) {
	i, err := c.ch.Info(ctx)
	if err == nil && i.Node != c.node {
		err = cairn.Errorf("ask node", cairn.Corrupt, "node %v says it is %v", c.node.Short(), i.Node.Short())
	}
	if err != nil {
		return nodeapi.Info{}, err
	}
	return i, nil
}

// Read fills buf with the payload bytes that start at off, as the node sent
// them. Requests longer than nodeapi.MaxRead are split.
func (c *Client) Read(ctx context.Context, id cairn.ShardID, off int64, buf []byte) error {
	for {
		part := buf[:min(len(buf), nodeapi.MaxRead)]
		start := time.Now()
		err := c.ch.Read(ctx, id, off, part)
		c.observe(ctx, len(part), time.Since(start), err)
		if err != nil {
			return err
		}
		if buf = buf[len(part):]; len(buf) == 0 {
			return nil
		}
		off += int64(len(part))
	}
}

// Tails returns the records named, without their payloads, in the order asked;
// what is not at the node is left out. Any number of ids. Each tail belongs to
// its header and to this owner, and its tree top to its root; else Corrupt.
func (c *Client) Tails(ctx context.Context, ids []cairn.ShardID) ([]cairn.Tail, error) {
	var out []cairn.Tail
	for len(ids) > 0 {
		batch := ids[:min(len(ids), nodeapi.MaxBatch)]
		tails, err := c.ch.Tails(ctx, batch)
		if err != nil {
			return nil, err
		}
		asked, err := c.verifyTails(batch, tails)
		if err != nil {
			return nil, err
		}
		out = append(out, tails...)
		ids = ids[asked:]
	}
	return out, nil
}

// verifyTails checks an answer to a request for ids and returns how many of
// them it settles. An answer may stop early for its size: what follows its last
// tail is then still open, unless the answer is so small that nothing can have
// been cut from it.
func (c *Client) verifyTails(ids []cairn.ShardID, tails []cairn.Tail) (settled int, err error) {
	const op = "read tails"
	size := 4
	for _, t := range tails {
		id := t.Header.Shard
		for settled < len(ids) && ids[settled] != id {
			settled++
		}
		if settled == len(ids) {
			return 0, cairn.Errorf(op, cairn.Corrupt, "node %v sent %v, which was not asked for there", c.node.Short(), id)
		}
		settled++
		if t.Header.Owner != c.owner {
			return 0, cairn.Errorf(op, cairn.Corrupt, "%v: node %v sent a record of another owner", id, c.node.Short())
		}
		if err := t.Verify(); err != nil {
			return 0, err
		}
		if err := proofs.VerifyTop(t.TreeTop, t.Header.PayloadLen, t.Trailer.Root); err != nil {
			return 0, err
		}
		size += nodeapi.TailWireSize(t)
	}
	if len(tails) == 0 || size <= nodeapi.MaxMessage-maxTail {
		settled = len(ids)
	}
	return settled, nil
}

// maxTail is the most that one tail takes of a reply.
const maxTail = cairn.HeaderSize + 8 + cairn.TrailerSize + cairn.MaxManifest + 64<<10

// List returns at most limit of the owner's shards at the node (at most
// nodeapi.MaxList), in order of id, after the given one. More says that there
// are others. A page out of order is Corrupt.
func (c *Client) List(ctx context.Context, after cairn.ShardID, limit int) (entries []cairn.Entry, more bool, err error) {
	const op = "list shards"
	if limit < 1 {
		return nil, false, cairn.Errorf(op, cairn.Invalid, "a page of %d entries", limit)
	}
	limit = min(limit, nodeapi.MaxList)
	page, err := c.ch.List(ctx, after, limit)
	if err != nil {
		return nil, false, err
	}
	if len(page.Entries) > limit || page.More && len(page.Entries) == 0 {
		return nil, false, cairn.Errorf(op, cairn.Corrupt, "node %v sent %d entries for a page of %d", c.node.Short(), len(page.Entries), limit)
	}
	last := after
	for i, e := range page.Entries {
		if e.Shard.Compare(last) <= 0 && (i > 0 || after != cairn.ShardID{}) {
			return nil, false, cairn.Errorf(op, cairn.Corrupt, "node %v sent %v out of order", c.node.Short(), e.Shard)
		}
		last = e.Shard
	}
	return page.Entries, page.More, nil
}

// Delete removes shards; those not at the node count as removed. It returns
// the ones that are under retention and stay. Any number of ids; after an
// error some may be gone.
func (c *Client) Delete(ctx context.Context, ids []cairn.ShardID) (retained []cairn.ShardID, err error) {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), nodeapi.MaxBatch)]
		ids = ids[len(batch):]
		reply, err := again(ctx, func() (nodeapi.DeleteReply, error) {
			return c.ch.Delete(ctx, nodeapi.DeleteRequest{Auth: c.sign(cairn.VerbDelete, cairn.DeleteSubject(batch)), IDs: batch})
		})
		if err != nil {
			return retained, err
		}
		if err := c.verifyRetained(batch, reply.Retained); err != nil {
			return retained, err
		}
		retained = append(retained, reply.Retained...)
	}
	return retained, nil
}

func (c *Client) verifyRetained(ids, retained []cairn.ShardID) error {
	if len(retained) == 0 {
		return nil
	}
	asked := make(map[cairn.ShardID]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	for _, id := range retained {
		if !asked[id] {
			return cairn.Errorf("delete shards", cairn.Corrupt, "node %v retains %v, which was not to be deleted", c.node.Short(), id)
		}
	}
	return nil
}
