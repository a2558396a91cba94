package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	miniocreds "github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"
)

// seen is what the server made of one upload.
type seen struct {
	path     string
	payload  Payload
	presign  bool
	body     string
	trailers http.Header
}

// bucketServer verifies everything it gets and remembers the uploads.
type bucketServer struct {
	*httptest.Server
	t *testing.T
	v *Verifier

	mu   sync.Mutex // guards last and bad
	last seen
	bad  []error
}

func newBucketServer(t *testing.T, secure bool) *bucketServer {
	s := &bucketServer{t: t}
	var err error
	if s.v, err = NewVerifier(Config{Region: "us-east-1", Lookup: lookupExample}); err != nil {
		t.Fatal(err)
	}
	if secure {
		s.Server = httptest.NewTLSServer(s)
	} else {
		s.Server = httptest.NewServer(s)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *bucketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got, err := s.accept(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bad = append(s.bad, fmt.Errorf("%s %s: %w", r.Method, r.RequestURI, err))
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	s.last = got
	w.Header().Set("ETag", `"5d41402abc4b2a76b9719d911017c592"`)
	w.Header().Set("Last-Modified", "Fri, 24 May 2013 00:00:00 GMT")
}

func (s *bucketServer) accept(r *http.Request) (seen, error) {
	a, err := s.v.Verify(r)
	if err != nil {
		return seen{}, err
	}
	b, err := a.Body(r)
	if err != nil {
		return seen{}, err
	}
	data, err := io.ReadAll(b)
	return seen{r.URL.Path, a.Payload, a.Presigned, string(data), b.Trailer()}, err
}

// take returns the last upload and fails on anything refused.
func (s *bucketServer) take(what string, err error) seen {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || len(s.bad) > 0 {
		s.t.Errorf("%s: client says %v, server says %v", what, err, s.bad)
	}
	got := s.last
	s.last, s.bad = seen{}, nil
	return got
}

var awkwardKeys = []string{
	"plain", "a b", "a+b", "100%", "%2F", "~*'()!", "é€𝄞/日本", "a//b", "x/../y", "./x", "dir/", "a:b@c=d&e;f,g$h", "q?x#y", `back\slash"<>`,
}

var awsCreds = aws.Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}

// do sends r through net/http, so that the server sees what a client really sends.
func (s *bucketServer) do(r *http.Request) error {
	resp, err := s.Client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}

func (s *bucketServer) put(key, body string) *http.Request {
	s.t.Helper()
	u, err := url.Parse(s.URL + "/bucket/" + string(appendEscaped(nil, key, true)) + "?x-id=PutObject&a=b+c&empty")
	if err != nil {
		s.t.Fatal(err)
	}
	r := &http.Request{Method: http.MethodPut, URL: u, Host: u.Host, Header: http.Header{}, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body))}
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	r.Header.Set("X-Amz-Meta-Note", "  two  spaces ")
	return r
}

func TestRequestsOfAWSSigner(t *testing.T) {
	s := newBucketServer(t, false)
	sign := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	for _, key := range awkwardKeys {
		r := s.put(key, "hello")
		sum := sha256.Sum256([]byte("hello"))
		hash := hex.EncodeToString(sum[:])
		r.Header.Set(contentSHA256, hash)
		if err := sign.SignHTTP(t.Context(), awsCreds, r, hash, "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := s.take(key, s.do(r)); got.path != "/bucket/"+key || got.body != "hello" || got.payload != PayloadSHA256 {
			t.Errorf("key %q arrived as %+v", key, got)
		}
		r = s.put(key, "hello")
		r.URL.RawQuery += "&X-Amz-Expires=60"
		u, h, err := sign.PresignHTTP(t.Context(), awsCreds, r, unsignedPayload, "s3", "us-east-1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p, err := http.NewRequest(http.MethodPut, u, strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		p.Header = h
		if got := s.take("presigned "+key, s.do(p)); got.path != "/bucket/"+key || !got.presign || got.body != "hello" {
			t.Errorf("presigned key %q arrived as %+v", key, got)
		}
	}
}

func TestRequestsOfMinioSigner(t *testing.T) {
	s := newBucketServer(t, false)
	body := strings.Repeat("m", 150_000)
	for _, key := range awkwardKeys {
		r := s.put(key, body)
		r.Header.Set(contentSHA256, unsignedPayload)
		r = signer.SignV4(*r, exampleKey, exampleSecret, "", "us-east-1")
		if got := s.take(key, s.do(r)); got.path != "/bucket/"+key || got.body != body {
			t.Errorf("key %q arrived as %q with %d bytes", key, got.path, len(got.body))
		}
		r = s.put(key, body)
		r.Header = http.Header{}
		r = signer.PreSignV4(*r, exampleKey, exampleSecret, "", "us-east-1", 60)
		if got := s.take("presigned "+key, s.do(r)); got.path != "/bucket/"+key || !got.presign || got.body != body {
			t.Errorf("presigned key %q arrived as %q with %d bytes", key, got.path, len(got.body))
		}
	}
	for _, n := range []int{1, 65536, 65537, len(body)} {
		trailer := func() http.Header { return http.Header{"X-Amz-Checksum-Crc32": {"NhCmhg=="}} }
		for mode, sign := range map[Payload]func(r *http.Request) *http.Request{
			PayloadChunked: func(r *http.Request) *http.Request {
				return signer.StreamingSignV4(r, exampleKey, exampleSecret, "", "us-east-1", r.ContentLength, time.Now().UTC(), newMinioHash())
			},
			PayloadChunkedTrailer: func(r *http.Request) *http.Request {
				r.Trailer = trailer()
				return signer.StreamingSignV4(r, exampleKey, exampleSecret, "", "us-east-1", r.ContentLength, time.Now().UTC(), newMinioHash())
			},
			PayloadUnsignedTrailer: func(r *http.Request) *http.Request {
				r.Header.Set(contentSHA256, PayloadUnsignedTrailer.String())
				return signer.SignV4Trailer(*r, exampleKey, exampleSecret, "", "us-east-1", trailer())
			},
		} {
			got := s.take(fmt.Sprint(mode, n), s.do(sign(s.put("k", body[:n]))))
			if got.payload != mode || got.body != body[:n] || mode.hasTrailer() != (got.trailers.Get(crcName) == "NhCmhg==") {
				t.Errorf("%v of %d bytes arrived as %v, %d bytes, trailers %v", mode, n, got.payload, len(got.body), got.trailers)
			}
		}
	}
}

// minioHash satisfies md5simd.Hasher.
type minioHash struct{ hash256 }

type hash256 interface {
	io.Writer
	Sum([]byte) []byte
	Reset()
	Size() int
	BlockSize() int
}

func newMinioHash() minioHash { return minioHash{sha256.New()} }
func (minioHash) Close()      {}

// The whole clients, over http and https, with the bodies they choose.
func TestWholeClients(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newBucketServer(t, secure)
		host := strings.TrimPrefix(strings.TrimPrefix(s.URL, "http://"), "https://")
		mc, err := minio.New(host, &minio.Options{Creds: miniocreds.NewStaticV4(exampleKey, exampleSecret, ""),
			Secure: secure, Region: "us-east-1", Transport: s.Client().Transport, TrailingHeaders: true, MaxRetries: 1})
		if err != nil {
			t.Fatal(err)
		}
		ac := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), UsePathStyle: true, HTTPClient: s.Client(),
			Credentials:                credentials.NewStaticCredentialsProvider(exampleKey, exampleSecret, ""),
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, RetryMaxAttempts: 1})
		modes := map[Payload]int{}
		for i, n := range []int{0, 5, 65536, 200_000} {
			data := bytes.Repeat([]byte{'z'}, n)
			key := awkwardKeys[i]
			what := "minio " + strconv.Itoa(n)
			_, err := mc.PutObject(t.Context(), "bucket", key, bytes.NewReader(data), int64(n), minio.PutObjectOptions{})
			got := s.take(what, err)
			modes[got.payload]++
			if got.path != "/bucket/"+key || got.body != string(data) {
				t.Errorf("%s, https %v: %q, %d bytes, %v", what, secure, got.path, len(got.body), got.payload)
			}
			what = "aws " + strconv.Itoa(n)
			_, err = ac.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &key, Body: bytes.NewReader(data)})
			got = s.take(what, err)
			modes[got.payload]++
			if got.path != "/bucket/"+key || got.body != string(data) || (secure && n > 0) != (got.trailers.Get(crcName) != "") {
				t.Errorf("%s, https %v: %q, %d bytes, %v, %v", what, secure, got.path, len(got.body), got.payload, got.trailers)
			}
		}
		t.Logf("https %v: %v", secure, modes)
		presignedByClients(t, s, mc, ac)
	}
}

func presignedByClients(t *testing.T, s *bucketServer, mc *minio.Client, ac *s3.Client) {
	for _, key := range awkwardKeys {
		get, err := s3.NewPresignClient(ac).PresignGetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		got := s.take("aws presigned "+key, s.get(get.URL))
		if got.path != "/bucket/"+key || !got.presign {
			t.Errorf("aws presigned %q arrived as %+v", key, got)
		}
		if strings.Contains(key, ".") { // minio-go refuses to presign these
			continue
		}
		u, err := mc.PresignedGetObject(context.Background(), "bucket", key, time.Minute, url.Values{"response-content-type": {"a/b; c"}})
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if got := s.take("minio presigned "+key, s.get(u.String())); got.path != "/bucket/"+key || !got.presign {
			t.Errorf("minio presigned %q arrived as %+v", key, got)
		}
	}
}

func (s *bucketServer) get(u string) error {
	r, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	return s.do(r)
}

// Our own signer against the AWS signer as the judge.
func TestOurSignatureEqualsAWS(t *testing.T) {
	sign := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	s := newBucketServer(t, false)
	for _, key := range awkwardKeys {
		ours, theirs := s.put(key, ""), s.put(key, "")
		ours.Header.Del("Accept-Encoding") // the one header we leave out and they sign
		theirs.Header.Del("Accept-Encoding")
		theirs.Header.Set(contentSHA256, emptySHA256)
		if _, err := exampleSigner.Sign(ours, emptySHA256, exampleTime); err != nil {
			t.Fatal(err)
		}
		if err := sign.SignHTTP(t.Context(), awsCreds, theirs, emptySHA256, "s3", "us-east-1", exampleTime); err != nil {
			t.Fatal(err)
		}
		if got, want := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
			t.Errorf("key %q: %s\nwant %s", key, got, want)
		}
	}
}

func TestOurChunkedUploadOverHTTP(t *testing.T) {
	s := newBucketServer(t, false)
	data := strings.Repeat("c", 300_000)
	for _, mode := range chunkedModes {
		r := s.put("k", "")
		o := Chunked{Payload: mode, Length: int64(len(data))}
		if mode.hasTrailer() {
			o.Trailer, o.Value = crcName, func() string { return "NhCmhg==" }
		}
		if err := exampleSigner.SignChunked(r, strings.NewReader(data), o, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := s.take(mode.String(), s.do(r)); got.payload != mode || got.body != data {
			t.Errorf("%v arrived as %v with %d bytes", mode, got.payload, len(got.body))
		}
	}
}
