package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
)

// FS is the part of a filesystem that a store needs. Errors satisfy
// errors.Is for fs.ErrNotExist and fs.ErrExist; a full disk is
// syscall.ENOSPC. Files are made with mode 0600 and directories with 0700.
type FS interface {
	// Create makes a file for reading and writing; fs.ErrExist if it is there.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenRW opens a file that exists for reading and writing.
	OpenRW(name string) (File, error)
	// MkdirAll makes a directory and its parents. To make them durable, sync
	// the parents; MakeDir does both.
	MkdirAll(dir string) error
	// Rename replaces newname by oldname, atomically.
	Rename(oldname, newname string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// List returns the names in a directory, in no order.
	List(dir string) ([]string, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a file, making it when it is not there.
	// The lock ends with the process or with Close.
	Lock(name string) (io.Closer, error)
	// Usage returns the bytes a process may still write to the filesystem
	// that holds dir, and the filesystem's size.
	Usage(dir string) (free, total int64, err error)
}

// File is an open file, used by offset.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Datasync makes the bytes written, and the size needed to read them,
	// durable.
	Datasync() error
	// Sync is Datasync, and all other metadata too.
	Sync() error
	// Preallocate sets blocks aside for a range without changing the file's
	// size, where the filesystem can; elsewhere it does nothing.
	Preallocate(off, n int64) error
	// PunchHole gives the blocks of a range back and makes it read as zeros.
	// ErrUnsupported where the filesystem cannot.
	PunchHole(off, n int64) error
}

// ErrUnsupported says that the filesystem has no such operation.
var ErrUnsupported = errors.ErrUnsupported

// IsFull reports whether err says that the disk, or a quota on it, is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// MakeDir makes dir and its parents, durably.
func MakeDir(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	var missing []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := fsys.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		missing = append(missing, d)
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	for _, d := range missing {
		if err := fsys.SyncDir(filepath.Dir(d)); err != nil {
			return fmt.Errorf("sync directory %s: %w", filepath.Dir(d), err)
		}
	}
	return nil
}

// WriteFileAtomic makes name hold data, durably: after a crash it holds either
// what it held before or all of data. The file's mode is 0600.
//
// Order: write and sync a temporary file, rename it over name, sync the
// directory. A crash in between leaves at most the temporary file.
func WriteFileAtomic(fsys FS, name string, data []byte) (err error) {
	var suffix [6]byte
	_, _ = rand.Read(suffix[:]) // never fails
	temp := name + ".tmp-" + hex.EncodeToString(suffix[:])
	if err := writeSynced(fsys, temp, data); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), removeIfThere(fsys, temp))
	}
	if err := fsys.Rename(temp, name); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), removeIfThere(fsys, temp))
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", name, err)
	}
	return nil
}

func removeIfThere(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func writeSynced(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ReadFile returns the whole of a file of at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err == nil && size > limit {
		err = fmt.Errorf("read %s: %d bytes, at most %d expected", name, size, limit)
	}
	var b []byte
	if err == nil {
		b = make([]byte, size)
		_, err = io.ReadFull(io.NewSectionReader(f, 0, size), b)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return b, nil
}
