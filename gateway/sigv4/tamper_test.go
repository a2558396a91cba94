package sigv4

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// request returns an unsigned PUT with a bit of everything that gets signed.
func request() *http.Request {
	r := httptest.NewRequest(http.MethodPut, "http://s3.example:9000/bucket/a%20key%2B/%E2%82%AC?partNumber=1&uploadId=x%2Fy", nil)
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Add("X-Amz-Meta-Two", "  a   b ")
	r.Header.Add("X-Amz-Meta-Two", "c")
	r.Header.Set("Range", "bytes=0-9")
	return r
}

func signed(t testing.TB) *http.Request {
	t.Helper()
	r := request()
	if _, err := exampleSigner.Sign(r, emptySHA256, exampleTime); err != nil {
		t.Fatal(err)
	}
	return r
}

// presigned returns the request a browser makes of a presigned URL.
func presigned(t testing.TB, expires time.Duration) *http.Request {
	t.Helper()
	r := request()
	r.Header.Del("Range")
	u, err := exampleSigner.Presign(r, expires, exampleTime)
	if err != nil {
		t.Fatal(err)
	}
	p := httptest.NewRequest(r.Method, u, nil)
	p.Header = r.Header.Clone()
	return p
}

func setQuery(r *http.Request, name, value string) {
	q := r.URL.Query()
	q.Set(name, value)
	r.URL.RawQuery = q.Encode()
}

func inAuthorization(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

type tampering struct {
	name   string
	change func(*http.Request)
	want   string
}

// tampered are changes that spoil a signature wherever it stands.
var tampered = []tampering{
	{"method", func(r *http.Request) { r.Method = http.MethodDelete }, CodeSignatureDoesNotMatch},
	{"path", func(r *http.Request) { r.URL.Path += "x" }, CodeSignatureDoesNotMatch},
	{"dot segment", func(r *http.Request) { r.URL.Path = "/bucket/./" + r.URL.Path[8:]; r.URL.RawPath = "" }, CodeSignatureDoesNotMatch},
	{"double slash", func(r *http.Request) { r.URL.Path = "/" + r.URL.Path; r.URL.RawPath = "" }, CodeSignatureDoesNotMatch},
	{"query value", func(r *http.Request) { setQuery(r, "partNumber", "2") }, CodeSignatureDoesNotMatch},
	{"query added", func(r *http.Request) { r.URL.RawQuery += "&versionId=1" }, CodeSignatureDoesNotMatch},
	{"query flag added", func(r *http.Request) { r.URL.RawQuery += "&acl" }, CodeSignatureDoesNotMatch},
	{"query repeated", func(r *http.Request) { r.URL.RawQuery += "&partNumber=1" }, CodeSignatureDoesNotMatch},
	{"query escape", func(r *http.Request) { r.URL.RawQuery += "&a=%zz" }, CodeInvalidURI},
	{"host", func(r *http.Request) { r.Host = "s3.example" }, CodeSignatureDoesNotMatch},
	{"signed header", func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }, CodeSignatureDoesNotMatch},
	{"signed header gone", func(r *http.Request) { r.Header.Del("Content-Type") }, CodeSignatureDoesNotMatch},
	{"signed header twice", func(r *http.Request) { r.Header.Add("Content-Type", "text/html") }, CodeSignatureDoesNotMatch},
	{"values swapped", func(r *http.Request) { slices.Reverse(r.Header["X-Amz-Meta-Two"]) }, CodeSignatureDoesNotMatch},
	{"unsigned x-amz", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, CodeAccessDenied},
	{"unsigned x-amz, odd case", func(r *http.Request) { r.Header["x-aMZ-acl"] = []string{"public-read"} }, CodeAccessDenied},
	{"session token", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }, CodeAccessDenied},
}

func TestTamperedHeaderSignatureIsRefused(t *testing.T) {
	sig := func(r *http.Request) string {
		_, s, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		return s
	}
	cases := append(slices.Clone(tampered), []tampering{
		{"payload hash", func(r *http.Request) { r.Header.Set(contentSHA256, strings.Repeat("0", 64)) }, CodeSignatureDoesNotMatch},
		{"payload mode", func(r *http.Request) { r.Header.Set(contentSHA256, unsignedPayload) }, CodeSignatureDoesNotMatch},
		{"payload rubbish", func(r *http.Request) { r.Header.Set(contentSHA256, "abc") }, CodeInvalidArgument},
		{"payload ecdsa", func(r *http.Request) { r.Header.Set(contentSHA256, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") }, CodeNotImplemented},
		{"payload missing", func(r *http.Request) { r.Header.Del(contentSHA256) }, CodeInvalidRequest},
		{"payload in query too", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD" }, CodeInvalidArgument},
		{"date", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130524T000001Z") }, CodeSignatureDoesNotMatch},
		{"date fraction", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130524T000000.0Z") }, CodeAccessDenied},
		{"date twice", func(r *http.Request) { r.Header.Add("X-Amz-Date", "20130524T000000Z") }, CodeAccessDenied},
		{"date of another day", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130523T235959Z") }, CodeAuthorizationMalformed},
		{"date missing", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, CodeAccessDenied},
		{"date too old", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130524T003000Z") }, CodeRequestTimeTooSkewed},
		{"signature", func(r *http.Request) { inAuthorization(sig(r), strings.Repeat("0", 64))(r) }, CodeSignatureDoesNotMatch},
		{"signature upper case", func(r *http.Request) { inAuthorization(sig(r), strings.ToUpper(sig(r)))(r) }, CodeSignatureDoesNotMatch},
		{"signature cut", func(r *http.Request) { inAuthorization(sig(r), sig(r)[:63])(r) }, CodeSignatureDoesNotMatch},
		{"signature empty", func(r *http.Request) { inAuthorization(sig(r), "")(r) }, CodeAuthorizationMalformed},
		{"two signatures", func(r *http.Request) { inAuthorization("Signature=", "Signature=00,Signature=")(r) }, CodeAuthorizationMalformed},
		{"unknown component", inAuthorization("Signature=", "Extra=1, Signature="), CodeAuthorizationMalformed},
		{"no credential", inAuthorization("Credential=", "Credentia="), CodeAuthorizationMalformed},
		{"short credential", inAuthorization(exampleKey+"/20130524/us-east-1/s3/", ""), CodeAuthorizationMalformed},
		{"empty access key", inAuthorization(exampleKey, ""), CodeAuthorizationMalformed},
		{"long access key", inAuthorization(exampleKey, strings.Repeat("A", 200)), CodeAuthorizationMalformed},
		{"unknown access key", inAuthorization(exampleKey, "AKIAIOSFODNN7EXAMPLF"), CodeInvalidAccessKeyID},
		{"access key with slash", inAuthorization(exampleKey, "x/"+exampleKey), CodeInvalidAccessKeyID},
		{"region", inAuthorization("us-east-1", "eu-west-1"), CodeAuthorizationMalformed},
		{"service", inAuthorization("/s3/", "/ec2/"), CodeAuthorizationMalformed},
		{"terminator", inAuthorization("aws4_request", "aws5_request"), CodeAuthorizationMalformed},
		{"scope date", inAuthorization("/20130524/", "/20130525/"), CodeAuthorizationMalformed},
		{"scope date form", inAuthorization("/20130524/", "/2013-524/"), CodeAuthorizationMalformed},
		{"host unsigned", inAuthorization("host;", ""), CodeAccessDenied},
		{"x-amz unsigned", inAuthorization("x-amz-meta-two", "x-amz-meta-one"), CodeAccessDenied},
		{"content-type unsigned", inAuthorization("content-type;", ""), CodeSignatureDoesNotMatch},
		{"signed twice", inAuthorization("host;", "host;host;"), CodeAuthorizationMalformed},
		{"empty name", inAuthorization("host;", "host;;"), CodeAuthorizationMalformed},
		{"presigned as well", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=00" }, CodeInvalidArgument},
		{"presigned credential as well", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Credential=a" }, CodeInvalidArgument},
		{"v2 as well", func(r *http.Request) { r.URL.RawQuery += "&AWSAccessKeyId=a&Signature=b" }, CodeInvalidArgument},
		{"two headers", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, CodeInvalidArgument},
		{"empty header", func(r *http.Request) { r.Header.Set("Authorization", "") }, CodeInvalidArgument},
		{"basic", func(r *http.Request) { r.Header.Set("Authorization", "Basic c2VjcmV0") }, CodeInvalidArgument},
		{"v2", func(r *http.Request) { r.Header.Set("Authorization", "AWS key:sig") }, CodeInvalidRequest},
		{"v4a", inAuthorization(algorithm, "AWS4-ECDSA-P256-SHA256"), CodeNotImplemented},
	}...)
	v := newVerifier(t, exampleTime)
	if _, err := v.Verify(signed(t)); err != nil {
		t.Fatalf("untouched: Verify = %v", err)
	}
	for _, c := range cases {
		r := signed(t)
		c.change(r)
		if a, err := v.Verify(r); code(err) != c.want {
			t.Errorf("%s: Verify = %+v, %v, want %s", c.name, a, err, c.want)
		}
	}
}

func TestTamperedPresignedURLIsRefused(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { setQuery(r, name, value) }
	}
	cases := append(slices.Clone(tampered), []tampering{
		{"signature", set("X-Amz-Signature", strings.Repeat("0", 64)), CodeSignatureDoesNotMatch},
		{"signature empty", set("X-Amz-Signature", ""), CodeAuthorizationQuery},
		{"expires longer", set("X-Amz-Expires", "601"), CodeSignatureDoesNotMatch},
		{"expires zero", set("X-Amz-Expires", "0"), CodeAuthorizationQuery},
		{"expires negative", set("X-Amz-Expires", "-5"), CodeAuthorizationQuery},
		{"expires too long", set("X-Amz-Expires", "604801"), CodeAuthorizationQuery},
		{"expires huge", set("X-Amz-Expires", "99999999999999999999"), CodeAuthorizationQuery},
		{"expires rubbish", set("X-Amz-Expires", "1h"), CodeAuthorizationQuery},
		{"algorithm", set("X-Amz-Algorithm", "AWS4-HMAC-SHA1"), CodeAuthorizationQuery},
		{"v4a", set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), CodeNotImplemented},
		{"credential", set("X-Amz-Credential", exampleKey), CodeAuthorizationQuery},
		{"unknown key", set("X-Amz-Credential", "A/20130524/us-east-1/s3/aws4_request"), CodeInvalidAccessKeyID},
		{"region", set("X-Amz-Credential", exampleKey+"/20130524/eu-west-1/s3/aws4_request"), CodeAuthorizationQuery},
		{"date", set("X-Amz-Date", "20130524T000100Z"), CodeSignatureDoesNotMatch},
		{"date of another day", set("X-Amz-Date", "20130523T235900Z"), CodeAuthorizationQuery},
		{"date form", set("X-Amz-Date", "Fri, 24 May 2013 00:00:00 GMT"), CodeAuthorizationQuery},
		{"date ahead", set("X-Amz-Date", "20130524T003000Z"), CodeAccessDenied},
		{"date gone", func(r *http.Request) {
			q := r.URL.Query()
			q.Del("X-Amz-Date")
			r.URL.RawQuery = q.Encode()
		}, CodeAuthorizationQuery},
		{"expires twice", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Expires=600" }, CodeAuthorizationQuery},
		{"signed headers", set("X-Amz-SignedHeaders", "host"), CodeAccessDenied},
		{"signed headers without host", set("X-Amz-SignedHeaders", "content-type;x-amz-meta-two"), CodeAccessDenied},
		{"signed headers empty name", set("X-Amz-SignedHeaders", "host;"), CodeAuthorizationQuery},
		{"payload added", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Content-Sha256=" + emptySHA256 }, CodeSignatureDoesNotMatch},
		{"payload header added", func(r *http.Request) { r.Header.Set(contentSHA256, emptySHA256) }, CodeAccessDenied},
		{"header as well", func(r *http.Request) { r.Header.Set("Authorization", signed(t).Header.Get("Authorization")) }, CodeInvalidArgument},
		{"empty header as well", func(r *http.Request) { r.Header.Set("Authorization", "") }, CodeInvalidArgument},
		{"v2 as well", func(r *http.Request) { r.URL.RawQuery += "&Signature=b" }, CodeInvalidArgument},
	}...)
	v := newVerifier(t, exampleTime)
	if a, err := v.Verify(presigned(t, 10*time.Minute)); err != nil || !a.Presigned || a.Payload != PayloadUnsigned {
		t.Fatalf("untouched: Verify = %+v, %v", a, err)
	}
	for _, c := range cases {
		r := presigned(t, 10*time.Minute)
		c.change(r)
		if a, err := v.Verify(r); code(err) != c.want {
			t.Errorf("%s: Verify = %+v, %v, want %s", c.name, a, err, c.want)
		}
	}
}
