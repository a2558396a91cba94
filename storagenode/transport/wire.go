package transport

import (
	"fmt"
	"io"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
)

const (
	// stride is what must arrive within one pace.
	stride = 64 << 10
	// keepScratch bounds the buffer a connection keeps between requests.
	keepScratch = 64 << 10
)

// wire reads and writes messages over a link.
type wire struct {
	link Link
	// pace bounds the arrival of each stride inside a message; zero does not.
	pace    time.Duration
	head    [nodeapi.MessageHeaderSize]byte
	scratch []byte
}

// begin returns a buffer with room for the header; append the body, then send.
func (w *wire) begin() []byte {
	if w.scratch == nil {
		w.scratch = make([]byte, 0, 1024)
	}
	return w.scratch[:nodeapi.MessageHeaderSize]
}

// send writes and flushes a message whose body stands in b after the room that
// begin left.
func (w *wire) send(t nodeapi.MessageType, number uint16, b []byte) error {
	if cap(b) <= keepScratch {
		w.scratch = b[:0]
	}
	h := nodeapi.MessageHeader{Length: len(b) - nodeapi.MessageHeaderSize, Type: t, Number: number}
	h.Append(b[:0])
	if _, err := w.link.Write(b); err != nil {
		return fmt.Errorf("write %v message: %w", t, err)
	}
	if err := w.link.Flush(); err != nil {
		return fmt.Errorf("write %v message: %w", t, err)
	}
	return nil
}

// chunk writes p as one payload message and does not flush.
func (w *wire) chunk(number uint16, p []byte) error {
	h := nodeapi.MessageHeader{Length: len(p), Type: nodeapi.TypePayload, Number: number}
	if _, err := w.link.Write(h.Append(w.begin()[:0])); err != nil {
		return fmt.Errorf("write payload: %w", err)
	}
	if _, err := w.link.Write(p); err != nil {
		return fmt.Errorf("write payload: %w", err)
	}
	return nil
}

// header reads the next message's header. The peer may be silent for at most
// silence before it (zero: for ever). io.EOF means that the link ended between
// messages; Invalid that the peer speaks nonsense.
func (w *wire) header(silence time.Duration) (nodeapi.MessageHeader, error) {
	if err := w.deadline(silence); err != nil {
		return nodeapi.MessageHeader{}, err
	}
	n, err := w.link.Read(w.head[:])
	if err == nil && n < len(w.head) {
		if err := w.deadline(w.pace); err != nil {
			return nodeapi.MessageHeader{}, err
		}
		if _, err = io.ReadFull(w.link, w.head[n:]); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		return nodeapi.MessageHeader{}, err
	}
	return nodeapi.ParseMessageHeader(w.head[:])
}

// full fills b with bytes of the current message.
func (w *wire) full(b []byte) error {
	for len(b) > 0 {
		n := len(b)
		if w.pace > 0 {
			n = min(n, stride)
			if err := w.deadline(w.pace); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(w.link, b[:n]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read message: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// discard reads n bytes of the current message into nothing.
func (w *wire) discard(n int) error {
	buf := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(buf)
	for n > 0 {
		b := (*buf)[:min(n, len(*buf))]
		if err := w.full(b); err != nil {
			return err
		}
		n -= len(b)
	}
	return nil
}

func (w *wire) deadline(d time.Duration) error {
	if w.pace == 0 && d == 0 {
		return nil // a client: its context ends what takes too long
	}
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	return w.link.SetReadDeadline(t)
}

// errProtocol returns the error for a peer that breaks the order of messages.
func errProtocol(format string, args ...any) error {
	return cairn.Errorf("read message", cairn.Invalid, format, args...)
}
