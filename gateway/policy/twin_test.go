package policy_test

import (
	"encoding/json"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-store/cairn/gateway/policy"
)

// twin decides from the document as encoding/json reads it, with a regular
// expression for every pattern and package net for addresses.
func twin(t *testing.T, doc []byte, q policy.Request) policy.Decision {
	var p struct {
		Statement []map[string]any
	}
	if err := json.Unmarshal(doc, &p); err != nil {
		t.Fatal(err)
	}
	allowed := false
	for _, s := range p.Statement {
		resource := "arn:aws:s3:::" + q.Bucket
		if q.Key != "" {
			resource += "/" + q.Key
		}
		if !twinPrincipal(s["Principal"], q) || !twinPatterns(s, "Action", "(?si)", q.Action) || !twinPatterns(s, "Resource", "(?s)", resource) || !twinConditions(s["Condition"], q) {
			continue
		}
		if s["Effect"] == "Deny" {
			return policy.Denied
		}
		allowed = true
	}
	if allowed {
		return policy.Allowed
	}
	return policy.Silent
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func twinLike(flags, pattern, s string) bool {
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(flags + "^" + expr + "$").MatchString(s)
}

func twinPrincipal(v any, q policy.Request) bool {
	if v == "*" {
		return true
	}
	for _, name := range list(v.(map[string]any)["AWS"]) {
		mine := name == q.Account || name == "arn:aws:iam::"+q.Account+":root" || name == "arn:aws:iam::"+q.Account+":user/"+q.AccessKey
		if name == "*" || mine && !q.Anonymous {
			return true
		}
	}
	return false
}

func twinPatterns(s map[string]any, name, flags, text string) bool {
	v, plain := s[name]
	if !plain {
		v = s["Not"+name]
	}
	for _, p := range list(v) {
		if twinLike(flags, p.(string), text) {
			return plain
		}
	}
	return !plain
}

func twinConditions(v any, q policy.Request) bool {
	block, _ := v.(map[string]any)
	for op, keys := range block {
		for key, wanted := range keys.(map[string]any) {
			have, present := q.Values[strings.ToLower(key)]
			if !twinCondition(op, list(wanted), have, present) {
				return false
			}
		}
	}
	return true
}

func twinCondition(op string, wanted []any, have string, present bool) bool {
	op, ifExists := strings.CutSuffix(op, "IfExists")
	if !present && ifExists {
		return true
	}
	anyOf := func(f func(string) bool) bool {
		return present && slices.ContainsFunc(wanted, func(w any) bool { return f(w.(string)) })
	}
	equals := func(w string) bool { return w == have }
	likes := func(w string) bool { return twinLike("(?s)", w, have) }
	inside := func(w string) bool {
		if !strings.Contains(w, "/") {
			return net.ParseIP(w).Equal(net.ParseIP(have))
		}
		_, n, err := net.ParseCIDR(w)
		return err == nil && n.Contains(net.ParseIP(have))
	}
	switch op {
	case "StringEquals", "Bool":
		return anyOf(equals)
	case "StringNotEquals":
		return !anyOf(equals)
	case "StringLike":
		return anyOf(likes)
	case "StringNotLike":
		return !anyOf(likes)
	case "IpAddress":
		return anyOf(inside)
	case "NotIpAddress":
		return !anyOf(inside)
	case "Null":
		return slices.ContainsFunc(wanted, func(w any) bool { return (w == "true") != present })
	}
	panic("no operator " + op)
}

// chooser makes documents and requests out of a seed.
type chooser struct{ *rand.Rand }

func (c chooser) of(list ...string) string { return list[c.IntN(len(list))] }

// some returns one text, or a list of them.
func (c chooser) some(from ...string) any {
	if c.IntN(2) == 0 {
		return c.of(from...)
	}
	var out []string
	for range 1 + c.IntN(3) {
		out = append(out, c.of(from...))
	}
	return out
}

var pieces = []string{"*", "?", "a", "b", "/", "ab", "日", "**", "?*", "a.b", "+", "%2F"}

func (c chooser) text(n int) string {
	s := ""
	for range c.IntN(n) {
		s += c.of(pieces...)
	}
	return s
}

func (c chooser) statement() map[string]any {
	s := map[string]any{"Effect": c.of("Allow", "Allow", "Deny"), "Principal": "*"}
	if c.IntN(2) == 0 {
		s["Principal"] = map[string]any{"AWS": c.some("*", "cairn", "arn:aws:iam::cairn:root", "arn:aws:iam::cairn:user/K1", "arn:aws:iam::cairn:user/K2", "other")}
	}
	s[c.of("Action", "Action", "Action", "NotAction")] = c.some("s3:*", "*", "s3:GetObject", "s3:get*", "s3:PutObject", "s3:List*", "s3:GetObject?ersion")
	s[c.of("Resource", "Resource", "Resource", "NotResource")] = c.some("arn:aws:s3:::bkt", "arn:aws:s3:::bkt/*", "arn:aws:s3:::bkt*", "arn:aws:s3:::bkt/"+c.text(6), "arn:aws:s3:::bkt/"+c.text(3))
	if c.IntN(2) == 0 {
		block := map[string]any{}
		for range c.IntN(3) {
			switch c.IntN(4) {
			case 0:
				block[c.of("IpAddress", "NotIpAddress", "IpAddressIfExists", "NotIpAddressIfExists")] = map[string]any{"aws:SourceIp": c.some("10.0.0.0/8", "10.1.2.3", "::/0", "2001:db8::/32", "0.0.0.0/0", "11.1.1.1/32")}
			case 1:
				block[c.of("Bool", "BoolIfExists")] = map[string]any{"aws:SecureTransport": c.of("true", "false")}
			case 2:
				block["Null"] = map[string]any{c.of("s3:prefix", "aws:referer", "aws:SourceIp"): c.of("true", "false")}
			default:
				block[c.of("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringLikeIfExists", "StringNotEqualsIfExists")] =
					map[string]any{c.of("s3:prefix", "aws:Referer"): c.some("", "a", "a*", c.text(4)), "s3:delimiter": c.some("/", "?")}
			}
		}
		s["Condition"] = block
	}
	return s
}

func (c chooser) request() policy.Request {
	q := policy.Request{Anonymous: c.IntN(2) == 0, Account: "cairn", AccessKey: c.of("K1", "K2", "K3"), Bucket: c.of("bkt", "bkt", "bkt", "bktx"),
		Action: c.of("s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetObjectVersion", "s3:DeleteObject"), Values: map[string]string{}}
	if c.IntN(3) > 0 {
		q.Key = c.text(7)
	}
	for key, values := range map[string][]string{"aws:sourceip": {"10.1.2.3", "2001:db8::1", "11.1.1.1", "::1"}, "aws:securetransport": {"true", "false"},
		"s3:prefix": {"", "a", "ab", "a/b"}, "aws:referer": {"a", "日"}, "s3:delimiter": {"/", "ab"}} {
		if c.IntN(3) > 0 {
			q.Values[key] = c.of(values...)
		}
	}
	return q
}

// checkTwin compares a few documents, each with a few requests.
func checkTwin(t *testing.T, seed uint64) (decided [3]int) {
	c := chooser{rand.New(rand.NewPCG(seed, 7))}
	for range 10 {
		var statements []map[string]any
		for range 1 + c.IntN(4) {
			statements = append(statements, c.statement())
		}
		doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Parse(doc)
		if err != nil {
			t.Fatalf("seed %d: Parse(%s): %v", seed, doc, err)
		}
		for range 10 {
			q := c.request()
			got, want := p.Evaluate(q), twin(t, doc, q)
			if got != want {
				t.Fatalf("seed %d: %s\nEvaluate(%+v) = %v, want %v", seed, doc, q, got, want)
			}
			decided[got]++
		}
	}
	return decided
}

func TestEvaluateEqualsItsTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var decided [3]int
	for i := range uint64(100) {
		for d, n := range checkTwin(t, seed+i) {
			decided[d] += n
		}
	}
	t.Logf("silent, allowed, denied: %v", decided)
	for d, n := range decided {
		if n < 300 {
			t.Errorf("only %d of 10000 requests were %v: the comparison says little", n, policy.Decision(d))
		}
	}
}

func FuzzEvaluateEqualsItsTwin(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { checkTwin(t, seed) })
}

func FuzzLikeEqualsItsTwin(f *testing.F) {
	for _, p := range []string{"", "*", "?", "a", "a*", "*a", "*a*", "a*b?c", "**", "?*?", "日*", "*日?"} {
		for _, s := range []string{"", "a", "aa", "ab", "aXbYc", "日", "a日b", "\n", "*", "?"} {
			f.Add(p, s)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		doc, err := json.Marshal(map[string]any{"Statement": map[string]any{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "arn:aws:s3:::b/" + pattern}})
		if err != nil || s == "" {
			return
		}
		p, err := policy.Parse(doc)
		if err != nil || !valid(pattern) || !valid(s) || len(pattern) > 300 {
			return
		}
		got := p.Evaluate(policy.Request{Anonymous: true, Action: "s3:GetObject", Bucket: "b", Key: s}) == policy.Allowed
		if want := twinLike("(?s)", pattern, s); got != want {
			t.Errorf("%q fits %q: %v, want %v", s, pattern, got, want)
		}
	})
}

func valid(s string) bool { return strings.ToValidUTF8(s, "") == s }

func FuzzParse(f *testing.F) {
	f.Add(document(publicRead))
	f.Add([]byte(`{"Statement":{"Effect":"Deny","Principal":{"AWS":["*"]},"NotAction":"s3:*","NotResource":"arn:aws:s3:::b","Condition":{"Null":{"s3:prefix":true}}}}`))
	f.Add([]byte(`{"a":[{"a":null}],"a":1e400}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := policy.Parse(doc)
		if err != nil {
			return
		}
		if !json.Valid(doc) || len(doc) > policy.MaxDocument {
			t.Errorf("%q was accepted", doc)
		}
		p.Evaluate(stranger("s3:GetObject", "k"))
		p.Public()
	})
}
