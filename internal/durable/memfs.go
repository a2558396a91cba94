package durable

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// MemFS is a filesystem in memory that knows what was synced. It is for tests.
// Paths are absolute. NewMemFS makes one.
type MemFS struct {
	mu       sync.Mutex // guards all below, and every node
	root     *node
	locked   map[string]bool
	capacity int64 // bytes; 0 is no limit
	used     int64 // bytes of pages in files that exist or are open
	hook     func(op, name string) error
	forgets  bool // syncs answer nil and do nothing
}

// node is a file or a directory. A directory has the changes of names since it
// was last synced, in order, because a crash keeps a prefix of them: journals
// of real filesystems do not reorder.
type node struct {
	dir  bool
	cur  map[string]*node
	dur  map[string]*node
	ops  [][]nameOp // each is atomic
	data contents
}

type nameOp struct {
	name string
	to   *node // nil removes the name
}

// NewMemFS returns an empty filesystem.
func NewMemFS() *MemFS {
	return &MemFS{root: newDir(), locked: map[string]bool{}}
}

func newDir() *node {
	return &node{dir: true, cur: map[string]*node{}, dur: map[string]*node{}}
}

// SetCapacity makes writes beyond n bytes fail with ENOSPC; 0 is no limit.
func (m *MemFS) SetCapacity(n int64) {
	m.mu.Lock()
	m.capacity = n
	m.mu.Unlock()
}

// SetHook sets a function that is asked before each operation: create, write,
// sync, syncdir, rename, remove. Its error becomes the operation's. A sync that
// fails so loses the bytes it was asked to save, for good: later syncs of the
// same file succeed without them. The hook must not use the filesystem.
func (m *MemFS) SetHook(hook func(op, name string) error) {
	m.mu.Lock()
	m.hook = hook
	m.mu.Unlock()
}

// ForgetSyncs makes every later sync a lie: nil, and nothing durable. It is
// there so that a crash test can show it would notice.
func (m *MemFS) ForgetSyncs() {
	m.mu.Lock()
	m.forgets = true
	m.mu.Unlock()
}

// ask runs the hook. Requires m.mu.
func (m *MemFS) ask(op, name string) error {
	if m.hook == nil {
		return nil
	}
	if err := m.hook(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// Crash returns what a machine that lost power at this moment would find. What
// was synced is there; of the rest, rng decides sector by sector and name by
// name. The filesystem itself goes on unharmed.
func (m *MemFS) Crash(rng *rand.Rand) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := &MemFS{locked: map[string]bool{}, capacity: m.capacity}
	seen := map[*node]*node{}
	after.root = m.root.crash(rng, seen, &after.used)
	return after
}

func (n *node) crash(rng *rand.Rand, seen map[*node]*node, used *int64) *node {
	if c, ok := seen[n]; ok {
		return c
	}
	c := &node{dir: n.dir}
	seen[n] = c
	if !n.dir {
		c.data = n.data.crash(rng)
		*used += c.data.allocated()
		return c
	}
	names := maps.Clone(n.dur)
	for _, op := range n.ops[:rng.IntN(len(n.ops)+1)] {
		apply(names, op)
	}
	c.cur, c.dur = map[string]*node{}, map[string]*node{}
	for name, child := range names {
		c.cur[name] = child.crash(rng, seen, used)
		c.dur[name] = c.cur[name]
	}
	return c
}

func apply(names map[string]*node, op []nameOp) {
	for _, o := range op {
		if o.to == nil {
			delete(names, o.name)
		} else {
			names[o.name] = o.to
		}
	}
}

// change applies one atomic change of names. Requires m.mu.
func (n *node) change(op ...nameOp) {
	apply(n.cur, op)
	n.ops = append(n.ops, op)
}

// find returns the node at name. Requires m.mu.
func (m *MemFS) find(op, name string) (*node, error) {
	n := m.root
	for _, part := range strings.Split(filepath.Clean(name), string(filepath.Separator)) {
		if part == "" {
			continue
		}
		next, ok := n.cur[part]
		if !n.dir || !ok {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		n = next
	}
	return n, nil
}

// parent returns the directory that holds name. Requires m.mu.
func (m *MemFS) parent(op, name string) (*node, string, error) {
	d, err := m.find(op, filepath.Dir(name))
	if err == nil && !d.dir {
		err = &fs.PathError{Op: op, Path: name, Err: syscall.ENOTDIR}
	}
	return d, filepath.Base(name), err
}

// Create implements FS.
func (m *MemFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("create", name); err != nil {
		return nil, err
	}
	d, base, err := m.parent("create", name)
	if err != nil {
		return nil, err
	}
	if _, ok := d.cur[base]; ok {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := &node{data: newContents()}
	d.change(nameOp{base, n})
	return &memFile{fs: m, node: n, name: name, writable: true}, nil
}

func (m *MemFS) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	return &memFile{fs: m, node: n, name: name, writable: writable}, nil
}

// Open implements FS.
func (m *MemFS) Open(name string) (File, error) { return m.open(name, false) }

// OpenRW implements FS.
func (m *MemFS) OpenRW(name string) (File, error) { return m.open(name, true) }

// MkdirAll implements FS.
func (m *MemFS) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range strings.Split(filepath.Clean(dir), string(filepath.Separator)) {
		if part == "" {
			continue
		}
		if n.cur[part] == nil {
			n.change(nameOp{part, newDir()})
		}
		if n = n.cur[part]; !n.dir {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
	}
	return nil
}

// Rename implements FS.
func (m *MemFS) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("rename", newname); err != nil {
		return err
	}
	from, oldBase, err := m.parent("rename", oldname)
	if err != nil {
		return err
	}
	to, newBase, err := m.parent("rename", newname)
	if err != nil {
		return err
	}
	n, ok := from.cur[oldBase]
	if !ok {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	if from != to {
		return &fs.PathError{Op: "rename", Path: oldname, Err: syscall.EXDEV}
	}
	if old := to.cur[newBase]; old != nil && old != n && !old.dir {
		m.used -= old.data.allocated()
	}
	from.change(nameOp{oldBase, nil}, nameOp{newBase, n})
	return nil
}

// Remove implements FS.
func (m *MemFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("remove", name); err != nil {
		return err
	}
	d, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n, ok := d.cur[base]
	if !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if n.dir && len(n.cur) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	if !n.dir {
		m.used -= n.data.allocated()
	}
	d.change(nameOp{base, nil})
	return nil
}

// List implements FS.
func (m *MemFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("list", dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range n.cur {
		names = append(names, name)
	}
	return names, nil
}

// SyncDir implements FS.
func (m *MemFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("syncdir", dir); err != nil {
		return err
	}
	n, err := m.find("sync", dir)
	if err != nil {
		return err
	}
	if !m.forgets {
		n.dur, n.ops = maps.Clone(n.cur), nil
	}
	return nil
}

// Lock implements FS.
func (m *MemFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.parent("lock", name)
	if err != nil {
		return nil, err
	}
	if m.locked[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: errors.New("in use")}
	}
	if d.cur[base] == nil {
		d.change(nameOp{base, &node{data: newContents()}})
	}
	m.locked[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	fs   *MemFS
	name string
}

func (l memLock) Close() error {
	l.fs.mu.Lock()
	delete(l.fs.locked, l.name)
	l.fs.mu.Unlock()
	return nil
}

// Usage implements FS.
func (m *MemFS) Usage(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total = m.capacity
	if total == 0 {
		total = 1 << 40
	}
	return max(0, total-m.used), total, nil
}

// Stat implements FS.
func (m *MemFS) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	return memInfo{filepath.Base(name), n.data.size, n.dir}, nil
}

type memInfo struct {
	name string
	size int64
	dir  bool
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
