package s3api_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/refmodel"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
)

var update = flag.Bool("update", false, "rewrite testdata/golden")

// failing answers every read with one error.
type failing struct {
	s3api.Store
	err error
}

func (f *failing) Get(context.Context, gateway.GetRequest) (*gateway.Object, error) {
	return nil, f.err
}

// errorCases has one error for everything a store or a client can do wrong.
var errorCases = map[string]error{
	"no-such-bucket":     fmt.Errorf("look up: %w", gateway.ErrNoSuchBucket),
	"bucket-exists":      gateway.ErrBucketExists,
	"bucket-not-empty":   gateway.ErrBucketNotEmpty,
	"no-such-key":        gateway.ErrNoSuchKey,
	"no-such-version":    gateway.ErrNoSuchVersion,
	"no-such-upload":     gateway.ErrNoSuchUpload,
	"not-modified":       gateway.ErrNotModified,
	"conflict":           gateway.ErrConflict,
	"incomplete-body":    gateway.ErrIncompleteBody,
	"bad-digest":         gateway.ErrBadDigest,
	"invalid-part-order": gateway.ErrInvalidPartOrder,
	"invalid-part-no":    gateway.ErrInvalidPartNo,
	"no-parts":           gateway.ErrNoParts,
	"copy-to-self":       gateway.ErrCopyToSelf,
	"too-large":          gateway.ErrTooLarge,
	"copy-range":         gateway.ErrInvalidCopyRange,
	"size-mismatch":      gateway.ErrSizeMismatch,
	"delete-marker":      gateway.ErrDeleteMarker,
	"precondition":       &gateway.PreconditionError{Condition: "If-Match"},
	"range":              fmt.Errorf("read: %w", &gateway.RangeError{Size: 7}),
	"part":               &gateway.PartError{Number: 3, ETag: "abc"},
	"part-too-small":     &gateway.PartError{Number: 3, ETag: "abc", TooSmall: true, Size: 9},
	"checksum":           &gateway.ChecksumError{Algorithm: "CRC32C"},
	"kind-internal":      cairn.Errorf("seal", cairn.Internal, "a secret"),
	"kind-not-found":     cairn.Errorf("find shard", cairn.NotFound, "a secret"),
	"kind-corrupt":       cairn.Errorf("open frame", cairn.Corrupt, "a secret"),
	"kind-unavailable":   cairn.Errorf("reach node", cairn.Unavailable, "a secret"),
	"kind-full":          cairn.Errorf("store", cairn.Full, "a secret"),
	"kind-denied":        cairn.Errorf("store", cairn.Denied, "a secret"),
	"kind-invalid":       cairn.Errorf("put part", cairn.Invalid, "what the client did <wrong>"),
	"kind-exists":        cairn.Errorf("store", cairn.Exists, "a secret"),
	"plain":              errors.New("a secret"),
	"node-deadline":      fmt.Errorf("read node: %w", os.ErrDeadlineExceeded), // not the client's
	"timeout":            context.DeadlineExceeded,
}

// The answer to each error: status, headers that matter, document.
func TestErrorsAreAnsweredAsRecorded(t *testing.T) {
	store := &failing{Store: refmodel.New(refmodel.Config{})}
	c := serve(t, s3api.Config{Store: store})
	for _, name := range slices.Sorted(maps.Keys(errorCases)) {
		store.err = errorCases[name]
		checkGolden(t, "store-"+name, c.Do(t, apitest.Request{Method: "GET", Path: "/some-bucket/some key&", Query: "partNumber=4",
			Header: map[string]string{"X-Amz-Meta-Ignored": "1"}}))
		if res := c.Do(t, apitest.Request{Method: "HEAD", Path: "/some-bucket/some key&"}); res.Body != "" {
			t.Errorf("%s: HEAD has a body", name)
		}
	}
}

// Requests that are refused before or without a store.
func TestRefusalsAreAnsweredAsRecorded(t *testing.T) {
	c := serve(t, s3api.Config{})
	c.Want(t, 200, "", apitest.Request{Method: "PUT", Path: "/some-bucket"})
	put := func(header map[string]string) apitest.Request {
		return apitest.Request{Method: "PUT", Path: "/some-bucket/k", Body: "hello", Header: header}
	}
	for name, q := range map[string]apitest.Request{
		"anonymous":              {Method: "GET", Path: "/some-bucket", Anonymous: true},
		"bad-bucket-name":        {Method: "GET", Path: "/Bad_Bucket"},
		"key-too-long":           {Method: "GET", Path: "/some-bucket/" + strings.Repeat("k", 1025)},
		"bad-uri":                {Method: "GET", Path: "/some-bucket/\xff"},
		"method-not-allowed":     {Method: "POST", Path: "/some-bucket/k"},
		"not-implemented-query":  {Method: "PUT", Path: "/some-bucket/k", Query: "renameObject="},
		"not-implemented-header": put(map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms"}),
		"invalid-digest":         put(map[string]string{"Content-Md5": "x"}),
		"bad-digest":             put(map[string]string{"Content-Md5": "AAAAAAAAAAAAAAAAAAAAAA=="}),
		"bad-checksum":           put(map[string]string{"X-Amz-Checksum-Crc32": "AAAAAA=="}),
		"acl":                    put(map[string]string{"X-Amz-Acl": "public-read"}),
		"storage-class":          put(map[string]string{"X-Amz-Storage-Class": "GLACIER"}),
		"invalid-tag":            put(map[string]string{"X-Amz-Tagging": "aws:x=y"}),
		"too-many-tags":          put(map[string]string{"X-Amz-Tagging": "a&b&c&d&e&f&g&h&i&j&k"}),
		"metadata-too-large":     put(map[string]string{"X-Amz-Meta-A": strings.Repeat("v", 3000)}),
		"object-lock":            put(map[string]string{"X-Amz-Object-Lock-Mode": "GOVERNANCE"}),
		"two-conditions":         put(map[string]string{"If-Match": "x", "If-None-Match": "*"}),
		"upload":                 {Method: "GET", Path: "/some-bucket/k", Query: "uploadId=none"},
		"part-number":            {Method: "PUT", Path: "/some-bucket/k", Query: "partNumber=0&uploadId=none", Body: "x"},
		"max-keys":               {Method: "GET", Path: "/some-bucket", Query: "max-keys=-1"},
		"token":                  {Method: "GET", Path: "/some-bucket", Query: "continuation-token=x&list-type=2"},
		"malformed-xml":          {Method: "POST", Path: "/some-bucket", Query: "delete=", Body: "<a>", Header: map[string]string{"Content-Md5": base64OfMD5("<a>")}},
		"copy-source":            {Method: "PUT", Path: "/some-bucket/k", Header: map[string]string{"X-Amz-Copy-Source": "nonsense"}},
		"location":               {Method: "PUT", Path: "/other-bucket", Body: "<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>"},
		"version-id":             {Method: "GET", Path: "/some-bucket/k", Query: "versionId=x"},
		"preflight":              {Method: "OPTIONS", Path: "/some-bucket/k", Anonymous: true, Header: map[string]string{"Origin": "http://x", "Access-Control-Request-Method": "GET"}},
		"policy":                 {Method: "GET", Path: "/some-bucket", Query: "policy"},
		"cors":                   {Method: "GET", Path: "/some-bucket", Query: "cors"},
		"tags-many":              {Method: "PUT", Path: "/some-bucket", Query: "tagging", Body: tagDocument(51)},
		"tags-twice":             {Method: "PUT", Path: "/some-bucket", Query: "tagging", Body: tagDocument(1, "k0")},
		"tags-aws":               {Method: "PUT", Path: "/some-bucket", Query: "tagging", Body: tagDocument(0, "aws:x")},
		"post-no-form":           {Method: "POST", Path: "/some-bucket", Body: "x"},
		"post-unsigned":          {Method: "POST", Path: "/some-bucket", Anonymous: true, Header: multipartForm, Body: "--b\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--b--\r\n"},
		"post-malformed":         {Method: "POST", Path: "/some-bucket", Anonymous: true, Header: multipartForm, Body: "x"},
		"post-no-file":           {Method: "POST", Path: "/some-bucket", Anonymous: true, Header: multipartForm, Body: "--b\r\nContent-Disposition: form-data; name=key\r\n\r\nx\r\n--b--\r\n"},
		"post-many-fields":       {Method: "POST", Path: "/some-bucket", Anonymous: true, Header: multipartForm, Body: "--b\r\nContent-Disposition: form-data; name=key\r\n\r\n" + strings.Repeat("x", 30_000)},
		"policy-json":            {Method: "PUT", Path: "/some-bucket", Query: "policy", Body: "<Policy/>"},
		"policy-action":          {Method: "PUT", Path: "/some-bucket", Query: "policy", Body: policyFor("s3:GetObjct", "some-bucket")},
		"policy-resource":        {Method: "PUT", Path: "/some-bucket", Query: "policy", Body: policyFor("s3:GetObject", "other-bucket")},
		"policy-blocked":         {Method: "PUT", Path: "/some-bucket", Query: "policy", Body: policyFor("s3:GetObject", "some-bucket")},
		"policy-status":          {Method: "GET", Path: "/some-bucket", Query: "policyStatus"},
		"public-access-block":    {Method: "GET", Path: "/some-bucket", Query: "publicAccessBlock"},
		"cors-method":            corsRule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>"),
		"cors-origin":            corsRule("<AllowedOrigin>http://*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"),
		"cors-header":            corsRule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>x-*</ExposeHeader>"),
		"cors-empty":             {Method: "PUT", Path: "/some-bucket", Query: "cors", Body: "<CORSConfiguration/>"},
		"lifecycle":              {Method: "GET", Path: "/some-bucket", Query: "lifecycle"},
		"tagging":                {Method: "GET", Path: "/some-bucket", Query: "tagging"},
		"website":                {Method: "GET", Path: "/some-bucket", Query: "website"},
		"object-lock-none":       {Method: "GET", Path: "/some-bucket", Query: "object-lock"},
	} {
		checkGolden(t, "request-"+name, c.Do(t, q))
	}
	skewed := c.Do(t, apitest.Request{Method: "GET", Path: "/some-bucket", At: time.Now().Add(-time.Hour)})
	if skewed.Status != 403 || skewed.Code() != "RequestTimeTooSkewed" && skewed.Code() != "AccessDenied" {
		t.Errorf("skewed: %d %s", skewed.Status, skewed.Body)
	}
}

func tagDocument(n int, more ...string) string {
	text := ""
	for i := range n {
		more = append(more, fmt.Sprint("k", i))
	}
	for _, k := range more {
		text += "<Tag><Key>" + k + "</Key><Value/></Tag>"
	}
	return "<Tagging><TagSet>" + text + "</TagSet></Tagging>"
}

var multipartForm = map[string]string{"Content-Type": "multipart/form-data; boundary=b"}

func policyFor(action, bucket string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"` + action + `","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`
}

func corsRule(inner string) apitest.Request {
	return apitest.Request{Method: "PUT", Path: "/some-bucket", Query: "cors",
		Body: "<CORSConfiguration><CORSRule>" + inner + "</CORSRule></CORSConfiguration>"}
}

var changing = regexp.MustCompile(`<(RequestId|HostId)>[^<]*<`)

func checkGolden(t *testing.T, name string, res *apitest.Response) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", res.Status)
	for _, h := range []string{"Allow", "Content-Range", "Content-Type", "Retry-After", "X-Amz-Bucket-Region", "X-Amz-Delete-Marker"} {
		if v := res.Header.Get(h); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", h, v)
		}
	}
	text := strings.ReplaceAll(changing.ReplaceAllString(res.Body, "<$1>…<"), "><", ">\n<")
	b.WriteString("\n" + strings.TrimSpace(text) + "\n")
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", name, b.String(), want)
	}
	if strings.Contains(b.String(), "secret") {
		t.Errorf("%s tells what is nobody's business: %s", name, b.String())
	}
	for _, id := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "Date", "Server"} {
		if res.Header.Get(id) == "" {
			t.Errorf("%s: no %s", name, id)
		}
	}
	if res.Status >= 400 && (res.Text("RequestId") != res.Header.Get("X-Amz-Request-Id") || res.Text("HostId") == "") {
		t.Errorf("%s: the ids in header and document differ", name)
	}
}

// The statuses of S3's codes, apart from the table that is tested.
func TestCodesHaveS3Statuses(t *testing.T) {
	groups := map[int]string{
		304: "NotModified",
		403: "AccessDenied AccessForbidden InvalidAccessKeyId SignatureDoesNotMatch RequestTimeTooSkewed",
		404: "NoSuchBucket NoSuchKey NoSuchUpload NoSuchVersion NoSuchTagSet NoSuchCORSConfiguration NoSuchBucketPolicy NoSuchLifecycleConfiguration " +
			"ObjectLockConfigurationNotFoundError NoSuchPublicAccessBlockConfiguration NoSuchWebsiteConfiguration NoSuchObjectLockConfiguration ReplicationConfigurationNotFoundError",
		405: "MethodNotAllowed", 411: "MissingContentLength", 412: "PreconditionFailed", 416: "InvalidRange InvalidPartNumber",
		409: "BucketAlreadyExists BucketAlreadyOwnedByYou BucketNotEmpty InvalidBucketState OperationAborted ConditionalRequestConflict",
		500: "InternalError", 501: "NotImplemented", 503: "SlowDown ServiceUnavailable",
	}
	want := map[string]int{}
	for status, codes := range groups {
		for code := range strings.FieldsSeq(codes) {
			want[code] = status
		}
	}
	for code, status := range s3api.ErrorCodes() {
		expected := want[code]
		if expected == 0 {
			expected = 400
		}
		if status != expected {
			t.Errorf("%s has status %d, want %d", code, status, expected)
		}
		delete(want, code)
	}
	if len(want) > 0 {
		t.Errorf("codes without an entry: %v", want)
	}
}
