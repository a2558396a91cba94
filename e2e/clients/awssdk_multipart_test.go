package clients

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// uploadParts uploads content in parts and completes the upload.
func uploadParts(t *testing.T, tr *trial, key string, algorithm types.ChecksumAlgorithm, partSize int, content []byte) {
	t.Helper()
	c := tr.witness.s3
	create, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: &tr.bucket, Key: &key, ChecksumAlgorithm: algorithm, Metadata: map[string]string{"made": "in parts"},
	})
	must(t, err)
	var parts []types.CompletedPart
	for chunk := range slices.Chunk(content, partSize) {
		number := int32(len(parts) + 1)
		up, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: &tr.bucket, Key: &key, UploadId: create.UploadId, PartNumber: &number,
			Body: bytes.NewReader(chunk), ChecksumAlgorithm: algorithm,
		})
		must(t, err)
		parts = append(parts, types.CompletedPart{
			PartNumber: &number, ETag: up.ETag, ChecksumCRC32: up.ChecksumCRC32, ChecksumCRC32C: up.ChecksumCRC32C,
			ChecksumCRC64NVME: up.ChecksumCRC64NVME, ChecksumSHA1: up.ChecksumSHA1, ChecksumSHA256: up.ChecksumSHA256,
		})
	}
	listed, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &tr.bucket, Key: &key, UploadId: create.UploadId})
	must(t, err)
	if len(listed.Parts) != len(parts) {
		t.Fatalf("%s: %d parts listed, want %d", key, len(listed.Parts), len(parts))
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &tr.bucket, Key: &key, UploadId: create.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		t.Fatalf("complete %s: %v", key, err)
	}
}

func sdkMultipart(t *testing.T, tr *trial) {
	const partSize = 5 << 20
	want := bytesOf("multipart", 2*partSize+12345)
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha256,
	} {
		key := string(algorithm)
		uploadParts(t, tr, key, algorithm, partSize, want)
		sameBytes(t, key, tr.witness.get(t, key), want)
		head := tr.witness.head(t, key)
		if head.Metadata["made"] != "in parts" || !strings.HasSuffix(aws.ToString(head.ETag), `-3"`) {
			t.Errorf("%s: metadata %v and ETag %s, want those of an upload in 3 parts", key, head.Metadata, aws.ToString(head.ETag))
		}
		part, err := tr.witness.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &tr.bucket, Key: &key, PartNumber: aws.Int32(2)})
		must(t, err)
		got, err := io.ReadAll(part.Body)
		must(t, errors.Join(err, part.Body.Close()))
		sameBytes(t, key+" part 2", got, want[partSize:2*partSize])
		if n := aws.ToInt32(part.PartsCount); n != 3 {
			t.Errorf("%s: PartsCount = %d, want 3", key, n)
		}
	}
}

func sdkLarge(t *testing.T, tr *trial) {
	path := tr.path("large")
	writeLarge(t, path)
	want := sumFile(t, path)
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	c, key := tr.witness.s3, "large"
	create, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &tr.bucket, Key: &key})
	must(t, err)
	const partSize = 16 << 20
	var parts []types.CompletedPart
	for at := int64(0); at < large; at += partSize {
		number := int32(len(parts) + 1)
		up, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: &tr.bucket, Key: &key, UploadId: create.UploadId, PartNumber: &number,
			Body: io.NewSectionReader(f, at, min(partSize, large-at)),
		})
		must(t, err)
		parts = append(parts, types.CompletedPart{PartNumber: &number, ETag: up.ETag, ChecksumCRC32: up.ChecksumCRC32})
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &tr.bucket, Key: &key, UploadId: create.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	must(t, err)
	get, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &tr.bucket, Key: &key})
	must(t, err)
	defer get.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, get.Body)
	must(t, err)
	if [sha256.Size]byte(h.Sum(nil)) != want || n != large {
		t.Fatalf("read %d bytes that are not the %d written", n, large)
	}
}

func sdkPartCopy(t *testing.T, tr *trial) {
	source, c, key := bytesOf("part-copy", 12<<20), tr.witness.s3, "copied/in parts+"
	tr.witness.put(t, "source ä+%", source)
	create, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &tr.bucket, Key: &key})
	must(t, err)
	var parts []types.CompletedPart
	for i, r := range []string{"bytes=0-6291455", "bytes=7340032-12582911"} {
		number := int32(i + 1)
		up, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
			Bucket: &tr.bucket, Key: &key, UploadId: create.UploadId, PartNumber: &number,
			CopySource: aws.String(tr.bucket + "/source%20%C3%A4%2B%25"), CopySourceRange: &r,
		})
		must(t, err)
		parts = append(parts, types.CompletedPart{PartNumber: &number, ETag: up.CopyPartResult.ETag, ChecksumCRC32: up.CopyPartResult.ChecksumCRC32})
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &tr.bucket, Key: &key, UploadId: create.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	must(t, err)
	sameBytes(t, key, tr.witness.get(t, key), slices.Concat(source[:6291456], source[7340032:]))
}

func sdkAbort(t *testing.T, tr *trial) {
	c := tr.witness.s3
	for _, key := range []string{"a/1", "a/2", "b"} {
		_, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &tr.bucket, Key: &key})
		must(t, err)
	}
	listed, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &tr.bucket, Delimiter: aws.String("/")})
	must(t, err)
	if len(listed.Uploads) != 1 || len(listed.CommonPrefixes) != 1 {
		t.Errorf("uploads by delimiter: %d and %d prefixes, want 1 and 1", len(listed.Uploads), len(listed.CommonPrefixes))
	}
	listed, err = c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &tr.bucket})
	must(t, err)
	for _, u := range listed.Uploads {
		_, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &tr.bucket, Key: u.Key, UploadId: u.UploadId})
		must(t, err)
	}
	left, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &tr.bucket})
	must(t, err)
	if len(listed.Uploads) != 3 || len(left.Uploads) != 0 {
		t.Errorf("%d uploads before and %d after abortion, want 3 and 0", len(listed.Uploads), len(left.Uploads))
	}
}
