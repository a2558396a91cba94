package sigv4

import (
	"strconv"
	"strings"
	"time"
)

// Error codes of this package, spelled as S3 spells them.
const (
	CodeAccessDenied           = "AccessDenied"
	CodeAuthorizationMalformed = "AuthorizationHeaderMalformed"
	CodeAuthorizationQuery     = "AuthorizationQueryParametersError"
	CodeContentSHA256Mismatch  = "XAmzContentSHA256Mismatch"
	CodeIncompleteBody         = "IncompleteBody"
	CodeInvalidAccessKeyID     = "InvalidAccessKeyId"
	CodeInvalidArgument        = "InvalidArgument"
	CodeInvalidChunkSize       = "InvalidChunkSizeError"
	CodeInvalidRequest         = "InvalidRequest"
	CodeInvalidToken           = "InvalidToken"
	CodeInvalidURI             = "InvalidURI"
	CodeMalformedTrailer       = "MalformedTrailerError"
	CodeMissingContentLength   = "MissingContentLength"
	CodeNotImplemented         = "NotImplemented"
	CodeRequestTimeTooSkewed   = "RequestTimeTooSkewed"
	CodeSignatureDoesNotMatch  = "SignatureDoesNotMatch"
)

// maxEchoed bounds how much of one client value an error repeats, in bytes.
const maxEchoed = 256

// Error is a refusal that the client caused. It never holds a secret: a string
// to sign and a canonical request contain only what the client sent.
type Error struct {
	Code    string  // S3's error code
	Message string  // S3's sentence
	Fields  []Field // further elements of the XML error, in order

	cause error // what reading the body reported; may be nil
}

// Field is one further element of an XML error, e.g. StringToSign.
type Field struct{ Name, Value string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns what reading the body reported, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Field returns the value of the named further element, or "".
func (e *Error) Field(name string) string {
	for _, f := range e.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func refuse(code, message string, fields ...Field) *Error {
	return &Error{Code: code, Message: message, Fields: fields}
}

func echo(s string) string {
	if len(s) > maxEchoed {
		return s[:maxEchoed]
	}
	return s
}

// malformed is a fault in what describes the signature. S3 names it after the
// place the description came from.
func malformed(presigned bool, what string, fields ...Field) *Error {
	if presigned {
		return refuse(CodeAuthorizationQuery, "Error parsing the X-Amz-Credential parameter; "+what, fields...)
	}
	return refuse(CodeAuthorizationMalformed, "The authorization header is malformed; "+what, fields...)
}

func badQuery(message string) *Error { return refuse(CodeAuthorizationQuery, message) }

func invalidArgument(message, name, value string) *Error {
	return refuse(CodeInvalidArgument, message, Field{"ArgumentName", name}, Field{"ArgumentValue", echo(value)})
}

func notSigned(names []string) *Error {
	return refuse(CodeAccessDenied, "There were headers present in the request which were not signed",
		Field{"HeadersNotSigned", echo(strings.Join(names, ", "))})
}

func unknownKey(accessKey string) *Error {
	return refuse(CodeInvalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.",
		Field{"AWSAccessKeyId", echo(accessKey)})
}

// mismatch tells the client what we signed, so that it can find the difference.
// canonical is empty for chunks and policies, which have no canonical request.
func mismatch(accessKey, provided, stringToSign, canonical string) *Error {
	e := refuse(CodeSignatureDoesNotMatch,
		"The request signature we calculated does not match the signature you provided. Check your key and signing method.",
		Field{"AWSAccessKeyId", echo(accessKey)},
		Field{"StringToSign", stringToSign},
		Field{"SignatureProvided", echo(provided)},
		Field{"StringToSignBytes", spacedHex(stringToSign)})
	if canonical != "" {
		e.Fields = append(e.Fields, Field{"CanonicalRequest", canonical},
			Field{"CanonicalRequestBytes", spacedHex(canonical)})
	}
	return e
}

// spacedHex writes bytes as S3 does in these errors: "47 45 54".
func spacedHex(s string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		b = append(b, digits[s[i]>>4], digits[s[i]&15], ' ')
	}
	return string(b[:max(0, len(b)-1)])
}

func skewed(requestTime string, now time.Time) *Error {
	return refuse(CodeRequestTimeTooSkewed, "The difference between the request time and the current time is too large.",
		Field{"RequestTime", echo(requestTime)},
		Field{"ServerTime", now.UTC().Format(time.RFC3339)},
		Field{"MaxAllowedSkewMilliseconds", strconv.FormatInt(MaxSkew.Milliseconds(), 10)})
}

func incomplete(cause error) *Error {
	e := refuse(CodeIncompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header")
	e.cause = cause
	return e
}

func malformedTrailer() *Error {
	return refuse(CodeMalformedTrailer,
		"The request contained trailing data that was not well-formed or did not conform to our published schema.")
}
