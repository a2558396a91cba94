package sigv4

import (
	"context"
	"strconv"
)

// Policy is the signed part of a browser's POST upload: the form fields
// policy, x-amz-algorithm, x-amz-credential, x-amz-date, x-amz-signature and
// x-amz-security-token as they came.
type Policy struct {
	Policy        string // base64, as signed; not decoded before it is verified
	Algorithm     string
	Credential    string
	Date          string
	Signature     string
	SecurityToken string // empty for lasting keys
}

// VerifyPolicy checks the signature of a POST policy. The policy's own
// conditions, among them its expiry, are the caller's to check; decode it only
// after VerifyPolicy returned no error.
func (v *Verifier) VerifyPolicy(ctx context.Context, p Policy) (*Auth, error) {
	for _, f := range [...]struct{ name, value string }{
		{"policy", p.Policy}, {"x-amz-algorithm", p.Algorithm}, {"x-amz-credential", p.Credential},
		{"x-amz-date", p.Date}, {"x-amz-signature", p.Signature},
	} {
		if f.value == "" {
			return nil, invalidArgument("Bucket POST must contain a field named '"+f.name+
				"'. If it is specified, please check the order of the fields.", f.name, "")
		}
	}
	if p.Algorithm != algorithm {
		return nil, invalidArgument("x-amz-algorithm must be AWS4-HMAC-SHA256", "x-amz-algorithm", p.Algorithm)
	}
	c := &claim{signature: p.Signature, stamp: p.Date}
	var ok bool
	if c.time, ok = parseStamp(p.Date); !ok {
		return nil, invalidArgument(`x-amz-date must be in the format "yyyyMMdd'T'HHmmss'Z'"`, "x-amz-date", p.Date)
	}
	if c.setCredential(p.Credential) != nil || c.scope.date != c.stamp[:8] ||
		c.scope.region != v.cfg.Region || c.scope.service != v.cfg.Service {
		return nil, invalidArgument("x-amz-credential must be for region "+strconv.Quote(v.cfg.Region)+
			" and the day of x-amz-date", "x-amz-credential", p.Credential)
	}
	if v.cfg.Now().Add(MaxSkew).Before(c.time) {
		return nil, refuse(CodeAccessDenied, "Request is not valid yet")
	}
	cred, key, err := v.authenticate(ctx, c, func(key *signingKey) error {
		if equal(key.sign([]byte(p.Policy)), p.Signature) {
			return nil
		}
		return mismatch(c.accessKey, p.Signature, p.Policy, "")
	})
	if err != nil {
		return nil, err
	}
	if !equal(p.SecurityToken, string(cred.SessionToken)) {
		return nil, refuse(CodeInvalidToken, "The provided token is malformed or otherwise invalid.")
	}
	return c.auth(cred, key), nil
}
