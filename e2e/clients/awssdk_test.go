package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

var awsSDK = client{
	name: "aws-sdk-go-v2",
	note: "With the SDK's own defaults: a CRC32 of every body, as a header over http and as a trailer over https.",
	version: func(testing.TB) string {
		return "aws-sdk-go-v2 " + aws.SDKVersion + ", service/s3 " + moduleVersion("github.com/aws/aws-sdk-go-v2/service/s3")
	},
	checks: []check{
		{name: "sizes", tried: "put and get, 0 bytes to 17 MiB in one request", smoke: true, run: sdkSizes},
		{name: "names", tried: "odd names: put, get, list, delete", smoke: true, run: sdkNames},
		{name: "checksums", tried: "CRC32, CRC32C, CRC64NVME, SHA1 and SHA256 of the body, given back and verified on reading; wrong ones refused", run: sdkChecksums},
		{name: "bare", tried: "put and get with checksums only when required", run: sdkBare},
		{name: "unseekable", tried: "a body whose length is known and that cannot be read twice, with trailing checksum", only: "https", run: sdkUnseekable},
		{name: "multipart", tried: "multipart upload with checksums, list parts, get by part number", run: sdkMultipart},
		{name: "large", tried: "a file of 200 MiB in parts, read back in one stream", only: "http", run: sdkLarge},
		{name: "part-copy", tried: "multipart upload of copied ranges", run: sdkPartCopy},
		{name: "abort", tried: "list and abort multipart uploads", run: sdkAbort},
		{name: "ranges", tried: "range reads: from, to, suffix, past the end", run: sdkRanges},
		{name: "conditional-writes", tried: "If-None-Match: * and If-Match on put; eight writers, one winner", run: sdkConditionalWrites},
		{name: "conditional-reads", tried: "If-Match, If-None-Match, If-Modified-Since on get", run: sdkConditionalReads},
		{name: "metadata", tried: "metadata and headers, kept by a copy and replaced by one", run: sdkMetadata},
		{name: "listing", tried: "pages of more than 1,000 keys, with and without delimiter, V1 and V2", run: sdkListing},
		{name: "delete-many", tried: "delete 1,000 keys in one request", run: sdkDeleteMany},
		{name: "presigned", tried: "presigned GET, PUT and HEAD, used by plain HTTP", run: sdkPresigned},
		{name: "virtual-host", tried: "virtual-host style", run: sdkVirtualHost},
		{name: "attributes", tried: "GetObjectAttributes", run: sdkAttributes},
		{name: "errors", tried: "typed errors: NoSuchKey, NoSuchBucket, BucketNotEmpty, BucketAlreadyOwnedByYou", run: sdkErrors},
	},
	limits: []string{
		"Cannot read a listing with control characters in a key, from AWS neither, unless it asks for `EncodingType: url` and decodes the keys itself; the tests do.",
	},
}

func sdkSizes(t *testing.T, tr *trial) {
	want := sizeTree()
	tr.witness.putTree(t, want)
	same(t, "read back", tr.witness.tree(t), want)
	for name, content := range want {
		if got := aws.ToInt64(tr.witness.head(t, name).ContentLength); got != int64(len(content)) {
			t.Errorf("head %s: ContentLength = %d, want %d", name, got, len(content))
		}
	}
}

func sdkNames(t *testing.T, tr *trial) {
	want := tree{}
	for _, name := range slices.Concat(fileNames(), keyNames()) {
		want[name] = []byte("content of " + name)
	}
	tr.witness.putTree(t, want)
	same(t, "read back", tr.witness.tree(t), want)
	if got := tr.witness.keys(t); !slices.IsSorted(got) {
		t.Errorf("keys are not listed in the order of their bytes: %q", got)
	}
	for name := range want {
		_, err := tr.witness.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &tr.bucket, Key: &name})
		must(t, err)
	}
	if left := tr.witness.keys(t); len(left) > 0 {
		t.Errorf("left after deletion: %q", left)
	}
}

func sdkChecksums(t *testing.T, tr *trial) {
	c, content := tr.witness.s3, bytesOf("checksums", 200_000)
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme,
		types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	} {
		key := string(algorithm)
		put, err := c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &tr.bucket, Key: &key, Body: bytes.NewReader(content), ChecksumAlgorithm: algorithm,
		})
		if err != nil {
			t.Errorf("put with %s: %v", algorithm, err)
			continue
		}
		get, err := c.GetObject(t.Context(), &s3.GetObjectInput{
			Bucket: &tr.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
		})
		must(t, err)
		got, err := io.ReadAll(get.Body) // fails if the SDK finds another checksum
		must(t, errors.Join(err, get.Body.Close()))
		sameBytes(t, key, got, content)
		sent := checksumOf(put.ChecksumCRC32, put.ChecksumCRC32C, put.ChecksumCRC64NVME, put.ChecksumSHA1, put.ChecksumSHA256)
		kept := checksumOf(get.ChecksumCRC32, get.ChecksumCRC32C, get.ChecksumCRC64NVME, get.ChecksumSHA1, get.ChecksumSHA256)
		if sent == "" || sent != kept {
			t.Errorf("%s: put answered %q and get %q, want the same checksum", algorithm, sent, kept)
		}
	}
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &tr.bucket, Key: aws.String("wrong"), Body: bytes.NewReader(content), ChecksumCRC32: aws.String("AAAAAA=="),
	})
	wantCode(t, err, "BadDigest", "XAmzContentChecksumMismatch")
	if slices.Contains(tr.witness.keys(t), "wrong") {
		t.Error("an object whose checksum is wrong was kept")
	}
}

func checksumOf(values ...*string) string {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return ""
}

func sdkBare(t *testing.T, tr *trial) {
	c := tr.sdk(t, false, func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	want := bytesOf("bare", 100_000)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &tr.bucket, Key: aws.String("k"), Body: bytes.NewReader(want)})
	must(t, err)
	get, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &tr.bucket, Key: aws.String("k")})
	must(t, err)
	got, err := io.ReadAll(get.Body)
	must(t, errors.Join(err, get.Body.Close()))
	sameBytes(t, "k", got, want)
}

func sdkUnseekable(t *testing.T, tr *trial) {
	want := bytesOf("unseekable", 3<<20+7)
	_, err := tr.witness.s3.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &tr.bucket, Key: aws.String("k"), Body: struct{ io.Reader }{bytes.NewReader(want)},
		ContentLength: aws.Int64(int64(len(want))),
	})
	must(t, err)
	sameBytes(t, "k", tr.witness.get(t, "k"), want)
}

func sdkRanges(t *testing.T, tr *trial) {
	want := bytesOf("ranges", 3<<20+17)
	tr.witness.put(t, "k", want)
	end := len(want)
	for header, part := range map[string][]byte{
		"bytes=0-0": want[:1], "bytes=65519-65520": want[65519:65521], "bytes=1048570-2097160": want[1048570:2097161],
		"bytes=-1000": want[end-1000:], "bytes=3000000-": want[3000000:], "bytes=3145728-99999999": want[3145728:],
	} {
		get, err := tr.witness.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &tr.bucket, Key: aws.String("k"), Range: &header})
		if err != nil {
			t.Errorf("%s: %v", header, err)
			continue
		}
		got, err := io.ReadAll(get.Body)
		must(t, errors.Join(err, get.Body.Close()))
		sameBytes(t, header, got, part)
	}
	past := fmt.Sprintf("bytes=%d-", end)
	_, err := tr.witness.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &tr.bucket, Key: aws.String("k"), Range: &past})
	wantCode(t, err, "InvalidRange")
}

func sdkConditionalWrites(t *testing.T, tr *trial) {
	c, key := tr.witness.s3, "lock"
	put := func(content string, change func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
		in := &s3.PutObjectInput{Bucket: &tr.bucket, Key: &key, Body: strings.NewReader(content)}
		change(in)
		return c.PutObject(t.Context(), in)
	}
	create := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() { _, errs[i] = put(fmt.Sprint("writer ", i), create) })
	}
	wait.Wait()
	winner := slices.Index(errs, nil)
	if winner < 0 {
		t.Fatalf("nobody won: %v", errs)
	}
	for i, err := range errs {
		if i != winner {
			wantCode(t, err, "PreconditionFailed", "ConditionalRequestConflict")
		}
	}
	sameBytes(t, "winner", tr.witness.get(t, key), fmt.Append(nil, "writer ", winner))

	first := tr.witness.head(t, key).ETag
	_, err := put("second", func(in *s3.PutObjectInput) { in.IfMatch = first })
	must(t, err)
	_, err = put("third", func(in *s3.PutObjectInput) { in.IfMatch = first })
	wantCode(t, err, "PreconditionFailed")
	sameBytes(t, "after If-Match", tr.witness.get(t, key), []byte("second"))
	key = "absent"
	_, err = put("x", func(in *s3.PutObjectInput) { in.IfMatch = first })
	wantCode(t, err, "NoSuchKey")
}

func sdkConditionalReads(t *testing.T, tr *trial) {
	c := tr.witness.s3
	tr.witness.put(t, "k", []byte("content"))
	etag := tr.witness.head(t, "k").ETag
	get := func(change func(*s3.GetObjectInput)) error {
		in := &s3.GetObjectInput{Bucket: &tr.bucket, Key: aws.String("k")}
		change(in)
		out, err := c.GetObject(t.Context(), in)
		if err == nil {
			err = out.Body.Close()
		}
		return err
	}
	must(t, get(func(in *s3.GetObjectInput) { in.IfMatch = etag }))
	wantCode(t, get(func(in *s3.GetObjectInput) { in.IfMatch = aws.String(`"other"`) }), "PreconditionFailed")
	wantStatus(t, get(func(in *s3.GetObjectInput) { in.IfNoneMatch = etag }), http.StatusNotModified)
	later := time.Now().Add(-time.Second)
	wantStatus(t, get(func(in *s3.GetObjectInput) { in.IfModifiedSince = aws.Time(later.Add(2 * time.Second)) }), http.StatusOK)
	must(t, get(func(in *s3.GetObjectInput) { in.IfModifiedSince = aws.Time(later.Add(-time.Hour)) }))
}

func sdkMetadata(t *testing.T, tr *trial) {
	c := tr.witness.s3
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &tr.bucket, Key: aws.String("k"), Body: strings.NewReader("x"), ContentType: aws.String("text/x-cairn"),
		CacheControl: aws.String("no-store"), ContentDisposition: aws.String(`attachment; filename="a b"`),
		ContentEncoding: aws.String("identity"), ContentLanguage: aws.String("de"),
		Metadata: map[string]string{"Mixed-Case": "Value: with, punctuation", "empty": ""},
	})
	must(t, err)
	copyTo := func(to string, change func(*s3.CopyObjectInput)) {
		in := &s3.CopyObjectInput{Bucket: &tr.bucket, Key: &to, CopySource: aws.String(tr.bucket + "/k")}
		change(in)
		_, err := c.CopyObject(t.Context(), in)
		must(t, err)
	}
	copyTo("copy", func(*s3.CopyObjectInput) {})
	for _, key := range []string{"k", "copy"} {
		h := tr.witness.head(t, key)
		if h.Metadata["mixed-case"] != "Value: with, punctuation" || len(h.Metadata) != 2 {
			t.Errorf("%s: metadata = %v", key, h.Metadata)
		}
		got := []string{aws.ToString(h.ContentType), aws.ToString(h.CacheControl), aws.ToString(h.ContentDisposition),
			aws.ToString(h.ContentEncoding), aws.ToString(h.ContentLanguage)}
		if want := []string{"text/x-cairn", "no-store", `attachment; filename="a b"`, "identity", "de"}; !slices.Equal(got, want) {
			t.Errorf("%s: headers = %q, want %q", key, got, want)
		}
	}
	copyTo("k", func(in *s3.CopyObjectInput) {
		in.MetadataDirective, in.Metadata = types.MetadataDirectiveReplace, map[string]string{"new": "one"}
	})
	if got := tr.witness.head(t, "k").Metadata; !maps.Equal(got, map[string]string{"new": "one"}) {
		t.Errorf("after a copy onto itself with REPLACE: metadata = %v", got)
	}
}

func sdkListing(t *testing.T, tr *trial) {
	tr = tr.many(t)
	c := tr.witness.s3
	if keys := tr.witness.keys(t); len(keys) != 1103 || !slices.IsSorted(keys) {
		t.Errorf("%d keys listed, want 1103 in order", len(keys))
	}
	var keys, prefixes int
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &tr.bucket, Delimiter: aws.String("/"), MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		keys, prefixes = keys+len(page.Contents), prefixes+len(page.CommonPrefixes)
	}
	if keys != 3 || prefixes != 1 {
		t.Errorf("by delimiter: %d keys and %d prefixes, want 3 and 1", keys, prefixes)
	}
	pages = s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &tr.bucket, Prefix: aws.String("many/"), Delimiter: aws.String("00")})
	keys, prefixes = 0, 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		keys, prefixes = keys+len(page.Contents), prefixes+len(page.CommonPrefixes)
	}
	// 00xx and 1000 and 100x roll up, and so do 0100, 0200 ... 0900.
	if keys+prefixes == 0 || prefixes != 11 || keys != 1100-100-10-9 {
		t.Errorf("by delimiter of two characters: %d keys and %d prefixes, want 981 and 11", keys, prefixes)
	}
	var marker *string
	n := 0
	for {
		page, err := c.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: &tr.bucket, Marker: marker})
		must(t, err)
		n += len(page.Contents)
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		marker = page.Contents[len(page.Contents)-1].Key
	}
	if n != 1103 {
		t.Errorf("V1 listed %d keys, want 1103", n)
	}
}

func sdkDeleteMany(t *testing.T, tr *trial) {
	tr.witness.fill(t, "k", 1000)
	var objects []types.ObjectIdentifier
	for _, key := range tr.witness.keys(t) {
		objects = append(objects, types.ObjectIdentifier{Key: &key})
	}
	out, err := tr.witness.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &tr.bucket, Delete: &types.Delete{Objects: objects}})
	must(t, err)
	if len(out.Deleted) != 1000 || len(out.Errors) > 0 {
		t.Errorf("%d deleted and %d errors, want 1000 and 0", len(out.Deleted), len(out.Errors))
	}
	if left := tr.witness.keys(t); len(left) > 0 {
		t.Errorf("%d keys are left", len(left))
	}
}

func sdkPresigned(t *testing.T, tr *trial) {
	presign, plain := s3.NewPresignClient(tr.witness.s3), tr.httpClient(t, false)
	key, want := "with space/ä+%?#", bytesOf("presigned", 100_001)
	put, err := presign.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &tr.bucket, Key: &key})
	must(t, err)
	send(t, plain, put.Method, put.URL, want, http.StatusOK)
	get, err := presign.PresignGetObject(t.Context(), &s3.GetObjectInput{
		Bucket: &tr.bucket, Key: &key, ResponseContentDisposition: aws.String(`attachment; filename="x"`),
	})
	must(t, err)
	got, header := send(t, plain, get.Method, get.URL, nil, http.StatusOK)
	sameBytes(t, key, got, want)
	if d := header.Get("Content-Disposition"); d != `attachment; filename="x"` {
		t.Errorf("Content-Disposition = %q", d)
	}
	head, err := presign.PresignHeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &tr.bucket, Key: &key})
	must(t, err)
	send(t, plain, head.Method, head.URL, nil, http.StatusOK)
}

func sdkVirtualHost(t *testing.T, tr *trial) {
	c := tr.sdk(t, true)
	key, want := "dir//with space/ä+%", bytesOf("virtual", 100_001)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &tr.bucket, Key: &key, Body: bytes.NewReader(want)})
	must(t, err)
	sameBytes(t, "by path", tr.witness.get(t, key), want)
	w := witness{c, tr.bucket}
	same(t, "by host", w.tree(t), tree{key: want})
	get, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &tr.bucket, Key: &key})
	must(t, err)
	if !strings.Contains(get.URL, "://"+tr.bucket+"."+domain) {
		t.Fatalf("the SDK presigned %s, want the bucket in the host", get.URL)
	}
	got, _ := send(t, tr.httpClient(t, true), get.Method, get.URL, nil, http.StatusOK)
	sameBytes(t, "presigned", got, want)
}

func sdkAttributes(t *testing.T, tr *trial) {
	tr.witness.put(t, "k", []byte("content"))
	a, err := tr.witness.s3.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{
		Bucket: &tr.bucket, Key: aws.String("k"), ObjectAttributes: []types.ObjectAttributes{
			types.ObjectAttributesEtag, types.ObjectAttributesChecksum, types.ObjectAttributesObjectSize,
		},
	})
	must(t, err)
	if aws.ToInt64(a.ObjectSize) != 7 || aws.ToString(a.ETag) == "" || a.Checksum == nil || a.Checksum.ChecksumCRC32 == nil {
		t.Errorf("attributes = size %d, ETag %q, checksum %+v", aws.ToInt64(a.ObjectSize), aws.ToString(a.ETag), a.Checksum)
	}
}

func sdkErrors(t *testing.T, tr *trial) {
	c := tr.witness.s3
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &tr.bucket, Key: aws.String("absent")})
	if _, ok := errors.AsType[*types.NoSuchKey](err); !ok {
		t.Errorf("get an absent key: %v, want NoSuchKey", err)
	}
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &tr.bucket, Key: aws.String("absent")})
	if _, ok := errors.AsType[*types.NotFound](err); !ok {
		t.Errorf("head an absent key: %v, want NotFound", err)
	}
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName())})
	if _, ok := errors.AsType[*types.NoSuchBucket](err); !ok {
		t.Errorf("list an absent bucket: %v, want NoSuchBucket", err)
	}
	_, err = c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &tr.bucket})
	wantCode(t, err, "BucketAlreadyOwnedByYou")
	tr.witness.put(t, "k", nil)
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &tr.bucket})
	wantCode(t, err, "BucketNotEmpty")
	_, err = c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &tr.bucket, Key: aws.String("k")})
	must(t, err)
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &tr.bucket})
	must(t, err)
	waiter := s3.NewBucketNotExistsWaiter(c)
	must(t, waiter.Wait(context.WithoutCancel(t.Context()), &s3.HeadBucketInput{Bucket: &tr.bucket}, 10*time.Second))
}

// wantCode fails t unless err carries one of the S3 codes.
func wantCode(t *testing.T, err error, codes ...string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || !slices.Contains(codes, e.ErrorCode()) {
		t.Errorf("got %v, want one of %q", err, codes)
	}
}

// wantStatus fails t unless err, or success, came with the HTTP status.
func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	got := http.StatusOK
	if e, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		got = e.HTTPStatusCode()
	}
	if got != status {
		t.Errorf("got status %d (%v), want %d", got, err, status)
	}
}
