package apitest

import (
	"net/url"
	"strings"
	"testing"
)

func tagging(pairs ...string) string {
	var b strings.Builder
	b.WriteString(`<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>`)
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<Tag><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></Tag>")
	}
	return b.String() + "</TagSet></Tagging>"
}

func tagsOf(t *testing.T, c *Client, path string) string {
	t.Helper()
	res := c.Want(t, 200, "", Request{Method: "GET", Path: path, Query: "tagging"})
	keys, values := res.Texts("Key"), res.Texts("Value")
	if len(keys) != len(values) {
		t.Fatalf("GET %s?tagging: %s", path, res.Body)
	}
	text := ""
	for i := range keys {
		text += keys[i] + "=" + values[i] + ";"
	}
	return text
}

func testTagging(t *testing.T, c *Client) {
	b := c.Bucket(t)
	path := "/" + b + "/tagged k+"
	first := c.Put(t, path, "hello", map[string]string{"X-Amz-Tagging": "colour=dark%20red&empty=&%E6%97%A5=1%2B1", "X-Amz-Meta-A": "b"})
	was := c.Do(t, Request{Method: "HEAD", Path: path})
	if got := tagsOf(t, c, path); got != "colour=dark red;empty=;日=1+1;" || was.Header.Get("X-Amz-Tagging-Count") != "3" {
		t.Errorf("tags of the header = %q, count %q", got, was.Header.Get("X-Amz-Tagging-Count"))
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: "tagging", Body: tagging("a", "1", "b", "&lt;2&gt;")})
	now := c.Do(t, Request{Method: "HEAD", Path: path})
	if got := tagsOf(t, c, path); got != "a=1;b=<2>;" || now.Header.Get("X-Amz-Tagging-Count") != "2" {
		t.Errorf("after PUT ?tagging = %q, count %q", got, now.Header.Get("X-Amz-Tagging-Count"))
	}
	for _, h := range []string{"Etag", "Last-Modified", "Content-Length", "X-Amz-Meta-A"} {
		if now.Header.Get(h) != was.Header.Get(h) || h == "Etag" && now.Header.Get(h) != first.Header.Get(h) {
			t.Errorf("tagging changed %s from %q to %q", h, was.Header.Get(h), now.Header.Get(h))
		}
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: path + "2", Header: map[string]string{"X-Amz-Copy-Source": url.PathEscape(b + "/tagged k+")}})
	c.Want(t, 200, "", Request{Method: "PUT", Path: path + "3", Header: map[string]string{"X-Amz-Copy-Source": url.PathEscape(b + "/tagged k+"),
		"X-Amz-Tagging-Directive": "REPLACE", "X-Amz-Tagging": "new=1"}})
	if two, three := tagsOf(t, c, path+"2"), tagsOf(t, c, path+"3"); two != "a=1;b=<2>;" || three != "new=1;" {
		t.Errorf("tags of copies = %q, %q", two, three)
	}
	for range 2 {
		c.Want(t, 204, "", Request{Method: "DELETE", Path: path, Query: "tagging"})
	}
	if got := tagsOf(t, c, path); got != "" {
		t.Errorf("after DELETE ?tagging = %q", got)
	}
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: path}); got.Body != "hello" || got.Header.Get("X-Amz-Tagging-Count") != "" {
		t.Errorf("untagged object: %q %v", got.Body, got.Header)
	}
	testUploadTags(t, c, b)
	testBucketTags(t, c, b)
	testTagErrors(t, c, b, path)
}

func testUploadTags(t *testing.T, c *Client, b string) {
	path := "/" + b + "/parts"
	id := c.Want(t, 200, "", Request{Method: "POST", Path: path, Query: "uploads", Header: map[string]string{"X-Amz-Tagging": "x=y"}}).Text("UploadId")
	etag := c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: "partNumber=1&uploadId=" + url.QueryEscape(id), Body: "p"}).Header.Get("Etag")
	c.Want(t, 200, "", Request{Method: "POST", Path: path, Query: "uploadId=" + url.QueryEscape(id),
		Body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + strings.Trim(etag, `"`) + "</ETag></Part></CompleteMultipartUpload>"})
	if got := tagsOf(t, c, path); got != "x=y;" {
		t.Errorf("tags of a multipart object = %q", got)
	}
}

func testBucketTags(t *testing.T, c *Client, b string) {
	c.Want(t, 204, "", Request{Method: "PUT", Path: "/" + b, Query: "tagging", Body: tagging("team", "x", "cost", "7")})
	if got := tagsOf(t, c, "/"+b); got != "team=x;cost=7;" {
		t.Errorf("bucket tags = %q", got)
	}
	for range 2 {
		c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b, Query: "tagging"})
	}
	c.Want(t, 404, "NoSuchTagSet", Request{Method: "GET", Path: "/" + b, Query: "tagging"})
	c.Want(t, 404, "NoSuchBucket", Request{Method: "PUT", Path: "/" + b + "-no", Query: "tagging", Body: tagging("a", "b")})
}

func testTagErrors(t *testing.T, c *Client, b, path string) {
	many := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, "k"+itoa(i), "v")
		}
		return tagging(pairs...)
	}
	for _, e := range []struct {
		path, code, body string
	}{
		{path, "MalformedXML", "<Tagging/>"}, {path, "MalformedXML", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"},
		{path, "MalformedXML", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><More/></Tag></TagSet></Tagging>"},
		{path, "BadRequest", many(11)}, {"/" + b, "BadRequest", many(51)},
		{path, "InvalidTag", tagging("a", "1", "a", "2")}, {path, "InvalidTag", tagging("", "1")}, {path, "InvalidTag", tagging("AWS:x", "1")},
		{path, "InvalidTag", tagging(strings.Repeat("日", 129), "1")}, {path, "InvalidTag", tagging("a", strings.Repeat("v", 257))},
	} {
		c.Want(t, 400, e.code, Request{Method: "PUT", Path: e.path, Query: "tagging", Body: e.body})
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: "tagging", Body: many(10)})
	c.Want(t, 204, "", Request{Method: "PUT", Path: "/" + b, Query: "tagging", Body: many(50)})
	c.Want(t, 404, "NoSuchKey", Request{Method: "PUT", Path: "/" + b + "/none", Query: "tagging", Body: tagging("a", "b")})
	c.Want(t, 404, "NoSuchKey", Request{Method: "DELETE", Path: "/" + b + "/none", Query: "tagging"})
	c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: "tagging&versionId=null", Body: tagging("a", "b")})
}
