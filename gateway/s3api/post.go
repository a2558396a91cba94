package s3api

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/form"
	"github.com/cairn-store/cairn/gateway/sigv4"
)

// postObject stores the file of a form. Who sends it is known only from the
// form: admit let it pass, so everything is decided here, before the file is
// read.
func postObject(c *call) error {
	contentType := c.r.Header.Get("Content-Type")
	switch {
	case !form.IsForm(contentType):
		return fail("PreconditionFailed", Field{"Condition", "Bucket POST must be of the enclosure-type multipart/form-data"})
	case !c.auth.Anonymous:
		return failf("InvalidRequest", "Only one auth mechanism allowed; a form is signed inside")
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	if body.Length() > maxPutSize+maxSetting {
		return fail("EntityTooLarge", Field{"ProposedSize", number(body.Length())}, Field{"MaxSizeAllowed", number(maxPutSize)})
	}
	f, err := form.NewReader(body, body.Length(), contentType)
	if err != nil {
		return err
	}
	policy, err := c.admitForm(f)
	if err != nil {
		return err
	}
	req, err := c.formRequest(f)
	if err != nil {
		return err
	}
	if req.Body, req.Size, err = f.File(); err != nil {
		return err
	}
	if err := policy.CheckSize(req.Size); err != nil {
		return err
	}
	if req.Size > maxPutSize {
		return fail("EntityTooLarge", Field{"ProposedSize", number(req.Size)}, Field{"MaxSizeAllowed", number(maxPutSize)})
	}
	stored, err := c.cfg.Store.Put(c.ctx(), req)
	if err != nil {
		return err
	}
	c.storedHeaders(stored.Version, stored.Durability)
	c.answerForm(f.Fields, quoteETag(stored.Version.ETag))
	return nil
}

// admitForm finds out who signed the form, whether it is what they signed, and
// whether they may store under the key.
func (c *call) admitForm(f *form.Reader) (*form.Policy, error) {
	fields := f.Fields
	if fields["policy"] == "" {
		return nil, fail("AccessDenied")
	}
	auth, err := c.cfg.Verifier.VerifyPolicy(c.ctx(), sigv4.Policy{
		Policy: fields["policy"], Algorithm: fields["x-amz-algorithm"], Credential: fields["x-amz-credential"],
		Date: fields["x-amz-date"], Signature: fields["x-amz-signature"], SecurityToken: fields["x-amz-security-token"],
	})
	if err != nil {
		return nil, err
	}
	policy, err := form.ParsePolicy(fields["policy"])
	if err != nil {
		return nil, err
	}
	if named, ok := fields["bucket"]; ok && named != c.bucket {
		return nil, failf("AccessDenied", "Invalid according to Policy: the form's bucket is not the one it is sent to")
	}
	key := strings.ReplaceAll(fields["key"], "${filename}", f.Filename)
	if key == "" {
		return nil, invalidArgument("Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.", "key", "")
	}
	meant := maps.Clone(fields)
	meant["bucket"], meant["key"] = c.bucket, key
	if err := policy.Check(meant, time.Now()); err != nil {
		return nil, err
	}
	c.auth, c.key = auth, key
	if err := c.target.check(); err != nil {
		return nil, err
	}
	// From here on the fields are what headers are in other requests.
	header, err := formHeader(fields)
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"Referer", "User-Agent"} { // policies may ask for them
		if v := c.r.Header[name]; v != nil {
			header[name] = v
		}
	}
	c.r.Header = header
	if err := c.authorize("s3:PutObject", c.bucket, c.key); err != nil {
		return nil, err
	}
	if fields["tagging"] != "" {
		return policy, c.authorize("s3:PutObjectTagging", c.bucket, c.key)
	}
	return policy, nil
}

// formHeader returns the header that says the same as the fields.
func formHeader(fields map[string]string) (http.Header, error) {
	h := http.Header{}
	for name, value := range fields {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case name == "acl":
			h.Set("X-Amz-Acl", value)
		case isAmz(name) && canonical == name: // has characters that headers have not
			return nil, invalidArgument("A field of the form has a name that is not allowed", "field", name)
		case isAmz(name) && !notHoisted[name] && name != "x-amz-tagging", name == "content-md5", systemHeader[canonical]:
			h.Set(canonical, value)
		}
	}
	return h, nil
}

var systemHeader = set(systemHeaders...)

// formRequest reads the fields as headers are read.
func (c *call) formRequest(f *form.Reader) (gateway.PutRequest, error) {
	req := gateway.PutRequest{Bucket: c.bucket, Key: c.key}
	if err := c.checkUnsupportedHeaders(); err != nil {
		return req, err
	}
	var err error
	if req.Attributes, err = c.attributes(); err != nil {
		return req, err
	}
	if req.Tags, err = formTags(f.Fields["tagging"]); err != nil {
		return req, err
	}
	said, err := c.claims(nil) // a form has no trailers
	if err != nil {
		return req, err
	}
	req.Digests = said.Digests
	return req, nil
}

func formTags(document string) ([]cairn.Attr, error) {
	if document == "" {
		return nil, nil
	}
	tags, err := parseTags([]byte(document))
	if err != nil {
		return nil, err
	}
	return tags, checkTags(tags, maxTags, "Object tags cannot be greater than 10")
}

// answerForm answers as the form asks for: with a status, or by sending the
// browser somewhere else.
func (c *call) answerForm(fields map[string]string, etag string) {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	at := url.URL{Scheme: scheme, Host: c.r.Host, Path: "/" + c.bucket + "/" + c.key}
	if hostBucket(c.r.Host, c.cfg.Domains) != "" {
		at.Path = "/" + c.key
	}
	head := c.w.Header()
	head.Set("Etag", etag)
	to := fields["success_action_redirect"]
	if to == "" {
		to = fields["redirect"]
	}
	if u, err := url.Parse(to); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		q := u.Query()
		q.Set("bucket", c.bucket)
		q.Set("key", c.key)
		q.Set("etag", etag)
		u.RawQuery = q.Encode()
		head.Set("Location", u.String())
		c.done(http.StatusSeeOther)
		return
	}
	head.Set("Location", at.String())
	switch fields["success_action_status"] {
	case "200":
		c.done(http.StatusOK)
	case "201":
		x := newXML()
		x.openPlain("PostResponse")
		x.elem("Location", at.String())
		x.elem("Bucket", c.bucket)
		x.elem("Key", c.key)
		x.elem("ETag", etag)
		x.close("PostResponse")
		c.sendXML(http.StatusCreated, x)
	default:
		c.done(http.StatusNoContent)
	}
}
