package form

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf8"
)

const (
	// MaxFields bounds everything before the file, as on S3.
	MaxFields = 20 << 10
	// MaxBuffered bounds what is held in memory to find the end of the file.
	MaxBuffered = 1 << 20
	maxBoundary = 70
	newline     = "\r\n"
)

// Error is what is wrong with a form: S3's code and a sentence for the client.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func malformed(why string) error {
	return &Error{"MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data: " + why}
}

// IsForm reports whether a Content-Type announces a form.
func IsForm(contentType string) bool {
	_, err := boundary(contentType)
	return err == nil
}

func boundary(contentType string) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	b := params["boundary"]
	if err != nil || kind != "multipart/form-data" || b == "" || len(b) > maxBoundary || strings.ContainsFunc(b, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", malformed("the Content-Type is not multipart/form-data with a boundary")
	}
	return b, nil
}

// Reader is a form being read. It is not safe for concurrent use.
type Reader struct {
	// Fields are the fields before the file, names in lower case, each once.
	Fields map[string]string
	// Filename is what the browser calls the file, without folders.
	Filename string

	src   *bufio.Reader
	delim string // what ends a field: line break, dashes and boundary
	read  int64
	total int64
}

// NewReader reads the fields up to the file, from a body of that length.
func NewReader(body io.Reader, length int64, contentType string) (*Reader, error) {
	b, err := boundary(contentType)
	if err != nil {
		return nil, err
	}
	r := &Reader{Fields: map[string]string{}, src: bufio.NewReaderSize(body, 32<<10), delim: newline + "--" + b, total: length}
	line, err := r.until(newline)
	if err == nil && line == "" { // some clients begin with a line break
		line, err = r.until(newline)
	}
	if err != nil {
		return nil, err
	}
	if newline+padded(line) != r.delim {
		return nil, malformed("it does not begin with the boundary")
	}
	for {
		found, err := r.field()
		if found || err != nil {
			return r, err
		}
	}
}

// padded cuts the blanks off that may follow a boundary.
func padded(line string) string { return strings.TrimRight(line, " \t") }

// until reads up to and including delim, and returns what is before it.
func (r *Reader) until(delim string) (string, error) {
	var b []byte
	for !bytes.HasSuffix(b, []byte(delim)) {
		if r.read >= MaxFields {
			return "", &Error{"MaxPostPreDataLengthExceededError", "Your POST request fields preceding the upload file were too large."}
		}
		c, err := r.src.ReadByte()
		if err == io.EOF { //nolint:errorlint // a Reader returns it bare
			return "", malformed("it ends before a file")
		}
		if err != nil {
			return "", err
		}
		r.read++
		b = append(b, c)
	}
	return string(b[:len(b)-len(delim)]), nil
}

// field reads one field, or reports true where the file begins.
func (r *Reader) field() (isFile bool, err error) {
	name, err := r.header()
	if err != nil || name == "file" {
		return err == nil, err
	}
	value, err := r.until(r.delim)
	if err != nil {
		return false, err
	}
	rest, err := r.until(newline)
	switch {
	case err != nil:
		return false, err
	case strings.HasPrefix(rest, "--"):
		return false, &Error{"IncorrectNumberOfFilesInPostRequest", "POST requires exactly one file upload per request."}
	case padded(rest) != "":
		return false, malformed("a boundary goes on")
	case strings.HasPrefix(newline+value, r.delim):
		return false, malformed("a boundary stands where a value should") // others would see an empty one
	case !utf8.ValidString(value):
		return false, malformed("a field is not UTF-8")
	}
	if _, twice := r.Fields[name]; twice {
		return false, &Error{"InvalidArgument", "A field of the form is given twice."}
	}
	r.Fields[name] = value
	return false, nil
}

// header reads the header of a field and returns the field's name.
func (r *Reader) header() (name string, err error) {
	for {
		line, err := r.until(newline)
		if err != nil {
			return "", err
		}
		if line == "" {
			break
		}
		if strings.ContainsAny(line, "\r\n\x00") { // others may see another line here
			return "", malformed("a header has a line break of half a kind")
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if strings.EqualFold(strings.TrimSpace(key), "content-disposition") {
			kind, params, err := mime.ParseMediaType(value)
			if err != nil || kind != "form-data" || name != "" {
				return "", malformed("a field has no proper Content-Disposition")
			}
			name = strings.ToLower(params["name"])
			r.Filename = params["filename"]
			r.Filename = r.Filename[strings.LastIndexAny(r.Filename, `/\`)+1:]
		}
	}
	if name == "" || !utf8.ValidString(name+r.Filename) {
		return "", malformed("a field has no name")
	}
	return name, nil
}

// File returns the file and its exact length. The Reader is used up.
func (r *Reader) File() (io.Reader, int64, error) {
	left := r.total - r.read
	if left > MaxBuffered {
		end := r.delim + "--" + newline
		size := left - int64(len(end))
		return &file{src: r.src, left: size, delim: []byte(r.delim), end: []byte(end), tail: []byte(newline)}, size, nil
	}
	data, err := io.ReadAll(r.src)
	if err != nil {
		return nil, 0, err
	}
	i := bytes.Index(data, []byte(r.delim))
	if i < 0 || strings.HasPrefix(newline+string(data[:i]), r.delim) {
		return nil, 0, malformed("the file does not end")
	}
	line, _, _ := strings.Cut(string(data[i+len(r.delim):]), newline)
	if padded(strings.TrimPrefix(line, "--")) != "" {
		return nil, 0, malformed("a boundary goes on") // others would take it for the file's
	}
	return bytes.NewReader(data[:i]), int64(i), nil
}

// file is a file whose end was computed, and is verified.
type file struct {
	src   io.Reader
	left  int64
	delim []byte
	end   []byte // what must follow the file, and be the last
	tail  []byte // last bytes before, in which a boundary may have begun
	err   error
}

var errNotLast = &Error{"MalformedPOSTRequest", "The file must be the last field of a form larger than 1 MiB, " +
	"and the form must end with its closing boundary and a line break."}

func (f *file) Read(p []byte) (int, error) {
	if f.err != nil || len(p) == 0 {
		return 0, f.err
	}
	n, err := f.src.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if err == nil || errors.Is(err, io.EOF) && f.left == 0 {
		err = f.check(p[:n])
	}
	switch {
	case errors.Is(err, io.EOF):
		f.err = errNotLast
	case err != nil:
		f.err = err
	case f.left == 0:
		f.err = io.EOF
		return n, nil
	}
	if f.err != nil {
		return 0, f.err
	}
	return n, nil
}

// check looks for a boundary in what was read, and at the end of the form once
// all of the file was.
func (f *file) check(p []byte) error {
	seam := append(f.tail, p[:min(len(p), len(f.delim)-1)]...)
	if bytes.Contains(p, f.delim) || bytes.Contains(seam, f.delim) {
		return errNotLast
	}
	if len(p) >= len(f.delim)-1 {
		f.tail = append(f.tail[:0], p[len(p)-len(f.delim)+1:]...)
	} else {
		f.tail = seam[max(0, len(seam)-len(f.delim)+1):]
	}
	if f.left > 0 {
		return nil
	}
	end := make([]byte, len(f.end)+1)
	n, err := io.ReadFull(f.src, end)
	switch {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return err
	case !bytes.Equal(end[:n], f.end):
		return errNotLast
	}
	return nil
}
