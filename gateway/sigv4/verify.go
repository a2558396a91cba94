package sigv4

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-store/cairn"
)

const (
	// MaxSkew is how far a signing time may be from ours.
	MaxSkew = 15 * time.Minute
	// MaxExpires is the longest life of a presigned URL.
	MaxExpires = 7 * 24 * time.Hour
)

// Credential is what the owner of an access key shares with us.
type Credential struct {
	SecretKey Secret
	// SessionToken is what the client must send along; empty for lasting keys.
	SessionToken Secret
	// Identity is handed back in Auth untouched.
	Identity any
}

// Lookup finds the credential of an access key. An error that is
// cairn.NotFound or cairn.Denied means there is no usable key of that name; any
// other is returned by Verify as it is. It must be safe for concurrent use.
type Lookup func(ctx context.Context, accessKey string) (Credential, error)

// Config says whom a Verifier speaks for.
type Config struct {
	// Region is the only region accepted in a signature, unless a call names more.
	Region string
	// Lookup finds credentials. It is required.
	Lookup Lookup
	// Service is the service accepted in a signature. Empty means "s3".
	Service string
	// Now returns the time. Nil means time.Now.
	Now func() time.Time
	// CachedKeys bounds how many derived keys are kept (twice this, at most,
	// of about 250 bytes each). Zero means 1024.
	CachedKeys int
}

func (c *Config) validate() error {
	switch {
	case c.Lookup == nil:
		return errors.New("sigv4: Config.Lookup is nil")
	case c.Region == "" || strings.ContainsAny(c.Region, "/ ,"):
		return fmt.Errorf("sigv4: Config.Region %q is not a region", c.Region)
	case c.CachedKeys < 0:
		return fmt.Errorf("sigv4: Config.CachedKeys is %d, want 0 or more", c.CachedKeys)
	}
	if c.Service == "" {
		c.Service = "s3"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.CachedKeys == 0 {
		c.CachedKeys = 1024
	}
	return nil
}

// Verifier checks requests. It is safe for concurrent use.
type Verifier struct {
	cfg   Config
	keys  keyCache
	decoy Secret // stands in for the secret of unknown keys
}

// NewVerifier returns a Verifier.
func NewVerifier(cfg Config) (*Verifier, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Verifier{cfg: cfg, keys: keyCache{limit: cfg.CachedKeys}, decoy: Secret(rand.Text())}, nil
}

// Auth is the outcome of a successful Verify.
type Auth struct {
	// Anonymous: nobody signed the request. Everything below but Payload is zero.
	Anonymous bool
	// Presigned: the signature came in the query.
	Presigned bool
	AccessKey string
	Identity  any       // from Credential
	Time      time.Time // when the request was signed
	Region    string    // the region it was signed for
	Signed    []string  // names of the signed headers, lower-case, sorted
	Payload   Payload

	digest [sha256.Size]byte // of the body, for PayloadSHA256
	chain  chain             // where the chunk signatures go on
}

// Verify finds out who sent r. It does not read the body. A request without any
// signature is answered with Auth.Anonymous, not with an error. otherRegions are
// accepted beside the configured one: S3 lets ListBuckets and GetBucketLocation
// be signed for "us-east-1" everywhere.
func (v *Verifier) Verify(r *http.Request, otherRegions ...string) (*Auth, error) {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	c, err := findClaim(r.Header, params)
	if err != nil {
		return nil, err
	}
	stated, err := statedPayload(r.Header, params)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return anonymous(stated)
	}
	if stated == "" {
		if !c.presigned {
			return nil, refuse(CodeInvalidRequest, "Missing required header for this request: x-amz-content-sha256")
		}
		stated = unsignedPayload
	}
	payload, digest, err := parsePayload(stated)
	if err != nil {
		return nil, err
	}
	if err := v.checkClaim(c, r, otherRegions); err != nil {
		return nil, err
	}
	cred, key, err := v.authenticate(r.Context(), c, func(key *signingKey) error {
		return c.checkSignature(key, r, params, stated)
	})
	if err != nil {
		return nil, err
	}
	if err := checkToken(cred.SessionToken, r.Header, params); err != nil {
		return nil, err
	}
	a := c.auth(cred, key)
	a.Payload, a.digest = payload, digest
	return a, nil
}

// findClaim returns nil if the request is anonymous. More than one signature is
// refused: which of them counts must never be a matter of taste.
func findClaim(h http.Header, params []param) (*claim, error) {
	var presigned, v2 bool
	for _, p := range params {
		switch p.key {
		case queryPrefix + "Algorithm", queryPrefix + "Credential", queryPrefix + "Signature":
			presigned = true
		case "Signature", "AWSAccessKeyId":
			v2 = true
		}
	}
	values, signed := h["Authorization"]
	if len(values) > 1 || signed && (presigned || v2) || presigned && v2 {
		return nil, invalidArgument("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "+
			"Signature query string parameter or the Authorization header should be specified", "Authorization", "")
	}
	switch {
	case v2:
		return nil, refuse(CodeInvalidRequest,
			"The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	case presigned:
		return parsePresigned(params)
	case !signed:
		return nil, nil
	case len(values) == 0:
		return parseAuthorization("")
	}
	c, err := parseAuthorization(values[0])
	if err != nil {
		return nil, err
	}
	return c, c.setTime(h)
}

// anonymous allows only bodies that need no signature to be checked.
func anonymous(stated string) (*Auth, error) {
	if stated == "" {
		stated = unsignedPayload
	}
	payload, digest, err := parsePayload(stated)
	if err != nil {
		return nil, err
	}
	if payload.Chunked() {
		return nil, refuse(CodeInvalidRequest, "An anonymous request cannot use x-amz-content-sha256: "+stated)
	}
	return &Auth{Anonymous: true, Payload: payload, digest: digest}, nil
}

// checkClaim checks all that can be checked without a secret.
func (v *Verifier) checkClaim(c *claim, r *http.Request, otherRegions []string) error {
	if err := v.checkScope(c, otherRegions); err != nil {
		return err
	}
	now := v.cfg.Now()
	if c.presigned {
		if now.Add(MaxSkew).Before(c.time) {
			return refuse(CodeAccessDenied, "Request is not valid yet")
		}
		if end := c.time.Add(c.expires); now.After(end) {
			return refuse(CodeAccessDenied, "Request has expired",
				Field{"X-Amz-Expires", strconv.Itoa(int(c.expires / time.Second))},
				Field{"Expires", end.Format(time.RFC3339)},
				Field{"ServerTime", now.UTC().Format(time.RFC3339)})
		}
	} else if d := now.Sub(c.time); d > MaxSkew || d < -MaxSkew {
		return skewed(c.stamp, now)
	}
	return c.checkSigned(r.Header)
}

func (v *Verifier) checkScope(c *claim, otherRegions []string) error {
	switch {
	case c.scope.service != v.cfg.Service:
		return malformed(c.presigned, "incorrect service "+strconv.Quote(echo(c.scope.service))+
			". This endpoint belongs to "+strconv.Quote(v.cfg.Service)+".")
	case c.scope.region != v.cfg.Region && !slices.Contains(otherRegions, c.scope.region):
		return malformed(c.presigned, "the region '"+echo(c.scope.region)+"' is wrong; expecting '"+v.cfg.Region+"'",
			Field{"Region", v.cfg.Region})
	case c.scope.date != c.stamp[:8]:
		return malformed(c.presigned, "Invalid credential date "+strconv.Quote(c.scope.date)+
			". This date is not the same as X-Amz-Date: "+strconv.Quote(c.stamp[:8])+".")
	}
	return nil
}

// authenticate looks the key up and lets check compare signatures. For a key
// that does not exist the same work is done with a decoy, so that the answer
// takes the same time.
func (v *Verifier) authenticate(ctx context.Context, c *claim, check func(*signingKey) error) (Credential, *signingKey, error) {
	name := c.accessKey
	cred, err := v.cfg.Lookup(ctx, name)
	unknown := errors.Is(err, cairn.NotFound) || errors.Is(err, cairn.Denied) || err == nil && cred.SecretKey == ""
	switch {
	case unknown:
		cred, name = Credential{SecretKey: v.decoy}, ""
	case err != nil:
		return Credential{}, nil, fmt.Errorf("look up access key %q: %w", name, err)
	}
	key := v.keys.get(name, cred.SecretKey, c.scope)
	err = check(key)
	if unknown {
		return Credential{}, nil, unknownKey(c.accessKey)
	}
	return cred, key, err
}

// checkSignature compares the claimed signature with ours, over every spelling
// of the path a client may have signed.
func (c *claim) checkSignature(key *signingKey, r *http.Request, params []param, payload string) error {
	canon := newCanonical(r, params, c.signed, payload)
	paths := canonicalPaths(r)
	var request, toSign []byte
	matched := false
	for i := len(paths) - 1; i >= 0; i-- { // the usual spelling last, for the error
		request = canon.append(request[:0], paths[i])
		toSign = appendStringToSign(toSign[:0], c.stamp, c.scope, request)
		matched = equal(key.sign(toSign), c.signature) || matched
	}
	if !matched {
		return mismatch(c.accessKey, c.signature, string(toSign), string(request))
	}
	return nil
}

func appendStringToSign(dst []byte, stamp string, s scope, request []byte) []byte {
	sum := sha256.Sum256(request)
	dst = append(dst, algorithm...)
	dst = append(dst, '\n')
	dst = append(dst, stamp...)
	dst = append(dst, '\n')
	dst = append(dst, s.String()...)
	dst = append(dst, '\n')
	return hex.AppendEncode(dst, sum[:])
}

// checkToken compares the session token, which is among the signed things.
func checkToken(want Secret, h http.Header, params []param) error {
	got := h.Get("X-Amz-Security-Token")
	for _, p := range params {
		if p.key == "X-Amz-Security-Token" {
			got = p.value
		}
	}
	if !equal(got, string(want)) {
		return refuse(CodeInvalidToken, "The provided token is malformed or otherwise invalid.")
	}
	return nil
}

func (c *claim) auth(cred Credential, key *signingKey) *Auth {
	return &Auth{
		Presigned: c.presigned,
		AccessKey: c.accessKey,
		Identity:  cred.Identity,
		Time:      c.time,
		Region:    c.scope.region,
		Signed:    c.signed,
		chain:     chain{key: key, accessKey: c.accessKey, stamp: c.stamp, scope: c.scope.String(), previous: c.signature},
	}
}
