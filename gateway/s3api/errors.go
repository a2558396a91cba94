package s3api

import (
	"net/http"
	"strconv"
)

// Error is an answer that is not a success: S3's code, its sentence, and the
// further elements and headers that go with it.
type Error struct {
	Code    string
	Message string
	Fields  []Field     // further elements of the XML, in order
	Header  http.Header // further response headers; may be nil
}

// Field is one further element of an XML error.
type Field struct{ Name, Value string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Status returns the HTTP status of the error's code.
func (e *Error) Status() int {
	if known, ok := errorTable[e.Code]; ok {
		return known.status
	}
	return http.StatusBadRequest
}

type errorEntry struct {
	status  int
	message string
}

// fail returns the error of that code with its usual sentence.
func fail(code string, fields ...Field) *Error {
	return &Error{Code: code, Message: errorTable[code].message, Fields: fields}
}

// failf returns the error of that code with another sentence.
func failf(code, message string, fields ...Field) *Error {
	return &Error{Code: code, Message: message, Fields: fields}
}

func (e *Error) withHeader(name, value string) *Error {
	if e.Header == nil {
		e.Header = http.Header{}
	}
	e.Header.Set(name, value)
	return e
}

func invalidArgument(message, name, value string) *Error {
	return failf("InvalidArgument", message, Field{"ArgumentName", name}, Field{"ArgumentValue", clip(value)})
}

func notImplemented(header, value string) *Error {
	return fail("NotImplemented", Field{"Header", header}, Field{"additionalMessage", clip(value)})
}

func slowDown() *Error { return fail("SlowDown").withHeader("Retry-After", "1") }

// clip bounds what is repeated of a client's text.
func clip(s string) string { return s[:min(len(s), 256)] }

func number[T ~int | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// errorTable holds every code this package answers with, including those of
// package sigv4, whose sentences come with them.
var errorTable = map[string]errorEntry{
	"AccessControlListNotSupported":         {400, "The bucket does not allow ACLs"},
	"AccessDenied":                          {403, "Access Denied"},
	"AccessForbidden":                       {403, "CORSResponse: CORS is not enabled for this bucket."},
	"AuthorizationHeaderMalformed":          {400, "The authorization header is malformed."},
	"AuthorizationQueryParametersError":     {400, "Error parsing the authorization query parameters."},
	"BadDigest":                             {400, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	"BadRequest":                            {400, "Insufficient information. Origin request header needed."},
	"BucketAlreadyExists":                   {409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	"BucketAlreadyOwnedByYou":               {409, "Your previous request to create the named bucket succeeded and you already own it."},
	"BucketNotEmpty":                        {409, "The bucket you tried to delete is not empty"},
	"ConditionalRequestConflict":            {409, "The conditional request cannot succeed due to a conflicting operation against this resource."},
	"EntityTooLarge":                        {400, "Your proposed upload exceeds the maximum allowed size"},
	"EntityTooSmall":                        {400, "Your proposed upload is smaller than the minimum allowed size"},
	"IncompleteBody":                        {400, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
	"IncorrectNumberOfFilesInPostRequest":   {400, "POST requires exactly one file upload per request."},
	"InternalError":                         {500, "We encountered an internal error. Please try again."},
	"InvalidAccessKeyId":                    {403, "The AWS Access Key Id you provided does not exist in our records."},
	"InvalidArgument":                       {400, "Invalid Argument"},
	"InvalidBucketName":                     {400, "The specified bucket is not valid."},
	"InvalidBucketState":                    {409, "The request is not valid with the current state of the bucket."},
	"InvalidChunkSizeError":                 {400, "Only the last chunk is allowed to have a size less than 8192 bytes"},
	"InvalidDigest":                         {400, "The Content-MD5 you specified is not valid."},
	"InvalidLocationConstraint":             {400, "The specified location-constraint is not valid"},
	"InvalidPart":                           {400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	"InvalidPartNumber":                     {416, "The requested partnumber is not satisfiable"},
	"InvalidPartOrder":                      {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	"InvalidPolicyDocument":                 {400, "The content of the form does not meet the conditions specified in the policy document."},
	"InvalidRange":                          {416, "The requested range is not satisfiable"},
	"InvalidRequest":                        {400, "Invalid Request"},
	"InvalidStorageClass":                   {400, "The storage class you specified is not valid"},
	"InvalidTag":                            {400, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."},
	"InvalidToken":                          {400, "The provided token is malformed or otherwise invalid."},
	"InvalidURI":                            {400, "Couldn't parse the specified URI."},
	"KeyTooLongError":                       {400, "Your key is too long"},
	"MalformedPOSTRequest":                  {400, "The body of your POST request is not well-formed multipart/form-data."},
	"MalformedPolicy":                       {400, "Policies must be valid JSON and the first byte must be '{'"},
	"MalformedTrailerError":                 {400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	"MalformedXML":                          {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	"MaxPostPreDataLengthExceededError":     {400, "Your POST request fields preceding the upload file were too large."},
	"MaxMessageLengthExceeded":              {400, "Your request was too big."},
	"MetadataTooLarge":                      {400, "Your metadata headers exceed the maximum allowed metadata size"},
	"MethodNotAllowed":                      {405, "The specified method is not allowed against this resource."},
	"MissingContentLength":                  {411, "You must provide the Content-Length HTTP header."},
	"NoSuchBucket":                          {404, "The specified bucket does not exist"},
	"NoSuchBucketPolicy":                    {404, "The bucket policy does not exist"},
	"NoSuchCORSConfiguration":               {404, "The CORS configuration does not exist"},
	"NoSuchKey":                             {404, "The specified key does not exist."},
	"NoSuchLifecycleConfiguration":          {404, "The lifecycle configuration does not exist"},
	"NoSuchObjectLockConfiguration":         {404, "The specified object does not have a ObjectLock configuration"},
	"NoSuchPublicAccessBlockConfiguration":  {404, "The public access block configuration was not found"},
	"NoSuchTagSet":                          {404, "The TagSet does not exist"},
	"NoSuchUpload":                          {404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	"NoSuchVersion":                         {404, "The specified version does not exist."},
	"NoSuchWebsiteConfiguration":            {404, "The specified bucket does not have a website configuration"},
	"NotImplemented":                        {501, "A header you provided implies functionality that is not implemented"},
	"NotModified":                           {304, "Not Modified"},
	"ObjectLockConfigurationNotFoundError":  {404, "Object Lock configuration does not exist for this bucket"},
	"OperationAborted":                      {409, "A conflicting conditional operation is currently in progress against this resource. Please try again."},
	"PreconditionFailed":                    {412, "At least one of the pre-conditions you specified did not hold"},
	"ReplicationConfigurationNotFoundError": {404, "The replication configuration was not found"},
	"RequestHeaderSectionTooLarge":          {400, "Your request header section exceeds the maximum allowed size."},
	"RequestTimeTooSkewed":                  {403, "The difference between the request time and the current time is too large."},
	"RequestTimeout":                        {400, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."},
	"ServiceUnavailable":                    {503, "Service is unable to handle request."},
	"SignatureDoesNotMatch":                 {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	"SlowDown":                              {503, "Please reduce your request rate."},
	"XAmzContentSHA256Mismatch":             {400, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}
