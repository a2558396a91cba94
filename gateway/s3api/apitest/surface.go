package apitest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

func testPresigned(t *testing.T, c *Client) {
	b := c.Bucket(t)
	path := "/" + b + "/pre signed+"
	put := c.Presign(t, Request{Method: "PUT", Path: path}, time.Minute, time.Now())
	if res := c.Fetch(t, "PUT", put, "hello", nil); res.Status != 200 {
		t.Fatalf("presigned PUT: %d %s", res.Status, res.Body)
	}
	get := c.Presign(t, Request{Method: "GET", Path: path, Query: "response-content-disposition=attachment%3B%20filename%3Dx&x-amz-checksum-mode=ENABLED"}, time.Minute, time.Now())
	res := c.Fetch(t, "GET", get, "", nil)
	if res.Status != 200 || res.Body != "hello" || res.Header.Get("Content-Disposition") != "attachment; filename=x" || res.Header.Get("X-Amz-Checksum-Crc64nvme") == "" {
		t.Errorf("presigned GET: %d %q %v", res.Status, res.Body, res.Header)
	}
	meta := c.Presign(t, Request{Method: "PUT", Path: path, Query: "x-amz-meta-a=b"}, time.Minute, time.Now())
	if res := c.Fetch(t, "PUT", meta, "hello", nil); res.Status != 200 {
		t.Errorf("presigned PUT with metadata: %d %s", res.Status, res.Body)
	}
	if got := c.Do(t, Request{Method: "HEAD", Path: path}).Header.Get("X-Amz-Meta-A"); got != "b" {
		t.Errorf("metadata from the query = %q", got)
	}
	source := c.Presign(t, Request{Method: "PUT", Path: path + " copy", Query: "x-amz-copy-source=" + url.QueryEscape(EscapePath(path))}, time.Minute, time.Now())
	if res := c.Fetch(t, "PUT", source, "", nil); res.Status != 200 || res.Text("ETag") == "" {
		t.Errorf("presigned copy: %d %s", res.Status, res.Body)
	}
	if got := c.Do(t, Request{Method: "GET", Path: path + " copy"}).Body; got != "hello" {
		t.Errorf("the presigned copy reads %q", got)
	}
	refused := func(what string, status int, code string, res *Response) {
		t.Helper()
		if res.Status != status || res.Code() != code {
			t.Errorf("%s: %d %s, want %d %s", what, res.Status, res.Code(), status, code)
		}
	}
	refused("other method", 403, "SignatureDoesNotMatch", c.Fetch(t, "DELETE", get, "", nil))
	refused("other key", 403, "SignatureDoesNotMatch", c.Fetch(t, "GET", strings.Replace(get, "signed", "signet", 1), "", nil))
	refused("more query", 403, "SignatureDoesNotMatch", c.Fetch(t, "GET", get+"&response-content-type=text%2Fhtml", "", nil))
	refused("header not signed", 403, "AccessDenied", c.Fetch(t, "PUT", put, "hello", map[string]string{"X-Amz-Meta-B": "c"}))
	refused("expired", 403, "AccessDenied", c.Fetch(t, "GET", c.Presign(t, Request{Method: "GET", Path: path}, time.Second, time.Now().Add(-time.Minute)), "", nil))
	refused("both", 400, "InvalidArgument", c.Fetch(t, "GET", get, "", map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=x"}))
}

func testSettings(t *testing.T, c *Client) {
	b := c.Bucket(t)
	c.Put(t, "/"+b+"/k", "x", nil)
	for _, s := range []struct {
		query  string
		status int
		code   string
	}{
		{"policy", 404, "NoSuchBucketPolicy"}, {"policyStatus", 404, "NoSuchBucketPolicy"}, {"cors", 404, "NoSuchCORSConfiguration"},
		{"lifecycle", 404, "NoSuchLifecycleConfiguration"}, {"tagging", 404, "NoSuchTagSet"}, {"website", 404, "NoSuchWebsiteConfiguration"},
		{"replication", 404, "ReplicationConfigurationNotFoundError"}, {"object-lock", 404, "ObjectLockConfigurationNotFoundError"},
		{"versioning", 200, ""}, {"acl", 200, ""}, {"requestPayment", 200, ""}, {"ownershipControls", 200, ""}, {"encryption", 200, ""},
		{"publicAccessBlock", 200, ""}, {"logging", 200, ""}, {"notification", 200, ""}, {"accelerate", 200, ""}, {"location", 200, ""},
	} {
		c.Want(t, s.status, s.code, Request{Method: "GET", Path: "/" + b, Query: s.query})
		c.Want(t, s.status, s.code, Request{Method: "GET", Path: "/" + b + "/", Query: s.query + "="})
		c.Want(t, 404, "NoSuchBucket", Request{Method: "GET", Path: "/" + b + "-no", Query: s.query})
	}
	if got := c.Do(t, Request{Method: "GET", Path: "/" + b, Query: "acl"}).Text("Permission"); got != "FULL_CONTROL" {
		t.Errorf("bucket acl grants %q", got)
	}
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/k", Query: "acl"}).Text("Permission"); got != "FULL_CONTROL" {
		t.Errorf("object acl grants %q", got)
	}
	if got := c.Do(t, Request{Method: "GET", Path: "/" + b, Query: "requestPayment"}).Text("Payer"); got != "BucketOwner" {
		t.Errorf("payer = %q", got)
	}
	c.Want(t, 200, "", Request{Method: "PUT", Path: "/" + b + "/k", Query: "acl", Header: map[string]string{"X-Amz-Acl": "private"}})
	c.Want(t, 400, "AccessControlListNotSupported", Request{Method: "PUT", Path: "/" + b + "/k", Query: "acl", Header: map[string]string{"X-Amz-Acl": "public-read"}})
	c.Want(t, 400, "AccessControlListNotSupported", Request{Method: "PUT", Path: "/" + b, Query: "acl", Body: "<AccessControlPolicy/>"})
	own := c.Do(t, Request{Method: "GET", Path: "/" + b + "/k", Query: "acl"}).Body
	for _, path := range []string{"/" + b, "/" + b + "/k"} {
		c.Want(t, 200, "", Request{Method: "PUT", Path: path, Query: "acl", Body: own})
		for what, other := range map[string]string{
			"read only":     strings.Replace(own, "FULL_CONTROL", "READ", 1),
			"somebody else": strings.Replace(own, "</ID><DisplayName>", "0</ID><DisplayName>", 2),
			"everybody too": strings.Replace(own, "</Grant>", "</Grant><Grant><Grantee><URI>all</URI></Grantee><Permission>FULL_CONTROL</Permission></Grant>", 1),
			"two grantees":  strings.Replace(own, "</Grantee>", "</Grantee><Grantee><ID>x</ID></Grantee>", 1),
		} {
			if other == own {
				t.Fatalf("%s: the ACL is not changed: %s", what, own)
			}
			c.Want(t, 400, "AccessControlListNotSupported", Request{Method: "PUT", Path: path, Query: "acl", Body: other})
		}
	}
	c.Want(t, 204, "", Request{Method: "DELETE", Path: "/" + b, Query: "policy"})
	c.Want(t, 404, "NoSuchObjectLockConfiguration", Request{Method: "GET", Path: "/" + b + "/k", Query: "retention"})
	res := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/k", Query: "attributes", Header: map[string]string{"X-Amz-Object-Attributes": "ETag,ObjectSize,Checksum"}})
	if res.Text("ETag") != hexMD5("x") || res.Text("ObjectSize") != "1" || res.Text("ChecksumCRC64NVME") == "" {
		t.Errorf("attributes: %s", res.Body)
	}
}

func testUnsupported(t *testing.T, c *Client) {
	b := c.Bucket(t)
	c.Put(t, "/"+b+"/k", "x", nil)
	for _, q := range []Request{
		{Method: "PUT", Path: "/" + b, Query: "versioning", Body: "<VersioningConfiguration/>"}, {Method: "PUT", Path: "/" + b, Query: "website"},
		{Method: "PUT", Path: "/" + b, Query: "logging="}, {Method: "PUT", Path: "/" + b + "/k", Query: "retention", Body: "<Retention/>"},
		{Method: "PUT", Path: "/" + b + "/k", Query: "renameObject", Body: "x"}, {Method: "PUT", Path: "/" + b + "/k", Query: "neverHeardOf", Body: "x"},
		{Method: "PUT", Path: "/" + b + "/k", Query: "partNumber=1", Body: "x"}, {Method: "PUT", Path: "/" + b + "/k", Query: "versionId=null", Body: "x"},
		{Method: "GET", Path: "/" + b + "/k", Query: "torrent"}, {Method: "POST", Path: "/" + b + "/k", Query: "select&select-type=2"},
		{Method: "POST", Path: "/" + b + "/k", Query: "restore"}, {Method: "GET", Path: "/" + b, Query: "inventory"}, {Method: "GET", Path: "/" + b, Query: "session"},
		{Method: "PUT", Path: "/" + b + "/k", Body: "x", Header: map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms"}},
		{Method: "PUT", Path: "/" + b + "/k", Body: "x", Header: map[string]string{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256"}},
		{Method: "PUT", Path: "/" + b + "/k", Body: "x", Header: map[string]string{"X-Amz-Write-Offset-Bytes": "1"}},
		{Method: "PUT", Path: "/" + b + "/k", Body: "x", Header: map[string]string{"X-Amz-Website-Redirect-Location": "/"}},
	} {
		c.Want(t, 501, "NotImplemented", q)
	}
	c.Want(t, 400, "InvalidRequest", Request{Method: "PUT", Path: "/" + b + "/k", Body: "x", Header: map[string]string{"X-Amz-Object-Lock-Legal-Hold": "ON"}})
	c.Want(t, 400, "AccessControlListNotSupported", Request{Method: "PUT", Path: "/" + b + "/k", Body: "x", Header: map[string]string{"X-Amz-Acl": "public-read"}})
	c.Want(t, 403, "AccessDenied", Request{Method: "GET", Path: "/" + b + "/k", Header: map[string]string{"X-Amz-Expected-Bucket-Owner": "111122223333"}})
	for _, q := range []Request{{Method: "POST", Path: "/" + b + "/k"}, {Method: "PATCH", Path: "/" + b + "/k"}, {Method: "DELETE", Path: "/"}} {
		if res := c.Want(t, 405, "MethodNotAllowed", q); res.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", q.Method, q.Path)
		}
	}
	if got := c.Want(t, 200, "", Request{Method: "GET", Path: "/" + b + "/k", Query: "x-id=GetObject&tracking=7"}).Body; got != "x" {
		t.Errorf("after refused writes the object reads %q", got)
	}
	for _, q := range []Request{{Method: "GET", Path: "/"}, {Method: "GET", Path: "/" + b}, {Method: "GET", Path: "/" + b + "/k"}, {Method: "PUT", Path: "/" + b + "/k", Body: "y"}, {Method: "GET", Path: "/" + b, Query: "nonsense"}} {
		q.Anonymous = true
		c.Want(t, 403, "AccessDenied", q)
	}
	origin := map[string]string{"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
	c.Want(t, 403, "AccessForbidden", Request{Method: "OPTIONS", Path: "/" + b + "/k", Anonymous: true, Header: origin})
	c.Want(t, 400, "BadRequest", Request{Method: "OPTIONS", Path: "/" + b + "/k", Anonymous: true})
}

// NewSDK returns the AWS SDK's client for the same server.
func (c *Client) NewSDK(options ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		Region: c.Region, BaseEndpoint: aws.String(c.Endpoint), UsePathStyle: true, HTTPClient: c.HTTP,
		Credentials:                credentials.NewStaticCredentialsProvider(c.Signer.AccessKey, string(c.Signer.SecretKey), ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		RetryMaxAttempts:           1,
	}, options...)
}

func testSDK(t *testing.T, c *Client) {
	ctx, b, sdk := t.Context(), c.Bucket(t), c.NewSDK()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	body := []byte(pattern(300_000))
	for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha256} {
		_, err := sdk.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: aws.String("dir/a b+c"), Body: bytes.NewReader(body), ChecksumAlgorithm: algorithm,
			Metadata: map[string]string{"k": "v"}, ContentType: aws.String("x/y")})
		must(err)
		out, err := sdk.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: aws.String("dir/a b+c"), ChecksumMode: types.ChecksumModeEnabled})
		must(err)
		got, err := io.ReadAll(out.Body)
		must(err)
		if !bytes.Equal(got, body) || out.Metadata["k"] != "v" || *out.ContentType != "x/y" {
			t.Errorf("%s: %d bytes, %v", algorithm, len(got), out.Metadata)
		}
	}
	testSDKMultipart(t, ctx, sdk, b)
	list, err := sdk.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b, Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl})
	must(err)
	if len(list.CommonPrefixes) != 1 || len(list.Contents) != 1 || *list.Contents[0].Key != "multi" {
		t.Errorf("list: %v %v", list.CommonPrefixes, list.Contents)
	}
	_, err = sdk.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b, Key: aws.String("none")})
	var missing *types.NotFound
	if !errors.As(err, &missing) {
		t.Errorf("HEAD of nothing: %v", err)
	}
	_, err = sdk.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: aws.String("none")})
	var noKey *types.NoSuchKey
	if !errors.As(err, &noKey) {
		t.Errorf("GET of nothing: %v", err)
	}
	_, err = sdk.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: aws.String("multi"), IfNoneMatch: aws.String("*")})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "PreconditionFailed" {
		t.Errorf("conditional PUT: %v", err)
	}
	deleted, err := sdk.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("multi")}, {Key: aws.String("dir/a b+c")}}}})
	must(err)
	if len(deleted.Deleted) != 2 || len(deleted.Errors) != 0 {
		t.Errorf("delete: %v", deleted)
	}
	signed, err := s3.NewPresignClient(sdk).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: aws.String("dir/none")})
	must(err)
	if res := c.Fetch(t, http.MethodGet, signed.URL, "", nil); res.Status != 404 || res.Code() != "NoSuchKey" {
		t.Errorf("presigned by the SDK: %d %s", res.Status, res.Body)
	}
}

func testSDKMultipart(t *testing.T, ctx context.Context, sdk *s3.Client, b string) {
	key := aws.String("multi")
	up, err := sdk.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var done []types.CompletedPart
	for i, p := range []string{pattern(partSize), "tail"} {
		out, err := sdk.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: strings.NewReader(p)})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	}
	res, err := sdk.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(*res.ETag, `-2"`) {
		t.Errorf("ETag = %s", *res.ETag)
	}
}
