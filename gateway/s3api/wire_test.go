package s3api_test

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/refmodel"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

// flipAt changes one byte of a body.
type flipAt struct {
	io.ReadCloser
	at, read int
}

func (f *flipAt) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if i := f.at - f.read; i >= 0 && i < n {
		p[i] ^= 1
	}
	f.read += n
	return n, err
}

// raw sends bytes as they are and reads one answer; the rest of the connection
// is returned too.
func raw(t *testing.T, c *apitest.Client, request string) (*http.Response, *bufio.Reader, net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", request, err)
	}
	return res, br, conn
}

// head writes the header of a signed request, but not its body.
func head(t *testing.T, c *apitest.Client, q apitest.Request, extra ...string) string {
	t.Helper()
	r, err := c.Build(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Host)
	for name, values := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, values[0])
	}
	for _, line := range extra {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

func TestRefusalComesBeforeTheBody(t *testing.T) {
	c := serve(t, s3api.Config{})
	b := c.Bucket(t)
	etag := c.Put(t, "/"+b+"/there", "x", nil).Header.Get("Etag")
	for _, refusal := range []struct {
		status int
		q      apitest.Request
	}{
		{404, apitest.Request{Path: "/no-such-bucket/k"}},
		{412, apitest.Request{Path: "/" + b + "/there", Header: map[string]string{"If-None-Match": "*"}}},
		{412, apitest.Request{Path: "/" + b + "/there", Header: map[string]string{"If-Match": etag + "x"}}},
		{404, apitest.Request{Path: "/" + b + "/none", Header: map[string]string{"If-Match": etag}}},
		{404, apitest.Request{Path: "/" + b + "/k", Query: "partNumber=1&uploadId=none"}},
		{403, apitest.Request{Path: "/" + b + "/k", Tamper: forgeries["altered signature"]}},
		{403, apitest.Request{Path: "/" + b + "/k", Anonymous: true}},
		{501, apitest.Request{Path: "/" + b + "/k", Query: "renameObject="}},
		{400, apitest.Request{Path: "/" + b + "/k", Header: map[string]string{"Content-Md5": "x"}}},
	} {
		refusal.q.Method = "PUT"
		refusal.q.Body = "body that is never sent"
		res, _, _ := raw(t, c, head(t, c, refusal.q, "Content-Length: 23", "Expect: 100-continue"))
		if res.StatusCode != refusal.status {
			t.Errorf("PUT %s?%s: %d, want %d without a word of continuing", refusal.q.Path, refusal.q.Query, res.StatusCode, refusal.status)
		}
	}
	q := apitest.Request{Method: "PUT", Path: "/" + b + "/k", Body: "welcome"}
	res, br, conn := raw(t, c, head(t, c, q, "Content-Length: 7", "Expect: 100-continue"))
	if res.StatusCode != http.StatusContinue {
		t.Fatalf("a welcome body is answered %d, want 100", res.StatusCode)
	}
	if _, err := io.WriteString(conn, "welcome"); err != nil {
		t.Fatal(err)
	}
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 200 {
		t.Fatalf("after the body: %v %v", res, err)
	}
}

func TestLengthGivenTwiceIsRefused(t *testing.T) {
	c := serve(t, s3api.Config{})
	b := c.Bucket(t)
	chunked := apitest.Request{Method: "PUT", Path: "/" + b + "/k", Body: "hello", Payload: sigv4.PayloadUnsignedTrailer, Trailer: "x-amz-checksum-crc32", Value: "NhCmhg=="}
	body := "2d\r\n5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n\r\n0\r\n\r\n"
	res, _, _ := raw(t, c, head(t, c, chunked, "Transfer-Encoding: chunked", "Content-Length: 4")+body)
	if res.StatusCode != 400 || !res.Close {
		t.Errorf("Content-Length with Transfer-Encoding: %d, close %v, want 400 and the connection closed", res.StatusCode, res.Close)
	}
	c.Want(t, 404, "NoSuchKey", apitest.Request{Method: "GET", Path: "/" + b + "/k"})
	// The second request of a connection is looked at too.
	get := head(t, c, apitest.Request{Method: "GET", Path: "/" + b})
	first, br, conn := raw(t, c, get)
	if _, err := io.Copy(io.Discard, first.Body); err != nil || first.Close {
		t.Fatalf("first request: %v, close %v", err, first.Close)
	}
	if _, err := io.WriteString(conn, head(t, c, chunked, "Content-Length: 4", "Transfer-Encoding: chunked")+body); err != nil {
		t.Fatal(err)
	}
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 400 {
		t.Errorf("second request: %v %v, want 400", res, err)
	}
	body = fmt.Sprintf("%x\r\n5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n\r\n0\r\n\r\n", len("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"))
	res, _, _ = raw(t, c, head(t, c, chunked, "Transfer-Encoding: chunked")+body)
	if res.StatusCode != 200 || res.Close {
		t.Errorf("Transfer-Encoding alone: %d, close %v, want 200 and the connection kept", res.StatusCode, res.Close)
	}
}

func TestVirtualHostStyle(t *testing.T) {
	c := serve(t, s3api.Config{Domains: []string{"s3.example.org", "example.org"}})
	for _, b := range []string{"plain-bucket", "dotted.bucket"} {
		c.Want(t, 200, "", apitest.Request{Method: "PUT", Path: "/", Header: map[string]string{"Host": b + ".s3.example.org"}})
		for _, host := range []string{b + ".s3.example.org", b + ".S3.Example.Org:9000", b + ".example.org"} {
			h := map[string]string{"Host": host}
			c.Want(t, 200, "", apitest.Request{Method: "PUT", Path: "//odd/" + b, Body: host, Header: h})
			if got := c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/" + b + "//odd/" + b}).Body; got != host {
				t.Errorf("%s: by path the object reads %q", host, got)
			}
			if got := c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/", Header: h}).Text("Name"); got != b {
				t.Errorf("GET / of %s lists %q", host, got)
			}
			signed := c.Presign(t, apitest.Request{Method: "GET", Path: "//odd/" + b, Header: h}, time.Minute, time.Now())
			u := c.Endpoint + signed[strings.Index(signed, "//odd"):]
			if res := c.Fetch(t, "GET", u, "", h); res.Body != host {
				t.Errorf("presigned for %s: %d %.200s", host, res.Status, res.Body)
			}
		}
	}
	for _, host := range []string{"s3.example.org", "127.0.0.1", "unrelated.test"} {
		if n := len(c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/", Header: map[string]string{"Host": host}}).Texts("Name")); n != 2 {
			t.Errorf("GET / of %s lists %d buckets, want 2", host, n)
		}
	}
	c.Want(t, 400, "InvalidBucketName", apitest.Request{Method: "GET", Path: "/", Header: map[string]string{"Host": "a_b.example.org"}})
}

func TestLimits(t *testing.T) {
	c := serve(t, s3api.Config{})
	b := c.Bucket(t)
	res, err := c.Try(t.Context(), apitest.Request{Method: "PUT", Path: "/" + b + "/k", Body: "x", Header: map[string]string{"X-Amz-Meta-A": strings.Repeat("v", 40<<10)}})
	if err == nil && res.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("40 KiB of headers: %d", res.Status)
	}
	big := apitest.Request{Method: "PUT", Path: "/" + b + "/k", Header: map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}}
	answer, _, _ := raw(t, c, head(t, c, big, "Content-Length: 5368709121"))
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 400 || !strings.Contains(string(data), "<Code>EntityTooLarge</Code>") {
		t.Errorf("5 GiB and a byte: %d %s %v", answer.StatusCode, data, err)
	}
}

// slow is a store whose reads and copies wait.
type slow struct {
	s3api.Store
	entered chan struct{}
	release chan struct{}
}

func (s *slow) Get(ctx context.Context, req gateway.GetRequest) (*gateway.Object, error) {
	s.entered <- struct{}{}
	<-s.release
	return s.Store.Get(ctx, req)
}

func (s *slow) Copy(ctx context.Context, req gateway.CopyRequest) (gateway.Stored, error) {
	s.entered <- struct{}{}
	<-s.release
	return s.Store.Copy(ctx, req)
}

func TestOverloadAnswersSlowDown(t *testing.T) {
	s := &slow{Store: refmodel.New(refmodel.Config{}), entered: make(chan struct{}), release: make(chan struct{})}
	c := serve(t, s3api.Config{Store: s, MaxRequests: 2})
	b := c.Bucket(t)
	c.Put(t, "/"+b+"/k", "x", nil)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if res, err := c.Try(t.Context(), apitest.Request{Method: "GET", Path: "/" + b + "/k"}); err != nil || res.Status != 200 {
				t.Errorf("a request within the limit: %v %v", res, err)
			}
		})
		<-s.entered
	}
	if res := c.Want(t, 503, "SlowDown", apitest.Request{Method: "GET", Path: "/" + b}); res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(s.release)
	wg.Wait()
	c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/" + b})
}

func TestLongCopiesKeepTheClientWaiting(t *testing.T) {
	for _, fails := range []bool{false, true} {
		s := &slow{Store: refmodel.New(refmodel.Config{}), entered: make(chan struct{}), release: make(chan struct{})}
		c := serve(t, s3api.Config{Store: s, KeepAlive: time.Millisecond})
		b := c.Bucket(t)
		c.Put(t, "/"+b+"/k", "x", nil)
		source := b + "/k"
		if fails {
			source = b + "/none"
		}
		r, err := c.Build(t.Context(), apitest.Request{Method: "PUT", Path: "/" + b + "/copy", Header: map[string]string{"X-Amz-Copy-Source": source}})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			<-s.entered
		}()
		res, err := c.HTTP.Do(r) // returns with the first blank
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v %v", res, err)
		}
		<-done
		close(s.release)
		data, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		answer := &apitest.Response{Body: string(data)}
		if got := answer.Code(); fails && got != "NoSuchKey" || !fails && (got != "" || answer.Text("ETag") == "") {
			t.Errorf("fails %v: %s", fails, data)
		}
		if strings.Count(string(data), "<?xml") != 1 || !strings.HasPrefix(string(data), "<?xml") {
			t.Errorf("not one document: %s", data)
		}
	}
}

func TestStalledClientIsGivenUp(t *testing.T) {
	c := serve(t, s3api.Config{Patience: 200 * time.Millisecond})
	b := c.Bucket(t)
	q := apitest.Request{Method: "PUT", Path: "/" + b + "/k", Body: "never all of it", Header: map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}}
	began := time.Now()
	res, _, _ := raw(t, c, head(t, c, q, "Content-Length: 15")+"never")
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 400 || !strings.Contains(string(data), "RequestTimeout") {
		t.Errorf("%d %s %v, want RequestTimeout", res.StatusCode, data, err)
	}
	if e := time.Since(began); e > 10*time.Second {
		t.Errorf("it took %v", e)
	}
	c.Want(t, 404, "NoSuchKey", apitest.Request{Method: "GET", Path: "/" + b + "/k"})
}

// broken is a store whose objects cannot be read, at different moments.
type broken struct {
	s3api.Store
	err   error
	after int // bytes that are sent first
}

func (b *broken) Get(ctx context.Context, req gateway.GetRequest) (*gateway.Object, error) {
	o, err := b.Store.Get(ctx, req)
	if err == nil {
		o.Body = brokenBody{b.err, b.after}
	}
	return o, err
}

type brokenBody struct {
	err   error
	after int
}

func (b brokenBody) Close() error { return nil }
func (b brokenBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(make([]byte, b.after))
	if err != nil {
		return int64(n), err
	}
	return int64(n), b.err
}

func TestUnreadableObjectIsNeverTakenForWhole(t *testing.T) {
	model := refmodel.New(refmodel.Config{})
	for _, failure := range []struct {
		err    error
		after  int
		status int
		code   string
	}{
		{cairn.Errorf("read", cairn.Unavailable, "secret address"), 0, 503, "SlowDown"},
		{cairn.Errorf("read", cairn.Corrupt, "secret address"), 0, 500, "InternalError"},
		{errors.New("secret address"), 0, 500, "InternalError"},
		{errors.New("secret address"), 100_000, 0, ""},
		{nil, 100_000, 0, ""},
	} {
		store := &broken{Store: model, err: failure.err, after: failure.after}
		c := serve(t, s3api.Config{Store: store})
		b := c.Bucket(t)
		c.Put(t, "/"+b+"/k", strings.Repeat("x", 200_000), nil)
		res, err := c.Try(t.Context(), apitest.Request{Method: "GET", Path: "/" + b + "/k"})
		if failure.after > 0 {
			if err == nil {
				t.Errorf("%+v: the client got %d bytes and no error", failure, len(res.Body))
			}
			continue
		}
		if err != nil || res.Status != failure.status || res.Code() != failure.code || strings.Contains(res.Body, "secret") {
			t.Errorf("%+v: %v %v", failure, res, err)
		}
		for _, name := range []string{"Etag", "Content-Range", "Last-Modified"} {
			if res != nil && res.Header.Get(name) != "" {
				t.Errorf("%+v: the error has the object's %s", failure, name)
			}
		}
	}
}

// panics is a store with a bug.
type panics struct{ s3api.Store }

func (panics) HeadBucket(context.Context, string) (gateway.BucketInfo, error) { panic("bug") }
func (panics) Copy(context.Context, gateway.CopyRequest) (gateway.Stored, error) {
	panic("another bug")
}

func TestPanicIsAnsweredAndCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := serve(t, s3api.Config{Store: panics{refmodel.New(refmodel.Config{})}, Registerer: reg})
	b := c.Bucket(t)
	c.Want(t, 500, "", apitest.Request{Method: "HEAD", Path: "/" + b})
	c.Want(t, 500, "InternalError", apitest.Request{Method: "PUT", Path: "/" + b + "/k", Header: map[string]string{"X-Amz-Copy-Source": b + "/k"}})
	c.Put(t, "/"+b+"/k", "hello", nil)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			found[name] = m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"s3api_requests_total HeadBucket 500": 1, "s3api_requests_total CopyObject 500": 1, "s3api_requests_total PutObject 200": 1,
		"s3api_received_bytes_total PutObject": 5,
	} {
		if found[name] != want {
			t.Errorf("%s = %v, want %v", name, found[name], want)
		}
	}
}

// botocore mistakes a final answer in place of the 100 for the answer to the
// next request on the connection, too.
func TestContinueIsSaidBeforeAnEmptyBody(t *testing.T) {
	c := serve(t, s3api.Config{})
	b := c.Bucket(t)
	for _, path := range []string{"/" + b + "/k", "/no-such-bucket/k"} {
		q := apitest.Request{Method: "PUT", Path: path}
		got := rawText(t, c, head(t, c, q, "Content-Length: 0", "Expect: 100-continue", "Connection: close"))
		if !strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 ") {
			t.Errorf("PUT %s without a byte was answered\n%s\nwant 100 Continue first", path, got)
		}
	}
}

// Clients in Python show programs the names of metadata as they were sent, and
// S3 sends them in lower case.
func TestMetadataNamesAreSentInLowerCase(t *testing.T) {
	c := serve(t, s3api.Config{})
	b := c.Bucket(t)
	c.Put(t, "/"+b+"/k", "x", map[string]string{"X-Amz-Meta-MiXed-Case": "Value"})
	for _, method := range []string{"GET", "HEAD"} {
		got := rawText(t, c, head(t, c, apitest.Request{Method: method, Path: "/" + b + "/k"}, "Connection: close"))
		if !strings.Contains(got, "\r\nx-amz-meta-mixed-case: Value\r\n") {
			t.Errorf("%s answered\n%s\nwithout x-amz-meta-mixed-case", method, got)
		}
	}
}

// rawText sends bytes as they are and returns all that comes back until the
// server closes the connection.
func rawText(t *testing.T, c *apitest.Client, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", request, err)
	}
	return string(answer)
}

func TestAnswersCannotBeSplit(t *testing.T) {
	model := refmodel.New(refmodel.Config{})
	c := serve(t, s3api.Config{Store: model})
	b := c.Bucket(t)
	// A store that holds what the HTTP layer would have refused.
	_, err := model.Put(t.Context(), gateway.PutRequest{Bucket: b, Key: "k", Body: strings.NewReader(""), Attributes: gateway.Attributes{
		Headers: []cairn.Attr{{Name: "content-type", Value: "a\r\nX-Evil: 1"}, {Name: "x-amz-meta-a", Value: "b\nc"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	res := c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/" + b + "/k"})
	if res.Header.Get("X-Evil") != "" || strings.ContainsAny(res.Header.Get("X-Amz-Meta-A"), "\r\n") {
		t.Errorf("headers were split: %v", res.Header)
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("no nosniff")
	}
}

func base64OfMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
