package s3api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzDocuments(f *testing.F) {
	for _, s := range []string{
		"", "<Delete/>", "<Delete><Object><Key>a</Key></Object></Delete>", "<Delete><Quiet>true</Quiet><Object><Key>&#x1;</Key><VersionId>null</VersionId><ETag>x</ETag></Object></Delete>",
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag><ChecksumCRC32>NhCmhg==</ChecksumCRC32></Part></CompleteMultipartUpload>",
		"<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>", "<a><a><a>", "<!DOCTYPE a><a/>", "<a xmlns='x'/>", "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if lines, _, err := parseDelete(data, "bucket"); err == nil {
			if len(lines) == 0 || len(lines) > maxDeletes {
				t.Errorf("%d lines were accepted", len(lines))
			}
			for _, l := range lines {
				if l.key == "" || l.err == nil && (len(l.key) > 1024 || strings.Contains(l.key, "\x00") || !utf8.ValidString(l.key)) {
					t.Errorf("key %q was accepted", l.key)
				}
			}
		}
		if parts, err := parseComplete(data); err == nil {
			last := 0
			for _, p := range parts {
				if p.Number <= last || p.Number > 10_000 {
					t.Errorf("parts %v were accepted", parts)
				}
				last = p.Number
			}
		}
		if root, err := parseXML(data, "Delete"); err == nil && depth(root) > maxDepth {
			t.Errorf("a document of depth %d was accepted", depth(root))
		}
	})
}

func depth(e *element) int {
	d := 0
	for _, k := range e.kids {
		d = max(d, depth(k))
	}
	return d + 1
}

func FuzzCopySource(f *testing.F) {
	for _, s := range []string{"bucket/key", "/bucket/key", "bucket/a%2Fb", "bucket%2Fkey", "bucket/k?versionId=null", "bucket/k?versionId=", "arn:aws:s3", "../x/y", "bucket/%00", "bucket/%ff", "bucket/a+b", "bucket/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, _, err := parseCopySource(s)
		if err != nil {
			return
		}
		if !validBucketName(got.bucket) || got.key == "" || len(got.key) > 1024 || strings.Contains(got.key, "\x00") || !utf8.ValidString(got.key) {
			t.Errorf("parseCopySource(%q) = %+v", s, got)
		}
		again, _, err := parseCopySource(got.bucket + "/" + url.PathEscape(got.key))
		if err != nil || again != got {
			t.Errorf("%q: escaped again it is %+v, %v, want %+v", s, again, err, got)
		}
	})
}

// FuzzRange compares parseRange to a twin that spells the grammar out.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=-0", "bytes=5-4", "bytes=1-2,3-4", "bytes=99999999999999999999-", "bytes=+1-2", "bytes= 1-2", "Bytes=1-2", "bytes=1 - 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := parseRange(s)
		if r == nil {
			return
		}
		if r.First < 0 || r.Last < -1 || r.Last >= 0 && r.Last < r.First || r.Suffix < 0 || r.SuffixZero && r.Suffix != 0 {
			t.Errorf("parseRange(%q) = %+v", s, *r)
		}
		if strings.ContainsAny(s, ",+") {
			t.Errorf("parseRange(%q) was not ignored", s)
		}
		if cr, err := parseCopyRange(s); err == nil && (cr == nil || cr.Last < cr.First || cr.Suffix != 0) {
			t.Errorf("parseCopyRange(%q) = %+v", s, cr)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("a=b", "text/plain", "*", "\"x\"", "NhCmhg==")
	f.Add("a&a", "=?UTF-8?B?w6k=?=", "W/\"a\", b", ",,", "\r\n")
	f.Fuzz(func(t *testing.T, tagging, value, ifMatch, etag, sum string) {
		tags, err := parseTagging(tagging)
		if err == nil && len(tags) > maxTags {
			t.Errorf("parseTagging(%q) = %v", tagging, tags)
		}
		if got := headerValue(value); strings.ContainsAny(got, "\r\n\x00") || !isASCII(got) {
			t.Errorf("headerValue(%q) = %q", value, got)
		}
		h := http.Header{"If-Match": {ifMatch}, "If-None-Match": {etag}, "X-Amz-Checksum-Crc32": {sum}, "Content-Md5": {sum}}
		for _, tag := range append(readCondition(h, "").IfMatch, readCondition(h, "").IfNoneMatch...) {
			if tag == "" {
				t.Errorf("an empty ETag was read from %q %q", ifMatch, etag)
			}
		}
		if c, err := writeCondition(http.Header{"If-Match": {ifMatch}}); err == nil && c.IfMatch == "" {
			t.Errorf("If-Match %q became no condition: %+v", ifMatch, c)
		}
		if _, v, err := checksumHeader(h); err == nil && len(v) != 8 {
			t.Errorf("checksum %q was accepted", sum)
		}
		if md, err := contentMD5(h); err == nil && len(md) != 16 {
			t.Errorf("Content-MD5 %q was accepted", sum)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf || r == utf8.RuneError }) < 0
}

func FuzzTokens(f *testing.F) {
	f.Add("bucket", "key", "AAAA")
	h := &Handler{cfg: Config{TokenKey: []byte("key")}}
	f.Fuzz(func(t *testing.T, listing, key, forged string) {
		if strings.Contains(key, "\x00") {
			return // keys cannot have it
		}
		token := h.token(listing, "prefix", key)
		if at, ok := h.openToken(listing, token, 2); !ok || at[0] != "prefix" || at[1] != key {
			t.Errorf("token of %q %q opens as %q, %v", listing, key, at, ok)
		}
		if _, ok := h.openToken(listing+"x", token, 2); ok {
			t.Errorf("the token of %q opens elsewhere", listing)
		}
		if _, ok := h.openToken(listing, forged, 2); ok && forged != token {
			t.Errorf("%q was accepted", forged)
		}
	})
}
