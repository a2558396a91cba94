package s3api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// level is what kind of thing an operation is about.
type level uint8

const (
	service level = iota
	bucketLevel
	objectLevel
)

// body says what an operation does with the body of its request.
type body uint8

const (
	noBody   body = iota // read, verified and ignored if there is one
	document             // XML, small
	stream               // the bytes of an object or part
)

// route is one operation. Of the routes with the right method and level, the
// first whose query and header selectors are present serves the request.
type route struct {
	operation string // S3's name of it
	action    string // what authorize is asked for; "" if serve asks, key by key
	method    string
	level     level
	query     string // parameter that selects it; "" for none
	header    string // header that selects it; "" for none
	body      body
	params    []string // further selecting parameters it understands
	inForm    bool     // signed inside a form, or not at all
	anyRegion bool     // may be signed for us-east-1 wherever the server is
	serve     func(*call) error
}

func (rt *route) matches(q url.Values, h http.Header) bool {
	return (rt.query == "" || q.Has(rt.query)) && (rt.header == "" || h[rt.header] != nil)
}

// selectors are the query parameters that make S3 do something else than it
// would without them. A route must name every selector of a request.
var selectors = set("abac", "accelerate", "acl", "analytics", "annotation", "annotations", "append", "attributes", "cors",
	"delete", "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "list-type", "location",
	"logging", "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics",
	"notification", "object-lock", "ownershipControls", "partNumber", "policy", "policyStatus", "publicAccessBlock",
	"renameObject", "replication", "requestPayment", "restore", "retention", "select", "select-type", "session",
	"tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website")

// ordinary are the parameters that refine an operation and may be empty.
var ordinary = set("bucket-region", "continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker",
	"marker", "max-buckets", "max-keys", "max-parts", "max-uploads", "part-number-marker", "prefix",
	"response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires",
	"start-after", "upload-id-marker", "version-id-marker", "x-id")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// routes is every operation there is. Specific ones come first.
var routes = slices.Concat(serviceRoutes, bucketRoutes, objectRoutes)

var serviceRoutes = []route{
	{operation: "ListBuckets", action: "s3:ListAllMyBuckets", method: "GET", level: service, anyRegion: true, serve: listBuckets},
}

var bucketRoutes = slices.Concat(settings, notConfigured, []route{
	{operation: "GetBucketLocation", action: "s3:GetBucketLocation", method: "GET", level: bucketLevel, query: "location", anyRegion: true, serve: getBucketLocation},
	{operation: "ListMultipartUploads", action: "s3:ListBucketMultipartUploads", method: "GET", level: bucketLevel, query: "uploads", serve: listUploads},
	{operation: "ListObjectVersions", action: "s3:ListBucketVersions", method: "GET", level: bucketLevel, query: "versions", serve: listVersions},
	{operation: "ListObjectsV2", action: "s3:ListBucket", method: "GET", level: bucketLevel, query: "list-type", serve: listObjectsV2},
	{operation: "ListObjects", action: "s3:ListBucket", method: "GET", level: bucketLevel, serve: listObjects},
	{operation: "HeadBucket", action: "s3:ListBucket", method: "HEAD", level: bucketLevel, serve: headBucket},
	{operation: "CreateBucket", action: "s3:CreateBucket", method: "PUT", level: bucketLevel, body: document, serve: createBucket},
	{operation: "DeleteBucket", action: "s3:DeleteBucket", method: "DELETE", level: bucketLevel, serve: deleteBucket},
	{operation: "DeleteObjects", method: "POST", level: bucketLevel, query: "delete", body: document, serve: deleteObjects},
	{operation: "PostObject", method: "POST", level: bucketLevel, body: stream, inForm: true, serve: postObject},
})

var objectRoutes = []route{
	{operation: "GetObjectAcl", action: "s3:GetObjectAcl", method: "GET", level: objectLevel, query: "acl", params: []string{"versionId"}, serve: getObjectACL},
	{operation: "GetObjectTagging", action: "s3:GetObjectTagging", method: "GET", level: objectLevel, query: "tagging", params: []string{"versionId"}, serve: getObjectTagging},
	{operation: "GetObjectLegalHold", action: "s3:GetObjectLegalHold", method: "GET", level: objectLevel, query: "legal-hold", params: []string{"versionId"}, serve: getObjectLock},
	{operation: "GetObjectRetention", action: "s3:GetObjectRetention", method: "GET", level: objectLevel, query: "retention", params: []string{"versionId"}, serve: getObjectLock},
	{operation: "GetObjectAttributes", action: "s3:GetObjectAttributes", method: "GET", level: objectLevel, query: "attributes", params: []string{"versionId"}, serve: getObjectAttributes},
	{operation: "ListParts", action: "s3:ListMultipartUploadParts", method: "GET", level: objectLevel, query: "uploadId", serve: listParts},
	{operation: "GetObject", action: "s3:GetObject", method: "GET", level: objectLevel, params: []string{"versionId", "partNumber"}, serve: getObject},
	{operation: "HeadObject", action: "s3:GetObject", method: "HEAD", level: objectLevel, params: []string{"versionId", "partNumber"}, serve: getObject},
	{operation: "PutObjectTagging", action: "s3:PutObjectTagging", method: "PUT", level: objectLevel, query: "tagging", params: []string{"versionId"}, body: document, serve: putObjectTagging},
	{operation: "PutObjectAcl", action: "s3:PutObjectAcl", method: "PUT", level: objectLevel, query: "acl", params: []string{"versionId"}, body: document, serve: putACL},
	{operation: "UploadPartCopy", action: "s3:PutObject", method: "PUT", level: objectLevel, query: "uploadId", header: copySource, params: []string{"partNumber"}, serve: uploadPartCopy},
	{operation: "UploadPart", action: "s3:PutObject", method: "PUT", level: objectLevel, query: "uploadId", params: []string{"partNumber"}, body: stream, serve: uploadPart},
	{operation: "CopyObject", action: "s3:PutObject", method: "PUT", level: objectLevel, header: copySource, serve: copyObject},
	{operation: "PutObject", action: "s3:PutObject", method: "PUT", level: objectLevel, body: stream, serve: putObject},
	{operation: "AbortMultipartUpload", action: "s3:AbortMultipartUpload", method: "DELETE", level: objectLevel, query: "uploadId", serve: abortUpload},
	{operation: "DeleteObjectTagging", action: "s3:DeleteObjectTagging", method: "DELETE", level: objectLevel, query: "tagging", params: []string{"versionId"}, serve: deleteObjectTagging},
	{operation: "DeleteObject", action: "s3:DeleteObject", method: "DELETE", level: objectLevel, params: []string{"versionId"}, serve: deleteObject},
	{operation: "CreateMultipartUpload", action: "s3:PutObject", method: "POST", level: objectLevel, query: "uploads", serve: createUpload},
	{operation: "CompleteMultipartUpload", action: "s3:PutObject", method: "POST", level: objectLevel, query: "uploadId", body: document, serve: completeUpload},
}

// copySource is a header in Go's canonical spelling.
const copySource = "X-Amz-Copy-Source"

// findRoute returns the route of a request, or the error to answer once the
// sender is known to be somebody.
func findRoute(method string, t target, q url.Values, h http.Header) (*route, error) {
	at := service
	switch {
	case t.key != "":
		at = objectLevel
	case t.bucket != "":
		at = bucketLevel
	}
	var allowed []string
	for i := range routes {
		rt := &routes[i]
		if rt.level != at {
			continue
		}
		if !slices.Contains(allowed, rt.method) {
			allowed = append(allowed, rt.method)
		}
		if rt.method == method && rt.matches(q, h) {
			return rt, rt.understands(q)
		}
	}
	slices.Sort(allowed)
	if name := firstSelector(q); name != "" {
		return nil, unsupportedParam(name)
	}
	return nil, fail("MethodNotAllowed", Field{"Method", clip(method)}, Field{"ResourceType", resourceType(at)}).
		withHeader("Allow", strings.Join(allowed, ", "))
}

// understands refuses parameters that ask for something else. Parameters that
// are neither known nor empty are ignored, as S3 ignores them.
func (rt *route) understands(q url.Values) error {
	for name, values := range q {
		known := name == rt.query || slices.Contains(rt.params, name)
		selecting := selectors[name] || !ordinary[name] && values[0] == "" && !isAmz(name)
		if selecting && !known {
			return unsupportedParam(name)
		}
	}
	return nil
}

func firstSelector(q url.Values) string {
	for name, values := range q {
		if selectors[name] || !ordinary[name] && values[0] == "" && !isAmz(name) {
			return name
		}
	}
	return ""
}

func isAmz(name string) bool { return len(name) > 6 && strings.EqualFold(name[:6], "x-amz-") }

func unsupportedParam(name string) error {
	return failf("NotImplemented", "A parameter you provided implies functionality that is not implemented",
		Field{"ResourceType", clip(name)})
}

func resourceType(l level) string { return [...]string{"SERVICE", "BUCKET", "OBJECT"}[l] }
