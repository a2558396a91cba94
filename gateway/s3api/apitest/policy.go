package apitest

import (
	"strings"
	"testing"
)

// policyDocument makes a policy of statements in which BUCKET stands for the
// bucket's resource.
func policyDocument(bucket string, statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.ReplaceAll(strings.Join(statements, ","), "BUCKET", "arn:aws:s3:::"+bucket) + `]}`
}

const (
	readPublicDir = `{"Sid":"read","Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":"BUCKET/public/*"}`
	listPublicDir = `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:ListBucket","Resource":"BUCKET","Condition":{"StringLike":{"s3:prefix":"public/*"}}}`
	denyDrafts    = `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"BUCKET/public/drafts/*"}`
	fromNowhere   = `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"BUCKET/*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`
)

func testPolicy(t *testing.T, c *Client) {
	b := c.Bucket(t)
	for _, key := range []string{"public/a b+", "public/drafts/x", "private"} {
		c.Put(t, "/"+b+"/"+key, "text of "+key, nil)
	}
	anonymous := func(method, key, query string) Request {
		return Request{Method: method, Path: "/" + b + key, Query: query, Anonymous: true}
	}
	setPolicy := func(status int, code string, statements ...string) {
		t.Helper()
		c.Want(t, status, code, Request{Method: "PUT", Path: "/" + b, Query: "policy", Body: policyDocument(b, statements...)})
	}
	setPolicy(403, "AccessDenied", readPublicDir) // blocked until the owner says otherwise
	setPolicy(204, "", fromNowhere)
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "policyStatus"}).Text("IsPublic"); got != "false" {
		t.Errorf("a policy for one network: IsPublic = %q", got)
	}
	c.Want(t, 403, "AccessDenied", anonymous("GET", "/private", ""))
	testPublicBlock(t, c, b)
	setPolicy(204, "", readPublicDir, listPublicDir, denyDrafts)
	got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "policy"})
	if got.Header.Get("Content-Type") != "application/json" || got.Body != policyDocument(b, readPublicDir, listPublicDir, denyDrafts) {
		t.Errorf("GET ?policy: %s %s", got.Header.Get("Content-Type"), got.Body)
	}
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "policyStatus"}).Text("IsPublic"); got != "true" {
		t.Errorf("a policy for everybody: IsPublic = %q", got)
	}
	if res := c.Want(t, 200, "", anonymous("GET", "/public/a b+", "")); res.Body != "text of public/a b+" {
		t.Errorf("public read: %q", res.Body)
	}
	c.Want(t, 200, "", anonymous("HEAD", "/public/a b+", ""))
	if keys := c.Want(t, 200, "", anonymous("GET", "", "list-type=2&prefix=public%2F")).Texts("Key"); len(keys) != 2 {
		t.Errorf("public listing: %q", keys)
	}
	for _, q := range []Request{
		anonymous("GET", "/private", ""), anonymous("GET", "/public/drafts/x", ""), anonymous("GET", "/public%2Fa b+", ""), anonymous("GET", "/PUBLIC/a b+", ""),
		anonymous("GET", "", ""), anonymous("GET", "", "prefix=p"), anonymous("GET", "", "list-type=2&prefix=private&prefix=public/"), anonymous("GET", "/", ""),
		anonymous("PUT", "/public/new", ""), anonymous("DELETE", "/public/a b+", ""), anonymous("POST", "", "delete"), anonymous("GET", "", "policy"),
		anonymous("GET", "/public/a b+", "tagging"), anonymous("GET", "/public/a b+", "versionId=null"), anonymous("GET", "/public/missing", ""),
		anonymous("GET", "", "uploads"), anonymous("POST", "/public/new", "uploads"), anonymous("PUT", "", "policy"), anonymous("DELETE", "", ""),
	} {
		c.Want(t, 403, "AccessDenied", q)
	}
	for _, spelling := range []string{"/public%2Fdrafts%2Fx", "/public/%64rafts/x", "/%70ublic/drafts%2fx"} {
		if res := c.Fetch(t, "GET", c.Endpoint+"/"+b+spelling, "", nil); res.Status != 403 {
			t.Errorf("GET %s: %d, want 403 as for every spelling of the key", spelling, res.Status)
		}
	}
	c.Want(t, 400, "InvalidRequest", anonymous("GET", "/public/a b+", "response-content-type=text%2Fhtml"))
	chunked := anonymous("GET", "/public/a b+", "")
	chunked.Header = map[string]string{"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
	c.Want(t, 400, "InvalidRequest", chunked)
	testPolicyBindsOwner(t, c, b)
	for range 2 {
		c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b, Query: "policy"})
	}
	c.Want(t, 404, "NoSuchBucketPolicy", Request{Method: "GET", Path: "/" + b, Query: "policy"})
	c.Want(t, 403, "AccessDenied", anonymous("GET", "/public/a b+", ""))
}

func testPublicBlock(t *testing.T, c *Client, b string) {
	block := Request{Method: "PUT", Path: "/" + b, Query: "publicAccessBlock", Body: "<PublicAccessBlockConfiguration><RestrictPublicBuckets>TRUE</RestrictPublicBuckets></PublicAccessBlockConfiguration>"}
	public := Request{Method: "PUT", Path: "/" + b, Query: "policy", Body: policyDocument(b, readPublicDir)}
	read := Request{Method: "GET", Path: "/" + b + "/public/a b+", Anonymous: true}
	c.Want(t, 200, "", block)
	got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "publicAccessBlock"})
	if got.Text("RestrictPublicBuckets") != "true" || got.Text("BlockPublicPolicy") != "false" {
		t.Errorf("public access block: %s", got.Body)
	}
	c.Want(t, 204, "", public)
	c.Want(t, 403, "AccessDenied", read)
	for range 2 {
		c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b, Query: "publicAccessBlock"})
	}
	c.Want(t, 404, "NoSuchPublicAccessBlockConfiguration", Request{Method: "GET", Path: "/" + b, Query: "publicAccessBlock"})
	c.Want(t, 200, "", read)
	block.Body = "<PublicAccessBlockConfiguration><BlockPublicPolicy>maybe</BlockPublicPolicy></PublicAccessBlockConfiguration>"
	c.Want(t, 400, "MalformedXML", block)
}

// The owner's keys are bound by what is denied to everybody.
func testPolicyBindsOwner(t *testing.T, c *Client, b string) {
	c.Want(t, 403, "AccessDenied", Request{Method: "GET", Path: "/" + b + "/public/drafts/x"})
	c.Want(t, 403, "AccessDenied", Request{Method: "DELETE", Path: "/" + b + "/public/drafts/x"})
	c.Want(t, 403, "AccessDenied", Request{Method: "PUT", Path: "/" + b + "/stolen", Header: map[string]string{"X-Amz-Copy-Source": b + "/public/drafts/x"}})
	c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/private"})
	c.Want(t, 200, "", Request{Method: "PUT", Path: "/" + b + "/public/new", Body: "x"})
	c.Want(t, 404, "NoSuchKey", Request{Method: "GET", Path: "/" + b + "/public/missing"})
	for _, d := range []string{"", "{}", policyDocument(b, `{"Effect":"Allow"}`), policyDocument(b+"x", readPublicDir), policyDocument(b, strings.Replace(readPublicDir, `"*"`, `{"AWS":"123456789012"}`, 1))} {
		c.Want(t, 400, "MalformedPolicy", Request{Method: "PUT", Path: "/" + b, Query: "policy", Body: d})
	}
	c.Want(t, 400, "", Request{Method: "PUT", Path: "/" + b, Query: "policy", Body: strings.Repeat(" ", 21<<10)})
	tagged := Request{Method: "PUT", Path: "/" + b + "/t", Body: "x", Header: map[string]string{"X-Amz-Tagging": "a=b"}}
	c.Want(t, 204, "", Request{Method: "PUT", Path: "/" + b, Query: "policy", Body: policyDocument(b, readPublicDir, denyDrafts,
		`{"Effect":"Deny","Principal":"*","Action":"s3:PutObjectTagging","Resource":"BUCKET/*"}`)})
	c.Want(t, 403, "AccessDenied", tagged)
	tagged.Header = nil
	c.Want(t, 200, "", tagged)
}
