package s3api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cairn-store/cairn"
)

// target is what a request addresses. Both are empty for the service itself.
type target struct{ bucket, key string }

// parseTarget finds bucket and key. The path is decoded exactly once and not
// cleaned: "//", "." and ".." are ordinary parts of a key, and an escaped slash
// is a slash, also between bucket and key.
func parseTarget(r *http.Request, domains []string) (target, error) {
	path, ok := strings.CutPrefix(r.URL.Path, "/")
	if !ok && r.URL.Path != "" {
		return target{}, fail("InvalidURI")
	}
	if !utf8.ValidString(path) {
		return target{}, fail("InvalidURI")
	}
	if bucket := hostBucket(r.Host, domains); bucket != "" {
		return target{bucket, path}, nil
	}
	bucket, key, _ := strings.Cut(path, "/")
	if bucket == "" && key != "" {
		return target{}, fail("InvalidBucketName", Field{"BucketName", ""})
	}
	return target{bucket, key}, nil
}

// hostBucket returns the bucket in a virtual-host style name, or "".
func hostBucket(host string, domains []string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	best := ""
	for _, d := range domains {
		if host == d {
			return ""
		}
		if strings.HasSuffix(host, "."+d) && len(d) > len(best) {
			best = d
		}
	}
	if best == "" {
		return ""
	}
	return host[:len(host)-len(best)-1]
}

// check refuses names that no bucket or object can have.
func (t target) check() error {
	switch {
	case t.bucket == "":
		return nil
	case !validBucketName(t.bucket):
		return fail("InvalidBucketName", Field{"BucketName", clip(t.bucket)})
	case len(t.key) > cairn.MaxKeyLen:
		return fail("KeyTooLongError", Field{"Size", number(len(t.key))}, Field{"MaxSizeAllowed", number(cairn.MaxKeyLen)})
	case strings.IndexByte(t.key, 0) >= 0:
		return invalidArgument("Object keys cannot contain the byte 0", "key", "")
	case !utf8.ValidString(t.key):
		return fail("InvalidURI")
	}
	return nil
}

// validBucketName applies S3's rules for general purpose buckets.
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		inside := c == '.' || c == '-'
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9') && (!inside || i == 0 || i == len(name)-1) {
			return false
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for _, p := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	for _, s := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, s) {
			return false
		}
	}
	return true
}

// parseQuery reads a query as S3 does: "&" separates, "+" is a blank, and a
// parameter without "=" is empty.
func parseQuery(raw string) (url.Values, error) {
	values := url.Values{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err != nil || err2 != nil || !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, fail("InvalidURI")
		}
		values[key] = append(values[key], value)
	}
	return values, nil
}

// parseCopySource reads x-amz-copy-source: "/bucket/key?versionId=v", of which
// the leading slash and the version are optional. "+" is a plus.
func parseCopySource(header string) (target, string, error) {
	const name = "x-amz-copy-source"
	bad := invalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", name, header)
	if strings.HasPrefix(header, "arn:") {
		return target{}, "", notImplemented(name, header)
	}
	path, version, versioned := strings.Cut(header, "?versionId=")
	if versioned && version == "" {
		return target{}, "", invalidArgument("Version id cannot be the empty string", "versionId", "")
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return target{}, "", bad
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	t := target{bucket, key}
	if bucket == "" || key == "" {
		return target{}, "", bad
	}
	return t, version, t.check()
}
