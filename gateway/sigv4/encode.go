package sigv4

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Chunked says how SignChunked frames a body.
type Chunked struct {
	Payload   Payload // one of the three aws-chunked modes
	Length    int64   // bytes in the body
	ChunkSize int     // bytes in each chunk but the last; zero means 64 KiB
	// Trailer names the trailer, e.g. "x-amz-checksum-crc32". The trailer modes
	// need it.
	Trailer string
	// Value returns the trailer's value. It is called after the body was read.
	Value func() string
}

// SignChunked signs r with a body framed as aws-chunked. It sets r.Body and
// leaves r.ContentLength at -1, so that HTTP's own chunking carries it.
func (s Signer) SignChunked(r *http.Request, body io.Reader, o Chunked, at time.Time) error {
	if !o.Payload.Chunked() || o.Payload.hasTrailer() != (o.Trailer != "" && o.Value != nil) {
		return fmt.Errorf("sigv4: payload %v with trailer %q cannot be chunked", o.Payload, o.Trailer)
	}
	r.Header.Set("Content-Encoding", strings.TrimPrefix(r.Header.Get("Content-Encoding")+",aws-chunked", ","))
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(o.Length, 10))
	if o.Trailer != "" {
		r.Header.Set("X-Amz-Trailer", o.Trailer)
	}
	seed, err := s.Sign(r, o.Payload.String(), at)
	if err != nil {
		return err
	}
	c := s.claim(r, at)
	r.ContentLength = -1
	r.Body = io.NopCloser(&chunkWriter{
		src:  body,
		opts: o,
		data: make([]byte, cmp.Or(o.ChunkSize, 64<<10)),
		chain: chain{key: deriveKey(s.SecretKey, c.scope), stamp: c.stamp,
			scope: c.scope.String(), previous: seed},
	})
	return nil
}

// chunkWriter frames src. It is a reader, because that is what a request sends.
type chunkWriter struct {
	src   io.Reader
	opts  Chunked
	data  []byte
	chain chain

	out  []byte // framed bytes not yet handed out
	next int    // where they begin in out
	done bool
}

func (w *chunkWriter) Read(p []byte) (int, error) {
	if w.next == len(w.out) {
		if w.done {
			return 0, io.EOF
		}
		if err := w.frame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.out[w.next:])
	w.next += n
	return n, nil
}

// frame puts the next chunk into out, and after the last one the rest.
func (w *chunkWriter) frame() error {
	n, err := io.ReadFull(w.src, w.data)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	w.out, w.next = w.out[:0], 0
	if n > 0 {
		w.line(w.data[:n])
		w.out = append(append(w.out, w.data[:n]...), "\r\n"...)
	}
	if err == nil {
		return nil
	}
	w.done = true
	w.line(nil)
	if w.opts.Trailer != "" {
		value := w.opts.Value()
		w.out = append(w.out, w.opts.Trailer+":"+value+"\r\n"...)
		if w.opts.Payload.signedChunks() {
			sum := sha256.Sum256([]byte(w.opts.Trailer + ":" + value + "\n"))
			w.out = append(w.out, trailerSignature+":"+w.chain.trailers(&sum)+"\r\n"...)
		}
	}
	w.out = append(w.out, "\r\n"...)
	return nil
}

// line appends the first line of a chunk.
func (w *chunkWriter) line(data []byte) {
	w.out = strconv.AppendInt(w.out, int64(len(data)), 16)
	if w.opts.Payload.signedChunks() {
		sum := sha256.Sum256(data)
		w.out = append(w.out, ";chunk-signature="+w.chain.chunk(&sum)...)
	}
	w.out = append(w.out, "\r\n"...)
}
