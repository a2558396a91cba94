package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
)

const (
	maxTrailer       = 4096 // bytes, all lines together
	trailerSignature = "x-amz-trailer-signature"
)

// trailer reads what follows the last chunk. Clients end these lines in
// different ways: LF or CRLF, with an empty line before, between, after, or
// missing. Empty lines mean nothing here, and the end is the end of the body.
type trailer struct {
	announced string      // the name in x-amz-trailer; may be ""
	fields    http.Header // what came, by canonical name; nil if nothing did

	signature string // provided; "" if none
	signed    []byte // "name:value\n"
}

func (t *trailer) read(br *bufio.Reader, mode Payload, c *chain) error {
	for budget := maxTrailer; ; {
		line, err := br.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return readFailed(err)
		}
		if budget -= len(line); budget < 0 || err == bufio.ErrBufferFull {
			return t.bad(mode)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if !mode.hasTrailer() || !t.add(string(line), mode) {
				return t.bad(mode)
			}
		}
		if err == io.EOF {
			return t.check(mode, c)
		}
	}
}

// add takes one line and reports whether it may be there.
func (t *trailer) add(line string, mode Payload) bool {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	switch {
	case !ok || value == "" || t.signature != "": // the signature is the last line
		return false
	case name == trailerSignature && mode == PayloadChunkedTrailer:
		t.signature = value
		return true
	case name != t.announced || t.fields != nil:
		return false
	}
	t.fields = make(http.Header, 1)
	t.fields.Set(name, value)
	t.signed = append(append(append(append(t.signed, name...), ':'), value...), '\n')
	return true
}

// bad names the fault as S3 does: without the promise of a trailer, bytes after
// the last chunk are a body of the wrong length.
func (t *trailer) bad(mode Payload) error {
	if mode.hasTrailer() {
		return malformedTrailer()
	}
	return incomplete(nil)
}

// check runs at the end of the body.
func (t *trailer) check(mode Payload, c *chain) error {
	switch mode {
	case PayloadUnsignedTrailer:
		if t.announced != "" && t.fields == nil {
			return malformedTrailer()
		}
	case PayloadChunkedTrailer:
		if t.fields == nil || t.signature == "" {
			return incomplete(nil)
		}
		sum := sha256.Sum256(t.signed)
		c.trailers(&sum)
		return c.check(t.signature)
	}
	return nil
}
