package s3api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/checksum"
	"github.com/cairn-store/cairn/gateway/refmodel"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

// counting counts the calls that reach the store. Every method of Store is here:
// a new one does not compile until it is counted too.
type counting struct {
	s       s3api.Store
	hits    atomic.Int64
	lookups atomic.Int64 // of settings, by which strangers are judged
}

func (c *counting) CreateBucket(ctx context.Context, name, region string) error {
	c.hits.Add(1)
	return c.s.CreateBucket(ctx, name, region)
}
func (c *counting) HeadBucket(ctx context.Context, name string) (gateway.BucketInfo, error) {
	c.hits.Add(1)
	return c.s.HeadBucket(ctx, name)
}
func (c *counting) DeleteBucket(ctx context.Context, name string) error {
	c.hits.Add(1)
	return c.s.DeleteBucket(ctx, name)
}
func (c *counting) ListBuckets(ctx context.Context, req gateway.ListBucketsRequest) (gateway.ListBucketsResult, error) {
	c.hits.Add(1)
	return c.s.ListBuckets(ctx, req)
}
func (c *counting) BucketSetting(ctx context.Context, bucket, name string) (string, error) {
	c.lookups.Add(1)
	return c.s.BucketSetting(ctx, bucket, name)
}
func (c *counting) PutBucketSetting(ctx context.Context, bucket, name, document string) error {
	c.hits.Add(1)
	return c.s.PutBucketSetting(ctx, bucket, name, document)
}
func (c *counting) SetTags(ctx context.Context, req gateway.TagsRequest) (*cairn.Version, error) {
	c.hits.Add(1)
	return c.s.SetTags(ctx, req)
}
func (c *counting) Put(ctx context.Context, req gateway.PutRequest) (gateway.Stored, error) {
	c.hits.Add(1)
	return c.s.Put(ctx, req)
}
func (c *counting) Get(ctx context.Context, req gateway.GetRequest) (*gateway.Object, error) {
	c.hits.Add(1)
	return c.s.Get(ctx, req)
}
func (c *counting) Delete(ctx context.Context, req gateway.DeleteRequest) (gateway.Deleted, error) {
	c.hits.Add(1)
	return c.s.Delete(ctx, req)
}
func (c *counting) DeleteMany(ctx context.Context, reqs []gateway.DeleteRequest) []gateway.DeleteOutcome {
	c.hits.Add(1)
	return c.s.DeleteMany(ctx, reqs)
}
func (c *counting) Copy(ctx context.Context, req gateway.CopyRequest) (gateway.Stored, error) {
	c.hits.Add(1)
	return c.s.Copy(ctx, req)
}
func (c *counting) List(ctx context.Context, req gateway.ListRequest) (gateway.ListResult, error) {
	c.hits.Add(1)
	return c.s.List(ctx, req)
}
func (c *counting) CreateUpload(ctx context.Context, req gateway.CreateUploadRequest) (gateway.Upload, error) {
	c.hits.Add(1)
	return c.s.CreateUpload(ctx, req)
}
func (c *counting) PutPart(ctx context.Context, req gateway.PutPartRequest) (gateway.PartInfo, error) {
	c.hits.Add(1)
	return c.s.PutPart(ctx, req)
}
func (c *counting) CopyPart(ctx context.Context, req gateway.CopyPartRequest) (gateway.PartInfo, error) {
	c.hits.Add(1)
	return c.s.CopyPart(ctx, req)
}
func (c *counting) CompleteUpload(ctx context.Context, req gateway.CompleteRequest) (gateway.Stored, error) {
	c.hits.Add(1)
	return c.s.CompleteUpload(ctx, req)
}
func (c *counting) AbortUpload(ctx context.Context, ref gateway.UploadRef) error {
	c.hits.Add(1)
	return c.s.AbortUpload(ctx, ref)
}
func (c *counting) ListParts(ctx context.Context, req gateway.ListPartsRequest) (gateway.ListPartsResult, error) {
	c.hits.Add(1)
	return c.s.ListParts(ctx, req)
}
func (c *counting) ListUploads(ctx context.Context, req gateway.ListUploadsRequest) (gateway.ListUploadsResult, error) {
	c.hits.Add(1)
	return c.s.ListUploads(ctx, req)
}

// requestFor makes a request that reaches a route.
func requestFor(rt s3api.RouteInfo) apitest.Request {
	q := apitest.Request{Method: rt.Method, Path: [...]string{"/", "/victim-bucket", "/victim-bucket/key"}[rt.Level], Header: map[string]string{}}
	switch rt.Query {
	case "":
	case "list-type":
		q.Query = "list-type=2"
	case "uploadId":
		q.Query = "partNumber=1&uploadId=abc"
		if rt.Method != "PUT" {
			q.Query = "uploadId=abc"
		}
	default:
		q.Query = rt.Query + "="
	}
	if rt.Header != "" {
		q.Header[rt.Header] = "victim-bucket/key"
	}
	if rt.Method == "PUT" || rt.Method == "POST" {
		q.Body = "<Body/>"
	}
	return q
}

// forgeries change a request that was signed rightly.
var forgeries = map[string]func(*http.Request){
	"no signature":      func(r *http.Request) { r.Header.Del("Authorization") },
	"altered signature": func(r *http.Request) { alter(r, func(a string) string { return a[:len(a)-1] + flip(a[len(a)-1:]) }) },
	"empty signature": func(r *http.Request) {
		alter(r, func(a string) string { return a[:strings.Index(a, "Signature=")+len("Signature=")] + "0" })
	},
	"unknown key": func(r *http.Request) {
		alter(r, func(a string) string { return strings.Replace(a, accessKey, "SOMEBODYELSE", 1) })
	},
	"other method's path": func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" },
	"other query":         func(r *http.Request) { r.URL.RawQuery += "&x-id=Other" },
	"added amz header":    func(r *http.Request) { r.Header.Set("X-Amz-Meta-Added", "1") },
	"changed amz header":  func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
	"unsigned trailer":    func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER") },
	"other host":          func(r *http.Request) { r.Host = "example.org" },
	"later date": func(r *http.Request) {
		r.Header.Set("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format("20060102T150405Z"))
	},
}

// otherTimeOfDay is a minute away, on the same day: another day is another fault.
func otherTimeOfDay() time.Time {
	now := time.Now().UTC()
	if later := now.Add(time.Minute); later.Day() == now.Day() {
		return later
	}
	return now.Add(-time.Minute)
}

func alter(r *http.Request, f func(string) string) {
	r.Header.Set("Authorization", f(r.Header.Get("Authorization")))
}

func flip(hexDigit string) string {
	if hexDigit == "0" {
		return "1"
	}
	return "0"
}

// Every route times every forgery times every body mode must be refused before
// the store hears of it.
func TestForgedRequestsReachNoRoute(t *testing.T) {
	model := refmodel.New(refmodel.Config{})
	store := &counting{s: model}
	c := serve(t, s3api.Config{Store: store})
	modes := []sigv4.Payload{sigv4.PayloadUnsigned, sigv4.PayloadSHA256, sigv4.PayloadChunked, sigv4.PayloadChunkedTrailer, sigv4.PayloadUnsignedTrailer}
	refused := 0
	check := func(what string, q apitest.Request) {
		t.Helper()
		res, err := c.Try(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if res.Status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403: %.300s", what, res.Status, res.Body)
		}
		if n := store.hits.Swap(0); n != 0 {
			t.Errorf("%s: the store was called %d times", what, n)
		}
		if n := store.lookups.Swap(0); n != 0 && !strings.HasSuffix(what, "no signature") {
			t.Errorf("%s: settings were looked up %d times", what, n)
		}
		refused++
	}
	for _, rt := range s3api.Routes() {
		for _, mode := range modes {
			q := requestFor(rt)
			q.Payload = mode
			if mode == sigv4.PayloadUnsigned {
				q.Header["X-Amz-Content-Sha256"] = "UNSIGNED-PAYLOAD"
			}
			if mode == sigv4.PayloadChunkedTrailer || mode == sigv4.PayloadUnsignedTrailer {
				q.Trailer, q.Value = "x-amz-checksum-crc32", checksum.Of(checksum.CRC32, []byte(q.Body))
			}
			for name, forge := range forgeries {
				if name == "changed amz header" && mode == sigv4.PayloadUnsigned || name == "unsigned trailer" && mode == sigv4.PayloadUnsignedTrailer {
					continue // would change nothing
				}
				if name == "no signature" && mode.Chunked() {
					continue // 400: anonymous requests cannot use this framing; checked below
				}
				q := q
				q.Tamper = forge
				check(fmt.Sprintf("%s, %v, %s", rt.Operation, mode, name), q)
			}
			q.At = time.Now().Add(-16 * time.Minute)
			check(fmt.Sprintf("%s, %v, too old", rt.Operation, mode), q)
		}
	}
	t.Logf("%d routes, %d forged requests refused", len(s3api.Routes()), refused)
}

func TestForgedPresignedURLsReachNoRoute(t *testing.T) {
	store := &counting{s: refmodel.New(refmodel.Config{})}
	c := serve(t, s3api.Config{Store: store})
	now := time.Now()
	for _, rt := range s3api.Routes() {
		q := requestFor(rt)
		for name, target := range map[string]string{
			"expired":           c.Presign(t, q, time.Second, now.Add(-time.Hour)),
			"of the future":     c.Presign(t, q, time.Minute, now.Add(time.Hour)),
			"altered signature": flipLast(c.Presign(t, q, time.Minute, now)),
			"more parameters":   c.Presign(t, q, time.Minute, now) + "&more=1",
		} {
			header := map[string]string{}
			for k, v := range q.Header {
				header[k] = v
			}
			res := c.Fetch(t, q.Method, target, q.Body, header)
			if res.Status != http.StatusForbidden || store.hits.Swap(0) != 0 {
				t.Errorf("%s, %s: status %d: %.300s", rt.Operation, name, res.Status, res.Body)
			}
		}
	}
}

func flipLast(s string) string { return s[:len(s)-1] + flip(s[len(s)-1:]) }

// publicPolicy allows everything to everybody.
const publicPolicy = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::victim-bucket","arn:aws:s3:::victim-bucket/*"]}}`

// readable are the operations that a policy can open to strangers.
var readable = strings.Fields("GetObject HeadObject GetObjectAttributes GetObjectTagging ListObjects ListObjectsV2 ListObjectVersions HeadBucket GetBucketLocation")

// Every route is asked for without a signature, in buckets that are not public,
// public, and public but blocked. Only reads of the public one get further.
func TestStrangersReachOnlyWhatIsPublic(t *testing.T) {
	for name, setup := range map[string]struct {
		policy, block string
		open          bool
	}{
		"no policy":        {"", "none", false},
		"public":           {publicPolicy, "none", true},
		"public, blocked":  {publicPolicy, "", false},
		"public, denied":   {strings.Replace(publicPolicy, "Allow", "Deny", 1), "none", false},
		"for the owner":    {strings.Replace(publicPolicy, `"*"`, `{"AWS":"cairn"}`, 1), "none", false},
		"of other keys":    {strings.Replace(publicPolicy, `/*"`, `/other"`, 1), "none", false},
		"unreadable":       {"{", "none", false},
		"unreadable block": {publicPolicy, "<", false},
	} {
		model := refmodel.New(refmodel.Config{})
		store := &counting{s: model}
		c := serve(t, s3api.Config{Store: store, Log: slog.New(slog.DiscardHandler)})
		ctx := t.Context()
		c.Want(t, 200, "", apitest.Request{Method: "PUT", Path: "/victim-bucket"})
		c.Put(t, "/victim-bucket/key", "hello", nil)
		if err := errors.Join(model.PutBucketSetting(ctx, "victim-bucket", "policy", setup.policy),
			model.PutBucketSetting(ctx, "victim-bucket", "publicAccessBlock", setup.block)); err != nil {
			t.Fatal(err)
		}
		for _, rt := range s3api.Routes() {
			store.hits.Store(0)
			q := requestFor(rt)
			q.Anonymous = true
			if rt.Operation == "GetObjectAttributes" {
				q.Header["X-Amz-Object-Attributes"] = "ETag"
			}
			res := c.Do(t, q)
			hits := store.hits.Load()
			unreadable := strings.HasPrefix(name, "unreadable") && slices.Contains(readable, rt.Operation)
			onKey := name != "of other keys" || rt.Level == 2
			switch {
			case setup.open && slices.Contains(readable, rt.Operation):
				if res.Status != http.StatusOK || hits == 0 {
					t.Errorf("%s, %s: status %d, %d calls, want an answer: %.300s", name, rt.Operation, res.Status, hits, res.Body)
				}
			case !onKey && slices.Contains(readable, rt.Operation): // the bucket itself is public
			case unreadable && res.Status == http.StatusInternalServerError && hits == 0:
			case res.Status != http.StatusForbidden || hits != 0 || strings.Contains(res.Body, "hello"):
				t.Errorf("%s, %s: status %d, %d calls, want 403 and none: %.300s", name, rt.Operation, res.Status, hits, res.Body)
			}
		}
		c.Want(t, 204, "", apitest.Request{Method: "DELETE", Path: "/victim-bucket", Query: "policy"})
	}
}

// A form is signed inside: only the file of a rightly signed one is stored.
func TestForgedFormsReachNoStore(t *testing.T) {
	store := &counting{s: refmodel.New(refmodel.Config{})}
	c := serve(t, s3api.Config{Store: store})
	good := apitest.Form{Bucket: "victim-bucket", Fields: [][2]string{{"key", "k"}, {"acl", "private"}}, File: "x"}
	forged := map[string]func(map[string]string){"x-amz-credential's region": func(m map[string]string) {
		m["x-amz-credential"] = strings.Replace(m["x-amz-credential"], region, "elsewhere", 1)
	}}
	for _, name := range strings.Fields("policy x-amz-signature x-amz-credential x-amz-date x-amz-algorithm key") {
		forged["no "+name] = func(m map[string]string) { delete(m, name) }
		forged["altered "+name] = func(m map[string]string) { m[name] = "0" + m[name] }
	}
	for name, tamper := range forged {
		f := good
		f.Tamper = tamper
		if res := c.Post(t, "victim-bucket", f); res.Status != 403 && res.Status != 400 || store.hits.Swap(0) != 0 {
			t.Errorf("%s: status %d: %.300s", name, res.Status, res.Body)
		}
	}
	if res := c.Post(t, "victim-bucket", good); res.Code() != "NoSuchBucket" || store.hits.Load() == 0 {
		t.Errorf("the form that was not forged: %d %s", res.Status, res.Body)
	}
}

// A policy can deny everything to the owner's keys, except to take it away.
func TestDenialsBindTheOwnerButDoNotLockOut(t *testing.T) {
	model := refmodel.New(refmodel.Config{})
	store := &counting{s: model}
	c := serve(t, s3api.Config{Store: store})
	ctx := t.Context()
	deny := strings.Replace(publicPolicy, "Allow", "Deny", 1)
	if err := errors.Join(model.CreateBucket(ctx, "victim-bucket", region), model.PutBucketSetting(ctx, "victim-bucket", "policy", deny)); err != nil {
		t.Fatal(err)
	}
	free := strings.Fields("ListBuckets GetBucketPolicy PutBucketPolicy DeleteBucketPolicy DeleteObjects PostObject")
	for _, rt := range s3api.Routes() {
		if slices.Contains(free, rt.Operation) {
			continue
		}
		store.hits.Store(0)
		if res := c.Do(t, requestFor(rt)); res.Status != http.StatusForbidden || store.hits.Load() != 0 {
			t.Errorf("%s: status %d and %d calls although denied: %.300s", rt.Operation, res.Status, store.hits.Load(), res.Body)
		}
	}
	body := "<Delete><Object><Key>a</Key></Object></Delete>"
	res := c.Want(t, 200, "", apitest.Request{Method: "POST", Path: "/victim-bucket", Query: "delete", Body: body, Header: map[string]string{"Content-Md5": base64OfMD5(body)}})
	if res.Code() != "AccessDenied" || len(res.Texts("Deleted")) != 0 {
		t.Errorf("a denied key in DeleteObjects: %s", res.Body)
	}
	c.Want(t, 403, "AccessDenied", apitest.Request{Method: "PUT", Path: "/other-bucket/k", Header: map[string]string{"X-Amz-Copy-Source": "victim-bucket/key"}})
	if got := c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/victim-bucket", Query: "policy"}); got.Body != deny {
		t.Errorf("policy = %s", got.Body)
	}
	c.Want(t, 204, "", apitest.Request{Method: "PUT", Path: "/victim-bucket", Query: "policy", Body: deny})
	c.Want(t, 204, "", apitest.Request{Method: "DELETE", Path: "/victim-bucket", Query: "policy"})
	c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/victim-bucket"})
}

// A chunk whose signature is wrong is found while the body is read: the store is
// asked, but nothing becomes visible.
func TestForgedChunksStoreNothing(t *testing.T) {
	model := refmodel.New(refmodel.Config{})
	c := serve(t, s3api.Config{Store: model})
	b := c.Bucket(t)
	body := strings.Repeat("0123456789abcdef", 20_000)
	for _, mode := range []sigv4.Payload{sigv4.PayloadChunked, sigv4.PayloadChunkedTrailer} {
		for _, at := range []int{10_000, 100_000, len(body) - 10} {
			q := apitest.Request{Method: "PUT", Path: "/" + b + "/k", Body: body, Payload: mode}
			if mode == sigv4.PayloadChunkedTrailer {
				q.Trailer, q.Value = "x-amz-checksum-crc32", checksum.Of(checksum.CRC32, []byte(body))
			}
			q.Tamper = func(r *http.Request) { r.Body = &flipAt{ReadCloser: r.Body, at: at} }
			c.Want(t, http.StatusForbidden, "SignatureDoesNotMatch", q)
			c.Want(t, http.StatusNotFound, "NoSuchKey", apitest.Request{Method: "GET", Path: "/" + b + "/k"})
		}
	}
}

func TestRouteTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, rt := range s3api.Routes() {
		id := fmt.Sprint(rt.Method, rt.Level, rt.Query, rt.Header)
		if seen[id] {
			t.Errorf("%s: another route has the same selectors", rt.Operation)
		}
		seen[id] = true
		if rt.Operation == "" {
			t.Errorf("a route has no operation: %+v", rt)
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d routes", len(seen))
	}
}
