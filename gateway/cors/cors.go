package cors

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cairn-store/cairn"
)

const (
	// MaxRules is how many rules a bucket can have.
	MaxRules = 100
	// maxText bounds each text of a rule, and each origin that is looked at.
	maxText = 2048
	maxID   = 255
	// maxHeaders bounds the names that a preflight may ask for.
	maxHeaders = 128
)

// Rule lets pages of some origins make some requests.
type Rule struct {
	ID      string
	Origins []string // may have one "*" each
	Methods []string // GET, PUT, POST, DELETE, HEAD
	Headers []string // request headers; may have one "*" each; case does not count
	Expose  []string // response headers that scripts may see
	MaxAge  int      // seconds an answer may be remembered; negative: not said
}

// Config is the rules of a bucket. The first that fits a request counts.
type Config struct{ Rules []Rule }

// Request is what a browser says about where a request comes from.
type Request struct {
	Origin string
	Method string // of the request itself; in a preflight, of the one to come
	// Headers are the names a preflight asks for. Actual requests have none.
	Headers []string
}

// Grant is what to answer.
type Grant struct {
	Origin  string // "*" or the request's
	Methods string // these are lists, ready for a header
	Headers string
	Expose  string
	MaxAge  string // "" when not said
}

// Credentials reports whether the browser may send cookies along: only to an
// origin that was named.
func (g Grant) Credentials() bool { return g.Origin != "*" }

var methods = []string{"GET", "PUT", "POST", "DELETE", "HEAD"}

// KnownMethod reports whether rules can speak of a method.
func KnownMethod(m string) bool { return slices.Contains(methods, m) }

// Check refuses what S3 refuses. The error's text is for the owner.
func (c *Config) Check() error {
	if len(c.Rules) == 0 || len(c.Rules) > MaxRules {
		return invalid("The number of CORS rules should be at least 1 and not exceed allowed limit of %d rules.", MaxRules)
	}
	for _, r := range c.Rules {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) check() error {
	switch {
	case len(r.ID) > maxID || !text(r.ID):
		return invalid("A rule's ID is longer than %d bytes or has control characters", maxID)
	case len(r.Origins) == 0 || len(r.Methods) == 0:
		return invalid("A CORS rule needs at least one AllowedOrigin and one AllowedMethod")
	}
	for _, m := range r.Methods {
		if !KnownMethod(m) {
			return invalid("Found unsupported HTTP method in CORS config. Unsupported method is %s", clip(m))
		}
	}
	for _, o := range r.Origins {
		if !sendable(o) {
			return invalid("AllowedOrigin %q is not an origin.", clip(o))
		}
		if strings.Count(o, "*") > 1 {
			return invalid("AllowedOrigin %q can not have more than one wildcard.", clip(o))
		}
	}
	for _, h := range r.Headers {
		if strings.Count(h, "*") > 1 {
			return invalid("AllowedHeader %q can not have more than one wildcard.", clip(h))
		}
		if !token(h) { // "*" is allowed in names of headers, too
			return invalid("AllowedHeader %q is not the name of a header.", clip(h))
		}
	}
	for _, h := range r.Expose {
		if strings.Contains(h, "*") {
			return invalid("ExposeHeader %q contains wildcard. We currently do not support wildcard for ExposeHeader.", clip(h))
		}
		if !token(h) {
			return invalid("ExposeHeader %q is not the name of a header.", clip(h))
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return cairn.Errorf("check CORS rules", cairn.Invalid, format, args...)
}

func clip(s string) string { return s[:min(len(s), 256)] }

// Match returns what the first fitting rule grants.
func (c *Config) Match(q Request) (Grant, bool) {
	if !sendable(q.Origin) || len(q.Headers) > maxHeaders {
		return Grant{}, false
	}
	for _, h := range q.Headers {
		if !token(h) {
			return Grant{}, false
		}
	}
	for i := range c.Rules {
		if origin, ok := c.Rules[i].match(q); ok {
			return c.Rules[i].grant(q, origin), true
		}
	}
	return Grant{}, false
}

// match returns the origin pattern that fits.
func (r *Rule) match(q Request) (pattern string, ok bool) {
	if !slices.Contains(r.Methods, q.Method) {
		return "", false
	}
	i := slices.IndexFunc(r.Origins, func(p string) bool { return fits(p, q.Origin) })
	if i < 0 {
		return "", false
	}
	for _, h := range q.Headers {
		if !slices.ContainsFunc(r.Headers, func(p string) bool { return fits(strings.ToLower(p), strings.ToLower(h)) }) {
			return "", false
		}
	}
	return r.Origins[i], true
}

func (r *Rule) grant(q Request, pattern string) Grant {
	g := Grant{Origin: q.Origin, Methods: strings.Join(r.Methods, ", "), Expose: strings.Join(r.Expose, ", ")}
	if pattern == "*" {
		g.Origin = "*"
	}
	g.Headers = strings.ToLower(strings.Join(q.Headers, ", "))
	if r.MaxAge >= 0 {
		g.MaxAge = strconv.Itoa(r.MaxAge)
	}
	return g
}

// fits reports whether s is what pattern says; "*" stands for any text.
func fits(pattern, s string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// sendable reports whether s can stand in a header as one word.
func sendable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ',' {
			return false
		}
	}
	return s != "" && len(s) <= maxText
}

// token reports whether s can be the name of a header.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= maxText
}

func text(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}
