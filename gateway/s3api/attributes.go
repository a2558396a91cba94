package s3api

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

const (
	metaPrefix       = "X-Amz-Meta-" // in requests, as net/http spells it
	storedMetaPrefix = "x-amz-meta-" // as S3 spells it, stored and sent
)

// systemHeaders are stored with an object and given back.
var systemHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires"}

// attributes reads what is to be stored beside the bytes.
func (c *call) attributes() (gateway.Attributes, error) {
	var a gateway.Attributes
	h := c.r.Header
	for _, name := range systemHeaders {
		value := strings.Join(h[name], ", ")
		if name == "Content-Encoding" {
			value = sigv4.StripAWSChunked(value)
		}
		if value == "" {
			continue
		}
		if !printable(value) {
			return a, invalidArgument("The header value contains control characters", strings.ToLower(name), "")
		}
		a.Headers = append(a.Headers, cairn.Attr{Name: strings.ToLower(name), Value: value})
	}
	meta, err := metadata(h)
	if err != nil {
		return a, err
	}
	a.Headers = append(a.Headers, meta...)
	slices.SortFunc(a.Headers, func(x, y cairn.Attr) int { return strings.Compare(x.Name, y.Name) })
	if a.Tags, err = parseTagging(h.Get("X-Amz-Tagging")); err != nil {
		return a, err
	}
	switch class := h.Get("X-Amz-Storage-Class"); class {
	case "", "STANDARD":
	case "MIRRORED":
		a.StorageClass = class
	default:
		return a, fail("InvalidStorageClass", Field{"StorageClassRequested", clip(class)})
	}
	return a, nil
}

// metadata returns the x-amz-meta-* headers, lower-case, duplicates joined.
func metadata(h http.Header) ([]cairn.Attr, error) {
	var meta []cairn.Attr
	size := 0
	for name, values := range h {
		suffix, ok := strings.CutPrefix(name, metaPrefix)
		if !ok {
			continue
		}
		value := strings.Join(values, ",")
		if suffix == "" || !printable(value) {
			return nil, invalidArgument("The metadata contains a name or value that is not allowed", strings.ToLower(name), "")
		}
		size += len(suffix) + len(value)
		meta = append(meta, cairn.Attr{Name: strings.ToLower(name), Value: value})
	}
	if size > maxMetadata {
		return nil, fail("MetadataTooLarge", Field{"Size", number(size)}, Field{"MaxSizeAllowed", number(maxMetadata)})
	}
	return meta, nil
}

// printable reports whether s can stand in a header: valid UTF-8 without
// control characters but the tab.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' && r != '\t' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// headerValue makes a stored value fit for a header. What is not ASCII is
// written as RFC 2047 says; what could end the header is impossible.
func headerValue(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return mime.BEncoding.Encode("UTF-8", strings.ToValidUTF8(s, "\uFFFD"))
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return s
	}
	return mime.BEncoding.Encode("UTF-8", strings.ToValidUTF8(s, "\uFFFD"))
}

// checkUnsupportedHeaders refuses headers that ask for what is not there: to
// ignore them would be to promise it.
func (c *call) checkUnsupportedHeaders() error {
	for name, values := range c.r.Header {
		if !isAmz(name) {
			continue
		}
		value := values[0]
		switch rest := strings.ToLower(name[len("X-Amz-"):]); {
		case rest == "acl":
			if !slices.Contains([]string{"private", "bucket-owner-full-control", "bucket-owner-read"}, value) {
				return fail("AccessControlListNotSupported")
			}
		case strings.HasPrefix(rest, "grant-"):
			return fail("AccessControlListNotSupported")
		case rest == "server-side-encryption":
			if value != "AES256" {
				return notImplemented("x-amz-server-side-encryption", value)
			}
		case strings.HasPrefix(rest, "server-side-encryption-"), strings.HasPrefix(rest, "copy-source-server-side-encryption-"),
			rest == "write-offset-bytes", rest == "website-redirect-location", rest == "if-match-size",
			rest == "if-match-last-modified-time", rest == "bucket-object-lock-enabled" && strings.EqualFold(value, "true"):
			return notImplemented(strings.ToLower(name), value)
		case strings.HasPrefix(rest, "object-lock-"):
			return failf("InvalidRequest", "Bucket is missing Object Lock Configuration")
		case rest == "object-ownership" && value != "BucketOwnerEnforced":
			return notImplemented(strings.ToLower(name), value)
		}
	}
	return nil
}
