package recovery

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/cairn-store/cairn"
)

// The spool is a file of found segments and records in ascending order of id,
// little-endian:
//
//	4 body length | 4 CRC-32C of the body | body
//	body: shard header 128 | 2 count | count × (1 index | 1 role | 2 node) | sealed manifest
//
// The header is that of one of the shards; its kind, scheme and length hold for
// all of them.
const (
	spoolHead  = 8
	placeSize  = 4
	maxSpooled = cairn.MaxManifest + cairn.HeaderSize + 2 + placeSize*(1<<16)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// role says what becomes of a shard that was found.
type role uint8

const (
	rolePrimary role = 0 // the one copy of its index that counts
	roleExtra   role = 1 // another good copy of the same index
)

// place is a shard that was found.
type place struct {
	index uint8
	role  role
	node  uint16 // index in state.Nodes
}

// found is one record of the spool.
type found struct {
	header   cairn.Header
	places   []place
	manifest []byte // sealed
	offset   int64  // in the spool
}

// have counts the indices that are somewhere.
func (f *found) have() (n int) {
	for _, p := range f.places {
		if p.role == rolePrimary {
			n++
		}
	}
	return n
}

type spool struct {
	f    *os.File
	w    *bufio.Writer
	size int64
}

// openSpool opens the spool and cuts off what is beyond size.
func openSpool(path string, size int64) (*spool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open recovery spool: %w", err)
	}
	s := &spool{f: f, size: size}
	info, err := f.Stat()
	if err == nil && info.Size() < size {
		err = cairn.Errorf("open recovery spool", cairn.Corrupt, "%d bytes, want %d", info.Size(), size).
			WithHint("delete recovery.state and recovery.spool and start over")
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open recovery spool: %w", err), f.Close())
	}
	s.w = bufio.NewWriterSize(f, 1<<20)
	return s, nil
}

// append adds a record and sets its offset.
func (s *spool) append(r *found) error {
	body := r.header.Append(make([]byte, 0, cairn.HeaderSize+2+placeSize*len(r.places)))
	body = binary.LittleEndian.AppendUint16(body, uint16(len(r.places)))
	for _, p := range r.places {
		body = append(body, p.index, byte(p.role))
		body = binary.LittleEndian.AppendUint16(body, p.node)
	}
	var head [spoolHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(body)+len(r.manifest)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Update(crc32.Checksum(body, castagnoli), castagnoli, r.manifest))
	for _, b := range [][]byte{head[:], body, r.manifest} {
		if _, err := s.w.Write(b); err != nil {
			return fmt.Errorf("write recovery spool: %w", err)
		}
	}
	r.offset = s.size
	s.size += int64(spoolHead + len(body) + len(r.manifest))
	return nil
}

func (s *spool) sync() error {
	err := s.w.Flush()
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("sync recovery spool: %w", err)
	}
	return nil
}

// each calls f for every record in order; the record is f's only until it
// returns. Requires that the spool was synced.
func (s *spool) each(f func(*found) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(s.f, 0, s.size), 1<<20)
	for off := int64(0); off < s.size; {
		record, n, err := readFound(r, off)
		if err != nil {
			return err
		}
		if err := f(record); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// at reads the record at an offset.
func (s *spool) at(off int64) (*found, error) {
	r, _, err := readFound(io.NewSectionReader(s.f, off, s.size-off), off)
	return r, err
}

// readFound reads one record and returns its length in the file.
func readFound(r io.Reader, off int64) (*found, int64, error) {
	const op = "read recovery spool"
	var head [spoolHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, fmt.Errorf("read recovery spool at %d: %w", off, err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < cairn.HeaderSize+2 || n > maxSpooled {
		return nil, 0, cairn.Errorf(op, cairn.Corrupt, "a record of %d bytes at %d", n, off)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, 0, fmt.Errorf("read recovery spool at %d: %w", off, err)
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, 0, cairn.Errorf(op, cairn.Corrupt, "checksum at %d does not match", off)
	}
	h, err := cairn.ParseHeader(body)
	if err != nil {
		return nil, 0, fmt.Errorf("read recovery spool at %d: %w", off, err)
	}
	out := &found{header: h, offset: off}
	body = body[cairn.HeaderSize:]
	count := int(binary.LittleEndian.Uint16(body))
	body = body[2:]
	if len(body) < count*placeSize {
		return nil, 0, cairn.Errorf(op, cairn.Corrupt, "%d places at %d", count, off)
	}
	for range count {
		out.places = append(out.places, place{index: body[0], role: role(body[1]), node: binary.LittleEndian.Uint16(body[2:])})
		body = body[placeSize:]
	}
	out.manifest = body
	return out, int64(spoolHead) + int64(n), nil
}

func (s *spool) close() error { return s.f.Close() }

// remove deletes the file; it stays open until close.
func (s *spool) remove() error {
	if err := os.Remove(s.f.Name()); err != nil {
		return fmt.Errorf("remove recovery spool: %w", err)
	}
	return nil
}
