package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/cairn-store/cairn"
)

const (
	// exchangeTimeout bounds an exchange, dialling included.
	exchangeTimeout = 15 * time.Second
	// maxServed bounds the exchanges served at once; more are turned away.
	maxServed = 64
	// maxRequests bounds the requests on one stream.
	maxRequests = 1024
)

// exchange tells p of us and learns all that p knows and we do not. It returns
// the nodes that were unknown here.
func (d *Directory) exchange(ctx context.Context, p peer.AddrInfo) (learned []cairn.NodeID, err error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	if err := d.host.connect(ctx, p); err != nil {
		return nil, cairn.Errorf("exchange records", cairn.Unavailable, "connect to %s: %w", p.ID, err)
	}
	err = d.converse(ctx, p.ID, func(ask asker) error {
		if raw := d.selfRaw(); raw != nil {
			if _, err := ask(appendRecords([]byte{opPush}, [][]byte{raw})); err != nil {
				return err
			}
		}
		learned, err = d.pull(ask, p.ID)
		return err
	})
	if err != nil {
		return learned, fmt.Errorf("exchange records with %s: %w", p.ID, err)
	}
	return learned, nil
}

// asker sends a request and returns the reply.
type asker func(request []byte) (reply []byte, err error)

// converse opens a stream to p and hands talk the means to ask questions on it.
// The stream ends with ctx.
func (d *Directory) converse(ctx context.Context, p peer.ID, talk func(asker) error) error {
	s, err := d.host.p2p.NewStream(ctx, p, d.host.recordsProtocol())
	if err != nil {
		return cairn.NewError("open stream", cairn.Unavailable, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() }) // unblocks reads and writes
	defer stop()
	err = talk(func(request []byte) ([]byte, error) {
		if err := writeMessage(s, request); err != nil {
			return nil, err
		}
		return readMessage(s, maxReply)
	})
	if err != nil {
		_ = s.Reset() // the error at hand says more
		return errors.Join(err, ctx.Err())
	}
	return s.Close()
}

// pull fetches the records that the peer has and we lack, page by page.
func (d *Directory) pull(ask asker, from peer.ID) (learned []cairn.NodeID, err error) {
	digest, after := d.digest(), cairn.NodeID{}
	for pages := 0; pages*maxHeaders <= 2*d.c.MaxNodes; pages++ {
		reply, err := ask(append(append([]byte{opList}, digest[:]...), after[:]...))
		if err != nil {
			return learned, err
		}
		if reply[0] == listSame {
			return learned, nil
		}
		page, err := splitHeaders(reply[1:], after)
		if err != nil {
			return learned, err
		}
		for ids := range slices.Chunk(d.lacks(page), maxGet) {
			got, err := d.fetch(ask, ids, from)
			learned = append(learned, got...)
			if err != nil {
				return learned, err
			}
		}
		if reply[0] != listMore || len(page) == 0 {
			return learned, nil
		}
		after = page[len(page)-1].id
	}
	return learned, nil
}

// fetch gets the records of ids. A peer that hands out a forged record is not
// listened to any further.
func (d *Directory) fetch(ask asker, ids []cairn.NodeID, from peer.ID) (learned []cairn.NodeID, err error) {
	reply, err := ask(appendIDs([]byte{opGet}, ids))
	if err != nil {
		return nil, err
	}
	records, err := splitRecords(reply, maxGet)
	if err != nil {
		return nil, err
	}
	for _, raw := range records {
		isNew, err := d.offer(raw, from)
		if isForged(err) {
			return learned, err
		}
		if isNew {
			learned = append(learned, recordID(raw))
		}
	}
	return learned, nil
}

// isForged tells records nobody sends in good faith from those that are
// merely late, unwanted, or expired on the way.
func isForged(err error) bool {
	return errors.Is(err, cairn.Corrupt) || errors.Is(err, cairn.Invalid)
}

// recordID returns the node that a verified record is of.
func recordID(raw []byte) cairn.NodeID { return cairn.NodeID(raw[len(recordMagic)+1 : signedAt]) }

// push tells a connected peer of records.
func (d *Directory) push(ctx context.Context, p peer.ID, records [][]byte) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "gossip"), exchangeTimeout)
	defer cancel()
	return d.converse(ctx, p, func(ask asker) error {
		_, err := ask(appendRecords([]byte{opPush}, records))
		return err
	})
}

// server answers exchanges until it is closed.
type server struct {
	d     *Directory
	slots chan struct{}

	mu      sync.Mutex // guards the fields below
	closed  bool
	streams map[network.Stream]struct{}
	wg      sync.WaitGroup
}

// serve begins to answer exchanges on the host.
func (d *Directory) serve() *server {
	s := &server{d: d, slots: make(chan struct{}, maxServed), streams: map[network.Stream]struct{}{}}
	d.host.p2p.SetStreamHandler(d.host.recordsProtocol(), s.handle)
	return s
}

// close turns new streams away, ends the open ones and waits for them.
func (s *server) close() {
	s.d.host.p2p.RemoveStreamHandler(s.d.host.recordsProtocol())
	s.mu.Lock()
	s.closed = true
	for stream := range s.streams {
		_ = stream.Reset() // whoever reads or writes it gets the error
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) enter(stream network.Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.streams[stream] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *server) leave(stream network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, stream)
	s.wg.Done()
}

func (s *server) handle(stream network.Stream) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		_ = stream.Reset() // too many at once; the peer tries again
		return
	}
	if !s.enter(stream) {
		_ = stream.Reset()
		return
	}
	defer s.leave(stream)
	if err := s.answer(stream); err != nil {
		_ = stream.Reset() // the peer gave cause, or is no longer there
		s.d.c.Logger.Debug("exchange ended early", "peer", stream.Conn().RemotePeer().String(), "err", err)
		return
	}
	_ = stream.Close() // nothing is left to be sent
}

// answer serves requests until the peer ends the stream.
func (s *server) answer(stream network.Stream) error {
	if err := stream.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	for range maxRequests {
		request, err := readMessage(stream, maxRequest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		reply, err := s.d.reply(request, stream.Conn().RemotePeer())
		if err != nil {
			return err
		}
		if err := writeMessage(stream, reply); err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
	}
	return fmt.Errorf("more than %d requests on a stream", maxRequests)
}

// reply does what a request asks. An error ends the exchange.
func (d *Directory) reply(request []byte, from peer.ID) ([]byte, error) {
	body := request[1:]
	switch request[0] {
	case opPush:
		records, err := splitRecords(body, maxPush)
		if err != nil {
			return nil, err
		}
		for _, raw := range records {
			if _, err := d.offer(raw, from); isForged(err) {
				return nil, err
			}
		}
		return []byte{0}, nil
	case opList:
		if len(body) != 64 {
			return nil, errMessage
		}
		if digest := d.digest(); string(body[:32]) == string(digest[:]) {
			return []byte{listSame, 0, 0}, nil
		}
		list, more := d.headers(cairn.NodeID(body[32:]), maxHeaders)
		state := byte(listLast)
		if more {
			state = listMore
		}
		return appendHeaders([]byte{state}, list), nil
	case opGet:
		ids, err := splitIDs(body)
		if err != nil {
			return nil, err
		}
		return appendRecords(nil, d.records(ids)), nil
	}
	return nil, fmt.Errorf("request %d is not known: %w", request[0], errMessage)
}
