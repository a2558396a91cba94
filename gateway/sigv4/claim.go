package sigv4

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	queryPrefix = "X-Amz-"
	stampLayout = "20060102T150405Z"

	maxAccessKey     = 128 // bytes
	maxSignedHeaders = 256
)

// claim is what a request says about its own signature; nothing of it has been
// checked against a secret.
type claim struct {
	presigned bool
	accessKey string
	scope     scope
	signed    []string // lower-case, sorted, distinct
	signature string
	stamp     string        // the signing time as it is signed
	time      time.Time     // the same
	expires   time.Duration // presigned only
}

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…,
// Signature=…", with or without white space around the commas.
func parseAuthorization(header string) (*claim, error) {
	kind, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	switch {
	case kind == algorithm:
	case strings.HasPrefix(kind, "AWS4-ECDSA-"):
		return nil, refuse(CodeNotImplemented, "A header you provided implies functionality that is not implemented")
	case kind == "AWS":
		return nil, refuse(CodeInvalidRequest,
			"The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	default:
		// Not echoed: it may be somebody's password sent to the wrong place.
		return nil, invalidArgument("Unsupported Authorization Type", "Authorization", "")
	}
	var credential, signed, signature string
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		var to *string
		switch name {
		case "Credential":
			to = &credential
		case "SignedHeaders":
			to = &signed
		case "Signature":
			to = &signature
		}
		if to == nil || *to != "" || value == "" {
			return nil, malformed(false, "the authorization header requires three components: Credential, SignedHeaders, and Signature.")
		}
		*to = value
	}
	if credential == "" || signed == "" || signature == "" {
		return nil, malformed(false, "the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	c := &claim{signature: signature}
	if err := c.setCredential(credential); err != nil {
		return nil, err
	}
	return c, c.setSigned(signed)
}

// parsePresigned reads the signature from the query of a presigned URL.
func parsePresigned(params []param) (*claim, error) {
	missing := badQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, " +
		"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	var v struct{ algorithm, credential, date, expires, signed, signature string }
	for _, p := range params {
		var to *string
		switch p.key {
		case queryPrefix + "Algorithm":
			to = &v.algorithm
		case queryPrefix + "Credential":
			to = &v.credential
		case queryPrefix + "Date":
			to = &v.date
		case queryPrefix + "Expires":
			to = &v.expires
		case queryPrefix + "SignedHeaders":
			to = &v.signed
		case queryPrefix + "Signature":
			to = &v.signature
		default:
			continue
		}
		if p.value == "" {
			return nil, missing
		}
		if *to != "" {
			return nil, badQuery("The " + p.key + " parameter was specified more than once.")
		}
		*to = p.value
	}
	switch {
	case v.algorithm == "" || v.credential == "" || v.date == "" || v.expires == "" || v.signed == "" || v.signature == "":
		return nil, missing
	case strings.HasPrefix(v.algorithm, "AWS4-ECDSA-"):
		return nil, refuse(CodeNotImplemented, "A parameter you provided implies functionality that is not implemented")
	case v.algorithm != algorithm:
		return nil, badQuery(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
	}
	c := &claim{presigned: true, signature: v.signature}
	if err := c.setCredential(v.credential); err != nil {
		return nil, err
	}
	if err := c.setSigned(v.signed); err != nil {
		return nil, err
	}
	var ok bool
	if c.time, ok = parseStamp(v.date); !ok {
		return nil, badQuery(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	c.stamp = v.date
	return c, c.setExpires(v.expires)
}

func (c *claim) setExpires(s string) error {
	seconds, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil && strings.Trim(s, "0123456789") != "":
		return badQuery("X-Amz-Expires should be a number")
	case err != nil || seconds > int64(MaxExpires/time.Second):
		return badQuery("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	case seconds < 0:
		return badQuery("X-Amz-Expires must be non-negative")
	case seconds == 0:
		return badQuery("X-Amz-Expires must be at least one second")
	}
	c.expires = time.Duration(seconds) * time.Second
	return nil
}

// setCredential reads "<access key>/<date>/<region>/<service>/aws4_request".
// The scope is counted from the end: access keys may contain slashes.
func (c *claim) setCredential(s string) error {
	parts := strings.Split(s, "/")
	n := len(parts) - 4
	if n < 1 {
		return malformed(c.presigned, `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	c.accessKey = strings.Join(parts[:n], "/")
	c.scope = scope{date: parts[n], region: parts[n+1], service: parts[n+2]}
	switch {
	case c.accessKey == "" || len(c.accessKey) > maxAccessKey:
		return malformed(c.presigned, `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	case parts[n+3] != terminator:
		return malformed(c.presigned, "incorrect terminal "+strconv.Quote(echo(parts[n+3]))+`. This endpoint uses "aws4_request".`)
	case len(c.scope.date) != 8 || strings.Trim(c.scope.date, "0123456789") != "":
		return malformed(c.presigned, "incorrect date format "+strconv.Quote(echo(c.scope.date))+`. This date in the credential must be in the format "yyyyMMdd".`)
	}
	return nil
}

func (c *claim) setSigned(s string) error {
	names := strings.Split(strings.ToLower(s), ";")
	slices.Sort(names)
	for i, name := range names {
		if name == "" || i > 0 && names[i-1] == name || len(names) > maxSignedHeaders {
			if c.presigned {
				return badQuery("The X-Amz-SignedHeaders parameter is malformed.")
			}
			return malformed(false, "the SignedHeaders component is malformed.")
		}
	}
	c.signed = names
	return nil
}

func parseStamp(s string) (time.Time, bool) {
	if len(s) != len(stampLayout) { // time.Parse would accept a fraction
		return time.Time{}, false
	}
	t, err := time.Parse(stampLayout, s)
	return t, err == nil
}

// setTime takes the signing time of a request signed in its header from
// X-Amz-Date, else from Date.
func (c *claim) setTime(h http.Header) error {
	raw, ok := h["X-Amz-Date"]
	if !ok {
		raw = h["Date"]
	}
	if len(raw) == 1 {
		v := strings.TrimSpace(raw[0])
		t, valid := parseStamp(v)
		if !valid && !ok {
			parsed, err := http.ParseTime(v)
			t, valid = parsed.UTC(), err == nil
		}
		if valid {
			c.time, c.stamp = t, t.Format(stampLayout)
			return nil
		}
	}
	return refuse(CodeAccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
}

// checkSigned refuses a request that carries a header which S3 insists on
// seeing signed: host and every x-amz-*.
func (c *claim) checkSigned(h http.Header) error {
	var missing []string
	if _, ok := slices.BinarySearch(c.signed, "host"); !ok {
		missing = append(missing, "host")
	}
	for name := range h {
		if len(name) < len(queryPrefix) || !strings.EqualFold(name[:len(queryPrefix)], queryPrefix) {
			continue
		}
		lower := strings.ToLower(name)
		if _, ok := slices.BinarySearch(c.signed, lower); !ok {
			missing = append(missing, lower)
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return notSigned(missing)
}
