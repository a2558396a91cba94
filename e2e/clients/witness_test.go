package clients

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"
)

// witness looks at a bucket with a client other than the one that is tried.
type witness struct {
	s3     *s3.Client
	bucket string
}

// httpClient returns a client that trusts the gateway, and goes through the
// resolver if asked to.
func (e *endpoint) httpClient(t testing.TB, virtual bool) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Second, MaxIdleConnsPerHost: 16}
	if e.caFile != "" {
		pem, err := os.ReadFile(e.caFile)
		must(t, err)
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			t.Fatalf("no certificate in %s", e.caFile)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	if virtual {
		proxy, err := url.Parse(e.proxy)
		must(t, err)
		tr.Proxy = http.ProxyURL(proxy)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// sdk returns an SDK client with the SDK's own defaults.
func (e *endpoint) sdk(t testing.TB, virtual bool, options ...func(*s3.Options)) *s3.Client {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(),
		config.WithRegion(e.region), config.WithHTTPClient(e.httpClient(t, virtual)), config.WithLogger(logging.Nop{}),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(e.accessKey, e.secretKey, "")))
	must(t, err)
	return s3.NewFromConfig(cfg, append([]func(*s3.Options){func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle = aws.String(e.url), true
		if virtual {
			o.BaseEndpoint, o.UsePathStyle = aws.String(e.virtual), false
		}
	}}, options...)...)
}

func newWitness(t testing.TB, e *endpoint, bucket string) *witness {
	t.Helper()
	return &witness{s3: e.sdk(t, false), bucket: bucket}
}

func (w *witness) createBucket(t testing.TB) {
	t.Helper()
	_, err := w.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &w.bucket})
	must(t, err)
}

func (w *witness) put(t testing.TB, key string, content []byte) {
	t.Helper()
	must(t, w.putOne(t.Context(), key, content))
}

func (w *witness) putOne(ctx context.Context, key string, content []byte) error {
	_, err := w.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: bytes.NewReader(content)})
	return err
}

// fill puts n objects under a prefix: prefix0000, prefix0001 and so on.
func (w *witness) fill(t testing.TB, prefix string, n int) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error { return w.putOne(ctx, fmt.Sprintf("%s%04d", prefix, i), []byte("x")) })
	}
	must(t, g.Wait())
}

func (w *witness) get(t testing.TB, key string) []byte {
	t.Helper()
	out, err := w.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &w.bucket, Key: &key})
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer out.Body.Close()
	content, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return content
}

func (w *witness) head(t testing.TB, key string) *s3.HeadObjectOutput {
	t.Helper()
	out, err := w.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &w.bucket, Key: &key})
	if err != nil {
		t.Fatalf("head %q: %v", key, err)
	}
	return out
}

// keys returns the names of all objects, in the order of the listing.
func (w *witness) keys(t testing.TB) []string {
	t.Helper()
	var keys []string
	pages := s3.NewListObjectsV2Paginator(w.s3, &s3.ListObjectsV2Input{
		Bucket: &w.bucket, EncodingType: types.EncodingTypeUrl, // else control characters end the parsing
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, o := range page.Contents {
			key, err := url.QueryUnescape(aws.ToString(o.Key))
			must(t, err)
			keys = append(keys, key)
		}
	}
	return keys
}

// tree returns all objects.
func (w *witness) tree(t testing.TB) tree {
	t.Helper()
	files := tree{}
	for _, key := range w.keys(t) {
		files[key] = w.get(t, key)
	}
	return files
}

// putTree puts all objects.
func (w *witness) putTree(t testing.TB, files tree) {
	t.Helper()
	for key, content := range files {
		w.put(t, key, content)
	}
}

// keysUnder returns the names of the objects under a prefix.
func (w *witness) keysUnder(t testing.TB, prefix string) (under []string) {
	t.Helper()
	for _, key := range w.keys(t) {
		if strings.HasPrefix(key, prefix) {
			under = append(under, key)
		}
	}
	return under
}

// beginUpload begins a multipart upload and returns its id.
func (w *witness) beginUpload(t testing.TB, key string) string {
	t.Helper()
	u, err := w.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &w.bucket, Key: &key})
	must(t, err)
	return aws.ToString(u.UploadId)
}
