package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cairn-store/cairn"
)

// The set on disk, see docs/formats/node-record.md:
//
//	"CAIRNSET" | format 1 | count u32 | count × (length u16 | record | last answer, ms u64) | SHA-256 of all before
const (
	setMagic    = "CAIRNSET"
	setFormat   = 1
	setHeadSize = len(setMagic) + 1 + 4
	maxSetSize  = 1 << 30
)

// load reads the set of the last run. Nodes are suspect until checked.
func (d *Directory) load() error {
	if d.c.Path == "" {
		return nil
	}
	info, err := os.Stat(d.c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read node set: %w", err)
	}
	if info.Size() > maxSetSize {
		return d.putAside(fmt.Errorf("%d bytes", info.Size()))
	}
	b, err := os.ReadFile(d.c.Path)
	if err != nil {
		return fmt.Errorf("read node set: %w", err)
	}
	entries, err := decodeSet(b, d.host.network)
	if err != nil {
		return d.putAside(err)
	}
	now := d.c.Now()
	for _, e := range entries {
		if _, twice := d.nodes[e.rec.NodeID]; twice || len(d.nodes) >= d.c.MaxNodes {
			continue
		}
		if e.rec.NodeID == d.host.id {
			d.selfSeq = max(d.selfSeq, e.rec.Seq)
			if d.c.Self != nil {
				continue // signed anew by Run
			}
		}
		e.health.since, e.health.reason, e.health.next = now, notChecked, now
		d.insert(e)
	}
	return nil
}

// putAside keeps a damaged set for people to look at and starts afresh.
func (d *Directory) putAside(cause error) error {
	aside := d.c.Path + ".damaged"
	if err := os.Rename(d.c.Path, aside); err != nil {
		return fmt.Errorf("put damaged node set aside: %w", err)
	}
	d.c.Logger.Warn("node set damaged, learning it again", "path", aside, "err", cause)
	return nil
}

// save replaces the set on disk.
func (d *Directory) save() error {
	if d.c.Path == "" {
		return nil
	}
	if err := writeSynced(d.c.Path, d.encodeSet()); err != nil {
		return fmt.Errorf("write node set: %w", err)
	}
	return nil
}

func (d *Directory) encodeSet() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := append([]byte(setMagic), setFormat)
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.order)))
	for _, id := range d.order {
		e := d.nodes[id]
		b = binary.BigEndian.AppendUint16(b, uint16(len(e.raw)))
		b = append(b, e.raw...)
		var ms int64
		if !e.health.lastOK.IsZero() {
			ms = e.health.lastOK.UnixMilli()
		}
		b = binary.BigEndian.AppendUint64(b, uint64(ms))
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decodeSet verifies the sum, then every record. Any error is Corrupt.
func decodeSet(b []byte, network string) ([]*entry, error) {
	const op = "read node set"
	malformed := cairn.NewError(op, cairn.Corrupt, errors.New("file is malformed"))
	if len(b) < setHeadSize+sha256.Size || string(b[:len(setMagic)]) != setMagic || b[len(setMagic)] != setFormat {
		return nil, malformed
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) {
		return nil, cairn.NewError(op, cairn.Corrupt, errors.New("checksum does not match"))
	}
	count := binary.BigEndian.Uint32(body[len(setMagic)+1:])
	body = body[setHeadSize:]
	var out []*entry
	for range count {
		if len(body) < 2 {
			return nil, malformed
		}
		size := int(binary.BigEndian.Uint16(body))
		if len(body) < 2+size+8 {
			return nil, malformed
		}
		raw, ms := body[2:2+size], binary.BigEndian.Uint64(body[2+size:])
		body = body[2+size+8:]
		rec, err := Open(raw, network)
		if err != nil {
			return nil, err
		}
		e := &entry{rec: rec, raw: bytes.Clone(raw)}
		if ms > 0 && ms <= maxMillis {
			e.health.lastOK = time.UnixMilli(int64(ms))
		}
		out = append(out, e)
	}
	if len(body) > 0 {
		return nil, malformed
	}
	return out, nil
}

// writeSynced replaces path with data: after a crash it holds the old content
// or the new. A file beside it is written and synced, renamed, and the folder
// synced so that the rename stays.
func writeSynced(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f, data), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func fill(f *os.File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
