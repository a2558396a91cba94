package s3api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/cairn-store/cairn/gateway/sigv4"
)

// call is one request on its way through the stages.
type call struct {
	*Handler
	w     *response
	r     *http.Request
	id    string
	query url.Values
	target
	route *route // nil until it is known
	auth  *sigv4.Auth

	access map[string]accessRules // of the buckets asked for, once read
}

func (c *call) ctx() context.Context { return c.r.Context() }

// param returns a query parameter, "" if it is absent.
func (c *call) param(name string) string { return c.query.Get(name) }

// admit finds out what is asked for and by whom, and whether they may. After it
// the body has not been read.
func (c *call) admit() error {
	var err error
	if c.query, err = parseQuery(c.r.URL.RawQuery); err != nil {
		return err
	}
	if c.target, err = parseTarget(c.r, c.cfg.Domains); err != nil {
		return err
	}
	if c.bucket != "" {
		c.w.Header().Set("X-Amz-Bucket-Region", c.cfg.Region)
	}
	if err := c.allowOrigin(); err != nil {
		return err
	}
	var unroutable error
	c.route, unroutable = findRoute(c.r.Method, c.target, c.query, c.r.Header)
	var regions []string
	if c.route != nil && c.route.anyRegion {
		regions = []string{defaultRegion}
	}
	if c.auth, err = c.cfg.Verifier.Verify(c.r, regions...); err != nil {
		return err
	}
	if c.hoist() { // a header from the query can select another route
		c.route, unroutable = findRoute(c.r.Method, c.target, c.query, c.r.Header)
	}
	if err := c.authorizeAll(unroutable == nil); err != nil {
		return err
	}
	if unroutable != nil {
		return unroutable
	}
	if err := c.varyByOrigin(); err != nil {
		return err
	}
	return c.precheck()
}

// precheck refuses what no operation of the route's kind accepts.
func (c *call) precheck() error {
	if err := c.target.check(); err != nil {
		return err
	}
	if want := c.r.Header.Get("X-Amz-Expected-Bucket-Owner"); want != "" && want != c.cfg.OwnerID {
		return fail("AccessDenied")
	}
	if c.auth.Payload == sigv4.PayloadUnsignedTrailer && c.route.body != stream {
		return invalidArgument("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, or a valid sha256 value.",
			"x-amz-content-sha256", c.auth.Payload.String())
	}
	if err := c.checkUnsupportedHeaders(); err != nil {
		return err
	}
	if c.route.body == noBody {
		return c.skipBody()
	}
	return nil
}

// notHoisted are the presigning parameters themselves.
var notHoisted = set("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders",
	"x-amz-signature", "x-amz-security-token", "x-amz-content-sha256")

// hoist lets x-amz-* parameters of a presigned URL stand in for headers that
// were not sent, and reports whether there were any. All of them are covered by
// the signature.
func (c *call) hoist() (hoisted bool) {
	if !c.auth.Presigned {
		return false
	}
	for name, values := range c.query {
		canonical := http.CanonicalHeaderKey(name)
		if isAmz(name) && !notHoisted[strings.ToLower(name)] && c.r.Header[canonical] == nil {
			c.r.Header[canonical] = values
			hoisted = true
		}
	}
	// A signer cannot know the checksum of what will be uploaded.
	if c.query.Has("x-amz-sdk-checksum-algorithm") {
		c.r.Header.Del(sdkAlgorithm)
	}
	return hoisted
}

// body returns the decoded body, which nobody has read from yet.
func (c *call) body() (*sigv4.Body, error) { return c.auth.Body(c.r) }

// readDocument reads a body that is held in memory, and verifies everything that
// was said about it.
func (c *call) readDocument(limit int64) ([]byte, *claims, error) {
	b, err := c.body()
	if err != nil {
		return nil, nil, err
	}
	if b.Length() > limit {
		return nil, nil, fail("MaxMessageLengthExceeded", Field{"MaxMessageLengthBytes", number(limit)})
	}
	said, err := c.claims(b)
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(b)
	if err != nil {
		return nil, nil, err
	}
	return data, said, said.verify(data)
}

// skipBody reads and verifies a body that the operation has no use for.
func (c *call) skipBody() error {
	if c.r.ContentLength == 0 && !c.auth.Payload.Chunked() && c.auth.Payload != sigv4.PayloadSHA256 {
		return nil
	}
	b, err := c.body()
	if err != nil {
		return err
	}
	if b.Length() > maxIgnoredBody {
		return fail("MaxMessageLengthExceeded", Field{"MaxMessageLengthBytes", number(maxIgnoredBody)})
	}
	_, err = io.Copy(io.Discard, b)
	return err
}
