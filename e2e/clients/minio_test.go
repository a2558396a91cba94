package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var minioGo = client{
	name:    "minio-go",
	note:    "Also what restic, Thanos, Loki, Velero and mc are built on. Bodies are signed in chunks over http and not signed over https.",
	version: func(testing.TB) string { return "minio-go " + moduleVersion("github.com/minio/minio-go/v7") },
	checks: []check{
		{name: "sizes", tried: "put and get, 0 bytes to 17 MiB; `FPutObject`, `FGetObject`; a stream of unknown length", smoke: true, run: minioSizes},
		{name: "names", tried: "odd names: put, stat, get, list, `RemoveObjects`", run: minioNames},
		{name: "seek", tried: "`GetObject` with Seek and ReadAt, ranges, conditional reads", run: minioSeek},
		{name: "listing", tried: "recursive and by directory over more than 1,000 keys, V1 and V2, StartAfter", run: minioListing},
		{name: "copy", tried: "`CopyObject` with metadata kept and replaced, `ComposeObject` of ranges", run: minioCopy},
		{name: "checksums", tried: "trailing checksums (CRC32, CRC32C, CRC64NVME, SHA1, SHA256), of parts and of the whole object; Content-MD5", run: minioChecksums},
		{name: "conditional-writes", tried: "`SetMatchETag` and `SetMatchETagExcept(\"*\")` on put", run: minioConditionalWrites},
		{name: "presigned", tried: "presigned GET, HEAD and PUT, used by plain HTTP", run: minioPresigned},
		{name: "uploads", tried: "list and remove incomplete uploads", run: minioUploads},
		{name: "buckets", tried: "make, exists, location, list, remove; error codes", run: minioBuckets},
		{name: "virtual-host", tried: "virtual-host style (`BucketLookupDNS`)", run: minioVirtualHost},
	},
}

func (tr *trial) minio(t *testing.T, virtual bool, change ...func(*minio.Options)) *minio.Client {
	t.Helper()
	o := &minio.Options{
		Creds: credentials.NewStaticV4(tr.accessKey, tr.secretKey, ""), Secure: tr.scheme == "https", Region: tr.region,
		Transport: tr.httpClient(t, virtual).Transport, BucketLookup: minio.BucketLookupPath,
	}
	host := tr.host
	if virtual {
		o.BucketLookup, host = minio.BucketLookupDNS, strings.TrimPrefix(tr.virtual, tr.scheme+"://")
	}
	for _, f := range change {
		f(o)
	}
	c, err := minio.New(host, o)
	must(t, err)
	return c
}

// read returns an object as minio-go reads it.
func read(t *testing.T, c *minio.Client, bucket, key string, o minio.GetObjectOptions) []byte {
	t.Helper()
	object, err := c.GetObject(t.Context(), bucket, key, o)
	must(t, err)
	defer object.Close()
	content, err := io.ReadAll(object)
	if err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	return content
}

func minioSizes(t *testing.T, tr *trial) {
	c, want := tr.minio(t, false), sizeTree()
	want.write(t, tr.path("up"))
	for name, content := range want {
		_, err := c.PutObject(t.Context(), tr.bucket, "put/"+name, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{PartSize: 5 << 20})
		must(t, err)
		_, err = c.FPutObject(t.Context(), tr.bucket, "file/"+name, tr.path("up", name), minio.PutObjectOptions{})
		must(t, err)
		_, err = c.PutObject(t.Context(), tr.bucket, "stream/"+name, struct{ io.Reader }{bytes.NewReader(content)}, -1, minio.PutObjectOptions{PartSize: 5 << 20})
		must(t, err)
		sameBytes(t, name, read(t, c, tr.bucket, "put/"+name, minio.GetObjectOptions{}), content)
		must(t, c.FGetObject(t.Context(), tr.bucket, "file/"+name, tr.path("down", name), minio.GetObjectOptions{}))
	}
	same(t, "in the bucket", tr.witness.tree(t), with(want, "put/", "file/", "stream/"))
	same(t, "downloaded", readTree(t, tr.path("down")), want)
}

func minioNames(t *testing.T, tr *trial) {
	c, want := tr.minio(t, false), tree{}
	for _, name := range slices.Concat(fileNames(), keyNames()) {
		want[name] = []byte("content of " + name)
		_, err := c.PutObject(t.Context(), tr.bucket, name, bytes.NewReader(want[name]), int64(len(want[name])), minio.PutObjectOptions{})
		if err != nil {
			t.Errorf("put %q: %v", name, err)
			continue
		}
		sameBytes(t, name, read(t, c, tr.bucket, name, minio.GetObjectOptions{}), want[name])
		info, err := c.StatObject(t.Context(), tr.bucket, name, minio.StatObjectOptions{})
		if err != nil || info.Size != int64(len(want[name])) {
			t.Errorf("stat %q: %d bytes, %v", name, info.Size, err)
		}
	}
	same(t, "in the bucket", tr.witness.tree(t), want)
	found := tree{}
	for o := range c.ListObjects(t.Context(), tr.bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		found[o.Key] = want[o.Key]
	}
	same(t, "listed", found, want)
	objects := make(chan minio.ObjectInfo, len(want))
	for name := range want {
		objects <- minio.ObjectInfo{Key: name}
	}
	close(objects)
	for failed := range c.RemoveObjects(t.Context(), tr.bucket, objects, minio.RemoveObjectsOptions{}) {
		t.Errorf("remove %q: %v", failed.ObjectName, failed.Err)
	}
	if left := tr.witness.keys(t); len(left) > 0 {
		t.Errorf("left after removal: %q", left)
	}
}

func minioSeek(t *testing.T, tr *trial) {
	c, want := tr.minio(t, false), bytesOf("seek", 3<<20)
	tr.witness.put(t, "k", want)
	o, err := c.GetObject(t.Context(), tr.bucket, "k", minio.GetObjectOptions{})
	must(t, err)
	defer o.Close()
	part := make([]byte, 1000)
	for _, at := range []int64{2_000_000, 65_519, 0} {
		_, err = o.ReadAt(part, at)
		must(t, err)
		sameBytes(t, fmt.Sprint("at ", at), part, want[at:at+1000])
		_, err = o.Seek(at+1000, io.SeekStart)
		must(t, err)
		_, err = io.ReadFull(o, part)
		must(t, err)
		sameBytes(t, fmt.Sprint("after ", at), part, want[at+1000:at+2000])
	}
	info, err := o.Stat()
	must(t, err)
	var ranged, matching, changed minio.GetObjectOptions
	must(t, ranged.SetRange(100, 199))
	sameBytes(t, "range", read(t, c, tr.bucket, "k", ranged), want[100:200])
	must(t, matching.SetMatchETag(info.ETag))
	sameBytes(t, "If-Match", read(t, c, tr.bucket, "k", matching), want)
	must(t, changed.SetMatchETag("0123"))
	_, err = c.StatObject(t.Context(), tr.bucket, "k", changed)
	wantMinio(t, err, "PreconditionFailed")
}

func minioListing(t *testing.T, tr *trial) {
	tr = tr.many(t)
	c := tr.minio(t, false)
	count := func(o minio.ListObjectsOptions) (n int) {
		for object := range c.ListObjects(t.Context(), tr.bucket, o) {
			must(t, object.Err)
			n++
		}
		return n
	}
	for _, v1 := range []bool{false, true} {
		for _, k := range []struct {
			o    minio.ListObjectsOptions
			want int
		}{
			{minio.ListObjectsOptions{Recursive: true}, 1103},
			{minio.ListObjectsOptions{}, 4},
			{minio.ListObjectsOptions{Prefix: "many/"}, 1100},
			{minio.ListObjectsOptions{Prefix: "many/00", Recursive: true, MaxKeys: 7}, 100},
			{minio.ListObjectsOptions{StartAfter: "many/1050", Recursive: true}, 52},
		} {
			k.o.UseV1 = v1
			if got := count(k.o); got != k.want {
				t.Errorf("%+v: %d objects, want %d", k.o, got, k.want)
			}
		}
	}
}

func minioCopy(t *testing.T, tr *trial) {
	c, want := tr.minio(t, false), bytesOf("copy", 11<<20)
	_, err := c.PutObject(t.Context(), tr.bucket, "from ä+%", bytes.NewReader(want), int64(len(want)),
		minio.PutObjectOptions{UserMetadata: map[string]string{"Colour": "blue"}, ContentType: "text/x-cairn"})
	must(t, err)
	src := minio.CopySrcOptions{Bucket: tr.bucket, Object: "from ä+%"}
	_, err = c.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: tr.bucket, Object: "kept"}, src)
	must(t, err)
	_, err = c.CopyObject(t.Context(), minio.CopyDestOptions{
		Bucket: tr.bucket, Object: "replaced", ReplaceMetadata: true, UserMetadata: map[string]string{"new": "1"},
	}, src)
	must(t, err)
	first := src
	first.MatchRange, first.Start, first.End = true, 0, 6<<20-1
	_, err = c.ComposeObject(t.Context(), minio.CopyDestOptions{Bucket: tr.bucket, Object: "composed"}, first, src)
	must(t, err)
	same(t, "in the bucket", tr.witness.tree(t), tree{
		"from ä+%": want, "kept": want, "replaced": want, "composed": slices.Concat(want[:6<<20], want),
	})
	if got := tr.witness.head(t, "kept").Metadata; got["colour"] != "blue" {
		t.Errorf("metadata kept: %v", got)
	}
	if got := tr.witness.head(t, "replaced").Metadata; got["new"] != "1" || got["colour"] != "" {
		t.Errorf("metadata replaced: %v", got)
	}
}

func minioChecksums(t *testing.T, tr *trial) {
	c := tr.minio(t, false, func(o *minio.Options) { o.TrailingHeaders = true })
	want := bytesOf("checksums", 11<<20)
	for i, kind := range []minio.ChecksumType{
		minio.ChecksumCRC32, minio.ChecksumCRC32C, minio.ChecksumCRC64NVME, minio.ChecksumSHA1, minio.ChecksumSHA256,
		minio.ChecksumFullObjectCRC32, minio.ChecksumFullObjectCRC32C,
	} {
		for _, size := range []int{1000, len(want)} {
			key := fmt.Sprint(i, " ", kind, " ", size)
			_, err := c.PutObject(t.Context(), tr.bucket, key, bytes.NewReader(want[:size]), int64(size),
				minio.PutObjectOptions{Checksum: kind, PartSize: 5 << 20})
			if err != nil {
				t.Errorf("put with %s: %v", key, err)
				continue
			}
			sameBytes(t, key, read(t, c, tr.bucket, key, minio.GetObjectOptions{Checksum: true}), want[:size])
			info, err := c.StatObject(t.Context(), tr.bucket, key, minio.StatObjectOptions{Checksum: true})
			must(t, err)
			if info.ChecksumCRC32+info.ChecksumCRC32C+info.ChecksumCRC64NVME+info.ChecksumSHA1+info.ChecksumSHA256 == "" {
				t.Errorf("%s: stat shows no checksum", key)
			}
		}
	}
	_, err := c.PutObject(t.Context(), tr.bucket, "md5", bytes.NewReader(want), int64(len(want)), minio.PutObjectOptions{SendContentMd5: true, PartSize: 5 << 20})
	must(t, err)
	sameBytes(t, "md5", tr.witness.get(t, "md5"), want)
}

func minioConditionalWrites(t *testing.T, tr *trial) {
	c := tr.minio(t, false)
	put := func(content string, o minio.PutObjectOptions) (minio.UploadInfo, error) {
		return c.PutObject(t.Context(), tr.bucket, "k", strings.NewReader(content), int64(len(content)), o)
	}
	var create, replace minio.PutObjectOptions
	create.SetMatchETagExcept("*")
	first, err := put("first", create)
	must(t, err)
	_, err = put("second", create)
	wantMinio(t, err, "PreconditionFailed")
	replace.SetMatchETag(first.ETag)
	_, err = put("third", replace)
	must(t, err)
	_, err = put("fourth", replace)
	wantMinio(t, err, "PreconditionFailed")
	sameBytes(t, "k", tr.witness.get(t, "k"), []byte("third"))
}

func minioPresigned(t *testing.T, tr *trial) {
	c, plain, key, want := tr.minio(t, false), tr.httpClient(t, false), "dir/ä b+%?", bytesOf("presigned", 70_000)
	put, err := c.PresignedPutObject(t.Context(), tr.bucket, key, time.Minute)
	must(t, err)
	send(t, plain, "PUT", put.String(), want, http.StatusOK)
	get, err := c.PresignedGetObject(t.Context(), tr.bucket, key, time.Minute, nil)
	must(t, err)
	got, _ := send(t, plain, "GET", get.String(), nil, http.StatusOK)
	sameBytes(t, key, got, want)
	head, err := c.PresignedHeadObject(t.Context(), tr.bucket, key, time.Minute, nil)
	must(t, err)
	send(t, plain, "HEAD", head.String(), nil, http.StatusOK)
}

func minioUploads(t *testing.T, tr *trial) {
	c := tr.minio(t, false)
	tr.witness.beginUpload(t, "a/half")
	tr.witness.beginUpload(t, "a/half")
	count := func() (n int) {
		for u := range c.ListIncompleteUploads(t.Context(), tr.bucket, "a/", true) {
			must(t, u.Err)
			n++
		}
		return n
	}
	if n := count(); n != 2 {
		t.Errorf("%d incomplete uploads, want 2", n)
	}
	must(t, c.RemoveIncompleteUpload(t.Context(), tr.bucket, "a/half"))
	if n := count(); n != 0 {
		t.Errorf("%d incomplete uploads are left", n)
	}
}

func minioBuckets(t *testing.T, tr *trial) {
	c, name := tr.minio(t, false), bucketName()
	exists := func(want bool) {
		t.Helper()
		if got, err := c.BucketExists(t.Context(), name); err != nil || got != want {
			t.Errorf("BucketExists = %v, %v; want %v", got, err, want)
		}
	}
	exists(false)
	must(t, c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}))
	exists(true)
	if region, err := c.GetBucketLocation(t.Context(), name); err != nil || region != tr.region {
		t.Errorf("GetBucketLocation = %q, %v; want %q", region, err, tr.region)
	}
	all, err := c.ListBuckets(t.Context())
	must(t, err)
	if !slices.ContainsFunc(all, func(b minio.BucketInfo) bool { return b.Name == name }) {
		t.Errorf("ListBuckets does not show %s", name)
	}
	_, err = c.StatObject(t.Context(), name, "absent", minio.StatObjectOptions{})
	wantMinio(t, err, "NoSuchKey")
	_, err = c.StatObject(t.Context(), name+"-absent", "absent", minio.StatObjectOptions{})
	wantMinio(t, err, "NoSuchBucket", "NoSuchKey") // a HEAD has no body to tell them apart
	wantMinio(t, c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}), "BucketAlreadyOwnedByYou")
	must(t, c.RemoveBucket(t.Context(), name))
	exists(false)
	_, err = c.PutObject(t.Context(), name, "k", strings.NewReader("x"), 1, minio.PutObjectOptions{})
	wantMinio(t, err, "NoSuchBucket")
	must(t, os.WriteFile(tr.path("f"), []byte("x"), 0o600))
	_, err = c.FPutObject(t.Context(), name, "k", tr.path("f"), minio.PutObjectOptions{})
	wantMinio(t, err, "NoSuchBucket")
}

func minioVirtualHost(t *testing.T, tr *trial) {
	c, key, want := tr.minio(t, true), "dir//ä b+%", bytesOf("virtual", 6<<20)
	_, err := c.PutObject(t.Context(), tr.bucket, key, bytes.NewReader(want), int64(len(want)), minio.PutObjectOptions{PartSize: 5 << 20})
	must(t, err)
	sameBytes(t, "by path", tr.witness.get(t, key), want)
	sameBytes(t, "by host", read(t, c, tr.bucket, key, minio.GetObjectOptions{}), want)
	n := 0
	for o := range c.ListObjects(t.Context(), tr.bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		n++
	}
	if n != 1 {
		t.Errorf("%d objects listed by host, want 1", n)
	}
	url, err := c.PresignedGetObject(t.Context(), tr.bucket, key, time.Minute, nil)
	must(t, err)
	if !strings.HasPrefix(url.Host, tr.bucket+"."+domain) {
		t.Errorf("minio-go presigned %s, want the bucket in the host", url)
	}
}

// wantMinio fails t unless err carries one of the S3 codes.
func wantMinio(t *testing.T, err error, codes ...string) {
	t.Helper()
	e, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok || !slices.Contains(codes, e.Code) {
		t.Errorf("got %v, want one of %q", err, codes)
	}
}
