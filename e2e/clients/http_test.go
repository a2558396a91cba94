package clients

import (
	"bytes"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// plainHTTP is what curl, wget and browsers do: requests that somebody else
// signed.
var plainHTTP = client{
	name:    "Plain HTTP",
	note:    "As curl and browsers use presigned URLs; the tests use Go's client.",
	version: func(testing.TB) string { return "HTTP/1.1" },
	checks: []check{
		{name: "range", tried: "range and conditional GET of a presigned URL, HEAD refused by a URL for GET", smoke: true, run: httpRange},
		{name: "tampered", tried: "a changed key, query, method or an expired URL is refused with 403", run: httpTampered},
		{name: "content-type", tried: "presigned PUT that fixes Content-Type, refused without it", run: httpContentType},
		{name: "chunked", tried: "presigned PUT without Content-Length answered 411", run: httpChunked},
	},
}

// send makes a request that has to be answered with status.
func send(t *testing.T, c *http.Client, method, url string, body []byte, status int, headers ...string) ([]byte, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	must(t, err)
	if body == nil {
		r.Body, r.ContentLength = nil, 0
	}
	return do(t, c, r, status, headers...)
}

func do(t *testing.T, c *http.Client, r *http.Request, status int, headers ...string) ([]byte, http.Header) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	must(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d\n%s", r.Method, r.URL, resp.Status, status, clip(string(got)))
	}
	return got, resp.Header
}

func presignGet(t *testing.T, tr *trial, key string, life time.Duration) string {
	t.Helper()
	r, err := s3.NewPresignClient(tr.witness.s3).PresignGetObject(t.Context(),
		&s3.GetObjectInput{Bucket: &tr.bucket, Key: &key}, s3.WithPresignExpires(life))
	must(t, err)
	return r.URL
}

func httpRange(t *testing.T, tr *trial) {
	want, c := bytesOf("range", 200_000), tr.httpClient(t, false)
	tr.witness.put(t, "k", want)
	url := presignGet(t, tr, "k", time.Minute)
	got, header := send(t, c, "GET", url, nil, http.StatusPartialContent, "Range", "bytes=65519-131072")
	sameBytes(t, "range", got, want[65519:131073])
	if r := header.Get("Content-Range"); r != "bytes 65519-131072/200000" {
		t.Errorf("Content-Range = %q", r)
	}
	send(t, c, "GET", url, nil, http.StatusNotModified, "If-None-Match", header.Get("Etag"))
	send(t, c, "GET", url, nil, http.StatusRequestedRangeNotSatisfiable, "Range", "bytes=200000-")
	send(t, c, "HEAD", url, nil, http.StatusForbidden)
}

func httpTampered(t *testing.T, tr *trial) {
	c := tr.httpClient(t, false)
	tr.witness.put(t, "k1", []byte("one"))
	tr.witness.put(t, "k2", []byte("two"))
	url := presignGet(t, tr, "k1", time.Minute)
	send(t, c, "GET", url, nil, http.StatusOK)
	send(t, c, "GET", strings.Replace(url, "/k1", "/k2", 1), nil, http.StatusForbidden)
	send(t, c, "GET", url+"&versionId=null", nil, http.StatusForbidden)
	send(t, c, "DELETE", url, nil, http.StatusForbidden)
	send(t, c, "GET", strings.Replace(url, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1), nil, http.StatusForbidden)
	send(t, c, "GET", tr.url+"/"+tr.bucket+"/k1", nil, http.StatusForbidden) // not signed at all
	short := presignGet(t, tr, "k1", time.Second)
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := c.Get(short)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode == http.StatusForbidden {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a URL for one second is still accepted after ten")
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func httpContentType(t *testing.T, tr *trial) {
	c := tr.httpClient(t, false)
	r, err := s3.NewPresignClient(tr.witness.s3).PresignPutObject(t.Context(),
		&s3.PutObjectInput{Bucket: &tr.bucket, Key: aws.String("k"), ContentType: aws.String("image/png")})
	must(t, err)
	send(t, c, "PUT", r.URL, []byte("x"), http.StatusForbidden, "Content-Type", "text/html")
	send(t, c, "PUT", r.URL, []byte("x"), http.StatusOK, "Content-Type", "image/png")
	if got := aws.ToString(tr.witness.head(t, "k").ContentType); got != "image/png" {
		t.Errorf("ContentType = %q, want image/png", got)
	}
}

func httpChunked(t *testing.T, tr *trial) {
	r, err := s3.NewPresignClient(tr.witness.s3).PresignPutObject(t.Context(),
		&s3.PutObjectInput{Bucket: &tr.bucket, Key: aws.String("k")})
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), "PUT", r.URL, struct{ io.Reader }{strings.NewReader("x")})
	must(t, err)
	do(t, tr.httpClient(t, false), req, http.StatusLengthRequired)
	if keys := tr.witness.keys(t); len(keys) > 0 {
		t.Errorf("refused, and yet there are %q", keys)
	}
}

// moduleVersion returns the version of a module this test is built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}
