package decode

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/cairn-store/cairn"
)

// Dir returns an Options.Create that writes below a directory: objects as
// bucket/key, raw parts under their names. Keys cannot lead out of the
// directory; components that no file can have are escaped with "%". Nothing is
// overwritten. The caller closes dir when Decode has returned.
func Dir(dir *os.Root) func(Output) (Sink, error) {
	return func(o Output) (Sink, error) {
		name := safePath(o.Name())
		if err := dir.MkdirAll(path.Dir(name), 0o700); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
		if _, err := dir.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = cairn.Errorf("create file", cairn.Exists, "%s is there already", name)
			}
			return nil, err
		}
		f, err := dir.OpenFile(name+partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("create file: %w", err)
		}
		return &fileSink{Writer: bufio.NewWriterSize(f, 1<<20), f: f, dir: dir, name: name}, nil
	}
}

// partial marks a file that is not whole yet.
const partial = ".partial"

const maxComponent = 200 // bytes; filesystems take 255, and names grow by partial

// safePath turns a name into a path that stays below its directory.
func safePath(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		switch {
		case p == "":
			p = "%"
		case strings.Trim(p, ".") == "":
			p = strings.ReplaceAll(p, ".", "%2E")
		}
		var b strings.Builder
		for _, c := range []byte(p) {
			if c < ' ' || c == 0x7f || c == '\\' || c == ':' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
		p = b.String()
		var cut []string
		for len(p) > maxComponent {
			cut = append(cut, p[:maxComponent]+"%")
			p = p[maxComponent:]
		}
		parts[i] = strings.Join(append(cut, p), "/")
	}
	return strings.Join(parts, "/")
}

type fileSink struct {
	*bufio.Writer
	f    *os.File
	dir  *os.Root
	name string
}

// Close makes the file durable and gives it its name.
func (s *fileSink) Close() error {
	err := s.Flush()
	if err == nil {
		err = s.f.Sync()
	}
	err = errors.Join(err, s.f.Close())
	if err == nil {
		err = s.dir.Rename(s.name+partial, s.name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write file: %w", err), s.dir.Remove(s.name+partial))
	}
	return nil
}

// Abort removes what was written.
func (s *fileSink) Abort() {
	_ = s.f.Close()
	_ = s.dir.Remove(s.name + partial) // best effort: the name says that it is not whole
}
