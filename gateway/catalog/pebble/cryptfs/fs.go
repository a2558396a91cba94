package cryptfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cairn-store/cairn"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS encrypts the files of another filesystem. It is safe for concurrent use
// as far as that one is. What it does not override concerns names only.
type FS struct {
	vfs.FS
	keys *keyring
}

var _ vfs.FS = (*FS)(nil)

// New returns a filesystem that keeps its files in base, encrypted under a key
// of KeySize bytes. A key of another length is an Invalid error.
func New(base vfs.FS, key []byte) (*FS, error) {
	keys, err := newKeyring(key)
	if err != nil {
		return nil, err
	}
	return &FS{FS: base, keys: keys}, nil
}

// Unwrap implements vfs.FS.
func (fs *FS) Unwrap() vfs.FS { return fs.FS }

// Create implements vfs.FS. The header is on stable storage on return, its
// name is not.
func (fs *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	s, header, err := fs.keys.create()
	if err == nil {
		_, err = f.Write(header)
	}
	if err == nil {
		err = f.SyncData()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write header of %s: %w", name, err), f.Close())
	}
	return &file{File: f, name: name, stream: s}, nil
}

// Open implements vfs.FS.
func (fs *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	s, _, err := fs.readHeader(f, name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{File: f, name: name, stream: s, readOnly: true}, nil
}

// OpenReadWrite implements vfs.FS. The file can be read anywhere and written
// at its end.
func (fs *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, category, opts...)
	if err != nil {
		return nil, err
	}
	s, size, err := fs.readHeader(f, name)
	if err == nil && s == nil {
		s, err = fs.writeHeaderAt(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{File: f, name: name, stream: s, end: size, writesAt: true}, nil
}

func (fs *FS) writeHeaderAt(f vfs.File) (*stream, error) {
	s, header, err := fs.keys.create()
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(header, 0); err != nil {
		return nil, err
	}
	return s, f.SyncData()
}

// ReuseForWrite implements vfs.FS. The old file is never written to again: its
// key stream is spent.
func (fs *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.FS.Remove(oldname); err != nil {
		return nil, err
	}
	return fs.Create(newname, category)
}

// readHeader returns a file's stream and the size of its contents; a nil
// stream for a file whose creation was interrupted.
func (fs *FS) readHeader(f vfs.File, name string) (*stream, int64, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, cairn.Errorf("open catalog file", cairn.Invalid, "%s is a directory", name)
	}
	if info.Size() < headerSize {
		return nil, 0, nil
	}
	h := make([]byte, headerSize)
	if n, err := f.ReadAt(h, 0); n < headerSize {
		return nil, 0, fmt.Errorf("read header of %s: %w", name, err)
	}
	if info.Size() == headerSize && bytes.Equal(h, make([]byte, headerSize)) {
		return nil, 0, nil
	}
	s, err := fs.keys.open(h)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	return s, info.Size() - headerSize, nil
}

// Stat implements vfs.FS.
func (fs *FS) Stat(name string) (vfs.FileInfo, error) { return contents(fs.FS.Stat(name)) }

// contents hides the header from a file's size.
func contents(info vfs.FileInfo, err error) (vfs.FileInfo, error) {
	if err != nil || !info.Mode().IsRegular() {
		return info, err
	}
	return fileInfo{info}, nil
}

type fileInfo struct{ vfs.FileInfo }

func (i fileInfo) Size() int64 { return max(0, i.FileInfo.Size()-headerSize) }

var (
	errReadOnly  = errors.New("the file is open for reading only")
	errOverwrite = errors.New("encrypted files only grow: overwriting would use key stream twice")
	errNegative  = errors.New("negative offset")
)

// file is an open file. Reads are safe for concurrent use, writes come one at
// a time, as vfs.File demands.
type file struct {
	vfs.File
	name     string
	stream   *stream // nil: interrupted creation, reads as empty
	readOnly bool
	writesAt bool  // the base file is written with WriteAt
	readPos  int64 // of Read
	end      int64 // of the contents, as far as this handle wrote them
	failed   error // of the first write that failed
}

// Read implements io.Reader. It has a position of its own, not Write's.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.readPos)
	f.readPos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil // the next call says so
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, &os.PathError{Op: "read", Path: f.name, Err: errNegative}
	case f.stream == nil:
		return 0, io.EOF
	}
	n, err := f.File.ReadAt(p, off+headerSize)
	f.stream.xor(p[:n], off)
	return n, err
}

// Write appends p, which it encrypts in place, as vfs.File allows.
func (f *file) Write(p []byte) (int, error) {
	switch {
	case f.readOnly:
		return 0, &os.PathError{Op: "write", Path: f.name, Err: errReadOnly}
	case f.failed != nil:
		return 0, &os.PathError{Op: "write", Path: f.name, Err: f.failed}
	}
	f.stream.xor(p, f.end)
	var n int
	var err error
	if f.writesAt {
		n, err = f.File.WriteAt(p, f.end+headerSize)
	} else {
		n, err = f.File.Write(p)
	}
	f.end += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	f.failed = err // what was encrypted beyond n must not be encrypted again
	return n, err
}

// WriteAt implements io.WriterAt for offsets at the end of the file.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off != f.end || !f.writesAt {
		return 0, &os.PathError{Op: "write at", Path: f.name, Err: errOverwrite}
	}
	return f.Write(bytes.Clone(p))
}

// Preallocate implements vfs.File.
func (f *file) Preallocate(offset, length int64) error {
	return f.File.Preallocate(offset+headerSize, length)
}

// Prefetch implements vfs.File.
func (f *file) Prefetch(offset, length int64) error {
	return f.File.Prefetch(offset+headerSize, length)
}

// SyncTo implements vfs.File.
func (f *file) SyncTo(length int64) (bool, error) { return f.File.SyncTo(length + headerSize) }

// Stat implements vfs.File.
func (f *file) Stat() (vfs.FileInfo, error) { return contents(f.File.Stat()) }

// Check reports whether a file made by Create is there and opens under the
// key. A file whose creation was interrupted is not there.
func (fs *FS) Check(name string) (bool, error) {
	f, err := fs.FS.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, _, err := fs.readHeader(f, name)
	return s != nil, errors.Join(err, f.Close())
}
