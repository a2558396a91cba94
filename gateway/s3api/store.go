package s3api

import (
	"context"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

// Store keeps buckets and objects. It is safe for concurrent use, and strongly
// consistent: what a returned call did, every later call sees.
//
// Failures are the errors of package gateway, possibly wrapped, or carry a
// cairn.Kind. A cairn.Invalid error is the client's fault and its text is shown
// to the client; the text of any other is not.
//
// Methods that take a body check all they can before its first Read: that the
// bucket (and upload) is there and that the condition holds now. An error of the
// body is returned wrapped. Whatever fails, nothing becomes visible.
type Store interface {
	// CreateBucket fails with ErrBucketExists if the bucket is there.
	CreateBucket(ctx context.Context, name, region string) error
	HeadBucket(ctx context.Context, name string) (gateway.BucketInfo, error)
	// DeleteBucket fails with ErrBucketNotEmpty while there are objects.
	// Uploads in progress go with the bucket.
	DeleteBucket(ctx context.Context, name string) error
	ListBuckets(ctx context.Context, req gateway.ListBucketsRequest) (gateway.ListBucketsResult, error)

	// BucketSetting returns a bucket's document of that name, or ErrNoSuchSetting.
	BucketSetting(ctx context.Context, bucket, name string) (string, error)
	// PutBucketSetting replaces a document; an empty one removes it.
	PutBucketSetting(ctx context.Context, bucket, name, document string) error

	Put(ctx context.Context, req gateway.PutRequest) (gateway.Stored, error)
	// Get serves HEAD too: reading starts with Body.WriteTo.
	Get(ctx context.Context, req gateway.GetRequest) (*gateway.Object, error)
	// Delete of what is not there succeeds, unless a condition was given.
	Delete(ctx context.Context, req gateway.DeleteRequest) (gateway.Deleted, error)
	// DeleteMany returns one outcome per request, in the same order.
	DeleteMany(ctx context.Context, reqs []gateway.DeleteRequest) []gateway.DeleteOutcome
	Copy(ctx context.Context, req gateway.CopyRequest) (gateway.Stored, error)
	// SetTags replaces an object's tags and changes nothing else a client sees.
	SetTags(ctx context.Context, req gateway.TagsRequest) (*cairn.Version, error)
	// List returns at most Max entries; Max is at least 1.
	List(ctx context.Context, req gateway.ListRequest) (gateway.ListResult, error)

	CreateUpload(ctx context.Context, req gateway.CreateUploadRequest) (gateway.Upload, error)
	PutPart(ctx context.Context, req gateway.PutPartRequest) (gateway.PartInfo, error)
	CopyPart(ctx context.Context, req gateway.CopyPartRequest) (gateway.PartInfo, error)
	CompleteUpload(ctx context.Context, req gateway.CompleteRequest) (gateway.Stored, error)
	AbortUpload(ctx context.Context, ref gateway.UploadRef) error
	ListParts(ctx context.Context, req gateway.ListPartsRequest) (gateway.ListPartsResult, error)
	ListUploads(ctx context.Context, req gateway.ListUploadsRequest) (gateway.ListUploadsResult, error)
}
