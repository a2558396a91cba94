package sigv4

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// param is one query parameter: as its sender meant it, and as it is signed.
type param struct {
	key, value       string
	encKey, encValue string
}

// parseQuery splits a raw query the way S3 reads it: "&" separates, "+" is a
// space, and a parameter without "=" has an empty value.
func parseQuery(raw string) ([]param, error) {
	var params []param
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, ok := unescape(rawKey, true)
		value, ok2 := unescape(rawValue, true)
		if !ok || !ok2 {
			return nil, refuse(CodeInvalidURI, "Couldn't parse the specified URI.")
		}
		params = append(params, param{key, value, escape(key), escape(value)})
	}
	return params, nil
}

// appendQuery appends the canonical query: pairs sorted by encoded key and then
// value, without the signature itself. It sorts params in place.
func appendQuery(dst []byte, params []param) []byte {
	slices.SortStableFunc(params, func(a, b param) int {
		if c := strings.Compare(a.encKey, b.encKey); c != 0 {
			return c
		}
		return strings.Compare(a.encValue, b.encValue)
	})
	first := true
	for _, p := range params {
		if p.key == queryPrefix+"Signature" {
			continue
		}
		if !first {
			dst = append(dst, '&')
		}
		first = false
		dst = append(dst, p.encKey...)
		dst = append(dst, '=')
		dst = append(dst, p.encValue...)
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// appendEscaped appends s with every byte that is not unreserved as %XX.
func appendEscaped(dst []byte, s string, keepSlash bool) []byte {
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || keepSlash && c == '/' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

func escape(s string) string {
	for i := range len(s) {
		if !unreserved(s[i]) {
			return string(appendEscaped(make([]byte, 0, len(s)+16), s, false))
		}
	}
	return s
}

func unescape(s string, plusIsSpace bool) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+' && plusIsSpace:
			b = append(b, ' ')
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// canonicalPaths returns the ways a client may have written the path it signed:
// the decoded path encoded once, with no other normalisation, and, if the wire
// carries an escaped slash, the path in which that slash stays escaped. The
// second is there because clients disagree about "%2F"; both cover every byte
// of the path, and S3 reads both as the same key.
func canonicalPaths(r *http.Request) []string {
	path := r.URL.Path
	if path == "" {
		path = "/"
	}
	paths := []string{string(appendEscaped(make([]byte, 0, len(path)+16), path, true))}
	wire := r.URL.EscapedPath()
	if !strings.Contains(wire, "%2F") && !strings.Contains(wire, "%2f") {
		return paths
	}
	var kept []byte
	for i, segment := range strings.Split(wire, "/") {
		if i > 0 {
			kept = append(kept, '/')
		}
		plain, ok := unescape(segment, false)
		if !ok {
			return paths
		}
		kept = appendEscaped(kept, plain, false)
	}
	return append(paths, string(kept))
}

// canonical is a canonical request but for its path.
type canonical struct {
	method  string
	query   []byte
	headers []byte // "name:value\n" for each signed header
	signed  string // names joined by ";"
	payload string // the value of x-amz-content-sha256
}

func newCanonical(r *http.Request, params []param, signed []string, payload string) *canonical {
	c := &canonical{method: r.Method, signed: strings.Join(signed, ";"), payload: payload}
	if len(params) > 0 {
		c.query = appendQuery(make([]byte, 0, len(r.URL.RawQuery)+64), params)
	}
	c.headers = make([]byte, 0, 512)
	for _, name := range signed {
		c.headers = append(c.headers, name...)
		c.headers = append(c.headers, ':')
		c.headers = appendHeader(c.headers, r, name)
		c.headers = append(c.headers, '\n')
	}
	return c
}

func (c *canonical) append(dst []byte, path string) []byte {
	dst = append(dst, c.method...)
	dst = append(dst, '\n')
	dst = append(dst, path...)
	dst = append(dst, '\n')
	dst = append(dst, c.query...)
	dst = append(dst, '\n')
	dst = append(dst, c.headers...)
	dst = append(dst, '\n')
	dst = append(dst, c.signed...)
	dst = append(dst, '\n')
	return append(dst, c.payload...)
}

// appendHeader appends the signed form of one header. net/http moves some
// headers out of r.Header; they are taken from where it puts them.
func appendHeader(dst []byte, r *http.Request, name string) []byte {
	switch name {
	case "host":
		return appendTrimmed(dst, r.Host)
	case "content-length":
		if r.ContentLength >= 0 {
			return strconv.AppendInt(dst, r.ContentLength, 10)
		}
	case "transfer-encoding":
		return append(dst, strings.Join(r.TransferEncoding, ",")...)
	case "expect":
		// A proxy answers Expect itself and drops it; it has one legal value.
		if len(r.Header["Expect"]) == 0 {
			return append(dst, "100-continue"...)
		}
	}
	for i, v := range r.Header[textproto.CanonicalMIMEHeaderKey(name)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTrimmed(dst, v)
	}
	return dst
}

// appendTrimmed appends v without surrounding white space and with runs of
// spaces made one.
func appendTrimmed(dst []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	for i := range len(v) {
		if v[i] == ' ' && i > 0 && v[i-1] == ' ' {
			continue
		}
		dst = append(dst, v[i])
	}
	return dst
}
