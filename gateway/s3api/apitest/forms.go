package apitest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Form is an upload as a browser makes it.
type Form struct {
	Bucket     string
	Fields     [][2]string // key and what else goes before the file
	Conditions []any       // for what Fields does not fix; see Signed
	File       string
	Filename   string
	Behind     string // a field behind the file, when not empty
	Expires    time.Time
	Unsigned   bool
	// Tamper changes the fields after they were signed.
	Tamper func(fields map[string]string)
}

// Encode returns the body and its Content-Type. Every field is signed as it is,
// unless Conditions speak of it.
func (f Form) Encode(t testing.TB, c *Client) (body, contentType string) {
	t.Helper()
	fields := map[string]string{}
	var order []string
	for _, p := range f.Fields {
		fields[p[0]] = p[1]
		order = append(order, p[0])
	}
	if !f.Unsigned {
		order = append(order, c.sign(t, f, fields)...)
	}
	if f.Tamper != nil {
		f.Tamper(fields)
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	write := func(name, value string) {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range order {
		if value, ok := fields[name]; ok {
			write(name, value)
		}
	}
	file, err := w.CreateFormFile("file", f.Filename)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte(f.File)); err != nil {
		t.Fatal(err)
	}
	if f.Behind != "" {
		write(f.Behind, "Upload")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// sign adds the policy and its signature to the fields and names them.
func (c *Client) sign(t testing.TB, f Form, fields map[string]string) []string {
	t.Helper()
	now := time.Now().UTC()
	scope := []string{now.Format("20060102"), c.Region, "s3", "aws4_request"}
	fields["x-amz-algorithm"] = "AWS4-HMAC-SHA256"
	fields["x-amz-credential"] = c.Signer.AccessKey + "/" + strings.Join(scope, "/")
	fields["x-amz-date"] = now.Format("20060102T150405Z")
	conditions := append([]any{map[string]string{"bucket": f.Bucket}}, f.Conditions...)
	spoken, err := json.Marshal(f.Conditions)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		if !bytes.Contains(spoken, []byte(`"$`+name+`"`)) {
			conditions = append(conditions, map[string]string{name: value})
		}
	}
	expires := f.Expires
	if expires.IsZero() {
		expires = now.Add(time.Hour)
	}
	doc, err := json.Marshal(map[string]any{"expiration": expires.UTC().Format(time.RFC3339), "conditions": conditions})
	if err != nil {
		t.Fatal(err)
	}
	fields["policy"] = base64.StdEncoding.EncodeToString(doc)
	key := []byte("AWS4" + string(c.Signer.SecretKey))
	for _, s := range append(scope, fields["policy"]) {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(s))
		key = m.Sum(nil)
	}
	fields["x-amz-signature"] = hex.EncodeToString(key)
	return []string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "policy", "x-amz-signature"}
}

// Post sends a form.
func (c *Client) Post(t testing.TB, bucket string, f Form) *Response {
	t.Helper()
	body, contentType := f.Encode(t, c)
	return c.Fetch(t, http.MethodPost, c.Endpoint+"/"+bucket, body, map[string]string{"Content-Type": contentType})
}

func testForms(t *testing.T, c *Client) {
	b := c.Bucket(t)
	anyKey := []any{[]any{"starts-with", "$key", "up/"}}
	large := pattern(1<<20 + 300_000)
	for _, f := range []struct {
		form   Form
		key    string
		status int
	}{
		{Form{Fields: [][2]string{{"key", "up/plain"}}, File: "hello"}, "up/plain", 204},
		{Form{Fields: [][2]string{{"key", "up/${filename}"}}, Conditions: anyKey, File: "named", Filename: "a b+日.txt"}, "up/a b+日.txt", 204},
		{Form{Fields: [][2]string{{"key", "up/empty"}, {"success_action_status", "200"}}}, "up/empty", 200},
		{Form{Fields: [][2]string{{"key", "up/behind"}, {"success_action_status", "201"}}, File: "button", Behind: "submit"}, "up/behind", 201},
		{Form{Fields: [][2]string{{"key", "up/large"}}, File: large}, "up/large", 204},
		{Form{Fields: [][2]string{{"key", "up/back"}, {"success_action_redirect", "https://app.example/done?x=1#top"}}, File: "r"}, "up/back", 303},
		{Form{Fields: [][2]string{{"key", "up/nowhere"}, {"redirect", "javascript:alert(1)"}}, File: "r"}, "up/nowhere", 204},
		{Form{Fields: [][2]string{{"key", "up/meta"}, {"Content-Type", "image/png"}, {"x-amz-meta-by", "anna"}, {"acl", "private"}, {"x-ignore-this", "1"},
			{"tagging", tagging("a", "b")}, {"Content-MD5", base64MD5("meta")}}, File: "meta"}, "up/meta", 204},
		{Form{Fields: [][2]string{{"key", "up/range"}}, Conditions: []any{[]any{"content-length-range", 5, 5}}, File: "12345"}, "up/range", 204},
	} {
		f.form.Bucket = b
		res := c.Post(t, b, f.form)
		if res.Status != f.status || res.Header.Get("Etag") == "" || res.Header.Get("Location") == "" {
			t.Errorf("form for %q: %d %v %.300s", f.key, res.Status, res.Header, res.Body)
		}
		if f.status == 201 && (res.Text("Key") != f.key || res.Text("ETag") != res.Header.Get("Etag") || res.Text("Bucket") != b) {
			t.Errorf("answer to a form: %s", res.Body)
		}
		if at := res.Header.Get("Location"); f.status == 303 && !strings.HasPrefix(at, "https://app.example/done?bucket="+b+"&etag=%22"+hexMD5("r")+"%22&key=up%2Fback&x=1") {
			t.Errorf("sent on to %q", at)
		}
		if got := c.Do(t, Request{Method: "GET", Path: "/" + b + "/" + f.key}); got.Status != 200 || got.Body != f.form.File {
			t.Errorf("stored by a form under %q: %d, %d bytes, want %d", f.key, got.Status, len(got.Body), len(f.form.File))
		}
	}
	if h := c.Do(t, Request{Method: "HEAD", Path: "/" + b + "/up/meta"}).Header; h.Get("Content-Type") != "image/png" || h.Get("X-Amz-Meta-By") != "anna" || h.Get("X-Amz-Tagging-Count") != "1" {
		t.Errorf("headers of a form: %v", h)
	}
	testRefusedForms(t, c, b, large)
}

func testRefusedForms(t *testing.T, c *Client, b, large string) {
	other := c.Bucket(t)
	plain := [][2]string{{"key", "no"}}
	set := func(name, value string) func(map[string]string) {
		return func(fields map[string]string) { fields[name] = value }
	}
	for name, r := range map[string]struct {
		status int
		code   string
		to     string
		form   Form
	}{
		"unsigned":          {403, "AccessDenied", b, Form{Unsigned: true}},
		"other bucket":      {403, "AccessDenied", other, Form{}},
		"bucket as a field": {403, "AccessDenied", other, Form{Fields: [][2]string{{"key", "no"}, {"bucket", b}}}},
		"altered policy":    {403, "SignatureDoesNotMatch", b, Form{Tamper: func(m map[string]string) { m["policy"] = "a" + m["policy"] }}},
		"altered signature": {403, "SignatureDoesNotMatch", b, Form{Tamper: set("x-amz-signature", strings.Repeat("0", 64))}},
		"unknown key": {403, "InvalidAccessKeyId", b, Form{Tamper: func(m map[string]string) {
			m["x-amz-credential"] = strings.Replace(m["x-amz-credential"], c.Signer.AccessKey, "NOBODY", 1)
		}}},
		"no signature":          {400, "InvalidArgument", b, Form{Tamper: func(m map[string]string) { delete(m, "x-amz-signature") }}},
		"altered key":           {403, "AccessDenied", b, Form{Tamper: set("key", "elsewhere")}},
		"added field":           {403, "AccessDenied", b, Form{Fields: [][2]string{{"key", "no"}, {"acl", "private"}}, Tamper: set("acl", "public-read")}},
		"key without condition": {403, "AccessDenied", b, Form{Fields: [][2]string{{"key", "no/${filename}"}}, Filename: "x"}},
		"expired":               {403, "AccessDenied", b, Form{Expires: time.Now().Add(-time.Minute)}},
		"too short":             {400, "EntityTooSmall", b, Form{Conditions: []any{[]any{"content-length-range", 6, 9}}}},
		"too long":              {400, "EntityTooLarge", b, Form{Conditions: []any{[]any{"content-length-range", 1, 4}}}},
		"large and too long":    {400, "EntityTooLarge", b, Form{File: large, Conditions: []any{[]any{"content-length-range", 1, len(large) - 1}}}},
		"large, field behind":   {400, "MalformedPOSTRequest", b, Form{File: large, Behind: "submit"}},
		"public acl":            {400, "AccessControlListNotSupported", b, Form{Fields: [][2]string{{"key", "no"}, {"acl", "public-read"}}}},
		"bad digest":            {400, "BadDigest", b, Form{Fields: [][2]string{{"key", "no"}, {"content-md5", base64MD5("x")}}}},
		"no such bucket":        {404, "NoSuchBucket", b + "-no", Form{Bucket: b + "-no"}},
		"key too long":          {400, "KeyTooLongError", b, Form{Fields: [][2]string{{"key", strings.Repeat("k", 1025)}}}},
		"no key":                {400, "InvalidArgument", b, Form{Fields: [][2]string{{"x-ignore-1", ""}}}},
		"strange field":         {400, "InvalidArgument", b, Form{Fields: [][2]string{{"key", "no"}, {"x-amz-meta-a b", "c"}}}},
	} {
		f := r.form
		if f.Bucket == "" {
			f.Bucket = b
		}
		if f.Fields == nil {
			f.Fields = plain
		}
		if f.File == "" {
			f.File = "12345"
		}
		if res := c.Post(t, r.to, f); res.Status != r.status || res.Code() != r.code {
			t.Errorf("form, %s: %d %s, want %d %s: %.300s", name, res.Status, res.Code(), r.status, r.code, res.Body)
		}
	}
	body, kind := Form{Bucket: b, Fields: plain, File: "x"}.Encode(t, c)
	c.Want(t, 400, "InvalidRequest", Request{Method: "POST", Path: "/" + b, Body: body, Header: map[string]string{"Content-Type": kind}})
	c.Want(t, 412, "PreconditionFailed", Request{Method: "POST", Path: "/" + b, Body: body})
	c.Want(t, 403, "AccessDenied", Request{Method: "POST", Path: "/" + b, Body: body, Anonymous: true})
	c.Want(t, 403, "AccessDenied", Request{Method: "POST", Path: "/" + b, Query: "uploads", Body: body, Anonymous: true, Header: map[string]string{"Content-Type": kind}})
	c.Want(t, 204, "", Request{Method: "PUT", Path: "/" + b, Query: "policy", Body: policyDocument(b, `{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"BUCKET/no"}`)})
	if res := c.Post(t, b, Form{Bucket: b, Fields: plain, File: "x"}); res.Status != 403 || res.Code() != "AccessDenied" {
		t.Errorf("form for a denied key: %d %s", res.Status, res.Body)
	}
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b, Query: "policy"})
	for _, bucket := range []string{b, other} {
		if keys := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + bucket, Query: "prefix=no"}).Texts("Key"); len(keys) > 0 {
			t.Errorf("refused forms stored %q", keys)
		}
	}
}
