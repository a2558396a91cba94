package apitest

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func decodeAll(t *testing.T, list []string) []string {
	t.Helper()
	out := make([]string, len(list))
	for i, s := range list {
		var err error
		if out[i], err = url.PathUnescape(s); err != nil {
			t.Fatalf("%q is not URL encoded: %v", s, err)
		}
	}
	return out
}

// equalSorted reports whether got is want in byte order.
func equalSorted(got, want []string) bool {
	want = slices.Clone(want)
	slices.Sort(want)
	return slices.Equal(got, want)
}

// twin is the slow obvious listing: keys and common prefixes, in order.
func twin(keys []string, prefix, delimiter, after string) (out []string) {
	sorted := slices.Clone(keys)
	slices.Sort(sorted)
	for _, k := range sorted {
		if !strings.HasPrefix(k, prefix) || k <= after {
			continue
		}
		entry := k
		if at := strings.Index(k[len(prefix):], delimiter); delimiter != "" && at >= 0 {
			entry = k[:len(prefix)+at+len(delimiter)] + "<"
		}
		if len(out) == 0 || out[len(out)-1] != entry {
			out = append(out, entry)
		}
	}
	return out
}

// walk lists page by page and returns keys and prefixes (marked "<") in order.
func walk(t *testing.T, c *Client, bucket string, version, pageSize int, prefix, delimiter, after string) (out []string) {
	t.Helper()
	base := fmt.Sprintf("delimiter=%s&encoding-type=url&max-keys=%d&prefix=%s", url.QueryEscape(delimiter), pageSize, url.QueryEscape(prefix))
	next := ""
	if version == 2 {
		base += "&list-type=2"
		if after != "" {
			next = "&start-after=" + url.QueryEscape(after)
		}
	} else if after != "" {
		next = "&marker=" + url.QueryEscape(after)
	}
	for range 10_000 {
		res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + bucket, Query: base + next})
		page := decodeAll(t, res.Texts("Key"))
		n := len(page)
		for _, p := range prefixes(t, res) {
			page = append(page, p+"<")
			n++
		}
		slices.SortFunc(page, func(a, b string) int { return strings.Compare(strings.TrimSuffix(a, "<"), strings.TrimSuffix(b, "<")) })
		out = append(out, page...)
		truncated := res.Text("IsTruncated") == "true"
		if n > pageSize || truncated && n != pageSize {
			t.Fatalf("a page of %d has %d entries, truncated %v", pageSize, n, truncated)
		}
		if version == 2 && res.Text("KeyCount") != itoa(n) {
			t.Fatalf("KeyCount %s of %d entries", res.Text("KeyCount"), n)
		}
		if !truncated {
			return out
		}
		if version == 2 {
			next = "&continuation-token=" + url.QueryEscape(res.Text("NextContinuationToken"))
		} else {
			marker, err := url.PathUnescape(res.Text("NextMarker"))
			if err != nil {
				t.Fatal(err)
			}
			next = "&marker=" + url.QueryEscape(marker)
		}
	}
	t.Fatal("the listing does not end")
	return nil
}

// prefixes returns the texts of CommonPrefixes/Prefix.
func prefixes(t *testing.T, res *Response) []string {
	t.Helper()
	var out []string
	rest := res.Body
	for {
		_, tail, ok := strings.Cut(rest, "<CommonPrefixes><Prefix>")
		if !ok {
			return out
		}
		text, after, _ := strings.Cut(tail, "</Prefix>")
		out = append(out, decodeAll(t, []string{text})[0])
		rest = after
	}
}

func testListing(t *testing.T, c *Client) {
	b := c.Bucket(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	seen := map[string]bool{}
	var keys []string
	add := func(k string) {
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
			c.Put(t, "/"+b+"/"+k, "x", nil)
		}
	}
	for _, k := range []string{"a", "a/", "a/b", "a/b/c", "a//", "a0", "ab", "é/1", "é/2", "日", "z/y/x", "a\xf4\x8f\xbf\xbf"} {
		add(k)
	}
	alphabet := []string{"a", "b", "/", "é", "-", "//", "\x01"}
	for range 60 {
		k := ""
		for range 1 + rnd.IntN(6) {
			k += alphabet[rnd.IntN(len(alphabet))]
		}
		add(k)
	}
	for range 40 {
		prefix, delimiter, after := "", "", ""
		if k := keys[rnd.IntN(len(keys))]; rnd.IntN(2) == 0 {
			prefix = string([]rune(k)[:rnd.IntN(len([]rune(k)))+1])
		}
		if rnd.IntN(3) > 0 {
			delimiter = []string{"/", "//", "a", "é"}[rnd.IntN(4)]
		}
		if rnd.IntN(3) == 0 && delimiter == "" {
			after = keys[rnd.IntN(len(keys))]
		}
		version, size := 1+rnd.IntN(2), 1+rnd.IntN(9)
		got, want := walk(t, c, b, version, size, prefix, delimiter, after), twin(keys, prefix, delimiter, after)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: V%d prefix %q delimiter %q after %q by %d:\n got %q\nwant %q", seed, version, prefix, delimiter, after, size, got, want)
		}
	}
	testListingArguments(t, c, b, len(keys))
}

func testListingArguments(t *testing.T, c *Client, b string, total int) {
	get := func(status int, code, query string) *Response {
		t.Helper()
		return c.Want(t, status, code, Request{Method: "GET", Path: "/" + b, Query: query})
	}
	if res := get(200, "", "list-type=2&max-keys=0"); res.Text("IsTruncated") != "false" || len(res.Texts("Key")) != 0 || res.Text("MaxKeys") != "0" {
		t.Errorf("max-keys=0: %s", res.Body)
	}
	if res := get(200, "", "encoding-type=url&list-type=2&max-keys=5000"); res.Text("MaxKeys") != "1000" || len(res.Texts("Key")) != total {
		t.Errorf("max-keys=5000: MaxKeys %s, %d keys, want %d", res.Text("MaxKeys"), len(res.Texts("Key")), total)
	}
	get(400, "InvalidArgument", "list-type=2&max-keys=-1")
	get(400, "InvalidArgument", "max-keys=many")
	get(400, "InvalidArgument", "list-type=3")
	get(400, "InvalidArgument", "encoding-type=rot13")
	get(400, "InvalidArgument", "continuation-token=&list-type=2")
	get(400, "InvalidArgument", "continuation-token=AAAA&list-type=2")
	first := get(200, "", "encoding-type=url&list-type=2&max-keys=2")
	token := first.Text("NextContinuationToken")
	second := get(200, "", "continuation-token="+token+"&encoding-type=url&list-type=2&max-keys=2&start-after=zzz")
	before, after := decodeAll(t, first.Texts("Key")), decodeAll(t, second.Texts("Key"))
	if len(before) != 2 || len(after) != 2 || after[0] <= before[1] {
		t.Errorf("the page after %q is %q", before, after)
	}
	get(400, "InvalidArgument", "continuation-token="+token+"&list-type=2&prefix=other")
	forged := "A" + token[1:]
	if token[0] == 'A' {
		forged = "B" + token[1:]
	}
	get(400, "InvalidArgument", "continuation-token="+forged+"&list-type=2")
	if res := get(200, "", "encoding-type=url&max-keys=1"); res.Text("ID") == "" {
		t.Errorf("V1 has no owner: %s", res.Body)
	}
	if res := get(200, "", "encoding-type=url&fetch-owner=true&list-type=2&max-keys=1"); res.Text("ID") == "" {
		t.Errorf("fetch-owner gives no owner: %s", res.Body)
	}
	if res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/", Query: "delimiter=&encoding-type=url&fetch-owner=true&list-type=2&prefix="}); len(res.Texts("Key")) != total {
		t.Errorf("listing as minio-go asks for it has %d keys, want %d", len(res.Texts("Key")), total)
	}
}

func testListVersions(t *testing.T, c *Client) {
	b := c.Bucket(t)
	for _, k := range []string{"a", "b/1", "b/2", "c"} {
		c.Put(t, "/"+b+"/"+k, "x", nil)
	}
	var got []string
	query := "delimiter=%2F&max-keys=1&versions="
	for range 10 {
		res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b, Query: query})
		got = append(append(got, res.Texts("Key")...), prefixes(t, res)...)
		for _, id := range res.Texts("VersionId") {
			if id != "null" {
				t.Errorf("VersionId = %q", id)
			}
		}
		if res.Text("IsTruncated") != "true" {
			break
		}
		query = "delimiter=%2F&key-marker=" + url.QueryEscape(res.Text("NextKeyMarker")) + "&max-keys=1&version-id-marker=" + res.Text("NextVersionIdMarker") + "&versions="
	}
	if fmt.Sprint(got) != "[a b/ c]" {
		t.Errorf("versions by pages of one: %v", got)
	}
	c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/a", Query: "versionId=null"})
	c.Want(t, 404, "NoSuchVersion", Request{Method: "GET", Path: "/" + b + "/a", Query: "versionId=" + strings.Repeat("1", 32)})
	c.Want(t, 400, "InvalidArgument", Request{Method: "GET", Path: "/" + b + "/a", Query: "versionId=nonsense"})
	c.Want(t, 400, "InvalidArgument", Request{Method: "GET", Path: "/" + b + "/a", Query: "versionId="})
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b + "/a", Query: "versionId=null"})
	c.Want(t, 404, "NoSuchKey", Request{Method: "GET", Path: "/" + b + "/a"})
}

func testDeleteObjects(t *testing.T, c *Client) {
	b := c.Bucket(t)
	for _, k := range []string{"a", "b c", "d<&>", "e"} {
		c.Put(t, "/"+b+"/"+k, "x", nil)
	}
	post := func(status int, code, body string, header map[string]string) *Response {
		t.Helper()
		if header == nil {
			header = map[string]string{"Content-Md5": base64MD5(body)}
		}
		return c.Want(t, status, code, Request{Method: "POST", Path: "/" + b, Query: "delete=", Body: body, Header: header})
	}
	res := post(200, "", `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object><Object><Key>b c</Key></Object><Object><Key>not there</Key></Object><Object><Key>a</Key></Object></Delete>`, nil)
	if got := fmt.Sprintf("%q", res.Texts("Key")); got != `["a" "b c" "not there" "a"]` || strings.Contains(res.Body, "<Error>") {
		t.Errorf("deleted %s: %s", got, res.Body)
	}
	res = post(200, "", `<Delete><Quiet>true</Quiet><Object><Key>d&lt;&amp;&gt;</Key></Object><Object><Key>`+strings.Repeat("k", 1025)+`</Key></Object></Delete>`, nil)
	if strings.Contains(res.Body, "<Deleted>") || res.Text("Code") != "KeyTooLongError" {
		t.Errorf("quiet: %.300s", res.Body)
	}
	c.Want(t, 404, "NoSuchKey", Request{Method: "GET", Path: "/" + b + "/d<&>"})
	body := `<Delete><Object><Key>e</Key></Object></Delete>`
	post(400, "InvalidRequest", body, map[string]string{})
	post(400, "BadDigest", body, map[string]string{"Content-Md5": base64MD5("other")})
	for _, bad := range []string{"", "nonsense", "<Delete></Delete>", "<Delete><Object></Object></Delete>", "<Remove><Object><Key>e</Key></Object></Remove>",
		`<!DOCTYPE x [<!ENTITY e "e">]><Delete><Object><Key>&e;</Key></Object></Delete>`, "<Delete><Object><Key>e</Key></Object></Delete><Delete/>",
		"<Delete>" + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</Delete>",
		"<Delete>" + strings.Repeat("<Object><Key>e</Key></Object>", 1001) + "</Delete>"} {
		post(400, "MalformedXML", bad, nil)
	}
	post(400, "MaxMessageLengthExceeded", "<Delete>"+strings.Repeat(" ", 2<<20)+"</Delete>", nil)
	c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/e"})
	thousand := "<Delete>" + strings.Repeat("<Object><Key>e</Key></Object>", 1000) + "</Delete>"
	if n := len(post(200, "", thousand, nil).Texts("Key")); n != 1000 {
		t.Errorf("1000 keys gave %d results", n)
	}
}
