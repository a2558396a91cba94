package sigv4

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signer signs requests as a client does.
type Signer struct {
	AccessKey    string
	SecretKey    Secret
	SessionToken Secret // empty for lasting keys
	Region       string
	Service      string // empty means "s3"
}

// unsignedHeaders are never signed: they change on the way or carry the signature.
var unsignedHeaders = map[string]bool{
	"Authorization": true, "User-Agent": true, "Accept-Encoding": true, "Connection": true,
	"Content-Length": true, "Expect": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "X-Amzn-Trace-Id": true,
}

// Sign adds Authorization, X-Amz-Date and X-Amz-Content-Sha256 to r and returns
// the signature. payload is the hexadecimal SHA-256 of the body or a mode, such
// as PayloadUnsigned.String(). r.URL and r.Header must be final; r.Body is not
// looked at.
func (s Signer) Sign(r *http.Request, payload string, at time.Time) (string, error) {
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.Header.Set("X-Amz-Date", at.UTC().Format(stampLayout))
	r.Header.Set(contentSHA256, payload)
	if s.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", string(s.SessionToken))
	}
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	c := s.claim(r, at)
	c.signature = s.signature(c, r, params, payload)
	r.Header.Set("Authorization", algorithm+" Credential="+s.AccessKey+"/"+c.scope.String()+
		", SignedHeaders="+strings.Join(c.signed, ";")+", Signature="+c.signature)
	return c.signature, nil
}

// Presign returns a URL that does what r does for the given time, to whole
// seconds, without headers other than those in r. It leaves r as it is.
func (s Signer) Presign(r *http.Request, expires time.Duration, at time.Time) (string, error) {
	seconds := int64(expires / time.Second)
	if seconds < 1 || expires > MaxExpires {
		return "", badQuery("X-Amz-Expires must be between 1 and 604800 seconds")
	}
	clone := *r
	clone.Host = cmp.Or(r.Host, r.URL.Host)
	c := s.claim(&clone, at)
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	add := func(name, value string) {
		params = append(params, param{queryPrefix + name, value, queryPrefix + name, escape(value)})
	}
	add("Algorithm", algorithm)
	add("Credential", s.AccessKey+"/"+c.scope.String())
	add("Date", c.stamp)
	add("Expires", strconv.FormatInt(seconds, 10))
	add("SignedHeaders", strings.Join(c.signed, ";"))
	if s.SessionToken != "" {
		add("Security-Token", string(s.SessionToken))
	}
	payload := cmp.Or(r.Header.Get(contentSHA256), unsignedPayload)
	signature := s.signature(c, &clone, params, payload)
	return cmp.Or(r.URL.Scheme, "https") + "://" + clone.Host + canonicalPaths(r)[0] + "?" +
		string(appendQuery(nil, params)) + "&" + queryPrefix + "Signature=" + signature, nil
}

// claim describes a signature by s over everything in r worth signing.
func (s Signer) claim(r *http.Request, at time.Time) *claim {
	at = at.UTC()
	c := &claim{accessKey: s.AccessKey, time: at, stamp: at.Format(stampLayout), signed: []string{"host"}}
	c.scope = scope{date: c.stamp[:8], region: s.Region, service: cmp.Or(s.Service, "s3")}
	for name := range r.Header {
		if !unsignedHeaders[name] {
			c.signed = append(c.signed, strings.ToLower(name))
		}
	}
	slices.Sort(c.signed)
	return c
}

func (s Signer) signature(c *claim, r *http.Request, params []param, payload string) string {
	request := newCanonical(r, params, c.signed, payload).append(nil, canonicalPaths(r)[0])
	return deriveKey(s.SecretKey, c.scope).sign(appendStringToSign(nil, c.stamp, c.scope, request))
}
