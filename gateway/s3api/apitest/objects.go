package apitest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway/checksum"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

func testBuckets(t *testing.T, c *Client) {
	b := c.Bucket(t)
	c.Want(t, 409, "BucketAlreadyOwnedByYou", Request{Method: "PUT", Path: "/" + b})
	if got := c.Want(t, 200, "", Request{Method: "HEAD", Path: "/" + b}).Header.Get("X-Amz-Bucket-Region"); got != c.Region {
		t.Errorf("x-amz-bucket-region = %q, want %q", got, c.Region)
	}
	if res := c.Want(t, 404, "", Request{Method: "HEAD", Path: "/" + b + "-not"}); res.Body != "" {
		t.Errorf("HEAD has a body: %q", res.Body)
	}
	res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "location"})
	if res.Text("LocationConstraint") != "" || !strings.Contains(res.Body, "<LocationConstraint") {
		t.Errorf("location = %s, want an empty LocationConstraint", res.Body)
	}
	if names := c.Want(t, 200, "", Request{Method: "GET", Path: "/"}).Texts("Name"); !contains(names, b) {
		t.Errorf("buckets %v lack %q", names, b)
	}
	second := c.Bucket(t)
	seen := map[string]bool{}
	query := "max-buckets=1&prefix=test-"
	for range 1000 {
		res := c.Want(t, 200, "", Request{Method: "GET", Path: "/", Query: query})
		for _, n := range res.Texts("Name") {
			seen[n] = true
		}
		token := res.Text("ContinuationToken")
		if token == "" {
			break
		}
		query = "continuation-token=" + token + "&max-buckets=1&prefix=test-"
	}
	if !seen[b] || !seen[second] {
		t.Errorf("pages of one bucket gave %v, want %s and %s among them", seen, b, second)
	}
	for _, name := range []string{"ab", "Upper", "under_score", "-dash", "dash-", "a..b", "192.168.1.1", "xn--abc", strings.Repeat("x", 64), "abc-s3alias"} {
		c.Want(t, 400, "InvalidBucketName", Request{Method: "PUT", Path: "/" + name})
	}
	c.Put(t, "/"+b+"/k", "x", nil)
	c.Want(t, 409, "BucketNotEmpty", Request{Method: "DELETE", Path: "/" + b})
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b + "/k"})
	up := c.Want(t, 200, "", Request{Method: "POST", Path: "/" + b + "/u", Query: "uploads"}).Text("UploadId")
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b}) // a pending upload is no object
	for _, q := range []Request{
		{Method: "DELETE", Path: "/" + b}, {Method: "GET", Path: "/" + b}, {Method: "GET", Path: "/" + b, Query: "list-type=2"},
		{Method: "GET", Path: "/" + b + "/k"}, {Method: "PUT", Path: "/" + b + "/k", Body: "x"}, {Method: "DELETE", Path: "/" + b + "/k"},
		{Method: "GET", Path: "/" + b, Query: "location"}, {Method: "GET", Path: "/" + b, Query: "max-keys=0"},
		{Method: "POST", Path: "/" + b + "/u", Query: "uploads"}, {Method: "GET", Path: "/" + b, Query: "uploads"},
		{Method: "GET", Path: "/" + b + "/u", Query: "uploadId=" + up}, {Method: "GET", Path: "/" + b, Query: "acl"},
	} {
		if got := c.Want(t, 404, "NoSuchBucket", q).Text("BucketName"); got != b {
			t.Errorf("%s %s: BucketName %q, want %q", q.Method, q.Path, got, b)
		}
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: "/" + b, Body: `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>`})
	c.Want(t, 400, "InvalidLocationConstraint", Request{Method: "PUT", Path: "/" + b + "-2", Body: `<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>`})
	c.Want(t, 400, "MalformedXML", Request{Method: "PUT", Path: "/" + b + "-2", Body: `<CreateBucketConfiguration><LocationConstraint>`})
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// sizes are where frames, small objects, stripes and blocks begin and end.
var sizes = []int{0, 1, 65519, 65520, 65521, 131071, 131072, 131073, 1048320, 1 << 20, 4193279, 4193280, 4193281}

func testRoundTrip(t *testing.T, c *Client) {
	b := c.Bucket(t)
	for _, n := range sizes {
		body := pattern(n)
		path := fmt.Sprintf("/%s/size-%d", b, n)
		res := c.Put(t, path, body, nil)
		if got, want := res.Header.Get("Etag"), `"`+hexMD5(body)+`"`; got != want {
			t.Errorf("%d bytes: PUT gave ETag %s, want %s", n, got, want)
		}
		res = c.Want(t, 200, "", Request{Method: "GET", Path: path})
		if res.Body != body {
			t.Errorf("%d bytes came back changed", n)
		}
		for name, want := range map[string]string{
			"Etag": `"` + hexMD5(body) + `"`, "Accept-Ranges": "bytes", "Content-Length": itoa(n), "Content-Type": "application/octet-stream",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%d bytes: %s = %q, want %q", n, name, got, want)
			}
		}
		if at, err := http.ParseTime(res.Header.Get("Last-Modified")); err != nil || time.Since(at).Abs() > time.Hour {
			t.Errorf("Last-Modified = %q", res.Header.Get("Last-Modified"))
		}
		head := c.Want(t, 200, "", Request{Method: "HEAD", Path: path})
		for _, name := range []string{"Etag", "Accept-Ranges", "Content-Length", "Content-Type", "Last-Modified"} {
			if got, want := head.Header.Get(name), res.Header.Get(name); got != want {
				t.Errorf("%d bytes: HEAD %s = %q, GET %q", n, name, got, want)
			}
		}
		if head.Body != "" || head.Header.Get("X-Amz-Request-Id") == "" {
			t.Errorf("HEAD: body %q, request id %q", head.Body, head.Header.Get("X-Amz-Request-Id"))
		}
	}
	c.Put(t, "/"+b+"/again", "one", nil)
	c.Put(t, "/"+b+"/again", "two", nil)
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/again"}).Body; got != "two" {
		t.Errorf("overwritten object reads %q", got)
	}
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b + "/again"})
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b + "/again"})
	c.Want(t, 404, "NoSuchKey", Request{Method: "GET", Path: "/" + b + "/again"})
}

// OddKeys are names that naive servers change, refuse or mix up.
var OddKeys = []string{
	"plain", "with space", "a+b", "a%b", "%41", "%2F", "a/b", "a//b", "//", "/lead", "trail/", "/", ".", "..", "../up", "a/../b", "./a", "a/.",
	"ünïcödé", "日本語/キー", "emoji-😀", "tab\there", "ctl\x01\x7f", "new\nline", "quote\"'<>&amp;", "back\\slash", "semi;colon", "q?uery", "ha#sh",
	"a=b&c=d", "*", "~tilde", "con", strings.Repeat("k", 1024), strings.Repeat("é", 512),
}

func testKeys(t *testing.T, c *Client) {
	b := c.Bucket(t)
	for _, key := range OddKeys {
		c.Put(t, "/"+b+"/"+key, "body of "+key, nil)
	}
	for _, key := range OddKeys {
		if got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/" + key}).Body; got != "body of "+key {
			t.Errorf("key %q reads %q", key, got)
		}
	}
	res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "encoding-type=url&list-type=2"})
	if got := decodeAll(t, res.Texts("Key")); !equalSorted(got, OddKeys) {
		t.Errorf("listed keys %q\nwant %q", got, OddKeys)
	}
	raw := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "list-type=2&prefix=ctl"})
	if !strings.Contains(raw.Body, "<Key>ctl&#x1;&#x7F;</Key>") {
		t.Errorf("control characters are not written as references: %s", raw.Body)
	}
	c.Want(t, 400, "KeyTooLongError", Request{Method: "PUT", Path: "/" + b + "/" + strings.Repeat("k", 1025), Body: "x"})
	c.Want(t, 400, "InvalidURI", Request{Method: "PUT", Path: "/" + b + "/\xff", Body: "x"})
	c.Want(t, 400, "InvalidArgument", Request{Method: "PUT", Path: "/" + b + "/nul\x00", Body: "x"})
	for _, key := range OddKeys {
		c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b + "/" + key})
	}
}

func testAttributes(t *testing.T, c *Client) {
	b := c.Bucket(t)
	header := map[string]string{
		"Content-Type": "text/x-test; charset=utf-8", "Cache-Control": "max-age=5", "Content-Disposition": `attachment; filename="a b"`,
		"Content-Language": "de, en", "Expires": "Thu, 01 Dec 2050 16:00:00 GMT", "Content-Encoding": "gzip",
		"X-Amz-Meta-S3cmd-Attrs": "md5:ab/uid:0", "X-Amz-Meta-MiXed": "Value, with  blanks", "X-Amz-Meta-Empty": "",
		"X-Amz-Storage-Class": "STANDARD", "X-Amz-Acl": "private", "X-Amz-Tagging": "a=1&b=two%20words",
	}
	c.Put(t, "/"+b+"/k", "x", header)
	for _, method := range []string{"GET", "HEAD"} {
		res := c.Want(t, 200, "", Request{Method: method, Path: "/" + b + "/k"})
		for name, want := range header {
			switch name {
			case "X-Amz-Storage-Class", "X-Amz-Acl", "X-Amz-Tagging":
				continue
			}
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", method, name, got, want)
			}
		}
		if got := res.Header.Get("X-Amz-Tagging-Count"); got != "2" {
			t.Errorf("x-amz-tagging-count = %q, want 2", got)
		}
	}
	tags := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/k", Query: "tagging"})
	if got := fmt.Sprint(tags.Texts("Key"), tags.Texts("Value")); got != "[a b] [1 two words]" {
		t.Errorf("tags = %s", got)
	}
	c.Put(t, "/"+b+"/u", "x", map[string]string{"X-Amz-Meta-Name": "Grüße"})
	if got := c.Want(t, 200, "", Request{Method: "HEAD", Path: "/" + b + "/u"}).Header.Get("X-Amz-Meta-Name"); got != "=?UTF-8?b?R3LDvMOfZQ==?=" {
		t.Errorf("metadata outside of ASCII comes back as %q", got)
	}
	c.Put(t, "/"+b+"/big", "x", map[string]string{"X-Amz-Meta-A": strings.Repeat("v", 2047)})
	c.Want(t, 400, "MetadataTooLarge", Request{Method: "PUT", Path: "/" + b + "/big2", Body: "x", Header: map[string]string{"X-Amz-Meta-A": strings.Repeat("v", 2048)}})
	c.Want(t, 400, "InvalidStorageClass", Request{Method: "PUT", Path: "/" + b + "/s", Body: "x", Header: map[string]string{"X-Amz-Storage-Class": "ICE"}})
	c.Want(t, 400, "InvalidTag", Request{Method: "PUT", Path: "/" + b + "/s", Body: "x", Header: map[string]string{"X-Amz-Tagging": "aws:x=1"}})
	c.Want(t, 400, "InvalidArgument", Request{Method: "PUT", Path: "/" + b + "/s", Body: "x", Header: map[string]string{"X-Amz-Tagging": "a=1&a=2"}})
	res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/k", Query: "response-content-type=text%2Fplain&response-cache-control=no-store&response-content-disposition=inline"})
	if res.Header.Get("Content-Type") != "text/plain" || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Disposition") != "inline" {
		t.Errorf("response overrides were not applied: %v", res.Header)
	}
	c.Want(t, 400, "InvalidArgument", Request{Method: "GET", Path: "/" + b + "/k", Query: "response-content-type=a%0d%0aX-Evil:%201"})
}

func testRanges(t *testing.T, c *Client) {
	b := c.Bucket(t)
	body := pattern(200_000)
	c.Put(t, "/"+b+"/k", body, nil)
	c.Put(t, "/"+b+"/empty", "", nil)
	for _, r := range []struct {
		header      string
		first, last int // last < 0: the whole object, 200
	}{
		{"bytes=0-0", 0, 0}, {"bytes=5-9", 5, 9}, {"bytes=199999-", 199999, 199999}, {"bytes=65519-65521", 65519, 65521},
		{"bytes=100-999999999", 100, 199999}, {"bytes=-7", 199993, 199999}, {"bytes=-999999", 0, 199999}, {"bytes=0-", 0, 199999},
		{"bytes=0-99999999999999999999", 0, 199999},
		{"bytes=9-5", 0, -1}, {"octets=0-1", 0, -1}, {"bytes=0-1,3-4", 0, -1}, {"bytes=a-b", 0, -1}, {"bytes=", 0, -1}, {"bytes=-", 0, -1}, {"bytes 0-1", 0, -1},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			status, want, contentRange := 206, "", ""
			if r.last < 0 {
				status, want = 200, body
			} else {
				want = body[r.first : r.last+1]
				contentRange = fmt.Sprintf("bytes %d-%d/%d", r.first, r.last, len(body))
			}
			res := c.Want(t, status, "", Request{Method: method, Path: "/" + b + "/k", Header: map[string]string{"Range": r.header}})
			if method == "GET" && res.Body != want {
				t.Errorf("%s gave %d bytes, want %d others", r.header, len(res.Body), len(want))
			}
			if got := res.Header.Get("Content-Range"); got != contentRange {
				t.Errorf("%s %s: Content-Range %q, want %q", method, r.header, got, contentRange)
			}
			if got := res.Header.Get("Content-Length"); got != itoa(len(want)) {
				t.Errorf("%s %s: Content-Length %q, want %d", method, r.header, got, len(want))
			}
		}
	}
	for _, header := range []string{"bytes=200000-", "bytes=200000-200001", "bytes=-0", "bytes=99999999999999999999-"} {
		res := c.Want(t, 416, "InvalidRange", Request{Method: "GET", Path: "/" + b + "/k", Header: map[string]string{"Range": header}})
		if res.Header.Get("Content-Range") != "bytes */200000" || res.Text("ActualObjectSize") != "200000" || res.Text("RangeRequested") != header {
			t.Errorf("%s: %v %s", header, res.Header, res.Body)
		}
	}
	c.Want(t, 416, "InvalidRange", Request{Method: "GET", Path: "/" + b + "/empty", Header: map[string]string{"Range": "bytes=0-0"}})
	c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/empty", Header: map[string]string{"Range": "bytes=-5"}})
	res := c.Want(t, 206, "", Request{Method: "GET", Path: "/" + b + "/k", Query: "partNumber=1"})
	if res.Body != body || res.Header.Get("X-Amz-Mp-Parts-Count") != "" {
		t.Errorf("partNumber=1 of an object put whole gave %d bytes, parts count %q", len(res.Body), res.Header.Get("X-Amz-Mp-Parts-Count"))
	}
	c.Want(t, 416, "InvalidPartNumber", Request{Method: "GET", Path: "/" + b + "/k", Query: "partNumber=2"})
	c.Want(t, 400, "InvalidRequest", Request{Method: "GET", Path: "/" + b + "/k", Query: "partNumber=1", Header: map[string]string{"Range": "bytes=0-1"}})
	c.Want(t, 400, "InvalidArgument", Request{Method: "GET", Path: "/" + b + "/k", Query: "partNumber=0"})
}

func testConditionalReads(t *testing.T, c *Client) {
	b := c.Bucket(t)
	etag := c.Put(t, "/"+b+"/k", "x", nil).Header.Get("Etag")
	bare := strings.Trim(etag, `"`)
	past, future := "Wed, 21 Oct 2015 07:28:00 GMT", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	now := c.Want(t, 200, "", Request{Method: "HEAD", Path: "/" + b + "/k"}).Header.Get("Last-Modified")
	for _, r := range []struct {
		status int
		header map[string]string
	}{
		{200, map[string]string{"If-Match": etag}}, {200, map[string]string{"If-Match": bare}}, {200, map[string]string{"If-Match": "*"}},
		{200, map[string]string{"If-Match": `"no", ` + etag}}, {412, map[string]string{"If-Match": `"no"`}},
		{304, map[string]string{"If-None-Match": etag}}, {304, map[string]string{"If-None-Match": "W/" + etag}}, {304, map[string]string{"If-None-Match": "*"}},
		{200, map[string]string{"If-None-Match": `"no"`}},
		{200, map[string]string{"If-Modified-Since": past}}, {304, map[string]string{"If-Modified-Since": now}},
		{200, map[string]string{"If-Modified-Since": future}}, {200, map[string]string{"If-Modified-Since": "nonsense"}},
		{412, map[string]string{"If-Unmodified-Since": past}}, {200, map[string]string{"If-Unmodified-Since": now}},
		{200, map[string]string{"If-Match": etag, "If-Unmodified-Since": past}},
		{412, map[string]string{"If-Match": `"no"`, "If-Unmodified-Since": now}},
		{304, map[string]string{"If-None-Match": etag, "If-Modified-Since": past}},
		{200, map[string]string{"If-None-Match": `"no"`, "If-Modified-Since": now}},
		{412, map[string]string{"If-None-Match": etag, "If-Unmodified-Since": past}},
		{304, map[string]string{"If-Match": etag, "If-None-Match": etag}},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			res := c.Want(t, r.status, "", Request{Method: method, Path: "/" + b + "/k", Header: r.header})
			if got := res.Header.Get("Etag"); got != etag {
				t.Errorf("%d for %v has ETag %q", r.status, r.header, got)
			}
			if res.Header.Get("Last-Modified") != now {
				t.Errorf("%d for %v has Last-Modified %q, want %q", r.status, r.header, res.Header.Get("Last-Modified"), now)
			}
			if r.status == 304 && res.Body != "" {
				t.Errorf("304 has a body")
			}
		}
	}
	res := c.Want(t, 412, "PreconditionFailed", Request{Method: "GET", Path: "/" + b + "/k", Header: map[string]string{"If-Match": "no"}})
	if res.Text("Condition") != "If-Match" {
		t.Errorf("Condition = %q", res.Text("Condition"))
	}
}

func testConditionalWrites(t *testing.T, c *Client) {
	b := c.Bucket(t)
	put := func(status int, code, key string, header map[string]string) *Response {
		t.Helper()
		return c.Want(t, status, code, Request{Method: "PUT", Path: "/" + b + "/" + key, Body: "body", Header: header})
	}
	put(404, "NoSuchKey", "k", map[string]string{"If-Match": `"x"`})
	etag := put(200, "", "k", map[string]string{"If-None-Match": "*"}).Header.Get("Etag")
	if got := put(412, "PreconditionFailed", "k", map[string]string{"If-None-Match": "*"}).Text("Condition"); got != "If-None-Match" {
		t.Errorf("Condition = %q", got)
	}
	put(200, "", "k", map[string]string{"If-Match": etag})
	put(412, "PreconditionFailed", "k", map[string]string{"If-Match": `"x"`})
	put(501, "NotImplemented", "k", map[string]string{"If-None-Match": etag})
	put(501, "NotImplemented", "k", map[string]string{"If-None-Match": "*", "If-Match": etag})
	for range 3 { // exactly one of many wins
		key := "race-" + itoa(time.Now().UnixNano())
		const racers = 8
		codes := make(chan int, racers)
		for i := range racers {
			go func() {
				res, err := c.Try(t.Context(), Request{Method: "PUT", Path: "/" + b + "/" + key, Body: itoa(i), Header: map[string]string{"If-None-Match": "*"}})
				if err != nil {
					codes <- 0
					return
				}
				codes <- res.Status
			}()
		}
		won := 0
		for range racers {
			switch code := <-codes; code {
			case 200:
				won++
			case 412, 409:
			default:
				t.Errorf("a loser got %d", code)
			}
		}
		if won != 1 {
			t.Errorf("%d of %d conditional writes won", won, racers)
		}
	}
	c.Want(t, 412, "PreconditionFailed", Request{Method: "DELETE", Path: "/" + b + "/k", Header: map[string]string{"If-Match": `"x"`}})
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b + "/k", Header: map[string]string{"If-Match": etag}})
}

func testDigests(t *testing.T, c *Client) {
	b := c.Bucket(t)
	path := "/" + b + "/k"
	gone := func(what string) {
		t.Helper()
		if res := c.Do(t, Request{Method: "GET", Path: path}); res.Status != 404 {
			t.Fatalf("after %s: the object is there", what)
		}
	}
	put := func(status int, code string, header map[string]string) *Response {
		t.Helper()
		return c.Want(t, status, code, Request{Method: "PUT", Path: path, Body: "hello", Header: header})
	}
	put(400, "InvalidDigest", map[string]string{"Content-Md5": "nonsense"})
	put(400, "BadDigest", map[string]string{"Content-Md5": base64MD5("other")})
	put(400, "BadDigest", map[string]string{"X-Amz-Checksum-Crc32": checksum.Of(checksum.CRC32, []byte("other"))})
	put(400, "InvalidRequest", map[string]string{"X-Amz-Checksum-Crc32": "AAAA"})
	put(400, "InvalidRequest", map[string]string{"X-Amz-Checksum-Crc32": "NhCmhg==", "X-Amz-Checksum-Sha1": checksum.Of(checksum.SHA1, []byte("hello"))})
	put(400, "InvalidRequest", map[string]string{"X-Amz-Sdk-Checksum-Algorithm": "CRC32"})
	put(400, "InvalidRequest", map[string]string{"X-Amz-Sdk-Checksum-Algorithm": "SHA1", "X-Amz-Checksum-Crc32": "NhCmhg=="})
	put(501, "NotImplemented", map[string]string{"X-Amz-Checksum-Xxhash64": "AAAAAAAAAAA="})
	c.Want(t, 400, "XAmzContentSHA256Mismatch", Request{Method: "PUT", Path: path, Body: "hello", Tamper: func(r *http.Request) {
		r.Body = readCloser("jello")
	}})
	gone("refused digests")
	put(200, "", map[string]string{"Content-Md5": base64MD5("hello")})
	res := c.Want(t, 200, "", Request{Method: "GET", Path: path, Header: map[string]string{"X-Amz-Checksum-Mode": "enabled"}})
	if got, want := res.Header.Get("X-Amz-Checksum-Crc64nvme"), checksum.Of(checksum.CRC64NVME, []byte("hello")); got != want {
		t.Errorf("the checksum stored by default is %q, want %q", got, want)
	}
	for _, algorithm := range checksum.Algorithms() {
		header := "X-Amz-Checksum-" + algorithm
		want := checksum.Of(algorithm, []byte("hello"))
		if got := put(200, "", map[string]string{header: want}).Header.Get(header); got != want {
			t.Errorf("PUT with %s answers %q, want %q", algorithm, got, want)
		}
		res := c.Want(t, 200, "", Request{Method: "GET", Path: path, Header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}})
		if got := res.Header.Get(header); got != want || res.Header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
			t.Errorf("GET gives %s %q, want %q", algorithm, got, want)
		}
		for _, h := range []map[string]string{{}, {"X-Amz-Checksum-Mode": "ENABLED", "Range": "bytes=1-2"}} {
			if got := c.Do(t, Request{Method: "GET", Path: path, Header: h}).Header.Get(header); got != "" {
				t.Errorf("GET with %v gives a checksum", h)
			}
		}
	}
}

func testFramings(t *testing.T, c *Client) {
	b := c.Bucket(t)
	for i, n := range []int{0, 5, 65536, 200_001} {
		body := pattern(n)
		for _, algorithm := range []string{checksum.CRC32, checksum.CRC64NVME, checksum.SHA256} {
			for _, payload := range []sigv4.Payload{sigv4.PayloadChunked, sigv4.PayloadChunkedTrailer, sigv4.PayloadUnsignedTrailer} {
				q := Request{Method: "PUT", Path: fmt.Sprintf("/%s/%d-%d", b, payload, i), Body: body, Payload: payload}
				if payload != sigv4.PayloadChunked {
					q.Trailer, q.Value = "x-amz-checksum-"+strings.ToLower(algorithm), checksum.Of(algorithm, []byte(body))
					q.Header = map[string]string{"X-Amz-Sdk-Checksum-Algorithm": algorithm}
				}
				c.Want(t, 200, "", q)
				res := c.Want(t, 200, "", Request{Method: "GET", Path: q.Path, Header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}})
				if res.Body != body || res.Header.Get("Content-Encoding") != "" {
					t.Errorf("%v of %d bytes came back as %d bytes, encoding %q", payload, n, len(res.Body), res.Header.Get("Content-Encoding"))
				}
				if q.Trailer != "" && res.Header.Get(q.Trailer) != q.Value {
					t.Errorf("%v: checksum %q, want %q", payload, res.Header.Get(q.Trailer), q.Value)
				}
				if q.Trailer != "" {
					q.Path += "-bad"
					q.Value = checksum.Of(algorithm, []byte(body+"x"))
					c.Want(t, 400, "BadDigest", q)
					c.Want(t, 404, "NoSuchKey", Request{Method: "GET", Path: q.Path})
				}
			}
		}
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: "/" + b + "/enc", Body: "hello", Payload: sigv4.PayloadChunked, Header: map[string]string{"Content-Encoding": "gzip"}})
	if got := c.Do(t, Request{Method: "HEAD", Path: "/" + b + "/enc"}).Header.Get("Content-Encoding"); got != "gzip" {
		t.Errorf("Content-Encoding = %q, want gzip", got)
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: "/" + b + "/plain", Body: "hello", Header: map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}})
	c.Want(t, 411, "MissingContentLength", Request{Method: "PUT", Path: "/" + b + "/nolen", Body: "hello", Tamper: func(r *http.Request) { r.ContentLength = -1 }})
}
