package s3api

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/checksum"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

const (
	checksumPrefix = "X-Amz-Checksum-"
	sdkAlgorithm   = "X-Amz-Sdk-Checksum-Algorithm"
)

// claims is what a request says about its body.
type claims struct {
	gateway.Digests
	expected string // of Digests.Algorithm, when it came in a header
}

// claims reads Content-MD5 and the checksum headers, and promises the checksum
// in the trailer of b if one was announced.
func (c *call) claims(b *sigv4.Body) (*claims, error) {
	h := c.r.Header
	said := &claims{}
	var err error
	if said.MD5, err = contentMD5(h); err != nil {
		return nil, err
	}
	if said.Algorithm, said.expected, err = checksumHeader(h); err != nil {
		return nil, err
	}
	trailer := ""
	if c.auth.Payload == sigv4.PayloadChunkedTrailer || c.auth.Payload == sigv4.PayloadUnsignedTrailer {
		trailer = http.CanonicalHeaderKey(strings.TrimSpace(h.Get("X-Amz-Trailer")))
	}
	switch {
	case trailer != "" && said.Algorithm != "":
		return nil, failf("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case trailer != "":
		if said.Algorithm, err = checksumAlgorithm(strings.TrimPrefix(trailer, checksumPrefix)); err != nil {
			return nil, err
		}
		said.Expected = func() (string, error) {
			return validChecksum(said.Algorithm, b.Trailer().Get(trailer))
		}
	case said.Algorithm != "":
		said.Expected = func() (string, error) { return said.expected, nil }
	}
	return said, checkSDKAlgorithm(h, said.Algorithm)
}

// checkSDKAlgorithm refuses an announcement that is not kept.
func checkSDKAlgorithm(h http.Header, algorithm string) error {
	announced := h.Get(sdkAlgorithm)
	switch {
	case announced == "" || strings.EqualFold(announced, algorithm):
		return nil
	case algorithm == "" && checksum.Known(strings.ToUpper(announced)):
		return failf("InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	}
	return failf("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
}

func contentMD5(h http.Header) ([]byte, error) {
	values, ok := h["Content-Md5"]
	if !ok {
		return nil, nil
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(values[0])
	if err != nil || len(sum) != md5.Size || len(values) > 1 {
		return nil, fail("InvalidDigest", Field{"Content-MD5", clip(values[0])})
	}
	return sum, nil
}

// checksumHeader returns the checksum that the headers give, if any.
func checksumHeader(h http.Header) (algorithm, value string, err error) {
	for name, values := range h {
		suffix, ok := strings.CutPrefix(name, checksumPrefix)
		if !ok || suffix == "Algorithm" || suffix == "Mode" || suffix == "Type" {
			continue
		}
		if algorithm != "" || len(values) > 1 {
			return "", "", failf("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		if algorithm, err = checksumAlgorithm(suffix); err != nil {
			return "", "", err
		}
		if value, err = validChecksum(algorithm, values[0]); err != nil {
			return "", "", err
		}
	}
	return algorithm, value, nil
}

// checksumAlgorithm returns the algorithm of that name in any case.
func checksumAlgorithm(name string) (string, error) {
	name = strings.ToUpper(name)
	if !checksum.Known(name) {
		if slices.Contains([]string{"SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"}, name) {
			return "", notImplemented("x-amz-checksum-"+strings.ToLower(name), "")
		}
		return "", failf("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	}
	return name, nil
}

func validChecksum(algorithm, value string) (string, error) {
	if _, ok := checksum.Decode(algorithm, value); !ok {
		return "", failf("InvalidRequest", "Value for x-amz-checksum-"+strings.ToLower(algorithm)+" header is invalid.")
	}
	return value, nil
}

// given reports whether the body was vouched for by MD5 or checksum.
func (s *claims) given() bool { return s.MD5 != nil || s.Algorithm != "" }

// verify checks a body that was read whole.
func (s *claims) verify(data []byte) error {
	if s.MD5 != nil {
		if sum := md5.Sum(data); !bytes.Equal(sum[:], s.MD5) {
			return gateway.ErrBadDigest
		}
	}
	if s.Expected == nil {
		return nil
	}
	want, err := s.Expected()
	if err != nil {
		return err
	}
	if checksum.Of(s.Algorithm, data) != want {
		return &gateway.ChecksumError{Algorithm: s.Algorithm}
	}
	return nil
}
