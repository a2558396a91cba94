package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// chain is the state of the signatures along an aws-chunked body: each signs
// its bytes and the signature before it, the first of which is the request's.
type chain struct {
	key       *signingKey
	accessKey string
	stamp     string
	scope     string
	previous  string

	mac hash.Hash // keyed with key; made at the first chunk
	buf []byte    // holds the last string to sign
}

// chunk returns the signature of the next chunk, whose data hash to sum.
func (c *chain) chunk(sum *[sha256.Size]byte) string {
	c.begin("AWS4-HMAC-SHA256-PAYLOAD\n")
	c.buf = append(c.buf, emptySHA256...)
	c.buf = append(c.buf, '\n')
	return c.end(sum)
}

// trailers returns the signature of the trailer lines that hash to sum.
func (c *chain) trailers(sum *[sha256.Size]byte) string {
	c.begin("AWS4-HMAC-SHA256-TRAILER\n")
	return c.end(sum)
}

func (c *chain) begin(kind string) {
	c.buf = append(c.buf[:0], kind...)
	for _, part := range [...]string{c.stamp, c.scope, c.previous} {
		c.buf = append(c.buf, part...)
		c.buf = append(c.buf, '\n')
	}
}

func (c *chain) end(sum *[sha256.Size]byte) string {
	c.buf = hex.AppendEncode(c.buf, sum[:])
	if c.mac == nil {
		c.mac = hmac.New(sha256.New, c.key[:])
	}
	c.mac.Reset()
	c.mac.Write(c.buf)
	var signature [sha256.Size]byte
	c.previous = hex.EncodeToString(c.mac.Sum(signature[:0]))
	return c.previous
}

// check compares the signature made last with the one provided.
func (c *chain) check(provided string) error {
	if equal(c.previous, provided) {
		return nil
	}
	return mismatch(c.accessKey, provided, string(c.buf), "")
}
