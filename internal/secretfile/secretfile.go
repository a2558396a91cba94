package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cairn-store/cairn"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// MakeDir makes dir and its parents for the owner alone. A directory that is
// already there keeps its mode.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

// Create writes a new file. A file that is already there is an Exists error
// and stays as it is.
func Create(path string, data []byte) error {
	temporary, err := writeTemporary(path, data)
	if err != nil {
		return err
	}
	// A link fails when the name is taken; a rename would overwrite.
	err = os.Link(temporary, path)
	if removeErr := os.Remove(temporary); err == nil && removeErr != nil {
		return fmt.Errorf("write %s: %w", path, removeErr)
	}
	if errors.Is(err, fs.ErrExist) {
		return cairn.Errorf("write "+path, cairn.Exists, "the file exists and is not overwritten")
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// Replace writes a file, taking the place of what is there.
func Replace(path string, data []byte) error {
	temporary, err := writeTemporary(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary))
	}
	return syncDir(filepath.Dir(path))
}

// Read returns the content of a file of at most limit bytes. A file that group
// or others can read is a Denied error; one that is not there, NotFound.
func Read(path string, limit int64) ([]byte, error) {
	op := "read " + path
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cairn.NewError(op, cairn.NotFound, errors.New("there is no such file"))
	}
	if err != nil {
		return nil, cairn.NewError(op, cairn.Denied, err)
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && !handedIn(path) {
		return nil, cairn.Errorf(op, cairn.Denied, "mode %04o lets others read it", info.Mode().Perm()).
			WithHint("chmod 600 " + path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if int64(len(b)) > limit {
		return nil, cairn.Errorf(op, cairn.Invalid, "longer than the %d bytes it may have", limit)
	}
	return b, nil
}

// handedIn reports whether systemd handed the file in as a credential: the
// access list that lets the service read it shows as a group's permission.
func handedIn(path string) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(dir)
}

func writeTemporary(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
