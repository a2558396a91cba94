package nodeapi

import (
	"encoding/binary"
	"fmt"

	"github.com/cairn-store/cairn"
)

// The wire is a sequence of messages, each a header of eight bytes and a body.
// All numbers are little-endian; docs/formats/node-wire.md has the tables.
//
//	0        4     5      6        8
//	| length | type| flags| number | body …
//
// Length counts the body alone. Number is chosen by the client for each
// request and repeated by every message that belongs to it.
const (
	// MessageHeaderSize is the length of an encoded MessageHeader.
	MessageHeaderSize = 8
	// MaxChunk bounds the body of one Payload message.
	MaxChunk = 1 << 20
	// WireVersion is the newest version of the wire this package speaks.
	WireVersion = 1
	// OldestWireVersion is the oldest one it speaks.
	OldestWireVersion = 1
)

// MessageType says what a message is. The numbers never change.
type MessageType uint8

const (
	TypeHello   MessageType = 0x01 // client, first on every connection
	TypeWelcome MessageType = 0x02 // node, the answer to hello

	TypeInfo      MessageType = 0x10
	TypePut       MessageType = 0x11 // followed by Payload messages, then UploadTail or Abort
	TypePutRecord MessageType = 0x12
	TypeRead      MessageType = 0x13
	TypeTails     MessageType = 0x14
	TypeList      MessageType = 0x15
	TypeDelete    MessageType = 0x16

	TypePayload    MessageType = 0x20
	TypeUploadTail MessageType = 0x21
	TypeAbort      MessageType = 0x22

	TypeReply MessageType = 0x30 // success; the body depends on the request
	TypeError MessageType = 0x31 // failure; a WireError
)

// messageTypes holds the name and the largest body of each type.
var messageTypes = map[MessageType]struct {
	name  string
	limit int
}{
	TypeHello:      {"hello", helloFixed + cairn.AuthorizationSize},
	TypeWelcome:    {"welcome", welcomeSize},
	TypeInfo:       {"info", 0},
	TypePut:        {"put", putSize},
	TypePutRecord:  {"put_record", cairn.AuthorizationSize + MaxSmall},
	TypeRead:       {"read", readSize},
	TypeTails:      {"tails", 4 + MaxBatch*shardIDSize},
	TypeList:       {"list", listSize},
	TypeDelete:     {"delete", cairn.AuthorizationSize + 4 + MaxBatch*shardIDSize},
	TypePayload:    {"payload", MaxChunk},
	TypeUploadTail: {"upload_tail", MaxMessage},
	TypeAbort:      {"abort", 0},
	TypeReply:      {"reply", MaxMessage},
	TypeError:      {"error", maxWireError},
}

func (t MessageType) String() string {
	if m, ok := messageTypes[t]; ok {
		return m.name
	}
	return fmt.Sprintf("type %#02x", uint8(t))
}

// IsRequest reports whether a message of this type begins a request.
func (t MessageType) IsRequest() bool { return t >= TypeInfo && t <= TypeDelete }

// MessageHeader stands before every message.
type MessageHeader struct {
	Length int // of the body, bytes
	Type   MessageType
	Number uint16
}

// Append appends the MessageHeaderSize bytes of h to b.
func (h MessageHeader) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(h.Length))
	b = append(b, byte(h.Type), 0)
	return binary.LittleEndian.AppendUint16(b, h.Number)
}

// ParseMessageHeader reads a header. A type this version does not know, flags
// and a length above the type's limit are Invalid errors, so that nothing is
// allocated for them.
func ParseMessageHeader(b []byte) (MessageHeader, error) {
	const op = "parse message header"
	if len(b) != MessageHeaderSize {
		return MessageHeader{}, cairn.Errorf(op, cairn.Invalid, "%d bytes, want %d", len(b), MessageHeaderSize)
	}
	h := MessageHeader{Type: MessageType(b[4]), Number: binary.LittleEndian.Uint16(b[6:])}
	m, ok := messageTypes[h.Type]
	switch length := binary.LittleEndian.Uint32(b); {
	case !ok:
		return MessageHeader{}, cairn.Errorf(op, cairn.Invalid, "message type %#02x is not known to this version", b[4])
	case b[5] != 0:
		return MessageHeader{}, cairn.Errorf(op, cairn.Invalid, "flags %#02x are not known to this version", b[5])
	case uint64(length) > uint64(m.limit):
		return MessageHeader{}, cairn.Errorf(op, cairn.Invalid, "%s message of %d bytes, at most %d", m.name, length, m.limit)
	default:
		h.Length = int(length)
	}
	return h, nil
}
