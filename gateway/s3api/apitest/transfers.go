package apitest

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway/checksum"
)

func testCopy(t *testing.T, c *Client) {
	b, other := c.Bucket(t), c.Bucket(t)
	body := pattern(100_000)
	etag := c.Put(t, "/"+b+"/a + b%.txt", body, map[string]string{"Content-Type": "text/plain", "X-Amz-Meta-Mtime": "1", "X-Amz-Tagging": "k=v"}).Header.Get("Etag")
	source := b + "/" + EscapePath("a + b%.txt")
	put := func(status int, code, path string, header map[string]string) *Response {
		t.Helper()
		return c.Want(t, status, code, Request{Method: "PUT", Path: path, Header: header})
	}
	for i, s := range []string{source, "/" + source, source + "?versionId=null", strings.Replace(source, "%2B", "+", 1)} {
		path := fmt.Sprintf("/%s/copy-%d", other, i)
		res := put(200, "", path, map[string]string{"X-Amz-Copy-Source": s})
		if res.Text("ETag") != etag || res.Text("LastModified") == "" {
			t.Errorf("copy of %s: %s", s, res.Body)
		}
		got := c.Want(t, 200, "", Request{Method: "GET", Path: path})
		if got.Body != body || got.Header.Get("Content-Type") != "text/plain" || got.Header.Get("X-Amz-Meta-Mtime") != "1" || got.Header.Get("X-Amz-Tagging-Count") != "1" {
			t.Errorf("the copy of %s differs: %v", s, got.Header)
		}
	}
	self := "/" + b + "/a + b%.txt"
	put(400, "InvalidRequest", self, map[string]string{"X-Amz-Copy-Source": source})
	put(200, "", self, map[string]string{"X-Amz-Copy-Source": source, "X-Amz-Metadata-Directive": "REPLACE", "X-Amz-Meta-Mtime": "2", "Content-Type": "text/html"})
	res := c.Want(t, 200, "", Request{Method: "GET", Path: self})
	if res.Body != body || res.Header.Get("X-Amz-Meta-Mtime") != "2" || res.Header.Get("Content-Type") != "text/html" || res.Header.Get("X-Amz-Tagging-Count") != "1" {
		t.Errorf("replaced metadata: %v", res.Header)
	}
	put(200, "", "/"+b+"/t", map[string]string{"X-Amz-Copy-Source": source, "X-Amz-Tagging-Directive": "REPLACE", "X-Amz-Tagging": "x=1&y=2"})
	if got := c.Do(t, Request{Method: "HEAD", Path: "/" + b + "/t"}).Header.Get("X-Amz-Tagging-Count"); got != "2" {
		t.Errorf("replaced tags: count %q", got)
	}
	if got := put(200, "", "/"+b+"/sum", map[string]string{"X-Amz-Copy-Source": source, "X-Amz-Checksum-Algorithm": "SHA256"}).Text("ChecksumSHA256"); got != checksum.Of(checksum.SHA256, []byte(body)) {
		t.Errorf("checksum of the copy = %q", got)
	}
	past, future := "Wed, 21 Oct 2015 07:28:00 GMT", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, h := range []map[string]string{
		{"If-Match": "no"}, {"If-None-Match": etag}, {"If-Unmodified-Since": past}, {"If-None-Match": etag, "If-Modified-Since": past},
	} {
		header := map[string]string{"X-Amz-Copy-Source": source}
		for k, v := range h {
			header["X-Amz-Copy-Source-"+k] = v
		}
		put(412, "PreconditionFailed", "/"+other+"/cond", header)
	}
	put(200, "", "/"+other+"/cond", map[string]string{"X-Amz-Copy-Source": source, "X-Amz-Copy-Source-If-Match": etag, "X-Amz-Copy-Source-If-Unmodified-Since": past})
	put(200, "", "/"+other+"/cond", map[string]string{"X-Amz-Copy-Source": source, "X-Amz-Copy-Source-If-Modified-Since": past, "X-Amz-Copy-Source-If-Unmodified-Since": future})
	put(412, "PreconditionFailed", "/"+other+"/cond", map[string]string{"X-Amz-Copy-Source": source, "If-None-Match": "*"})
	put(404, "NoSuchKey", "/"+other+"/x", map[string]string{"X-Amz-Copy-Source": b + "/not-there"})
	put(404, "NoSuchBucket", "/"+other+"/x", map[string]string{"X-Amz-Copy-Source": b + "-not/k"})
	put(400, "InvalidArgument", "/"+other+"/x", map[string]string{"X-Amz-Copy-Source": "nonsense"})
	put(400, "InvalidArgument", "/"+other+"/x", map[string]string{"X-Amz-Copy-Source": b + "/%zz"})
	put(400, "InvalidBucketName", "/"+other+"/x", map[string]string{"X-Amz-Copy-Source": "../etc/passwd"})
	put(400, "InvalidArgument", "/"+other+"/x", map[string]string{"X-Amz-Copy-Source": source, "X-Amz-Metadata-Directive": "MERGE"})
}

// partSize is the smallest a part may be that is not the last.
const partSize = 5 << 20

func startUpload(t *testing.T, c *Client, path string, header map[string]string) string {
	t.Helper()
	id := c.Want(t, 200, "", Request{Method: "POST", Path: path, Query: "uploads=", Header: header}).Text("UploadId")
	if id == "" {
		t.Fatal("no upload id")
	}
	return id
}

func partQuery(id string, n int) string {
	return fmt.Sprintf("partNumber=%d&uploadId=%s", n, url.QueryEscape(id))
}

func completeBody(parts ...string) string { // number, etag, number, etag …
	var b strings.Builder
	b.WriteString(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for i := 0; i+1 < len(parts); i += 2 {
		b.WriteString("<Part><PartNumber>" + parts[i] + "</PartNumber><ETag>" + parts[i+1] + "</ETag></Part>")
	}
	b.WriteString("</CompleteMultipartUpload>")
	return b.String()
}

func testMultipart(t *testing.T, c *Client) {
	b := c.Bucket(t)
	path := "/" + b + "/multi part"
	id := startUpload(t, c, path, map[string]string{"Content-Type": "text/plain", "X-Amz-Meta-A": "b"})
	upload := "uploadId=" + url.QueryEscape(id)
	first, last := pattern(partSize), "the end"
	c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: partQuery(id, 2), Body: "replaced"})
	e2 := c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: partQuery(id, 2), Body: first, Header: map[string]string{"Content-Md5": base64MD5(first)}}).Header.Get("Etag")
	e7 := c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: partQuery(id, 7), Body: last}).Header.Get("Etag")
	c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: partQuery(id, 9), Body: "left out"})
	c.Want(t, 404, "NoSuchKey", Request{Method: "GET", Path: path})
	res := c.Want(t, 200, "", Request{Method: "GET", Path: path, Query: upload})
	if got := fmt.Sprint(res.Texts("PartNumber"), res.Texts("Size")); got != fmt.Sprintf("[2 7 9] [%d 7 8]", partSize) {
		t.Errorf("parts: %s", got)
	}
	res = c.Want(t, 200, "", Request{Method: "GET", Path: path, Query: "max-parts=1&part-number-marker=2&" + upload})
	if got := fmt.Sprintln(res.Texts("PartNumber"), res.Text("NextPartNumberMarker"), res.Text("IsTruncated")); got != "[7] 7 true\n" {
		t.Errorf("page of parts: %s", got)
	}
	done := completeBody("2", e2, "7", strings.Trim(e7, `"`))
	want := `"` + hexMD5(string(rawMD5(first))+string(rawMD5(last))) + `-2"`
	for range 2 { // the second is a retry
		res = c.Want(t, 200, "", Request{Method: "POST", Path: path, Query: upload, Body: done})
		if res.Text("ETag") != want || res.Text("Bucket") != b || res.Text("Key") != "multi part" || !strings.HasSuffix(res.Text("Location"), "/multi%20part") {
			t.Errorf("complete: %s, want ETag %s", res.Body, want)
		}
	}
	res = c.Want(t, 200, "", Request{Method: "GET", Path: path})
	if res.Body != first+last || res.Header.Get("Etag") != want || res.Header.Get("Content-Type") != "text/plain" || res.Header.Get("X-Amz-Meta-A") != "b" {
		t.Errorf("the object has %d bytes, %v", len(res.Body), res.Header)
	}
	res = c.Want(t, 206, "", Request{Method: "GET", Path: path, Query: "partNumber=7"})
	if res.Body != last || res.Header.Get("X-Amz-Mp-Parts-Count") != "2" || res.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", partSize, partSize+6, partSize+7) {
		t.Errorf("part 7: %q %v", res.Body, res.Header)
	}
	c.Want(t, 416, "InvalidPartNumber", Request{Method: "GET", Path: path, Query: "partNumber=8"})
	res = c.Want(t, 206, "", Request{Method: "GET", Path: path, Header: map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", partSize-2, partSize+1)}})
	if res.Body != first[partSize-2:]+"th" {
		t.Errorf("a range over the seam gives %q", res.Body)
	}
	c.Want(t, 404, "NoSuchUpload", Request{Method: "PUT", Path: path, Query: partQuery(id, 1), Body: "late"})
	c.Want(t, 404, "NoSuchUpload", Request{Method: "GET", Path: path, Query: upload})
	testCopyPart(t, c, b, path, first+last)
}

func rawMD5(s string) []byte {
	sum := md5.Sum([]byte(s))
	return sum[:]
}

func testCopyPart(t *testing.T, c *Client, b, source, body string) {
	path := "/" + b + "/from copies"
	id := startUpload(t, c, path, nil)
	put := func(status int, code string, n int, header map[string]string) *Response {
		t.Helper()
		header["X-Amz-Copy-Source"] = EscapePath(source)
		return c.Want(t, status, code, Request{Method: "PUT", Path: path, Query: partQuery(id, n), Header: header})
	}
	e1 := put(200, "", 1, map[string]string{}).Text("ETag")
	e2 := put(200, "", 2, map[string]string{"X-Amz-Copy-Source-Range": fmt.Sprintf("bytes=%d-%d", partSize-1, partSize+2)}).Text("ETag")
	for _, r := range []string{"bytes=0-99999999", "bytes=5-", "bytes=-5", "bytes=9-5", "0-5", "bytes=0-1,2-3"} {
		put(400, "InvalidArgument", 3, map[string]string{"X-Amz-Copy-Source-Range": r})
	}
	put(412, "PreconditionFailed", 3, map[string]string{"X-Amz-Copy-Source-If-Match": "no"})
	c.Want(t, 200, "", Request{Method: "POST", Path: path, Query: "uploadId=" + id, Body: completeBody("1", e1, "2", e2)})
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: path}).Body; got != body+body[partSize-1:partSize+3] {
		t.Errorf("the object made of copies has %d bytes, want %d", len(got), len(body)+4)
	}
}

func testMultipartChecksums(t *testing.T, c *Client) {
	b := c.Bucket(t)
	parts := []string{pattern(partSize), "tail"}
	for _, k := range []struct{ algorithm, kind, shape string }{
		{"", "", "FULL_OBJECT"}, {"CRC32", "", "COMPOSITE"}, {"CRC32", "FULL_OBJECT", "FULL_OBJECT"}, {"CRC32C", "COMPOSITE", "COMPOSITE"},
		{"CRC64NVME", "", "FULL_OBJECT"}, {"SHA1", "", "COMPOSITE"}, {"SHA256", "COMPOSITE", "COMPOSITE"},
	} {
		path := "/" + b + "/of " + k.algorithm + k.kind
		header := map[string]string{}
		if k.algorithm != "" {
			header["X-Amz-Checksum-Algorithm"] = k.algorithm
		}
		if k.kind != "" {
			header["X-Amz-Checksum-Type"] = k.kind
		}
		id := startUpload(t, c, path, header)
		var list []string
		for i, p := range parts {
			h := map[string]string{}
			if k.algorithm != "" {
				h["X-Amz-Checksum-"+k.algorithm] = checksum.Of(k.algorithm, []byte(p))
			}
			list = append(list, itoa(i+1), c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: partQuery(id, i+1), Body: p, Header: h}).Header.Get("Etag"))
		}
		algorithm := checksum.PartAlgorithm(k.algorithm)
		want := checksum.Of(algorithm, []byte(parts[0]+parts[1]))
		if k.shape == "COMPOSITE" {
			h := checksum.New(algorithm)
			for _, p := range parts {
				sum, _ := checksum.Decode(algorithm, checksum.Of(algorithm, []byte(p)))
				h.Write(sum)
			}
			want = checksum.Encode(h.Sum(nil)) + "-2"
		}
		complete := Request{Method: "POST", Path: path, Query: "uploadId=" + id, Body: completeBody(list...)}
		if k.algorithm != "" {
			complete.Header = map[string]string{"X-Amz-Checksum-" + k.algorithm: checksum.Of(k.algorithm, []byte("wrong"))}
			c.Want(t, 400, "BadDigest", complete)
			complete.Header = map[string]string{"X-Amz-Checksum-" + k.algorithm: want, "X-Amz-Checksum-Type": k.shape, "X-Amz-Mp-Object-Size": itoa(partSize + 4)}
		}
		res := c.Want(t, 200, "", complete)
		if res.Text("Checksum"+algorithm) != want || res.Text("ChecksumType") != k.shape {
			t.Errorf("%+v: complete gives %s, want %s", k, res.Body, want)
		}
		res = c.Want(t, 200, "", Request{Method: "HEAD", Path: path, Header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}})
		if got := res.Header.Get("X-Amz-Checksum-" + algorithm); got != want || res.Header.Get("X-Amz-Checksum-Type") != k.shape {
			t.Errorf("%+v: HEAD gives %q %q, want %q", k, got, res.Header.Get("X-Amz-Checksum-Type"), want)
		}
	}
	for _, h := range []map[string]string{
		{"X-Amz-Checksum-Algorithm": "SHA1", "X-Amz-Checksum-Type": "FULL_OBJECT"}, {"X-Amz-Checksum-Algorithm": "CRC64NVME", "X-Amz-Checksum-Type": "COMPOSITE"},
		{"X-Amz-Checksum-Type": "COMPOSITE"}, {"X-Amz-Checksum-Algorithm": "ROT13"},
	} {
		c.Want(t, 400, "InvalidRequest", Request{Method: "POST", Path: "/" + b + "/x", Query: "uploads", Header: h})
	}
}

func testMultipartErrors(t *testing.T, c *Client) {
	b := c.Bucket(t)
	path := "/" + b + "/k"
	id := startUpload(t, c, path, nil)
	upload := "uploadId=" + id
	e1 := c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: partQuery(id, 1), Body: "small"}).Header.Get("Etag")
	e2 := c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: partQuery(id, 2), Body: "small too"}).Header.Get("Etag")
	post := func(status int, code, body string, header map[string]string) *Response {
		t.Helper()
		return c.Want(t, status, code, Request{Method: "POST", Path: path, Query: upload, Body: body, Header: header})
	}
	res := post(400, "EntityTooSmall", completeBody("1", e1, "2", e2), nil)
	if res.Text("PartNumber") != "1" || res.Text("MinSizeAllowed") != "5242880" || res.Text("ProposedSize") != "5" {
		t.Errorf("EntityTooSmall: %s", res.Body)
	}
	post(400, "InvalidPartOrder", completeBody("2", e2, "1", e1), nil)
	post(400, "InvalidPartOrder", completeBody("1", e1, "1", e1), nil)
	if got := post(400, "InvalidPart", completeBody("1", hexMD5("x")), nil).Text("PartNumber"); got != "1" {
		t.Errorf("InvalidPart: PartNumber %q", got)
	}
	post(400, "InvalidPart", completeBody("3", e1), nil)
	post(400, "MalformedXML", completeBody(), nil)
	post(400, "MalformedXML", "", nil)
	post(400, "MalformedXML", completeBody("one", e1), nil)
	post(400, "InvalidArgument", completeBody("0", e1), nil)
	post(400, "InvalidRequest", completeBody("1", e1), map[string]string{"X-Amz-Mp-Object-Size": "6"})
	c.Put(t, path, "in the way", nil)
	post(412, "PreconditionFailed", completeBody("1", e1), map[string]string{"If-None-Match": "*"})
	for _, n := range []string{"0", "10001", "-1", "x", ""} {
		c.Want(t, 400, "InvalidArgument", Request{Method: "PUT", Path: path, Query: "partNumber=" + n + "&" + upload, Body: "x"})
	}
	c.Want(t, 400, "BadDigest", Request{Method: "PUT", Path: path, Query: partQuery(id, 1), Body: "x", Header: map[string]string{"Content-Md5": base64MD5("y")}})
	for _, bad := range []string{"nonsense", "..%2F..%2Fetc", "", "%00"} {
		c.Want(t, 404, "NoSuchUpload", Request{Method: "GET", Path: path, Query: "uploadId=" + bad})
		c.Want(t, 404, "NoSuchUpload", Request{Method: "PUT", Path: path, Query: "partNumber=1&uploadId=" + bad, Body: "x"})
		c.Want(t, 404, "NoSuchUpload", Request{Method: "DELETE", Path: path, Query: "uploadId=" + bad})
	}
	c.Want(t, 404, "NoSuchUpload", Request{Method: "GET", Path: "/" + b + "/other", Query: upload})
	post(200, "", completeBody("1", e1), nil) // a small last part may be the only one
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: path}).Body; got != "small" {
		t.Errorf("the object reads %q", got)
	}
	id = startUpload(t, c, path, nil)
	c.Want(t, 204, "", Request{Method: "DELETE", Path: path, Query: "uploadId=" + id})
	c.Want(t, 404, "NoSuchUpload", Request{Method: "PUT", Path: path, Query: partQuery(id, 1), Body: "x"})
	c.Want(t, 404, "NoSuchUpload", Request{Method: "POST", Path: path, Query: "uploadId=" + id, Body: completeBody("1", e1)})
}

func testListUploads(t *testing.T, c *Client) {
	b := c.Bucket(t)
	want := []string{}
	for _, k := range []string{"a", "a", "b/1", "b/2", "c"} {
		id := startUpload(t, c, "/"+b+"/"+k, nil)
		want = append(want, k+" "+id)
	}
	var got []string
	query := "max-uploads=2&uploads="
	for range 10 {
		res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: query})
		keys, ids := res.Texts("Key"), res.Texts("UploadId")
		for i := range keys {
			got = append(got, keys[i]+" "+ids[i])
		}
		if res.Text("IsTruncated") != "true" {
			break
		}
		query = "key-marker=" + url.QueryEscape(res.Text("NextKeyMarker")) + "&max-uploads=2&upload-id-marker=" + res.Text("NextUploadIdMarker") + "&uploads="
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("uploads by pages of two:\n got %v\nwant %v", got, want)
	}
	res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "delimiter=%2F&uploads="})
	if fmt.Sprint(res.Texts("Key"), prefixes(t, res)) != "[a a c] [b/]" {
		t.Errorf("with a delimiter: %v %v", res.Texts("Key"), prefixes(t, res))
	}
	for _, w := range want {
		key, id, _ := strings.Cut(w, " ")
		c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b + "/" + key, Query: "uploadId=" + id})
	}
	if res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "uploads"}); len(res.Texts("Key")) != 0 {
		t.Errorf("after aborting all: %s", res.Body)
	}
}
