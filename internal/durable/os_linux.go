package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f osFile) Datasync() error {
	return retry(func() error { return unix.Fdatasync(int(f.Fd())) })
}

func (f osFile) Preallocate(off, n int64) error {
	err := retry(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

func (f osFile) PunchHole(off, n int64) error {
	err := retry(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return ErrUnsupported
	}
	return err
}

// OpenDirect opens a file that exists for writing past the page cache: memory,
// offset and length must be multiples of 4096. It fails where the filesystem
// has no such thing.
func (OS) OpenDirect(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|unix.O_DIRECT, 0))
}
