package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// Payload says how a body is framed and what vouches for it.
type Payload uint8

// The payload modes of S3, by the value of x-amz-content-sha256.
const (
	// PayloadUnsigned is a plain body nobody vouches for: UNSIGNED-PAYLOAD, or
	// no statement at all where S3 allows that.
	PayloadUnsigned Payload = iota
	// PayloadSHA256 is a plain body whose SHA-256 was signed.
	PayloadSHA256
	// PayloadChunked is aws-chunked, each chunk signed.
	PayloadChunked
	// PayloadChunkedTrailer is aws-chunked, each chunk and the trailer signed.
	PayloadChunkedTrailer
	// PayloadUnsignedTrailer is aws-chunked, nothing signed, checksum in a trailer.
	PayloadUnsignedTrailer
)

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	contentSHA256   = "X-Amz-Content-Sha256"
	ecdsaPrefix     = "STREAMING-AWS4-ECDSA-"
)

var payloadNames = map[Payload]string{
	PayloadUnsigned:        unsignedPayload,
	PayloadChunked:         "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
	PayloadChunkedTrailer:  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
	PayloadUnsignedTrailer: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
}

// String returns the value of x-amz-content-sha256 that announces p.
func (p Payload) String() string {
	if name, ok := payloadNames[p]; ok {
		return name
	}
	return "SHA256"
}

// Chunked reports whether the body is framed as aws-chunked.
func (p Payload) Chunked() bool { return p >= PayloadChunked }

func (p Payload) signedChunks() bool { return p == PayloadChunked || p == PayloadChunkedTrailer }
func (p Payload) hasTrailer() bool   { return p == PayloadChunkedTrailer || p == PayloadUnsignedTrailer }

// parsePayload reads a value of x-amz-content-sha256.
func parsePayload(value string) (Payload, [sha256.Size]byte, error) {
	var digest [sha256.Size]byte
	for p, name := range payloadNames {
		if value == name {
			return p, digest, nil
		}
	}
	if strings.HasPrefix(value, ecdsaPrefix) {
		return 0, digest, refuse(CodeNotImplemented, "A header you provided implies functionality that is not implemented")
	}
	if len(value) == hex.EncodedLen(len(digest)) {
		if _, err := hex.Decode(digest[:], []byte(value)); err == nil {
			return PayloadSHA256, digest, nil
		}
	}
	return 0, digest, invalidArgument(
		"x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "+
			"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
		"x-amz-content-sha256", value)
}

// statedPayload returns the value of x-amz-content-sha256, which a presigned
// URL may carry in its query; "" if there is none.
func statedPayload(h http.Header, params []param) (string, error) {
	values := h[contentSHA256]
	for _, p := range params {
		if p.key == contentSHA256 {
			values = append(values[:len(values):len(values)], p.value)
		}
	}
	for _, v := range values {
		if v != values[0] {
			return "", invalidArgument("x-amz-content-sha256 was specified more than once", "x-amz-content-sha256", v)
		}
	}
	if len(values) == 0 {
		return "", nil
	}
	return strings.TrimSpace(values[0]), nil
}

// StripAWSChunked returns a Content-Encoding without the token aws-chunked,
// which describes the upload and must not be stored with the object.
func StripAWSChunked(contentEncoding string) string {
	var kept []string
	for token := range strings.SplitSeq(contentEncoding, ",") {
		if token = strings.TrimSpace(token); token != "" && !strings.EqualFold(token, "aws-chunked") {
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, ", ")
}
