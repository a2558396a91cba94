package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"strconv"
)

const (
	minChunk     = 8192 // bytes; only the last chunk may be smaller
	maxChunkLine = 1024 // bytes, with its line end
	readAhead    = 4096 // bytes
	signatureLen = 2 * sha256.Size
)

// chunkReader decodes aws-chunked:
//
//	size-in-hex [";chunk-signature=" signature] CRLF data CRLF   as often as needed
//	"0" [";chunk-signature=" signature] CRLF
//	name ":" value LF ["x-amz-trailer-signature:" signature]     in the trailer modes
//	CRLF
//
// When a chunk ends where the announced length ends, the reader goes on to the
// very end before it gives out that chunk's last bytes.
type chunkReader struct {
	br      *bufio.Reader
	mode    Payload
	chain   chain
	length  int64 // announced
	trailer trailer

	done      int64 // bytes decoded
	left      int64 // bytes of this chunk still to come
	chunks    int   // chunks begun
	size      int64 // of this chunk
	hash      hash.Hash
	signature [signatureLen]byte // provided for this chunk
	err       error              // permanent; io.EOF after success
}

func newChunkReader(src io.Reader, mode Payload, c chain, length int64) *chunkReader {
	r := &chunkReader{br: bufio.NewReaderSize(src, readAhead), mode: mode, chain: c, length: length}
	if mode.signedChunks() {
		r.hash = sha256.New()
	}
	return r
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.left == 0 { // only before the first chunk: later ones begin below
		if r.err = r.nextChunk(); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.br.Read(p[:min(int64(len(p)), r.left)])
	if err != nil { // even with n > 0: a line end had to follow
		r.err = readFailed(err)
		return 0, r.err
	}
	if r.hash != nil {
		r.hash.Write(p[:n])
	}
	r.left -= int64(n)
	r.done += int64(n)
	if r.left > 0 {
		return n, nil
	}
	if r.err = r.endChunk(); r.err == nil && r.done == r.length {
		r.err = r.nextChunk()
	}
	if r.err != nil && r.err != io.EOF {
		return 0, r.err
	}
	return n, nil
}

// nextChunk reads a chunk's first line. It returns io.EOF if that was the last
// chunk and all that follows it is in order.
func (r *chunkReader) nextChunk() error {
	line, err := r.readLine()
	if err != nil {
		return err
	}
	size, err := r.parseLine(line)
	if err != nil {
		return err
	}
	r.chunks++
	if size > 0 && r.chunks > 1 && r.size < minChunk {
		return refuse(CodeInvalidChunkSize, "Only the last chunk is allowed to have a size less than 8192 bytes",
			Field{"Chunk", strconv.Itoa(r.chunks)}, Field{"BadChunkSize", strconv.FormatInt(r.size, 10)})
	}
	if size > r.length-r.done || size == 0 && r.done != r.length {
		return incomplete(nil)
	}
	r.size, r.left = size, size
	if size > 0 {
		return nil
	}
	if err := r.checkChunk(); err != nil {
		return err
	}
	if err := r.trailer.read(r.br, r.mode, &r.chain); err != nil {
		return err
	}
	return io.EOF
}

// parseLine takes a chunk's first line apart, leaving the signature in r.
func (r *chunkReader) parseLine(line []byte) (int64, error) {
	digits := line
	if r.mode.signedChunks() {
		var extension []byte
		digits, extension, _ = bytes.Cut(line, []byte(";"))
		signature, ok := bytes.CutPrefix(extension, []byte("chunk-signature="))
		if !ok || len(signature) != signatureLen {
			return 0, incomplete(nil)
		}
		copy(r.signature[:], signature)
	}
	if len(digits) == 0 {
		return 0, incomplete(nil)
	}
	var size int64
	for _, c := range digits {
		d := unhex(c)
		if d < 0 || size>>59 != 0 { // four more bits would reach the sign
			return 0, incomplete(nil)
		}
		size = size<<4 | int64(d)
	}
	return size, nil
}

// endChunk reads the line end after a chunk's data and checks its signature.
func (r *chunkReader) endChunk() error {
	for _, want := range "\r\n" {
		got, err := r.br.ReadByte()
		if err != nil {
			return readFailed(err)
		}
		if got != byte(want) {
			return incomplete(nil)
		}
	}
	return r.checkChunk()
}

func (r *chunkReader) checkChunk() error {
	if r.hash == nil {
		return nil
	}
	var sum [sha256.Size]byte
	r.hash.Sum(sum[:0])
	r.hash.Reset()
	r.chain.chunk(&sum)
	return r.chain.check(string(r.signature[:]))
}

// readLine returns the next line without its CRLF. It is valid until the next read.
func (r *chunkReader) readLine() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if err == bufio.ErrBufferFull || len(line) > maxChunkLine {
		return nil, incomplete(nil)
	}
	if err != nil {
		return nil, readFailed(err)
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, incomplete(nil)
	}
	return line, nil
}
