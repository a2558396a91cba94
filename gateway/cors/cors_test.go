package cors_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/cors"
)

var shop = cors.Config{Rules: []cors.Rule{
	{Origins: []string{"https://shop.example"}, Methods: []string{"PUT", "POST"}, Headers: []string{"Content-*", "x-amz-date"}, Expose: []string{"ETag", "x-amz-id-2"}, MaxAge: 60},
	{Origins: []string{"https://*.example", "http://localhost:*"}, Methods: []string{"GET"}, Headers: []string{"*"}, MaxAge: -1},
	{Origins: []string{"*"}, Methods: []string{"HEAD"}, MaxAge: 0},
}}

func TestTheFirstRuleThatFitsIsGranted(t *testing.T) {
	for _, c := range []struct {
		origin, method, headers string
		want                    *cors.Grant
	}{
		{"https://shop.example", "PUT", "", &cors.Grant{Origin: "https://shop.example", Methods: "PUT, POST", Expose: "ETag, x-amz-id-2", MaxAge: "60"}},
		{"https://shop.example", "PUT", "Content-Type,X-Amz-Date", &cors.Grant{Origin: "https://shop.example", Methods: "PUT, POST", Headers: "content-type, x-amz-date", Expose: "ETag, x-amz-id-2", MaxAge: "60"}},
		{"https://shop.example", "PUT", "Content-Type,X-Other", nil},
		{"https://shop.example", "GET", "anything", &cors.Grant{Origin: "https://shop.example", Methods: "GET", Headers: "anything"}},
		{"https://a.b.example", "GET", "", &cors.Grant{Origin: "https://a.b.example", Methods: "GET"}},
		{"https://.example", "GET", "", &cors.Grant{Origin: "https://.example", Methods: "GET"}},
		{"https://example", "GET", "", nil},
		{"https://a.example.org", "GET", "", nil},
		{"HTTPS://shop.example", "PUT", "", nil},
		{"http://localhost:", "GET", "", &cors.Grant{Origin: "http://localhost:", Methods: "GET"}},
		{"null", "HEAD", "", &cors.Grant{Origin: "*", Methods: "HEAD", MaxAge: "0"}},
		{"null", "HEAD", "x", nil},
		{"null", "DELETE", "", nil},
		{"", "HEAD", "", nil},
		{"http://a\r\nSet-Cookie: x", "HEAD", "", nil},
		{"http://a b", "HEAD", "", nil},
		{"http://\u00e9", "HEAD", "", nil},
		{"https://shop.example", "GET", "a\r\nb", nil},
		{strings.Repeat("a", 3000), "HEAD", "", nil},
		{"https://shop.example", "GET", strings.Repeat("a,", 128) + "a", nil},
	} {
		q := cors.Request{Origin: c.origin, Method: c.method}
		if c.headers != "" {
			q.Headers = strings.Split(c.headers, ",")
		}
		got, ok := shop.Match(q)
		if ok != (c.want != nil) || ok && got != *c.want {
			t.Errorf("Match(%q) = %+v, %v, want %+v", q, got, ok, c.want)
		}
		if ok && got.Credentials() != (got.Origin != "*") {
			t.Errorf("Match(%q) grants credentials to %q", q, got.Origin)
		}
	}
}

func TestCheckRefusesWhatS3Refuses(t *testing.T) {
	ok := cors.Rule{ID: "ok", Origins: []string{"*"}, Methods: []string{"GET"}, Headers: []string{"*"}, Expose: []string{"ETag"}}
	if err := (&cors.Config{Rules: slices.Repeat([]cors.Rule{ok}, 100)}).Check(); err != nil {
		t.Errorf("100 rules: %v", err)
	}
	for name, change := range map[string]func(*cors.Rule){
		"no origin":            func(r *cors.Rule) { r.Origins = nil },
		"empty origin":         func(r *cors.Rule) { r.Origins = []string{""} },
		"two wildcards":        func(r *cors.Rule) { r.Origins = []string{"http://*.a.*"} },
		"line break in origin": func(r *cors.Rule) { r.Origins = []string{"http://a\r\nb"} },
		"no method":            func(r *cors.Rule) { r.Methods = nil },
		"unknown method":       func(r *cors.Rule) { r.Methods = []string{"GET", "PATCH"} },
		"method in lower case": func(r *cors.Rule) { r.Methods = []string{"get"} },
		"header wildcards":     func(r *cors.Rule) { r.Headers = []string{"x-*-*"} },
		"header with blank":    func(r *cors.Rule) { r.Headers = []string{"x y"} },
		"exposed wildcard":     func(r *cors.Rule) { r.Expose = []string{"x-*"} },
		"exposed line break":   func(r *cors.Rule) { r.Expose = []string{"a\nb: c"} },
		"long id":              func(r *cors.Rule) { r.ID = strings.Repeat("i", 256) },
	} {
		bad := ok
		change(&bad)
		if err := (&cors.Config{Rules: []cors.Rule{ok, bad}}).Check(); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	for _, n := range []int{0, 101} {
		if err := (&cors.Config{Rules: slices.Repeat([]cors.Rule{ok}, n)}).Check(); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%d rules: %v, want Invalid", n, err)
		}
	}
}

var (
	word = regexp.MustCompile("^[!-+\\--~]+$")
	name = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")
)

// twin decides the same with a regular expression for every pattern.
func twin(r cors.Rule, q cors.Request) bool {
	like := func(flags, pattern, s string) bool {
		return regexp.MustCompile("(?s" + flags + ")^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(s)
	}
	if len(q.Headers) > 128 || !word.MatchString(q.Origin) || len(q.Origin) > 2048 || !slices.Contains(r.Methods, q.Method) {
		return false
	}
	origin := false
	for _, p := range r.Origins {
		origin = origin || like("", p, q.Origin)
	}
	for _, h := range q.Headers {
		granted := false
		for _, p := range r.Headers {
			granted = granted || like("", strings.ToLower(p), strings.ToLower(h))
		}
		if !granted || !name.MatchString(h) || len(h) > 2048 {
			return false
		}
	}
	return origin
}

func FuzzMatchEqualsItsTwin(f *testing.F) {
	for _, s := range []string{"", "*", "a", "a*", "*a", "a*a", "aa", "aXa", "http://*.example"} {
		for _, o := range []string{"", "a", "aa", "aba", "http://b.example", "a\nb"} {
			f.Add(s, o, "X-*", "x-a")
		}
	}
	f.Fuzz(func(t *testing.T, pattern, origin, allowed, asked string) {
		if len(pattern)+len(allowed) > 300 { // a regular expression has limits
			return
		}
		r := cors.Rule{Origins: []string{"https://only.example", pattern}, Methods: []string{"GET"}, Headers: []string{"range", allowed}, MaxAge: -1}
		c := cors.Config{Rules: []cors.Rule{r}}
		if c.Check() != nil {
			return
		}
		q := cors.Request{Origin: origin, Method: "GET", Headers: strings.Split(asked, ",")}
		g, ok := c.Match(q)
		if want := twin(r, q); ok != want {
			t.Errorf("%+v: Match(%q) = %v, want %v", r, q, ok, want)
		}
		if strings.ContainsAny(g.Origin+g.Headers+g.Methods+g.Expose, "\r\n\x00") {
			t.Errorf("Match(%q) = %q, which is no header", q, g)
		}
	})
}
