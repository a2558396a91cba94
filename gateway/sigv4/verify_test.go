package sigv4

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
)

func TestClockDecides(t *testing.T) {
	for _, c := range []struct {
		ahead             time.Duration // of our clock before the client's
		header, presigned string        // codes; the URL lives for an hour
	}{
		{0, "", ""},
		{15 * time.Minute, "", ""},
		{15*time.Minute + time.Second, CodeRequestTimeTooSkewed, ""},
		{-15 * time.Minute, "", ""},
		{-15*time.Minute - time.Second, CodeRequestTimeTooSkewed, CodeAccessDenied},
		{time.Hour, CodeRequestTimeTooSkewed, ""},
		{time.Hour + time.Second, CodeRequestTimeTooSkewed, CodeAccessDenied},
	} {
		v := newVerifier(t, exampleTime.Add(c.ahead))
		if _, err := v.Verify(signed(t)); code(err) != c.header {
			t.Errorf("clock %v ahead, header: Verify = %v, want %q", c.ahead, err, c.header)
		}
		_, err := v.Verify(presigned(t, time.Hour))
		if code(err) != c.presigned {
			t.Errorf("clock %v ahead, presigned: Verify = %v, want %q", c.ahead, err, c.presigned)
		}
		if c.ahead > time.Hour && !strings.Contains(err.Error(), "Request has expired") {
			t.Errorf("clock %v ahead: Verify = %v, want it to say that the request has expired", c.ahead, err)
		}
	}
}

func TestDateHeaderServesWithoutAmzDate(t *testing.T) {
	for _, date := range []string{"Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"} {
		r := signed(t)
		r.Header.Del("X-Amz-Date")
		r.Header.Set("Date", date)
		c := exampleSigner.claim(r, exampleTime)
		sig := exampleSigner.signature(c, r, mustQuery(t, r.URL.RawQuery), emptySHA256)
		r.Header.Set("Authorization", algorithm+" Credential="+exampleKey+"/"+c.scope.String()+
			",SignedHeaders="+strings.Join(c.signed, ";")+",Signature="+sig)
		if _, err := newVerifier(t, exampleTime).Verify(r); err != nil {
			t.Errorf("Date %q: Verify = %v", date, err)
		}
	}
}

func mustQuery(t testing.TB, raw string) []param {
	t.Helper()
	params, err := parseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return params
}

func TestUnsignedRequestIsAnonymous(t *testing.T) {
	v := newVerifier(t, exampleTime)
	for stated, want := range map[string]string{
		"": "", unsignedPayload: "", emptySHA256: "",
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD":         CodeInvalidRequest,
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": CodeInvalidRequest,
		"STREAMING-UNSIGNED-PAYLOAD-TRAILER":         CodeInvalidRequest,
		"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD":   CodeNotImplemented,
		"nonsense": CodeInvalidArgument,
	} {
		r := request()
		if stated != "" {
			r.Header.Set(contentSHA256, stated)
		}
		a, err := v.Verify(r)
		if code(err) != want || err == nil && (!a.Anonymous || a.Identity != nil || a.AccessKey != "") {
			t.Errorf("payload %q: Verify = %+v, %v, want %q", stated, a, err, want)
		}
	}
	r := request()
	r.URL.RawQuery = "AWSAccessKeyId=a&Signature=b&Expires=1"
	if a, err := v.Verify(r); code(err) != CodeInvalidRequest {
		t.Errorf("version 2 query: Verify = %+v, %v, want %s", a, err, CodeInvalidRequest)
	}
}

func TestOtherRegionsOnlyWhenNamed(t *testing.T) {
	s := exampleSigner
	s.Region = "eu-north-1"
	r := request()
	if _, err := s.Sign(r, emptySHA256, exampleTime); err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, exampleTime)
	_, err := v.Verify(r)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeAuthorizationMalformed || e.Field("Region") != "us-east-1" {
		t.Errorf("Verify = %v, want %s naming us-east-1", err, CodeAuthorizationMalformed)
	}
	if a, err := v.Verify(r, "eu-north-1"); err != nil || a.Region != "eu-north-1" {
		t.Errorf("Verify allowing eu-north-1 = %+v, %v", a, err)
	}
}

func TestLookupFailureIsNotTheClientsFault(t *testing.T) {
	v := newVerifier(t, exampleTime)
	down := errors.New("disk on fire")
	v.cfg.Lookup = func(context.Context, string) (Credential, error) { return Credential{}, down }
	if _, err := v.Verify(signed(t)); !errors.Is(err, down) {
		t.Errorf("Verify = %v, want %v", err, down)
	}
	for name, lookup := range map[string]Lookup{
		"denied": func(context.Context, string) (Credential, error) {
			return Credential{}, cairn.NewError("look up", cairn.Denied, nil)
		},
		"empty secret": func(context.Context, string) (Credential, error) { return Credential{}, nil },
	} {
		v.cfg.Lookup = lookup
		s := exampleSigner
		s.SecretKey = ""
		r := request()
		if _, err := s.Sign(r, emptySHA256, exampleTime); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(r); code(err) != CodeInvalidAccessKeyID {
			t.Errorf("%s: Verify = %v, want %s", name, err, CodeInvalidAccessKeyID)
		}
	}
}

// An unknown key costs what a wrong signature costs: a key is derived (and
// cached, so that the second try is as quick) and a signature computed.
func TestUnknownKeyCostsTheSameWork(t *testing.T) {
	v := newVerifier(t, exampleTime)
	r := signed(t)
	inAuthorization(exampleKey, "AKIAUNKNOWN")(r)
	allocs := map[string]float64{}
	for name, r := range map[string]*http.Request{"unknown": r, "wrong": func() *http.Request {
		r := signed(t)
		r.Method = http.MethodGet
		return r
	}()} {
		allocs[name] = testing.AllocsPerRun(20, func() {
			if _, err := v.Verify(r); err == nil {
				t.Fatal("accepted")
			}
		})
	}
	decoys := 0
	for name := range v.keys.young {
		if name.accessKey == "" {
			decoys++
		}
	}
	if diff := allocs["unknown"] - allocs["wrong"]; decoys != 1 || diff < -2 || diff > 12 {
		t.Errorf("%d decoy keys, want 1; allocations %v, want nearly the same", decoys, allocs)
	}
}

func TestSessionTokenMustMatch(t *testing.T) {
	for _, c := range []struct{ has, sends, want string }{
		{"t", "t", ""}, {"t", "", CodeInvalidToken}, {"t", "u", CodeInvalidToken}, {"", "t", CodeInvalidToken},
	} {
		v := newVerifier(t, exampleTime)
		v.cfg.Lookup = func(context.Context, string) (Credential, error) {
			return Credential{SecretKey: exampleSecret, SessionToken: Secret(c.has)}, nil
		}
		s := exampleSigner
		s.SessionToken = Secret(c.sends)
		r := request()
		if _, err := s.Sign(r, emptySHA256, exampleTime); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(r); code(err) != c.want {
			t.Errorf("has %q, sends %q: Verify = %v, want %q", c.has, c.sends, err, c.want)
		}
		u, err := s.Presign(request(), time.Hour, exampleTime)
		if err != nil {
			t.Fatal(err)
		}
		r = httptest.NewRequest(http.MethodPut, u, nil)
		r.Header = request().Header
		if _, err := v.Verify(r); code(err) != c.want {
			t.Errorf("has %q, sends %q: Verify of URL = %v, want %q", c.has, c.sends, err, c.want)
		}
	}
}

func TestReplacedSecretTakesEffectAtOnce(t *testing.T) {
	v := newVerifier(t, exampleTime)
	if _, err := v.Verify(signed(t)); err != nil {
		t.Fatal(err)
	}
	v.cfg.Lookup = func(context.Context, string) (Credential, error) { return Credential{SecretKey: "new"}, nil }
	if _, err := v.Verify(signed(t)); code(err) != CodeSignatureDoesNotMatch {
		t.Errorf("Verify with the old secret = %v, want %s", err, CodeSignatureDoesNotMatch)
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	c := keyCache{limit: 8}
	hot := scope{"20130524", "r", "s3"}
	first := c.get("hot", "secret", hot)
	for i := range 1000 {
		c.get(fmt.Sprint("key", i), "secret", hot)
		if got := c.get("hot", "secret", hot); got != first {
			t.Fatalf("after %d keys the one in use was derived again", i)
		}
		if n := len(c.young) + len(c.old); n > 16 {
			t.Fatalf("cache holds %d keys, want at most 16", n)
		}
	}
}

// Keys that clients sign differently from how they escape them.
func TestAwkwardKeysVerify(t *testing.T) {
	v := newVerifier(t, exampleTime)
	for _, target := range []string{
		"/b/a+b", "/b/a%2Bb", "/b/a%20b", "/b/~%7E", "/b/it's(1)*!", "/b/%27%28%29%2A", "/b/100%25", "/b/%E2%82%AC",
		"/b//x//", "/b/./../x", "/b/%2e%2e/x", "/b/a%2Fb", "/b%2Fkey", "/b/a:b@c=d&e;f,g$h", "/", "//", "/b/%00%ff",
		"/b/k?a=+&a=%2B&b=%20", "/b/k?b&a", "/b/k?a-b=1&a=2", "/b/k?a==&%61=%7E", "/b/k?x=a/b:c'()*", "/b/k?&&a=1&",
	} {
		r := httptest.NewRequest(http.MethodGet, "http://h"+target, nil)
		if _, err := exampleSigner.Sign(r, emptySHA256, exampleTime); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(r); err != nil {
			t.Errorf("%s: Verify = %v", target, err)
		}
		r = httptest.NewRequest(http.MethodGet, "http://h"+target, nil)
		u, err := exampleSigner.Presign(r, time.Hour, exampleTime)
		if err != nil {
			t.Fatal(err)
		}
		p := httptest.NewRequest(http.MethodGet, u, nil)
		if _, err := v.Verify(p); err != nil || p.URL.Path != r.URL.Path {
			t.Errorf("%s: Verify of %s = %v, path %q, want %q", target, u, err, p.URL.Path, r.URL.Path)
		}
	}
}

// signNames signs r over exactly the named headers.
func signNames(r *http.Request, names ...string) {
	r.Header.Set("X-Amz-Date", exampleTime.Format(stampLayout))
	r.Header.Set(contentSHA256, unsignedPayload)
	c := exampleSigner.claim(r, exampleTime)
	slices.Sort(names)
	raw := newCanonical(r, nil, names, unsignedPayload).append(nil, canonicalPaths(r)[0])
	sig := deriveKey(exampleSecret, c.scope).sign(appendStringToSign(nil, c.stamp, c.scope, raw))
	r.Header.Set("Authorization", algorithm+" Credential="+exampleKey+"/"+c.scope.String()+
		",SignedHeaders="+strings.Join(names, ";")+",Signature="+sig)
}

func TestHeadersThatNetHTTPMovesStaySigned(t *testing.T) {
	v := newVerifier(t, exampleTime)
	must := []string{"host", "x-amz-date", "x-amz-content-sha256"}
	for _, c := range []struct {
		name          string
		set, spoil    func(*http.Request)
		spoiltIsFound bool
	}{
		{"content-length", func(r *http.Request) { r.ContentLength = 5 }, func(r *http.Request) { r.ContentLength = 6 }, true},
		{"transfer-encoding", func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
			func(r *http.Request) { r.TransferEncoding = nil }, true},
		{"accept-encoding", func(r *http.Request) { r.Header.Set("Accept-Encoding", "identity") },
			func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }, true},
		// A proxy that answered Expect itself has dropped it.
		{"expect", func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
			func(r *http.Request) { r.Header.Del("Expect") }, false},
	} {
		r := httptest.NewRequest(http.MethodPut, "http://h/b/k", nil)
		c.set(r)
		signNames(r, append(must, c.name)...)
		r.Header.Del("Content-Length")
		if _, err := v.Verify(r); err != nil {
			t.Errorf("%s: Verify = %v", c.name, err)
		}
		c.spoil(r)
		if _, err := v.Verify(r); (err != nil) != c.spoiltIsFound {
			t.Errorf("%s changed: Verify = %v, want an error: %v", c.name, err, c.spoiltIsFound)
		}
	}
	r := httptest.NewRequest(http.MethodPut, "http://h/b/k", nil)
	r.ContentLength = 5
	names := append(must, "content-length")
	signNames(r, names...)
	if got := string(newCanonical(r, nil, names, "").headers); !strings.HasPrefix(got, "content-length:5\n") {
		t.Errorf("canonical header = %q, want content-length:5", got)
	}
}

func TestEscapedSlashMayBeSignedEitherWay(t *testing.T) {
	const target = "http://h/bucket%2Fa%2fb%2B/c"
	for signedPath, want := range map[string]string{
		"/bucket/a/b%2B/c": "", "/bucket%2Fa%2Fb%2B/c": "", "/bucket%2Fa/b%2B/c": CodeSignatureDoesNotMatch,
	} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		if _, err := exampleSigner.Sign(r, emptySHA256, exampleTime); err != nil {
			t.Fatal(err)
		}
		c := exampleSigner.claim(r, exampleTime)
		c.signed = slices.DeleteFunc(c.signed, func(n string) bool { return n == "authorization" })
		raw := newCanonical(r, nil, c.signed, emptySHA256).append(nil, signedPath)
		sig := deriveKey(exampleSecret, c.scope).sign(appendStringToSign(nil, c.stamp, c.scope, raw))
		h := r.Header.Get("Authorization")
		r.Header.Set("Authorization", h[:len(h)-64]+sig)
		if _, err := newVerifier(t, exampleTime).Verify(r); code(err) != want {
			t.Errorf("signed as %s: Verify = %v, want %q", signedPath, err, want)
		}
	}
}

func TestSecretsHideThemselves(t *testing.T) {
	v := newVerifier(t, exampleTime)
	a, err := v.Verify(signed(t))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cred := Credential{SecretKey: exampleSecret}
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", cred.SecretKey, "cred", cred, "auth", a)
	key := fmt.Sprint(a.chain.key[:4])
	text := log.String() + fmt.Sprintf("%v %+v %#v %s %+v", cred, cred, cred, exampleSigner, a)
	for _, secret := range []string{exampleSecret, strings.Trim(key, "[]")} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret shows in %s", text)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{}, {Region: "r"}, {Lookup: lookupExample}, {Region: "a/b", Lookup: lookupExample},
		{Region: "r", Lookup: lookupExample, CachedKeys: -1}} {
		if _, err := NewVerifier(cfg); err == nil {
			t.Errorf("NewVerifier(%+v) = nil error", cfg.Region)
		}
	}
}

func TestPresignRefusesOddLives(t *testing.T) {
	r := &http.Request{Method: "GET", URL: &url.URL{Host: "h", Path: "/b"}, Header: http.Header{}}
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, MaxExpires + 1} {
		if u, err := exampleSigner.Presign(r, d, exampleTime); err == nil {
			t.Errorf("Presign for %v = %s, want an error", d, u)
		}
	}
}

func TestStripAWSChunked(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "aws-chunked": "", "aws-chunked,gzip": "gzip", "gzip, AWS-Chunked": "gzip", "gzip,br": "gzip, br", "gzip, aws-chunked,": "gzip",
	} {
		if got := StripAWSChunked(in); got != want {
			t.Errorf("StripAWSChunked(%q) = %q, want %q", in, got, want)
		}
	}
}
