package shardstore

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"github.com/zeebo/blake3"

	"github.com/cairn-store/cairn"
)

// A log file starts with one block that names it, then come frames:
//
//	log header, 4096 bytes: magic 8 | format u32 | lane u8 | 3 zero | number u64 | key 32 | zeros | hash 32
//	frame header, 64 bytes: magic u32 | type u8 | 3 zero | log u64 | offset u64 | seq u64 | body u64 | extent u64 | mac 16
//	body of a record frame: the shard record, as on the wire
//	body of a delete frame: n times shard id 33 | victim log u64 | seq u64
//
// Integers are little-endian. The mac is keyed by the log's random key, which
// never leaves the file: nothing an owner uploads can pass for a frame, and
// neither can a frame of another log or place. The mac of a delete frame
// covers its body too; a record carries its own hashes.
const (
	logFormat  = 1
	logHeader  = 4096
	frameSize  = 64
	blockSize  = 4096 // unit of the bulk lane, and of direct I/O
	sectorSize = 512  // unit in which the small lane starts its groups

	logMagic    = "CAIRNLOG"
	frameMagic  = 0x4d524643
	footerMagic = "CAIRNFTR"
	footerSize  = 64 // its fixed end

	logKeyContext = "cairn 2026 shard log frame v1"
)

type lane uint8

const (
	bulk  lane = 1 // records streamed to extents of their own
	small lane = 2 // whole records and deletes, many to one write
)

func (l lane) String() string {
	if l == bulk {
		return "bulk"
	}
	return "small"
}

const (
	typeRecord = 1
	typeDelete = 2
)

func alignUp(n, to int64) int64 { return (n + to - 1) / to * to }

func appendLogHeader(num uint64, ln lane, key [32]byte) []byte {
	b := append(make([]byte, 0, logHeader), logMagic...)
	b = binary.LittleEndian.AppendUint32(b, logFormat)
	b = append(b, byte(ln), 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, num)
	b = append(b, key[:]...)
	b = append(b, make([]byte, logHeader-32-len(b))...)
	sum := blake3.Sum256(b)
	return append(b, sum[:]...)
}

func parseLogHeader(b []byte) (num uint64, ln lane, key [32]byte, err error) {
	const op = "read log header"
	if len(b) != logHeader || string(b[:8]) != logMagic {
		return 0, 0, key, cairn.NewError(op, cairn.Corrupt, errors.New("no log header here"))
	}
	if sum := blake3.Sum256(b[:logHeader-32]); !bytes.Equal(sum[:], b[logHeader-32:]) {
		return 0, 0, key, cairn.NewError(op, cairn.Corrupt, errors.New("checksum does not match"))
	}
	if f := binary.LittleEndian.Uint32(b[8:]); f != logFormat {
		return 0, 0, key, cairn.Errorf(op, cairn.Invalid, "log format %d, this version reads %d", f, logFormat)
	}
	return binary.LittleEndian.Uint64(b[16:]), lane(b[12]), [32]byte(b[24:56]), nil
}

// frame is a frame header.
type frame struct {
	kind   uint8
	log    uint64
	off    int64
	seq    uint64
	body   int64
	extent int64 // from this frame to where the next may start
}

// appendFrame appends the frame header to b. sealed is what the mac covers
// besides: the body of a delete frame, nothing for a record.
func (f frame) appendTo(b []byte, key *[32]byte, sealed []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, frameMagic)
	b = append(b, f.kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, f.log)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.off))
	b = binary.LittleEndian.AppendUint64(b, f.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.body))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.extent))
	mac := frameMAC(key, b[start:], sealed)
	return append(b, mac[:]...)
}

func frameMAC(key *[32]byte, header, sealed []byte) (mac [16]byte) {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	_, _ = h.Write(header)
	_, _ = h.Write(sealed)
	var sum [32]byte
	h.Sum(sum[:0])
	return [16]byte(sum[:])
}

// looksLikeFrame is a cheap test before parseFrame.
func looksLikeFrame(b []byte) bool {
	return len(b) >= frameSize && binary.LittleEndian.Uint32(b) == frameMagic
}

// parseFrame reads a frame header whose mac covers nothing else, or, for a
// delete frame, leaves the mac to checkDelete. ok is false for anything that
// is not a frame of this log at this offset within limit.
func parseFrame(b []byte, log uint64, off, limit int64, key *[32]byte) (f frame, ok bool) {
	if !looksLikeFrame(b) {
		return f, false
	}
	f = frame{
		kind:   b[4],
		log:    binary.LittleEndian.Uint64(b[8:]),
		off:    int64(binary.LittleEndian.Uint64(b[16:])),
		seq:    binary.LittleEndian.Uint64(b[24:]),
		body:   int64(binary.LittleEndian.Uint64(b[32:])),
		extent: int64(binary.LittleEndian.Uint64(b[40:])),
	}
	switch {
	case f.log != log || f.off != off || f.body < 0 || f.body > limit:
		return f, false
	case f.extent < frameSize+f.body || f.extent > limit-off:
		return f, false
	case f.kind == typeDelete:
		return f, f.body > 0 && f.body%deleteItem == 0 && f.body <= maxDeleteBody
	case f.kind != typeRecord:
		return f, false
	}
	mac := frameMAC(key, b[:frameSize-16], nil)
	return f, subtle.ConstantTimeCompare(mac[:], b[frameSize-16:frameSize]) == 1
}

// checkDelete reports whether body belongs to the delete frame in b.
func checkDelete(b, body []byte, key *[32]byte) bool {
	mac := frameMAC(key, b[:frameSize-16], body)
	return subtle.ConstantTimeCompare(mac[:], b[frameSize-16:frameSize]) == 1
}

const (
	idSize        = 33
	deleteItem    = idSize + 16
	maxDeletes    = 4096
	maxDeleteBody = maxDeletes * deleteItem
)

// tombstone says that a shard was deleted, and which log held it: until that
// log is gone, the tombstone must be found when the index is rebuilt.
type tombstone struct {
	id     cairn.ShardID
	seq    uint64
	victim uint64
}

var noID cairn.ShardID

func appendID(b []byte, id cairn.ShardID) []byte {
	b = append(b, id.Segment[:]...)
	return append(b, id.Index)
}

func parseID(b []byte) cairn.ShardID {
	return cairn.ShardID{Segment: cairn.SegmentID(b[:32]), Index: b[32]}
}

func appendDeletes(b []byte, dead []tombstone) []byte {
	for _, d := range dead {
		b = appendID(b, d.id)
		b = binary.LittleEndian.AppendUint64(b, d.victim)
		b = binary.LittleEndian.AppendUint64(b, d.seq)
	}
	return b
}

// parseDeletes reads a checked body. A tombstone that a compaction moved is
// older than its frame.
func parseDeletes(body []byte) []tombstone {
	dead := make([]tombstone, 0, len(body)/deleteItem)
	for ; len(body) >= deleteItem; body = body[deleteItem:] {
		dead = append(dead, tombstone{
			id: parseID(body), victim: binary.LittleEndian.Uint64(body[idSize:]), seq: binary.LittleEndian.Uint64(body[idSize+8:]),
		})
	}
	return dead
}

// A sealed log ends with a footer, so that rebuilding the index reads footers
// and no data. It lists every frame that was acknowledged:
//
//	items | zeros to a sector's end less 64 | magic 8 | items' bytes u64 | first byte u64 | log u64 | hash 32
//	item: type u8 | record: id 33, entry 133 | delete: id 33, seq u64, victim log u64
//
// The hash is keyed by the log's key and covers all of the footer before it.
func appendFooter(l *logFile, off int64, items []footerItem) []byte {
	var b []byte
	for _, it := range items {
		b = it.appendTo(b)
	}
	n := len(b)
	end := alignUp(off+int64(n)+footerSize, sectorSize)
	b = append(b, make([]byte, end-off-footerSize-int64(n))...)
	b = append(b, footerMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	b = binary.LittleEndian.AppendUint64(b, uint64(off))
	b = binary.LittleEndian.AppendUint64(b, l.num)
	sum := footerHash(&l.key, b)
	return append(b, sum[:]...)
}

func footerHash(key *[32]byte, b []byte) (sum [32]byte) {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	_, _ = h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// footerItem is a record (entry) or a deletion (dead) that a log holds.
type footerItem struct {
	isDelete bool
	id       cairn.ShardID
	entry    entry
	dead     tombstone
}

func (it footerItem) appendTo(b []byte) []byte {
	if it.isDelete {
		b = appendID(append(b, typeDelete), it.dead.id)
		b = binary.LittleEndian.AppendUint64(b, it.dead.seq)
		return binary.LittleEndian.AppendUint64(b, it.dead.victim)
	}
	return it.entry.appendTo(appendID(append(b, typeRecord), it.id))
}

// parseItems reads the items of a checked footer.
func parseItems(b []byte) ([]footerItem, error) {
	const op = "read log footer"
	var items []footerItem
	for len(b) > 0 {
		switch {
		case b[0] == typeDelete && len(b) >= 1+idSize+16:
			id := parseID(b[1:])
			items = append(items, footerItem{isDelete: true, id: id, dead: tombstone{
				id: id, seq: binary.LittleEndian.Uint64(b[1+idSize:]), victim: binary.LittleEndian.Uint64(b[1+idSize+8:]),
			}})
			b = b[1+idSize+16:]
		case b[0] == typeRecord && len(b) >= 1+idSize+entrySize:
			e, err := parseEntry(b[1+idSize : 1+idSize+entrySize])
			if err != nil {
				return nil, err
			}
			items = append(items, footerItem{id: parseID(b[1:]), entry: e})
			b = b[1+idSize+entrySize:]
		default:
			return nil, cairn.Errorf(op, cairn.Corrupt, "no item at %d bytes before the end", len(b))
		}
	}
	return items, nil
}

// parseFooterEnd reads the fixed end of a footer: how many bytes of items it
// has, and where it starts.
func parseFooterEnd(b []byte, num uint64, size int64) (n, start int64, ok bool) {
	if string(b[:8]) != footerMagic || binary.LittleEndian.Uint64(b[24:]) != num {
		return 0, 0, false
	}
	n = int64(binary.LittleEndian.Uint64(b[8:]))
	start = int64(binary.LittleEndian.Uint64(b[16:]))
	return n, start, start >= logHeader && start <= size-footerSize && n >= 0 && n <= size-footerSize-start
}
