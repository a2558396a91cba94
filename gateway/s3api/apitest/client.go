package apitest

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway/sigv4"
)

// Client makes requests as S3 clients do, and as they should not.
type Client struct {
	Endpoint string // "http://127.0.0.1:9000"
	Region   string
	Signer   sigv4.Signer
	HTTP     *http.Client
}

// NewClient returns a client for an endpoint.
func NewClient(endpoint, region, accessKey, secret string) *Client {
	return &Client{
		Endpoint: strings.TrimSuffix(endpoint, "/"), Region: region,
		Signer: sigv4.Signer{AccessKey: accessKey, SecretKey: sigv4.Secret(secret), Region: region},
		HTTP: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, ExpectContinueTimeout: 2 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       2 * time.Minute,
		},
	}
}

// Request is a request to be.
type Request struct {
	Method string
	Path   string // bucket and key, unescaped: "/bucket/a b"
	Query  string // as on the wire
	Header map[string]string
	Body   string

	Payload sigv4.Payload // how the body is framed; PayloadSHA256 unless Unsigned
	Trailer string        // name of the checksum trailer
	Value   string        // and its value
	// Tamper changes the request after it was signed.
	Tamper func(*http.Request)
	// At is the signing time; zero is now.
	At time.Time
	// Anonymous leaves the signature out.
	Anonymous bool
}

// Response is an answer with its body read.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Code returns the code of an error document.
func (r *Response) Code() string { return r.Text("Code") }

// Text returns the text of the first element of that name, at any depth.
func (r *Response) Text(name string) string {
	all := r.Texts(name)
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// Texts returns the texts of all elements of that name.
func (r *Response) Texts(name string) []string {
	d := xml.NewDecoder(strings.NewReader(r.Body))
	var all []string
	for {
		token, err := d.Token()
		if err != nil {
			return all
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != name {
			continue
		}
		var s struct {
			Text string `xml:",chardata"`
		}
		if d.DecodeElement(&s, &start) != nil {
			return all
		}
		all = append(all, s.Text)
	}
}

// EscapePath escapes a path as S3 clients do: everything but unreserved
// characters and slashes.
func EscapePath(p string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(p), "+", "%20"), "%2F", "/")
}

// Build makes and signs the HTTP request.
func (c *Client) Build(ctx context.Context, q Request) (*http.Request, error) {
	target := c.Endpoint + EscapePath(q.Path)
	if q.Query != "" {
		target += "?" + q.Query
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, target, strings.NewReader(q.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range q.Header {
		if strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	if q.Body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	at := q.At
	if at.IsZero() {
		at = time.Now()
	}
	if q.Anonymous {
		return r, nil
	}
	switch {
	case q.Payload.Chunked():
		err = c.Signer.SignChunked(r, strings.NewReader(q.Body), sigv4.Chunked{
			Payload: q.Payload, Length: int64(len(q.Body)), Trailer: q.Trailer, Value: value(q.Value, q.Trailer),
		}, at)
	case q.Payload == sigv4.PayloadUnsigned && q.Header["X-Amz-Content-Sha256"] == "UNSIGNED-PAYLOAD":
		_, err = c.Signer.Sign(r, q.Payload.String(), at)
	default:
		_, err = c.Signer.Sign(r, hexSHA256(q.Body), at)
	}
	if q.Tamper != nil {
		q.Tamper(r)
	}
	return r, err
}

func value(v, trailer string) func() string {
	if trailer == "" {
		return nil
	}
	return func() string { return v }
}

// Try sends a request and reads the answer.
func (c *Client) Try(ctx context.Context, q Request) (*Response, error) {
	r, err := c.Build(ctx, q)
	if err != nil {
		return nil, err
	}
	return c.send(r)
}

func (c *Client) send(r *http.Request) (*Response, error) {
	res, err := c.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // the body was read
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: string(data)}, nil
}

// Do is Try that must get an answer.
func (c *Client) Do(t testing.TB, q Request) *Response {
	t.Helper()
	res, err := c.Try(t.Context(), q)
	if err != nil {
		t.Fatalf("%s %s?%s: %v", q.Method, q.Path, q.Query, err)
	}
	return res
}

// Want is Do that must get this status, and if code is given, this error.
func (c *Client) Want(t testing.TB, status int, code string, q Request) *Response {
	t.Helper()
	res := c.Do(t, q)
	if res.Status != status || code != "" && res.Code() != code {
		t.Fatalf("%s %s?%s %v: status %d, want %d %s\n%.600s", q.Method, q.Path, q.Query, q.Header, res.Status, status, code, res.Body)
	}
	return res
}

// Presign returns a presigned URL.
func (c *Client) Presign(t testing.TB, q Request, expires time.Duration, at time.Time) string {
	t.Helper()
	target := c.Endpoint + EscapePath(q.Path)
	if q.Query != "" {
		target += "?" + q.Query
	}
	r, err := http.NewRequestWithContext(t.Context(), q.Method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range q.Header {
		if strings.EqualFold(name, "host") {
			r.Host = v
			continue
		}
		r.Header.Set(name, v)
	}
	signed, err := c.Signer.Presign(r, expires, at)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Fetch sends a request with a URL as it is and no signature of its own.
func (c *Client) Fetch(t testing.TB, method, target, body string, header map[string]string) *Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range header {
		if strings.EqualFold(name, "host") {
			r.Host = v
			continue
		}
		r.Header.Set(name, v)
	}
	res, err := c.send(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return res
}

// Bucket makes a bucket of its own for a test, and removes it afterwards.
func (c *Client) Bucket(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:12])
	c.Want(t, http.StatusOK, "", Request{Method: "PUT", Path: "/" + name})
	t.Cleanup(func() { c.empty(t, name) })
	return name
}

// empty removes a bucket and what is in it. The test's context has ended.
func (c *Client) empty(t testing.TB, name string) {
	ctx := context.Background()
	for {
		res, err := c.Try(ctx, Request{Method: "GET", Path: "/" + name, Query: "encoding-type=url&list-type=2"})
		if err != nil || res.Status != http.StatusOK {
			break
		}
		keys := res.Texts("Key")
		for _, k := range keys {
			key, err := url.PathUnescape(k)
			if err != nil {
				t.Errorf("clean up: key %q: %v", k, err)
			}
			if res, err := c.Try(ctx, Request{Method: "DELETE", Path: "/" + name + "/" + key}); err != nil || res.Status != http.StatusNoContent {
				t.Errorf("clean up %q: %v, %v", key, res, err)
				return
			}
		}
		if len(keys) == 0 {
			break
		}
	}
	if res, err := c.Try(ctx, Request{Method: "DELETE", Path: "/" + name}); err != nil || res.Status >= 300 && res.Status != http.StatusNotFound {
		t.Errorf("clean up bucket %s: %v, %v", name, res, err)
	}
}

// Put stores an object that a test needs.
func (c *Client) Put(t testing.TB, path, body string, header map[string]string) *Response {
	t.Helper()
	return c.Want(t, http.StatusOK, "", Request{Method: "PUT", Path: path, Body: body, Header: header})
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func base64MD5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return string(b)
}

func readCloser(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }
