package secretfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cairn-store/cairn"
)

// lockName is the file in a directory that its only user holds.
const lockName = "lock"

// Lock makes this process the only user of dir until unlock is called or the
// process ends. A directory in use is an Unavailable error.
func Lock(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f.Close, nil // closing unlocks
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = cairn.Errorf("lock "+dir, cairn.Unavailable, "another process uses this directory").
			WithHint("stop it first, or choose another --dir")
	} else {
		err = fmt.Errorf("lock %s: %w", dir, err)
	}
	return nil, errors.Join(err, f.Close())
}
