package s3api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/cairn-store/cairn/gateway/cors"
)

// varying are the request headers that answers of a bucket with CORS rules
// depend on; a cache must not give one page's answer to another.
const varying = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

// corsRules returns the bucket's rules, nil if it has none.
func (c *call) corsRules() (*cors.Config, error) {
	if c.bucket == "" || c.target.check() != nil {
		return nil, nil
	}
	doc, err := c.document(corsSetting)
	if err != nil || doc == "" {
		return nil, err
	}
	return c.cors.get(doc, func(doc string) (*cors.Config, error) { return parseCORS([]byte(doc)) })
}

// allowOrigin says on the answer, whatever it will be, whether the page that
// makes the request may read it. It comes before anybody knows who asks: the
// browser must be able to read a refusal, too.
func (c *call) allowOrigin() error {
	origin := c.r.Header["Origin"]
	if len(origin) == 0 {
		return nil
	}
	rules, err := c.corsRules()
	if err != nil || rules == nil {
		return err
	}
	c.w.Header().Set("Vary", varying)
	if len(origin) > 1 {
		return nil // which of them counts must not be a matter of taste
	}
	if grant, ok := rules.Match(cors.Request{Origin: origin[0], Method: c.r.Method}); ok {
		c.grantOrigin(grant)
	}
	return nil
}

// varyByOrigin tells caches that the answer to a request without Origin is not
// the answer to one with.
func (c *call) varyByOrigin() error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead || c.r.Header["Origin"] != nil {
		return nil
	}
	rules, err := c.corsRules()
	if err == nil && rules != nil {
		c.w.Header().Set("Vary", varying)
	}
	return err
}

func (c *call) grantOrigin(g cors.Grant) {
	head := c.w.Header()
	head.Set("Access-Control-Allow-Origin", g.Origin)
	head.Set("Access-Control-Allow-Methods", g.Methods)
	if g.Credentials() {
		head.Set("Access-Control-Allow-Credentials", "true")
	}
	for name, value := range map[string]string{"Access-Control-Allow-Headers": g.Headers,
		"Access-Control-Expose-Headers": g.Expose, "Access-Control-Max-Age": g.MaxAge} {
		if value != "" {
			head.Set(name, value)
		}
	}
}

// preflight answers a browser that asks before it asks. It needs no signature.
// Without a fitting rule the answer is the same whether the bucket is there.
func (c *call) preflight() error {
	h := c.r.Header
	method := h.Get("Access-Control-Request-Method")
	switch {
	case h.Get("Origin") == "":
		return fail("BadRequest")
	case method == "":
		return failf("BadRequest", "Invalid Access-Control-Request-Method: null")
	case !cors.KnownMethod(method):
		return failf("BadRequest", "Invalid Access-Control-Request-Method: "+clip(headerValue(method)))
	}
	var err error
	if c.target, err = parseTarget(c.r, c.cfg.Domains); err != nil {
		return err
	}
	at := bucketLevel
	if c.key != "" {
		at = objectLevel
	}
	about := []Field{{"Method", method}, {"ResourceType", resourceType(at)}}
	rules, err := c.corsRules()
	if err != nil {
		return err
	}
	if rules == nil {
		return fail("AccessForbidden", about...)
	}
	c.w.Header().Set("Vary", varying)
	q := cors.Request{Origin: strings.Join(h["Origin"], ", "), Method: method}
	for name := range strings.SplitSeq(strings.Join(h["Access-Control-Request-Headers"], ","), ",") {
		if name = strings.TrimSpace(name); name != "" {
			q.Headers = append(q.Headers, name)
		}
	}
	grant, ok := rules.Match(q)
	if !ok {
		return failf("AccessForbidden", "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, "+
			"request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.", about...)
	}
	c.grantOrigin(grant)
	c.done(http.StatusOK)
	return nil
}

func putCORS(c *call) error {
	data, _, err := c.readDocument(maxSetting)
	if err != nil {
		return err
	}
	rules, err := parseCORS(data)
	if err != nil {
		return err
	}
	if err := c.keepSetting(corsSetting, writeCORS(rules).b.String()); err != nil {
		return err
	}
	c.done(http.StatusOK)
	return nil
}

// parseCORS reads a CORSConfiguration and checks it.
func parseCORS(data []byte) (*cors.Config, error) {
	root, err := parseXML(data, "CORSConfiguration")
	if err != nil {
		return nil, err
	}
	config := &cors.Config{}
	for _, k := range root.kids {
		if k.name != "CORSRule" {
			return nil, fail("MalformedXML")
		}
		rule, err := parseCORSRule(k)
		if err != nil {
			return nil, err
		}
		config.Rules = append(config.Rules, rule)
	}
	if len(config.Rules) == 0 {
		return nil, fail("MalformedXML")
	}
	return config, config.Check()
}

func parseCORSRule(e *element) (cors.Rule, error) {
	rule := cors.Rule{MaxAge: -1}
	seen := map[string]bool{}
	for _, k := range e.kids {
		text := strings.TrimSpace(k.text)
		once := k.name == "ID" || k.name == "MaxAgeSeconds"
		if len(k.kids) > 0 || once && seen[k.name] {
			return rule, fail("MalformedXML")
		}
		seen[k.name] = true
		switch k.name {
		case "ID":
			rule.ID = text
		case "AllowedOrigin":
			rule.Origins = append(rule.Origins, text)
		case "AllowedMethod":
			rule.Methods = append(rule.Methods, text)
		case "AllowedHeader":
			rule.Headers = append(rule.Headers, text)
		case "ExposeHeader":
			rule.Expose = append(rule.Expose, text)
		case "MaxAgeSeconds":
			seconds, err := strconv.ParseUint(text, 10, 31)
			if err != nil {
				return rule, fail("MalformedXML")
			}
			rule.MaxAge = int(seconds)
		default:
			return rule, fail("MalformedXML")
		}
	}
	if len(rule.Origins) == 0 || len(rule.Methods) == 0 {
		return rule, fail("MalformedXML")
	}
	return rule, nil
}

// writeCORS writes the canonical document.
func writeCORS(config *cors.Config) *xmlWriter {
	x := newXML()
	x.open("CORSConfiguration")
	for _, r := range config.Rules {
		x.openPlain("CORSRule")
		x.some("ID", r.ID)
		for _, list := range []struct {
			name  string
			texts []string
		}{{"AllowedOrigin", r.Origins}, {"AllowedMethod", r.Methods}, {"AllowedHeader", r.Headers}, {"ExposeHeader", r.Expose}} {
			for _, text := range list.texts {
				x.elem(list.name, text)
			}
		}
		if r.MaxAge >= 0 {
			x.elem("MaxAgeSeconds", number(r.MaxAge))
		}
		x.close("CORSRule")
	}
	x.close("CORSConfiguration")
	return x
}
