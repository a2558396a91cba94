package apitest

import (
	"net/http"
	"strings"
	"testing"
)

const corsDocument = `<?xml version="1.0"?>
<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
 <CORSRule><ID>app</ID><AllowedOrigin>https://*.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>
  <AllowedHeader>X-Amz-*</AllowedHeader><AllowedHeader>content-type</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>
 <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule>
</CORSConfiguration>`

func testCORS(t *testing.T, c *Client) {
	b := c.Bucket(t)
	c.Put(t, "/"+b+"/k", "hello", nil)
	setting := Request{Method: "PUT", Path: "/" + b, Query: "cors", Body: corsDocument}
	c.Want(t, 200, "", setting)
	setting.Anonymous = true
	c.Want(t, 403, "AccessDenied", setting)
	got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: "cors"})
	if strings.Join(got.Texts("AllowedMethod"), " ") != "GET PUT HEAD" || got.Text("ID") != "app" || got.Text("MaxAgeSeconds") != "600" {
		t.Errorf("GET ?cors: %s", got.Body)
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: "/" + b, Query: "cors", Body: got.Body})
	if again := c.Do(t, Request{Method: "GET", Path: "/" + b, Query: "cors"}); again.Body != got.Body {
		t.Errorf("what was read cannot be written back:\n%s\n%s", got.Body, again.Body)
	}
	testPreflights(t, c, b)
	testCrossOrigin(t, c, b)
	c.Want(t, 400, "MalformedXML", Request{Method: "PUT", Path: "/" + b, Query: "cors", Body: "<CORSConfiguration><CORSRule/></CORSConfiguration>"})
	c.Want(t, 400, "InvalidRequest", Request{Method: "PUT", Path: "/" + b, Query: "cors", Body: "<CORSConfiguration>" +
		strings.Repeat("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>", 101) + "</CORSConfiguration>"})
	c.Want(t, 404, "NoSuchBucket", Request{Method: "PUT", Path: "/" + b + "-no", Query: "cors", Body: corsDocument})
	for range 2 {
		c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b, Query: "cors"})
	}
	c.Want(t, 404, "NoSuchCORSConfiguration", Request{Method: "GET", Path: "/" + b, Query: "cors"})
	if res := c.Do(t, Request{Method: "GET", Path: "/" + b + "/k", Header: map[string]string{"Origin": "https://a.example"}}); res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Vary") != "" {
		t.Errorf("without rules: %v", res.Header)
	}
}

// wantHeaders fails unless the answer has exactly these CORS headers.
func wantHeaders(t *testing.T, what string, res *Response, origin, methods, headers, expose, age string) {
	t.Helper()
	want := http.Header{}
	for name, value := range map[string]string{"Origin": origin, "Methods": methods, "Headers": headers} {
		if value != "" {
			want.Set("Access-Control-Allow-"+name, value)
		}
	}
	if origin != "" && origin != "*" {
		want.Set("Access-Control-Allow-Credentials", "true")
	}
	if expose != "" {
		want.Set("Access-Control-Expose-Headers", expose)
	}
	if age != "" {
		want.Set("Access-Control-Max-Age", age)
	}
	for name, values := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") && want.Get(name) != strings.Join(values, "|") {
			t.Errorf("%s: %s: %q, want %q", what, name, values, want.Get(name))
		}
		want.Del(name)
	}
	if len(want) > 0 {
		t.Errorf("%s: missing %v", what, want)
	}
	if vary := res.Header.Get("Vary"); !strings.Contains(vary, "Origin") {
		t.Errorf("%s: Vary: %q", what, vary)
	}
}

func testPreflights(t *testing.T, c *Client, b string) {
	preflight := func(origin, method, headers string) Request {
		q := Request{Method: "OPTIONS", Path: "/" + b + "/k", Anonymous: true, Header: map[string]string{"Origin": origin, "Access-Control-Request-Method": method}}
		if headers != "" {
			q.Header["Access-Control-Request-Headers"] = headers
		}
		return q
	}
	res := c.Want(t, 200, "", preflight("https://a.example", "PUT", "X-Amz-Date, content-type"))
	wantHeaders(t, "preflight", res, "https://a.example", "GET, PUT", "x-amz-date, content-type", "ETag", "600")
	res = c.Want(t, 200, "", preflight("http://elsewhere", "HEAD", ""))
	wantHeaders(t, "preflight of anybody", res, "*", "HEAD", "", "", "")
	for _, q := range []Request{preflight("https://a.example", "DELETE", ""), preflight("https://a.example", "PUT", "x-other"),
		preflight("https://example", "GET", ""), preflight("http://a.example", "GET", "")} {
		wantHeaders(t, "refused preflight", c.Want(t, 403, "AccessForbidden", q), "", "", "", "", "")
	}
	for _, path := range []string{"/" + b + "-no/k", "/", "/No_Bucket/x"} {
		q := preflight("https://a.example", "GET", "")
		q.Path = path
		c.Want(t, 403, "AccessForbidden", q)
	}
	c.Want(t, 400, "BadRequest", preflight("https://a.example", "PATCH", ""))
}

func testCrossOrigin(t *testing.T, c *Client, b string) {
	from := func(origin string, q Request) Request {
		q.Path = "/" + b + "/" + q.Path
		q.Header = map[string]string{"Origin": origin}
		return q
	}
	const page = "https://a.example"
	wantHeaders(t, "GET", c.Want(t, 200, "", from(page, Request{Method: "GET", Path: "k"})), page, "GET, PUT", "", "ETag", "600")
	wantHeaders(t, "PUT", c.Want(t, 200, "", from(page, Request{Method: "PUT", Path: "k2", Body: "x"})), page, "GET, PUT", "", "ETag", "600")
	wantHeaders(t, "HEAD", c.Want(t, 200, "", from(page, Request{Method: "HEAD", Path: "k"})), "*", "HEAD", "", "", "")
	wantHeaders(t, "list", c.Want(t, 200, "", from(page, Request{Method: "GET"})), page, "GET, PUT", "", "ETag", "600")
	wantHeaders(t, "missing key", c.Want(t, 404, "NoSuchKey", from(page, Request{Method: "GET", Path: "none"})), page, "GET, PUT", "", "ETag", "600")
	wantHeaders(t, "forged", c.Want(t, 403, "", from(page, Request{Method: "GET", Path: "k", Tamper: func(r *http.Request) { r.Header.Set("X-Amz-Date", "x") }})), page, "GET, PUT", "", "ETag", "600")
	wantHeaders(t, "anonymous", c.Want(t, 403, "AccessDenied", from(page, Request{Method: "GET", Path: "k", Anonymous: true})), page, "GET, PUT", "", "ETag", "600")
	wantHeaders(t, "DELETE", c.Want(t, 204, "", from(page, Request{Method: "DELETE", Path: "k2"})), "", "", "", "", "")
	wantHeaders(t, "other origin", c.Want(t, 200, "", from("https://b.org", Request{Method: "GET", Path: "k"})), "", "", "", "", "")
	wantHeaders(t, "no origin", c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/k"}), "", "", "", "", "")
	twice := from(page, Request{Method: "GET", Path: "k"})
	twice.Tamper = func(r *http.Request) { r.Header["Origin"] = []string{page, page} }
	wantHeaders(t, "two origins", c.Want(t, 403, "SignatureDoesNotMatch", twice), "", "", "", "", "")
}
