package sigv4

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
)

// The credentials, bucket and day of the examples in S3's documentation.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

var exampleSigner = Signer{AccessKey: exampleKey, SecretKey: exampleSecret, Region: "us-east-1"}

func lookupExample(_ context.Context, key string) (Credential, error) {
	if key != exampleKey {
		return Credential{}, cairn.Errorf("look up", cairn.NotFound, "no key %q", key)
	}
	return Credential{SecretKey: exampleSecret, Identity: "owner"}, nil
}

// newVerifier returns a verifier that knows the example key and lives at now.
func newVerifier(t testing.TB, now time.Time) *Verifier {
	t.Helper()
	v, err := NewVerifier(Config{Region: "us-east-1", Lookup: lookupExample, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sections reads a vector file: "-- name --" lines and what follows each.
func sections(t testing.TB, file string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	name := ""
	for line := range strings.SplitSeq(strings.TrimSuffix(string(raw), "\n"), "\n") {
		if strings.HasPrefix(line, "-- ") {
			name = strings.Trim(line, "- ")
			continue
		}
		if had, ok := parts[name]; ok {
			line = had + "\r\n" + line
		}
		parts[name] = line
	}
	for name, text := range parts {
		for _, n := range []int{65536, 1024, 66560} {
			text = strings.ReplaceAll(text, fmt.Sprintf("{a*%d}", n), strings.Repeat("a", n))
		}
		parts[name] = text
	}
	return parts
}

// wireRequest parses a request as a server would.
func wireRequest(t testing.TB, head, body string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n" + body)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func vectorFiles(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "vectors", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors %q: %v", pattern, err)
	}
	return files
}

func requestVectors(t testing.TB) map[string]map[string]string {
	vectors := map[string]map[string]string{}
	for _, file := range vectorFiles(t, "*.txt") {
		if parts := sections(t, file); parts["request"] != "" {
			vectors[filepath.Base(file)] = parts
		}
	}
	if len(vectors) < 7 {
		t.Fatalf("%d vectors, want at least 7", len(vectors))
	}
	return vectors
}

func TestPublishedExamplesVerify(t *testing.T) {
	for name, parts := range requestVectors(t) {
		t.Run(name, func(t *testing.T) {
			r := wireRequest(t, parts["request"], parts["body"])
			a, err := newVerifier(t, exampleTime).Verify(r)
			if err != nil {
				t.Fatalf("Verify: %v", err)
			}
			if a.Anonymous || a.AccessKey != exampleKey || a.Identity != "owner" || !a.Time.Equal(exampleTime) {
				t.Errorf("Verify = %+v", a)
			}
			b, err := a.Body(r)
			if err != nil {
				t.Fatalf("Body: %v", err)
			}
			got, err := io.ReadAll(b)
			if err != nil || string(got) != parts["decoded"] {
				t.Fatalf("body of %d bytes, err %v, want %d bytes", len(got), err, len(parts["decoded"]))
			}
			if int64(len(got)) != b.Length() {
				t.Errorf("Length = %d, want %d", b.Length(), len(got))
			}
			want := ""
			if a.Payload.hasTrailer() {
				want = "sOO8/Q=="
			}
			if got := b.Trailer().Get("x-amz-checksum-crc32c"); got != want {
				t.Errorf("trailer = %q, want %q", got, want)
			}
		})
	}
}

// The error for a wrong secret must show the string to sign that S3 publishes.
func TestMismatchShowsPublishedStringToSign(t *testing.T) {
	for name, parts := range requestVectors(t) {
		v := newVerifier(t, exampleTime)
		v.cfg.Lookup = func(context.Context, string) (Credential, error) {
			return Credential{SecretKey: "another secret"}, nil
		}
		_, err := v.Verify(wireRequest(t, parts["request"], ""))
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != CodeSignatureDoesNotMatch {
			t.Errorf("%s: Verify = %v, want %s", name, err, CodeSignatureDoesNotMatch)
			continue
		}
		want := "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n" + parts["canonical sha256"]
		if got := e.Field("StringToSign"); got != want {
			t.Errorf("%s: StringToSign = %q, want %q\n%s", name, got, want, e.Field("CanonicalRequest"))
		}
		for _, f := range e.Fields {
			if strings.Contains(f.Value, "another secret") {
				t.Errorf("%s: field %s holds the secret", name, f.Name)
			}
		}
	}
}

func TestSignerMakesPublishedSignatures(t *testing.T) {
	for _, name := range []string{"get-object.txt", "put-object.txt", "get-lifecycle.txt", "list-objects.txt", "put-chunked-trailer.txt"} {
		r := wireRequest(t, requestVectors(t)[name]["request"], "")
		published := r.Header.Get("Authorization")
		r.Header.Del("Authorization")
		got, err := exampleSigner.Sign(r, r.Header.Get(contentSHA256), exampleTime)
		if err != nil || !strings.HasSuffix(published, got) {
			t.Errorf("%s: Sign = %s, %v, want the end of %s", name, got, err, published)
		}
	}
}

func TestPresignMakesPublishedURL(t *testing.T) {
	r := wireRequest(t, requestVectors(t)["presigned-get.txt"]["request"], "")
	want := "https://examplebucket.s3.amazonaws.com" + r.URL.RequestURI()
	r.URL = &url.URL{Scheme: "https", Host: r.Host, Path: "/test.txt"}
	got, err := exampleSigner.Presign(r, 24*time.Hour, exampleTime)
	if err != nil || got != want {
		t.Errorf("Presign = %s, %v\nwant %s", got, err, want)
	}
}

func examplePolicy(t testing.TB) Policy {
	parts := sections(t, filepath.Join("testdata", "vectors", "post-policy.txt"))
	return Policy{Policy: parts["policy"], Algorithm: algorithm, Date: "20151229T000000Z",
		Credential: exampleKey + "/20151229/us-east-1/s3/aws4_request", Signature: parts["signature"]}
}

func TestPublishedPolicyVerifies(t *testing.T) {
	v := newVerifier(t, time.Date(2015, 12, 29, 6, 0, 0, 0, time.UTC))
	a, err := v.VerifyPolicy(t.Context(), examplePolicy(t))
	if err != nil || a.AccessKey != exampleKey || a.Identity != "owner" {
		t.Fatalf("VerifyPolicy = %+v, %v", a, err)
	}
	for name, c := range map[string]struct {
		change func(*Policy)
		want   string
	}{
		"policy":     {func(p *Policy) { p.Policy = "f" + p.Policy[1:] }, CodeSignatureDoesNotMatch},
		"signature":  {func(p *Policy) { p.Signature = "0" + p.Signature[1:] }, CodeSignatureDoesNotMatch},
		"no sig":     {func(p *Policy) { p.Signature = "" }, CodeInvalidArgument},
		"algorithm":  {func(p *Policy) { p.Algorithm = "AWS4-ECDSA-P256-SHA256" }, CodeInvalidArgument},
		"date":       {func(p *Policy) { p.Date = "20151230T000000Z" }, CodeInvalidArgument},
		"bad date":   {func(p *Policy) { p.Date = "yesterday" }, CodeInvalidArgument},
		"region":     {func(p *Policy) { p.Credential = strings.Replace(p.Credential, "us-east-1", "eu-1", 1) }, CodeInvalidArgument},
		"access key": {func(p *Policy) { p.Credential = "X" + p.Credential }, CodeInvalidAccessKeyID},
		"token":      {func(p *Policy) { p.SecurityToken = "x" }, CodeInvalidToken},
		"future": {func(p *Policy) {
			p.Date = "20151229T235959Z"
		}, CodeAccessDenied},
	} {
		p := examplePolicy(t)
		c.change(&p)
		if _, err := v.VerifyPolicy(t.Context(), p); code(err) != c.want {
			t.Errorf("%s changed: VerifyPolicy = %v, want %s", name, err, c.want)
		}
	}
}

// code returns the S3 code of err, "" for nil, its text for other errors.
func code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if err == nil {
		return ""
	}
	return err.Error()
}
