package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// The slow, obvious twins of what the package does quickly. They hold all of
// their input in memory and use nothing of the package but Payload.

func slowEscape(s string) string {
	out := ""
	for _, b := range []byte(s) {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", b) >= 0 {
			out += string(rune(b))
		} else {
			out += fmt.Sprintf("%%%02X", b)
		}
	}
	return out
}

// slowCanonical builds the canonical request; ok is false if the query is bad.
func slowCanonical(r *http.Request, signed []string, payload string) (text string, ok bool) {
	segments := strings.Split(r.URL.Path, "/")
	for i := range segments {
		segments[i] = slowEscape(segments[i])
	}
	path := strings.Join(segments, "/")
	if path == "" {
		path = "/"
	}
	var pairs [][2]string
	for _, pair := range strings.Split(r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err != nil || err2 != nil {
			return "", false
		}
		if key != "X-Amz-Signature" {
			pairs = append(pairs, [2]string{slowEscape(key), slowEscape(value)})
		}
	}
	sort.Slice(pairs, func(i, j int) bool {
		return pairs[i][0] < pairs[j][0] || pairs[i][0] == pairs[j][0] && pairs[i][1] < pairs[j][1]
	})
	var query []string
	for _, p := range pairs {
		query = append(query, p[0]+"="+p[1])
	}
	lines := []string{r.Method, path, strings.Join(query, "&")}
	for _, name := range signed {
		values := append([]string(nil), r.Header.Values(name)...)
		if name == "host" {
			values = []string{r.Host}
		}
		for i, v := range values {
			v = strings.Trim(v, " \t")
			for strings.Contains(v, "  ") {
				v = strings.ReplaceAll(v, "  ", " ")
			}
			values[i] = v
		}
		lines = append(lines, name+":"+strings.Join(values, ","))
	}
	return strings.Join(append(lines, "", strings.Join(signed, ";"), payload), "\n"), true
}

// slowChain signs chunks from a key, a seed and the lines before the seed.
type slowChain struct{ key, middle, previous string }

func (c *slowChain) next(kind string, hashes ...string) string {
	h := hmac.New(sha256.New, []byte(c.key))
	h.Write([]byte(kind + "\n" + c.middle + "\n" + c.previous + "\n" + strings.Join(hashes, "\n")))
	c.previous = hex.EncodeToString(h.Sum(nil))
	return c.previous
}

func slowHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// slowDecode decodes a whole aws-chunked body and returns its bytes, its
// trailer's value and the code of the error a reader must end with.
func slowDecode(wire string, mode Payload, c slowChain, length int64, announced string) (data, value, code string) {
	previous := int64(-1)
	for {
		end := strings.Index(wire, "\r\n")
		if end < 0 || end > 1022 || strings.Contains(wire[:end], "\n") {
			return "", "", CodeIncompleteBody
		}
		line := wire[:end]
		wire = wire[end+2:]
		signature := ""
		if mode != PayloadUnsignedTrailer {
			i := strings.Index(line, ";chunk-signature=")
			if i < 0 || len(line) != i+17+64 {
				return "", "", CodeIncompleteBody
			}
			line, signature = line[:i], line[i+17:]
		}
		if strings.Trim(line, "0123456789abcdefABCDEF") != "" {
			return "", "", CodeIncompleteBody
		}
		size, err := strconv.ParseInt(line, 16, 64)
		if err != nil {
			return "", "", CodeIncompleteBody
		}
		if size > 0 && previous >= 0 && previous < 8192 {
			return "", "", CodeInvalidChunkSize
		}
		previous = size
		if size == 0 && int64(len(data)) != length || size > length-int64(len(data)) {
			return "", "", CodeIncompleteBody
		}
		chunk := ""
		if size > 0 {
			if int64(len(wire)) < size+2 || wire[size:size+2] != "\r\n" {
				return "", "", CodeIncompleteBody
			}
			chunk, wire = wire[:size], wire[size+2:]
		}
		if mode != PayloadUnsignedTrailer &&
			c.next("AWS4-HMAC-SHA256-PAYLOAD", slowHash(""), slowHash(chunk)) != signature {
			return "", "", CodeSignatureDoesNotMatch
		}
		data += chunk
		if size == 0 {
			value, code = slowTrailer(wire, mode, c, announced)
			return data, value, code
		}
	}
}

func slowTrailer(rest string, mode Payload, c slowChain, announced string) (value, code string) {
	var lines []string
	for _, line := range strings.Split(rest, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if mode == PayloadChunked {
		if len(lines) > 0 || len(rest) > 4096 {
			return "", CodeIncompleteBody
		}
		return "", ""
	}
	signature := ""
	for _, line := range lines {
		name, v, _ := strings.Cut(line, ":")
		name, v = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(v)
		switch {
		case v == "" || signature != "":
			return "", CodeMalformedTrailer
		case name == "x-amz-trailer-signature" && mode == PayloadChunkedTrailer:
			signature = v
		case name == announced && value == "":
			value = v
		default:
			return "", CodeMalformedTrailer
		}
	}
	switch {
	case len(rest) > 4096:
		return "", CodeMalformedTrailer
	case mode == PayloadUnsignedTrailer && announced != "" && value == "":
		return "", CodeMalformedTrailer
	case mode == PayloadChunkedTrailer && (value == "" || signature == ""):
		return "", CodeIncompleteBody
	case mode == PayloadChunkedTrailer && c.next("AWS4-HMAC-SHA256-TRAILER", slowHash(announced+":"+value+"\n")) != signature:
		return "", CodeSignatureDoesNotMatch
	}
	return value, ""
}
