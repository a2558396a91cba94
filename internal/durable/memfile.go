package durable

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"syscall"
)

const (
	pageSize   = 4096
	sectorSize = 512 // what a disk writes whole or not at all
)

type page = [pageSize]byte

// contents is a file's bytes now, and what a crash may bring back of before.
type contents struct {
	size    int64
	durSize int64
	pages   map[int64]*page // by number; a missing page is a hole
	before  map[int64]*page // of pages changed since the last sync: as synced, nil for a hole
	lost    map[int64]*page // of pages whose sync failed: as last on disk
}

func newContents() contents {
	return contents{pages: map[int64]*page{}, before: map[int64]*page{}, lost: map[int64]*page{}}
}

func (c *contents) allocated() int64 { return int64(len(c.pages)) * pageSize }

// dirty remembers what page i held on disk, once per sync.
func (c *contents) dirty(i int64) {
	if _, ok := c.before[i]; ok {
		return
	}
	if p, ok := c.lost[i]; ok {
		c.before[i] = p
		delete(c.lost, i)
		return
	}
	var old *page
	if p := c.pages[i]; p != nil {
		clone := *p
		old = &clone
	}
	c.before[i] = old
}

func (c *contents) sync() {
	clear(c.before)
	c.durSize = c.size
}

// failSync drops what was not durable from the reach of later syncs.
func (c *contents) failSync() {
	for i, p := range c.before {
		if _, ok := c.lost[i]; !ok {
			c.lost[i] = p
		}
	}
	clear(c.before)
}

// crash returns one outcome: each unsynced sector is as before or as now, and
// the size anything between.
func (c *contents) crash(rng *rand.Rand) contents {
	after := newContents()
	after.size = c.durSize
	if d := c.size - c.durSize; d != 0 {
		switch rng.IntN(3) {
		case 0:
			after.size = c.size
		case 1:
			after.size += rng.Int64N(max(d, -d)+1) * (d / max(d, -d))
		}
	}
	keep := rng.IntN(4) // 0: nothing new survives; 3: all; else a coin per sector
	for i, p := range c.pages {
		clone := *p
		after.pages[i] = &clone
	}
	mix := func(i int64, old *page, all bool) {
		p := after.pages[i]
		if p == nil {
			p = new(page) // punched or truncated since
		}
		if old == nil {
			old = new(page)
		}
		for s := 0; s < pageSize; s += sectorSize {
			if keep == 0 || all || keep != 3 && rng.IntN(2) == 0 {
				copy(p[s:s+sectorSize], old[s:])
			}
		}
		after.pages[i] = p
	}
	for i, old := range c.before {
		mix(i, old, false)
	}
	for i, old := range c.lost {
		mix(i, old, true)
	}
	for i, p := range after.pages {
		if end := after.size - i*pageSize; end <= 0 {
			delete(after.pages, i)
		} else if end < pageSize {
			clear(p[end:])
		}
	}
	after.durSize = after.size
	return after
}

type memFile struct {
	fs       *MemFS
	node     *node
	name     string
	writable bool
	closed   bool
}

// use locks the filesystem and checks the handle.
func (f *memFile) use(op string, write bool) error {
	f.fs.mu.Lock()
	var err error
	switch {
	case f.closed:
		err = fs.ErrClosed
	case write && !f.writable:
		err = fs.ErrPermission
	}
	if err != nil {
		f.fs.mu.Unlock()
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.use("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	c := &f.node.data
	done := 0
	for done < len(p) && off < c.size {
		in := off % pageSize
		n := int(min(pageSize-in, c.size-off, int64(len(p)-done)))
		if pg := c.pages[off/pageSize]; pg != nil {
			copy(p[done:done+n], pg[in:])
		} else {
			clear(p[done : done+n])
		}
		done, off = done+n, off+int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.use("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if err := f.fs.ask("write", f.name); err != nil {
		return 0, err
	}
	c := &f.node.data
	done := 0
	for done < len(p) {
		i, in := off/pageSize, off%pageSize
		if c.pages[i] == nil && f.fs.capacity > 0 && f.fs.used+pageSize > f.fs.capacity {
			return done, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		c.dirty(i)
		if c.pages[i] == nil {
			c.pages[i] = new(page)
			f.fs.used += pageSize
		}
		n := copy(c.pages[i][in:], p[done:])
		done, off = done+n, off+int64(n)
		c.size = max(c.size, off)
	}
	return done, nil
}

// zero makes [off, end) read as zeros, giving whole pages back. Requires fs.mu.
func (f *memFile) zero(off, end int64) {
	c := &f.node.data
	for i, p := range c.pages {
		from, to := max(off, i*pageSize), min(end, (i+1)*pageSize)
		if from >= to {
			continue
		}
		c.dirty(i)
		if to-from == pageSize {
			delete(c.pages, i)
			f.fs.used -= pageSize
		} else {
			clear(p[from-i*pageSize : to-i*pageSize])
		}
	}
}

func (f *memFile) Truncate(size int64) error {
	if err := f.use("truncate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.zero(size, max(size, f.node.data.size+pageSize))
	f.node.data.size = size
	return nil
}

func (f *memFile) Sync() error { return f.Datasync() }

func (f *memFile) Datasync() error {
	if err := f.use("sync", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if err := f.fs.ask("sync", f.name); err != nil {
		f.node.data.failSync()
		return err
	}
	if !f.fs.forgets {
		f.node.data.sync()
	}
	return nil
}

func (f *memFile) Preallocate(off, n int64) error {
	if err := f.use("preallocate", true); err != nil {
		return err
	}
	f.fs.mu.Unlock()
	return nil
}

func (f *memFile) PunchHole(off, n int64) error {
	if err := f.use("punch", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.zero(off, min(off+n, f.node.data.size))
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.use("stat", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	return f.node.data.size, nil
}

func (f *memFile) Close() error {
	if err := f.use("close", false); err != nil {
		return err
	}
	f.closed = true
	f.fs.mu.Unlock()
	return nil
}
