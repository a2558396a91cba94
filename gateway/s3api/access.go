package s3api

import (
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/form"
	"github.com/cairn-store/cairn/gateway/policy"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

// forStrangers are the actions that a policy can allow to somebody who did not
// sign. Whatever else it says, the rest is the owner's.
var forStrangers = set("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes",
	"s3:GetObjectTagging", "s3:GetObjectVersionTagging", "s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation")

// neverDenied are the actions that no policy takes from the owner's keys: a
// policy that forbids everything can still be read and removed.
var neverDenied = set("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy")

// authorize is the one place where it is decided whether the sender may do
// something. The owner's keys may do everything that the bucket's policy does not
// deny; others may read what it allows. bucket and key are those that the store
// is given. What cannot be decided is refused.
func (c *call) authorize(action, bucket, key string) error {
	stranger := c.auth == nil || c.auth.Anonymous
	where := target{bucket, key}
	switch {
	case stranger && (!forStrangers[action] || where.check() != nil):
		return fail("AccessDenied")
	case !stranger && (action == "" || bucket == "" || neverDenied[action] || where.check() != nil):
		return nil // there is no policy to ask, and no bucket to harm
	}
	rules, err := c.accessRules(bucket)
	if err != nil {
		return err
	}
	if rules.policy == nil {
		if stranger {
			return fail("AccessDenied")
		}
		return nil
	}
	decision := rules.policy.Evaluate(c.policyRequest(action, bucket, key))
	allowed := decision != policy.Denied && !stranger ||
		decision == policy.Allowed && !(rules.block.RestrictPublicBuckets && rules.policy.Public())
	if !allowed {
		return fail("AccessDenied")
	}
	return nil
}

// authorizeAll asks for everything that the request as a whole needs.
func (c *call) authorizeAll(routable bool) error {
	switch {
	case c.route == nil:
		return c.authorize("", c.bucket, c.key)
	case c.route.inForm && routable && form.IsForm(c.r.Header.Get("Content-Type")):
		return nil // it may be signed inside, and asks then
	}
	for _, action := range c.actions() {
		if err := c.authorize(action, c.bucket, c.key); err != nil {
			return err
		}
	}
	return nil
}

// actions are what S3 wants a sender to be allowed for a request.
func (c *call) actions() []string {
	all := []string{c.route.action}
	if c.route.operation == "GetObjectAttributes" {
		all = append(all, "s3:GetObject")
	}
	if c.query.Has("versionId") {
		for i, a := range all {
			all[i] = ofVersion(a)
		}
	}
	if c.route.action == "s3:PutObject" && c.r.Header["X-Amz-Tagging"] != nil {
		all = append(all, "s3:PutObjectTagging")
	}
	return all
}

// ofVersion is the action on one version: "s3:GetObjectTagging" becomes
// "s3:GetObjectVersionTagging".
func ofVersion(action string) string {
	return strings.Replace(action, "Object", "ObjectVersion", 1)
}

// accessRules is what a bucket says about who may do what.
type accessRules struct {
	policy *policy.Policy // nil if there is none
	block  publicBlock
}

// accessRules reads them once for each bucket of a request.
func (c *call) accessRules(bucket string) (accessRules, error) {
	if rules, ok := c.access[bucket]; ok {
		return rules, nil
	}
	var rules accessRules
	doc, err := c.documentOf(bucket, policySetting)
	if err == nil && doc != "" {
		rules.policy, err = c.policies.get(doc, func(doc string) (*policy.Policy, error) { return policy.Parse([]byte(doc)) })
	}
	if err == nil && rules.policy != nil {
		rules.block, _, err = c.publicBlock(bucket)
	}
	if err != nil {
		return rules, err
	}
	if c.access == nil {
		c.access = map[string]accessRules{}
	}
	c.access[bucket] = rules
	return rules, nil
}

// policyRequest says what a policy can ask of a request.
func (c *call) policyRequest(action, bucket, key string) policy.Request {
	h := c.r.Header
	q := policy.Request{Anonymous: c.auth == nil || c.auth.Anonymous, Account: c.cfg.OwnerID, Action: action, Bucket: bucket, Key: key,
		Values: map[string]string{policy.KeySecureTransport: "false"}}
	if c.r.TLS != nil {
		q.Values[policy.KeySecureTransport] = "true"
	}
	if host, _, err := net.SplitHostPort(c.r.RemoteAddr); err == nil {
		q.Values[policy.KeySourceIP] = host
	}
	if !q.Anonymous {
		q.AccessKey = c.auth.AccessKey
		q.Values["s3:signatureversion"] = "AWS4-HMAC-SHA256"
		q.Values["s3:authtype"] = authType(c.auth, c.route)
	}
	if strings.HasPrefix(action, "s3:ListBucket") && c.r.Method == http.MethodGet {
		q.Values["s3:prefix"] = c.param("prefix") // absent lists the same as empty
	}
	for key, parameter := range map[string]string{"s3:delimiter": "delimiter", "s3:max-keys": "max-keys", "s3:versionid": "versionId"} {
		if c.query.Has(parameter) {
			q.Values[key] = c.param(parameter)
		}
	}
	for _, name := range [...]string{"X-Amz-Acl", "X-Amz-Content-Sha256", "X-Amz-Copy-Source", "X-Amz-Metadata-Directive",
		"X-Amz-Server-Side-Encryption", "X-Amz-Storage-Class"} {
		if h[name] != nil {
			q.Values["s3:"+strings.ToLower(name)] = h.Get(name)
		}
	}
	for key, name := range map[string]string{"aws:referer": "Referer", "aws:useragent": "User-Agent"} {
		if h[name] != nil {
			q.Values[key] = h.Get(name)
		}
	}
	return q
}

func authType(a *sigv4.Auth, rt *route) string {
	switch {
	case a.Presigned:
		return "REST-QUERY-STRING"
	case rt != nil && rt.inForm:
		return "POST"
	}
	return "REST-HEADER"
}

// hideMissing keeps from strangers which keys there are, unless they may list.
func (c *call) hideMissing(err error) error {
	missing := errors.Is(err, gateway.ErrNoSuchKey) || errors.Is(err, gateway.ErrNoSuchVersion) || errors.Is(err, gateway.ErrDeleteMarker)
	if missing && c.auth != nil && c.auth.Anonymous && c.authorize("s3:ListBucket", c.bucket, "") != nil {
		return fail("AccessDenied")
	}
	return err
}
