package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Request is what somebody wants to do.
type Request struct {
	// Anonymous: nobody signed. Account and AccessKey then count for nothing.
	Anonymous          bool
	Account, AccessKey string
	Action             string // "s3:GetObject"
	// Bucket and Key as the store gets them; Key is "" for what is done to the
	// bucket.
	Bucket, Key string
	// Values of condition keys, which are lower-case. What is not there is
	// absent, which is not the same as empty.
	Values map[string]string
}

// Decision is what a policy says about a request.
type Decision uint8

const (
	// Silent: no statement applies.
	Silent Decision = iota
	// Allowed: one allows it, and none denies.
	Allowed
	// Denied: one denies it, whatever others say.
	Denied
)

func (d Decision) String() string { return [...]string{"silent", "allowed", "denied"}[d] }

// Evaluate decides.
func (p *Policy) Evaluate(q Request) Decision {
	d := Silent
	for i := range p.statements {
		s := &p.statements[i]
		switch {
		case !s.applies(&q):
		case s.deny:
			return Denied
		default:
			d = Allowed
		}
	}
	return d
}

func (s *statement) applies(q *Request) bool {
	resource := q.Bucket
	if q.Key != "" {
		resource += "/" + q.Key
	}
	action := strings.ToLower(q.Action)
	return s.names(q) &&
		slices.ContainsFunc(s.actions, func(p string) bool { return like(p, action) }) != s.notActions &&
		slices.ContainsFunc(s.resources, func(p string) bool { return like(p, resource) }) != s.notResources &&
		!slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.holds(q.Values) })
}

func (s *statement) names(q *Request) bool {
	return slices.ContainsFunc(s.principals, func(p string) bool {
		return p == anybody || !q.Anonymous && (p == q.Account || p == q.Account+"/"+q.AccessKey)
	})
}

// Public reports whether the policy allows anything to anybody from anywhere.
func (p *Policy) Public() bool {
	return slices.ContainsFunc(p.statements, func(s statement) bool {
		return !s.deny && slices.Contains(s.principals, anybody) &&
			!slices.ContainsFunc(s.conditions, func(c condition) bool { return c.narrow() })
	})
}

// like reports whether s fits a pattern in which "*" stands for any text, "/"
// included, and "?" for one character. Its time is at most the product of the
// lengths.
func like(pattern, s string) bool {
	star, mark := -1, 0 // behind the last "*", and where in s it was tried
	p, i := 0, 0
	for i < len(s) {
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			star, mark = p, i
		case p < len(pattern) && pattern[p] == '?':
			p++
			i += n
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			_, n := utf8.DecodeRuneInString(s[mark:])
			mark += n
			p, i = star, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
