package shardstore

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-store/cairn/internal/durable"
)

// indexFS lets Pebble work on a durable.FS, so that in a crash test the index
// and the logs forget at the same moment.
type indexFS struct{ fs durable.FS }

var _ vfs.FS = indexFS{}

func (x indexFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := x.fs.Create(name)
	if errors.Is(err, fs.ErrExist) {
		if err := x.fs.Remove(name); err != nil {
			return nil, err
		}
		f, err = x.fs.Create(name)
	}
	return x.wrap(f, name, err)
}

func (x indexFS) wrap(f durable.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &indexFile{File: f, fs: x.fs, name: name}, nil
}

func (x indexFS) Link(oldname, newname string) error { return durable.ErrUnsupported }

func (x indexFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := x.fs.Open(name)
	return x.wrap(f, name, err)
}

func (x indexFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	f, err := x.fs.OpenRW(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = x.fs.Create(name)
	}
	return x.wrap(f, name, err)
}

func (x indexFS) OpenDir(name string) (vfs.File, error) {
	if _, err := x.fs.Stat(name); err != nil {
		return nil, err
	}
	return &indexDir{fs: x.fs, name: name}, nil
}

func (x indexFS) Remove(name string) error { return x.fs.Remove(name) }

func (x indexFS) RemoveAll(name string) error { return removeAll(x.fs, name) }

// removeAll removes name and all below it.
func removeAll(fsys durable.FS, name string) error {
	st, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.IsDir() {
		names, err := fsys.List(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := removeAll(fsys, filepath.Join(name, n)); err != nil {
				return err
			}
		}
	}
	return fsys.Remove(name)
}

func (x indexFS) Rename(oldname, newname string) error { return x.fs.Rename(oldname, newname) }

func (x indexFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := x.fs.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return x.OpenReadWrite(newname, c)
}

func (x indexFS) MkdirAll(dir string, _ os.FileMode) error { return x.fs.MkdirAll(dir) }
func (x indexFS) Lock(name string) (io.Closer, error)      { return x.fs.Lock(name) }
func (x indexFS) List(dir string) ([]string, error)        { return x.fs.List(dir) }
func (x indexFS) PathBase(path string) string              { return filepath.Base(path) }
func (x indexFS) PathJoin(elem ...string) string           { return filepath.Join(elem...) }
func (x indexFS) PathDir(path string) string               { return filepath.Dir(path) }
func (x indexFS) Unwrap() vfs.FS                           { return nil }

func (x indexFS) Stat(name string) (vfs.FileInfo, error) {
	st, err := x.fs.Stat(name)
	if err != nil {
		return nil, err
	}
	return indexInfo{st}, nil
}

func (x indexFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	free, total, err := x.fs.Usage(path)
	return vfs.DiskUsage{AvailBytes: uint64(free), TotalBytes: uint64(total), UsedBytes: uint64(total - free)}, err
}

type indexInfo struct{ fs.FileInfo }

func (indexInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// indexFile gives a durable.File the position that Pebble's files have.
type indexFile struct {
	durable.File
	fs   durable.FS
	name string

	mu  sync.Mutex // guards pos
	pos int64
}

func (f *indexFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *indexFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *indexFile) Stat() (vfs.FileInfo, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return indexInfo{fileInfo{name: filepath.Base(f.name), size: size}}, nil
}

func (f *indexFile) SyncData() error                { return f.Datasync() }
func (f *indexFile) SyncTo(int64) (bool, error)     { return true, f.Datasync() }
func (f *indexFile) Prefetch(off, n int64) error    { return nil }
func (f *indexFile) Preallocate(off, n int64) error { return nil }
func (f *indexFile) Fd() uintptr                    { return vfs.InvalidFd }

type indexDir struct {
	vfs.File // nil: nothing else is asked of a directory
	fs       durable.FS
	name     string
}

func (d *indexDir) Sync() error     { return d.fs.SyncDir(d.name) }
func (d *indexDir) SyncData() error { return d.fs.SyncDir(d.name) }
func (d *indexDir) Close() error    { return nil }
func (d *indexDir) Fd() uintptr     { return math.MaxUint }

type fileInfo struct {
	fs.FileInfo // nil: Pebble asks for name and size
	name        string
	size        int64
}

func (i fileInfo) Name() string      { return i.name }
func (i fileInfo) Size() int64       { return i.size }
func (i fileInfo) IsDir() bool       { return false }
func (i fileInfo) Mode() fs.FileMode { return 0o600 }
