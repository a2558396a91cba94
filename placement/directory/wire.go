package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cairn-store/cairn"
)

// The exchange of records, protocol /cairn/<network>/records/1. Each message is
// a 4-byte big-endian length and that many bytes; requests and replies take
// turns on a stream. All numbers are big-endian.
//
//	push  01 | count u16 | count × (length u16 | record)      reply: 00
//	list  02 | digest 32 | after 32                           reply: state u8 | count u16 | count × (id 32 | seq u64)
//	get   03 | count u16 | count × id 32                      reply: count u16 | count × (length u16 | record)
//
// In the reply to list, state is 0 for the last page, 1 if more follow, 2 if
// digest is that of the asked node, which then lists nothing.
const (
	opPush = 1
	opList = 2
	opGet  = 3

	listLast = 0
	listMore = 1
	listSame = 2

	maxPush    = 32   // records in a push
	maxGet     = 64   // records in a get
	maxHeaders = 2048 // headers in a page
	maxRequest = 3 + maxPush*(2+MaxRecordSize)
	maxReply   = 3 + max(maxGet*(2+MaxRecordSize), maxHeaders*headerSize)
	headerSize = 32 + 8
)

var errMessage = errors.New("malformed message")

// writeMessage writes a message in one piece.
func writeMessage(w io.Writer, body []byte) error {
	msg := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err := w.Write(append(msg, body...))
	return err
}

// readMessage reads a message of 1 to limit bytes. io.EOF stands for the end of
// the stream between messages.
func readMessage(r io.Reader, limit int) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > uint32(limit) {
		return nil, fmt.Errorf("message of %d bytes, want 1 to %d: %w", n, limit, errMessage)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return body, nil
}

func appendRecords(b []byte, records [][]byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(records)))
	for _, raw := range records {
		b = binary.BigEndian.AppendUint16(b, uint16(len(raw)))
		b = append(b, raw...)
	}
	return b
}

// splitRecords reads count records, at most limit, which must fill b.
func splitRecords(b []byte, limit int) ([][]byte, error) {
	n, b, err := splitCount(b, limit)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, 0, n)
	for range n {
		if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
			return nil, errMessage
		}
		size := int(binary.BigEndian.Uint16(b))
		out, b = append(out, b[2:2+size]), b[2+size:]
	}
	if len(b) > 0 {
		return nil, errMessage
	}
	return out, nil
}

func splitCount(b []byte, limit int) (int, []byte, error) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > limit {
		return 0, nil, errMessage
	}
	return int(binary.BigEndian.Uint16(b)), b[2:], nil
}

func appendIDs(b []byte, ids []cairn.NodeID) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(ids)))
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func splitIDs(b []byte) ([]cairn.NodeID, error) {
	n, b, err := splitCount(b, maxGet)
	if err != nil || len(b) != n*len(cairn.NodeID{}) {
		return nil, errMessage
	}
	ids := make([]cairn.NodeID, n)
	for i := range ids {
		copy(ids[i][:], b[i*len(ids[i]):])
	}
	return ids, nil
}

func appendHeaders(b []byte, list []header) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
	for _, h := range list {
		b = append(b, h.id[:]...)
		b = binary.BigEndian.AppendUint64(b, h.seq)
	}
	return b
}

// splitHeaders reads a page, whose ids must ascend from after.
func splitHeaders(b []byte, after cairn.NodeID) ([]header, error) {
	n, b, err := splitCount(b, maxHeaders)
	if err != nil || len(b) != n*headerSize {
		return nil, errMessage
	}
	list := make([]header, n)
	for i := range list {
		h := header{cairn.NodeID(b[:32]), binary.BigEndian.Uint64(b[32:headerSize])}
		if compareIDs(h.id, after) <= 0 {
			return nil, errMessage
		}
		list[i], after, b = h, h.id, b[headerSize:]
	}
	return list, nil
}
