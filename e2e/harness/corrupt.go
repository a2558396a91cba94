package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/cairn-store/cairn"
)

// record is where a shard record lies on a node's disk.
type record struct {
	file   string
	off    int64 // of the header
	length int64 // of the whole record
	header cairn.Header
}

// CorruptShards flips a byte in each of a fraction of the stored shards, of
// nodes that run or not, chosen by seed: any byte, header and trailer
// included, and never more shards of a segment than its parity. It returns how
// many shards it damaged and how many there are.
func (n *Network) CorruptShards(fraction float64, seed uint64) (damaged, stored int) {
	n.t.Helper()
	var all []record
	for _, node := range n.Nodes {
		found, err := shardRecords(filepath.Join(node.Dir, "shards", "logs"))
		if err != nil {
			n.t.Fatalf("look for shards: %v", err)
		}
		all = append(all, found...)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	want := int(fraction*float64(len(all)) + 0.5)
	bad := map[cairn.SegmentID]int{}
	for _, r := range all {
		if damaged == want {
			break
		}
		if bad[r.header.Shard.Segment] == r.header.Parity {
			continue
		}
		bad[r.header.Shard.Segment]++
		if err := flip(r.file, r.off+random.Int64N(r.length), byte(1<<random.IntN(8))); err != nil {
			n.t.Fatalf("damage shard: %v", err)
		}
		damaged++
	}
	return damaged, len(all)
}

// shardRecords finds the records in the logs below dir by their headers.
func shardRecords(dir string) (found []record, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		more, err := scanLog(name)
		if err != nil {
			return nil, fmt.Errorf("scan %s: %w", name, err)
		}
		found = append(found, more...)
	}
	return found, nil
}

// scanLog looks for record headers, and for the frame header
// in front of them, which says how long the record is.
func scanLog(name string) (found []record, err error) {
	const (
		frameHeader = 64 // in front of a record
		bodyAt      = 32 // its length, in the frame header
	)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	magic := cairn.Header{}.Append(nil)[:8]
	for at := 0; ; {
		i := bytes.Index(b[at:], magic)
		if i < 0 {
			return found, nil
		}
		at += i
		if at >= frameHeader && len(b)-at >= cairn.HeaderSize {
			h, err := cairn.ParseHeader(b[at:])
			length := int64(binary.LittleEndian.Uint64(b[at-frameHeader+bodyAt:]))
			if err == nil && length >= h.RecordLen(0) && length <= int64(len(b)-at) {
				found = append(found, record{name, int64(at), length, h})
				at += int(length)
				continue
			}
		}
		at += len(magic)
	}
}

// flip changes bits of one byte and waits until the disk has it.
func flip(name string, off int64, bits byte) (err error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return err
	}
	b[0] ^= bits
	if _, err := f.WriteAt(b[:], off); err != nil {
		return err
	}
	return f.Sync()
}
