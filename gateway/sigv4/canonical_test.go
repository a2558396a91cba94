package sigv4

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// fastCanonical is slowCanonical by the package's own means.
func fastCanonical(r *http.Request, signed []string, payload string) (string, bool) {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return "", false
	}
	return string(newCanonical(r, params, signed, payload).append(nil, canonicalPaths(r)[0])), true
}

func canonicalRequest(path, query, host, name, v1, v2 string) (*http.Request, []string) {
	r := &http.Request{Method: "GET", Host: host, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
	signed := []string{"host"}
	if name != "" {
		r.Header.Add(name, v1)
		r.Header.Add(name, v2)
		signed = append(signed, strings.ToLower(name))
	}
	return r, signed
}

func TestCanonicalAgreesWithTwin(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	text := func(alphabet string) string {
		b := make([]byte, rnd.IntN(12))
		for i := range b {
			b[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		return string(b)
	}
	bad := 0
	for range 20000 {
		r, signed := canonicalRequest("/"+text("ab/.%+ ~*'()\xe2\x82\xac\x00"), text("ab=&&%20%2Fa+;/-\xff"), text("h. :9"),
			"X-Amz-Meta-A", text("a \t,"), text(" b\xc3\xa9"))
		got, ok := fastCanonical(r, signed, "p")
		want, wantOK := slowCanonical(r, signed, "p")
		if got != want || ok != wantOK {
			t.Fatalf("path %q query %q: %q, %v, want %q, %v", r.URL.Path, r.URL.RawQuery, got, ok, want, wantOK)
		}
		if !ok {
			bad++
		}
	}
	if bad == 0 || bad == 20000 {
		t.Errorf("%d bad queries of 20000", bad)
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("/b/a+b%", "a=+&a=%2B&b", "h:80", " a  b ", "c")
	f.Add("", "a-b=1&a=2&X-Amz-Signature=3", "", "", "\t")
	f.Add("//./../é", "=&&=%zz", "h", "\x00", "  ")
	f.Fuzz(func(t *testing.T, path, query, host, v1, v2 string) {
		r, signed := canonicalRequest(path, query, host, "X-Amz-Meta-A", v1, v2)
		got, ok := fastCanonical(r, signed, "p")
		if want, wantOK := slowCanonical(r, signed, "p"); got != want || ok != wantOK {
			t.Fatalf("%q, %v, want %q, %v", got, ok, want, wantOK)
		}
	})
}

// claimHolds checks what the rest of the package relies on.
func claimHolds(t *testing.T, c *claim) {
	t.Helper()
	if c.accessKey == "" || len(c.accessKey) > maxAccessKey || len(c.scope.date) != 8 || c.signature == "" ||
		len(c.signed) == 0 || len(c.signed) > maxSignedHeaders || !slices.IsSorted(c.signed) ||
		len(slices.Compact(slices.Clone(c.signed))) != len(c.signed) || slices.Contains(c.signed, "") {
		t.Fatalf("accepted %+v", c)
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, parts := range requestVectors(f) {
		f.Add(wireRequest(f, parts["request"], "").Header.Get("Authorization"))
	}
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/20130524/r/s3/aws4_request , Signature=x,  SignedHeaders=b;A")
	f.Add("AWS4-HMAC-SHA256 Credential=////, Signature==, SignedHeaders=;")
	f.Add("AWS a:b")
	f.Add("AWS4-ECDSA-P256-SHA256 Credential=a")
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseAuthorization(header)
		if err != nil {
			if code(err) == err.Error() {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		claimHolds(t, c)
		again, err := parseAuthorization(algorithm + " Credential=" + c.accessKey + "/" + c.scope.String() +
			",SignedHeaders=" + strings.Join(c.signed, ";") + ",Signature=" + c.signature)
		if err != nil || again.accessKey != c.accessKey || again.scope != c.scope ||
			!slices.Equal(again.signed, c.signed) || again.signature != c.signature {
			t.Fatalf("%+v read back as %+v, %v", c, again, err)
		}
	})
}

func FuzzPresigned(f *testing.F) {
	f.Add(wireRequest(f, requestVectors(f)["presigned-get.txt"]["request"], "").URL.RawQuery)
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20130524%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z" +
		"&X-Amz-Expires=1&X-Amz-SignedHeaders=host%3Bx&X-Amz-Signature=0")
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=9223372036854775808&X-Amz-Date=20130524T000000.5")
	f.Fuzz(func(t *testing.T, query string) {
		params, err := parseQuery(query)
		if err != nil {
			return
		}
		c, err := parsePresigned(params)
		if err != nil {
			if code(err) == err.Error() {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		claimHolds(t, c)
		if c.expires < time.Second || c.expires > MaxExpires || c.time.Format(stampLayout) != c.stamp {
			t.Fatalf("accepted %+v", c)
		}
	})
}
