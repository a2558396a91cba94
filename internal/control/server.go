package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/httpd"
)

// SocketName is the socket's name in a process's directory.
const SocketName = "control.sock"

// maxMessage bounds requests and answers.
const maxMessage = 64 << 20

// wireError is an error in transit.
type wireError struct {
	Op      string     `json:"op"`
	Kind    cairn.Kind `json:"kind"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

// Handler answers the methods registered with Handle.
type Handler struct{ mux *http.ServeMux }

// NewHandler returns a handler without methods.
func NewHandler() *Handler { return &Handler{mux: http.NewServeMux()} }

// Handle registers f as the method of that name. Name is a word.
func Handle[Request, Reply any](h *Handler, name string, f func(ctx context.Context, r Request) (Reply, error)) {
	h.mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		var request Request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&request); err != nil {
			answerError(w, cairn.Errorf("read request", cairn.Invalid, "%w", err))
			return
		}
		reply, err := f(r.Context(), request)
		if err != nil {
			answerError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(reply) // the client may be gone
	})
}

func answerError(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	e := wireError{Op: "ask", Kind: cairn.KindOf(err), Message: err.Error(), Hint: cairn.HintOf(err)}
	if outer, ok := err.(*cairn.Error); ok && outer.Err != nil {
		e.Op, e.Message = outer.Op, outer.Err.Error()
	}
	_ = json.NewEncoder(w).Encode(e) // the client may be gone
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// NewServer returns a server of the socket in dir, with mode 0600. Requires
// that no other process uses dir: a socket left by a dead one is replaced.
func NewServer(dir string, h *Handler) *httpd.Server {
	return httpd.New(httpd.Config{
		Name: "control socket", Handler: h, MaxConns: 32, RequestTimeout: time.Minute,
		Listen: func(ctx context.Context) (net.Listener, error) { return listen(ctx, dir) },
	})
}

func listen(ctx context.Context, dir string) (net.Listener, error) {
	if err := os.Remove(filepath.Join(dir, SocketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove socket of an earlier run: %w", err)
	}
	var listener net.Listener
	err := withShortPath(dir, func(path string) error {
		l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
		if err != nil {
			return err
		}
		listener = l
		// Between bind and chmod the directory's own mode (0700) keeps others out.
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // the path may be a short one that is gone
	return removing{listener, filepath.Join(dir, SocketName)}, nil
}

// removing removes the socket file after the listener was closed.
type removing struct {
	net.Listener
	path string
}

func (r removing) Close() error {
	err := r.Listener.Close()
	if removeErr := os.Remove(r.path); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

// maxSocketPath is what fits into a socket address everywhere.
const maxSocketPath = 100

// withShortPath calls f with a path of the socket that fits into a socket
// address. Where the real one does not, the path leads over an open
// descriptor of the directory.
func withShortPath(dir string, f func(path string) error) error {
	path := filepath.Join(dir, SocketName)
	if len(path) <= maxSocketPath {
		return f(path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f(filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), SocketName))
	return errors.Join(err, d.Close())
}
