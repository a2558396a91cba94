package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Body is the decoded body of one request. It is not safe for concurrent use.
type Body struct {
	src    io.Reader
	length int64
	chunks *chunkReader // nil for a plain body
}

// Body returns the decoded body of r, the request that a came from. It reads
// nothing yet, so the client still waits if it sent Expect: 100-continue. The
// body must announce its length.
func (a *Auth) Body(r *http.Request) (*Body, error) {
	src := io.Reader(r.Body)
	if r.Body == nil {
		src = http.NoBody
	}
	if a.Payload.Chunked() {
		return a.chunkedBody(r, src)
	}
	if r.ContentLength < 0 {
		return nil, refuse(CodeMissingContentLength, "You must provide the Content-Length HTTP header.")
	}
	p := &plainReader{src: src, left: r.ContentLength}
	if a.Payload == PayloadSHA256 {
		p.hash, p.want = sha256.New(), a.digest
	}
	return &Body{src: p, length: r.ContentLength}, nil
}

func (a *Auth) chunkedBody(r *http.Request, src io.Reader) (*Body, error) {
	const header = "X-Amz-Decoded-Content-Length"
	stated := r.Header.Get(header)
	if stated == "" {
		return nil, refuse(CodeMissingContentLength, "You must provide the x-amz-decoded-content-length HTTP header.")
	}
	length, err := strconv.ParseUint(stated, 10, 63)
	if err != nil {
		return nil, invalidArgument("x-amz-decoded-content-length must be a non-negative integer", "x-amz-decoded-content-length", stated)
	}
	c := newChunkReader(src, a.Payload, a.chain, int64(length))
	if a.Payload.hasTrailer() {
		if c.trailer.announced, err = announcedTrailer(r.Header); err != nil {
			return nil, err
		}
	}
	return &Body{src: c, length: int64(length), chunks: c}, nil
}

// announcedTrailer returns the lower-case name in x-amz-trailer, "" if absent.
func announcedTrailer(h http.Header) (string, error) {
	const prefix = "x-amz-checksum-"
	name := strings.ToLower(strings.TrimSpace(strings.Join(h.Values("X-Amz-Trailer"), ",")))
	switch {
	case name == "":
		return "", nil
	case strings.Contains(name, ","):
		return "", refuse(CodeInvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case !strings.HasPrefix(name, prefix) || len(name) == len(prefix) || len(name) > 64:
		return "", refuse(CodeInvalidRequest, "The value specified in the x-amz-trailer header is not supported")
	}
	return name, nil
}

// Length returns the number of bytes Read gives if nothing fails.
func (b *Body) Length() int64 { return b.length }

// Read gives the decoded bytes. It returns the last of them only after every
// check has passed. A failure is permanent; *Error if the client is to blame.
func (b *Body) Read(p []byte) (int, error) { return b.src.Read(p) }

// Trailer returns what came after the bytes, e.g. X-Amz-Checksum-Crc32. It is
// nil until the last byte has been read, and for bodies without trailers.
func (b *Body) Trailer() http.Header {
	if b.chunks == nil || b.chunks.err != io.EOF {
		return nil
	}
	return b.chunks.trailer.fields
}

// readFailed turns what the connection reported into what to tell the client.
func readFailed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return incomplete(io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read request body: %w", err)
}

// plainReader reads exactly left bytes and checks their digest, if any.
type plainReader struct {
	src  io.Reader
	left int64
	hash hash.Hash // nil if nothing was promised
	want [sha256.Size]byte
	err  error // permanent
}

func (r *plainReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		r.err = r.finish()
		return 0, r.err
	}
	n, err := r.src.Read(p[:min(int64(len(p)), r.left)])
	if r.hash != nil {
		r.hash.Write(p[:n])
	}
	r.left -= int64(n)
	switch {
	case r.left == 0:
		if r.err = r.finish(); r.err != io.EOF {
			return 0, r.err
		}
		return n, nil
	case err != nil:
		r.err = readFailed(err)
	}
	return n, r.err
}

// finish returns io.EOF or why there is none.
func (r *plainReader) finish() error {
	if r.hash == nil || subtle.ConstantTimeCompare(r.hash.Sum(nil), r.want[:]) == 1 {
		return io.EOF
	}
	return refuse(CodeContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.",
		Field{"ClientComputedContentSHA256", fmt.Sprintf("%x", r.want)},
		Field{"S3ComputedContentSHA256", fmt.Sprintf("%x", r.hash.Sum(nil))})
}
