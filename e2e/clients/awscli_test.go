package clients

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

var awsCLI = client{
	name: "aws cli",
	note: "With `--endpoint-url`, and the CA certificate in AWS_CA_BUNDLE over https. " +
		"Files above 8 MiB go up, come down and are copied in parts.",
	version: func(t testing.TB) string {
		t.Helper()
		name, _, _ := strings.Cut(firstLine("aws", "--version")(t), " ") // without the kernel's version
		return name
	},
	checks: []check{
		{name: "sizes", tried: "`s3 sync` up and down, 0 bytes to 17 MiB; a second sync copies nothing", smoke: true, run: awsSizes},
		{name: "names", tried: "odd file names: `s3 sync` up and down, `--delete`", run: awsNames},
		{name: "keys", tried: "odd keys: `s3api put-object`, `get-object`, `delete-object`", run: awsKeys},
		{name: "large", tried: "`s3 cp` of 200 MiB up and down", only: "https", run: awsLarge},
		{name: "stream", tried: "`s3 cp -` from stdin and to stdout", run: awsStream},
		{name: "copy", tried: "`s3 cp` and `s3 mv` inside a bucket, 17 MiB in parts, with metadata", run: awsCopy},
		{name: "listing", tried: "`s3 ls` and `list-objects-v2` of more than 1,000 keys, with delimiter", run: awsListing},
		{name: "remove", tried: "`s3 rm --recursive`", run: awsRemove},
		{name: "metadata", tried: "metadata, Content-Type, range and conditional reads", run: awsMetadata},
		{name: "checksums", tried: "`put-object --checksum-algorithm` CRC32, CRC32C, SHA1, SHA256, shown by `head-object`", run: awsChecksums},
		{name: "presign", tried: "`s3 presign`, used by plain HTTP", run: awsPresign},
		{name: "multipart", tried: "`create-multipart-upload`, `upload-part`, `list-parts`, `complete-` and `abort-`", run: awsMultipart},
		{name: "buckets", tried: "`s3 mb`, `s3 ls`, `s3 rb`, `rb --force`; a bucket that is not empty stays", run: awsBuckets},
		{name: "virtual-host", tried: "virtual-host style (`addressing_style = virtual`)", run: awsVirtualHost},
	},
	limits: []string{
		"Before 2.13 it does not know AWS_ENDPOINT_URL: give `--endpoint-url \"$AWS_ENDPOINT_URL\"`.",
		"2.9 has no `--if-none-match` for `put-object`.",
		"Version 1 presigns with version 2 of the signature, which is refused, unless `s3.signature_version = s3v4` is configured.",
	},
}

// aws runs the cli, which has to succeed.
func (tr *trial) aws(t *testing.T, args ...string) string {
	t.Helper()
	return tr.run(t, "aws", slices.Concat([]string{"--endpoint-url", tr.url}, args)...)
}

func (tr *trial) s3URL(key string) string { return "s3://" + tr.bucket + "/" + key }

func awsSizes(t *testing.T, tr *trial) {
	want := sizeTree()
	want.write(t, tr.path("up"))
	tr.aws(t, "s3", "sync", "--only-show-errors", "up", tr.s3URL("d/"))
	if again := tr.aws(t, "s3", "sync", "--no-progress", "up", tr.s3URL("d/")); strings.Contains(again, "upload:") {
		t.Errorf("a second sync copied again:\n%s", again)
	}
	tr.aws(t, "s3", "sync", "--only-show-errors", tr.s3URL("d/"), "down")
	same(t, "downloaded", readTree(t, tr.path("down")), want)
	for name, content := range want {
		sameBytes(t, name, tr.witness.get(t, "d/"+name), content)
	}
}

func awsNames(t *testing.T, tr *trial) {
	want := nameTree()
	want.write(t, tr.path("up"))
	tr.aws(t, "s3", "sync", "--only-show-errors", "up", tr.s3URL(""))
	same(t, "in the bucket", tr.witness.tree(t), want)
	tr.aws(t, "s3", "sync", "--only-show-errors", tr.s3URL(""), "down")
	same(t, "downloaded", readTree(t, tr.path("down")), want)
	must(t, os.Remove(tr.path("up", "plus+plus")))
	delete(want, "plus+plus")
	tr.aws(t, "s3", "sync", "--only-show-errors", "--delete", "up", tr.s3URL(""))
	same(t, "after --delete", tr.witness.tree(t), want)
}

func awsKeys(t *testing.T, tr *trial) {
	for _, key := range []string{"/a//b ä+%25", "dots/../up"} {
		content := []byte("content of " + key)
		must(t, os.WriteFile(tr.path("up"), content, 0o600))
		tr.aws(t, "s3api", "put-object", "--bucket", tr.bucket, "--key", key, "--body", "up")
		sameBytes(t, key, tr.witness.get(t, key), content)
		tr.aws(t, "s3api", "get-object", "--bucket", tr.bucket, "--key", key, "down")
		sameBytes(t, key+" downloaded", readFile(t, tr.path("down")), content)
		tr.aws(t, "s3api", "delete-object", "--bucket", tr.bucket, "--key", key)
	}
	if left := tr.witness.keys(t); len(left) > 0 {
		t.Errorf("left after deletion: %q", left)
	}
}

func awsLarge(t *testing.T, tr *trial) {
	writeLarge(t, tr.path("up"))
	tr.aws(t, "s3", "cp", "--only-show-errors", "up", tr.s3URL("large"))
	tr.aws(t, "s3", "cp", "--only-show-errors", tr.s3URL("large"), "down")
	if sumFile(t, tr.path("down")) != sumFile(t, tr.path("up")) {
		t.Error("the file came down with other bytes")
	}
}

func awsStream(t *testing.T, tr *trial) {
	want := bytesOf("stream", 9<<20)
	endpoint := []string{"--endpoint-url", tr.url, "s3", "cp"}
	tr.runWith(t, nil, string(want), "aws", append(endpoint, "-", tr.s3URL("k"))...)
	sameBytes(t, "k", tr.witness.get(t, "k"), want)
	sameBytes(t, "stdout", []byte(tr.run(t, "aws", append(endpoint, tr.s3URL("k"), "-")...)), want)
}

func awsCopy(t *testing.T, tr *trial) {
	small, big := []byte("small"), bytesOf("copy", 17<<20)
	must(t, os.WriteFile(tr.path("big"), big, 0o600))
	tr.aws(t, "s3", "cp", "--only-show-errors", "--metadata", "colour=blue", "big", tr.s3URL("big ä+"))
	tr.witness.put(t, "small ä+", small)
	tr.aws(t, "s3", "cp", "--only-show-errors", "--copy-props", "metadata-directive", tr.s3URL("big ä+"), tr.s3URL("copied/big"))
	tr.aws(t, "s3", "mv", "--only-show-errors", "--copy-props", "metadata-directive", tr.s3URL("small ä+"), tr.s3URL("moved %/small"))
	same(t, "in the bucket", tr.witness.tree(t), tree{"big ä+": big, "copied/big": big, "moved %/small": small})
	if got := tr.witness.head(t, "copied/big").Metadata["colour"]; got != "blue" {
		t.Errorf("metadata of the copy: colour = %q, want blue", got)
	}
}

func awsListing(t *testing.T, tr *trial) {
	tr = tr.many(t)
	if n := strings.Count(tr.aws(t, "s3", "ls", "--recursive", tr.s3URL("")), "\n"); n != 1103 {
		t.Errorf("ls --recursive shows %d keys, want 1103", n)
	}
	if got := tr.aws(t, "s3", "ls", tr.s3URL("")); !strings.Contains(got, "PRE many/") || strings.Count(got, "\n") != 4 {
		t.Errorf("ls shows, want 3 keys and one prefix:\n%s", got)
	}
	var page struct {
		Contents       []any
		CommonPrefixes []any
	}
	decode(t, tr.aws(t, "s3api", "list-objects-v2", "--bucket", tr.bucket, "--prefix", "many/", "--delimiter", "9",
		"--page-size", "100", "--output", "json"), &page)
	if len(page.Contents)+len(page.CommonPrefixes) < 2 || len(page.CommonPrefixes) != prefixesBefore9(1100) {
		t.Errorf("list-objects-v2 by delimiter: %d keys and %d prefixes", len(page.Contents), len(page.CommonPrefixes))
	}
}

func awsRemove(t *testing.T, tr *trial) {
	tr.witness.fill(t, "many/", 20)
	tr.witness.fill(t, "top-", 1)
	tr.aws(t, "s3", "rm", "--only-show-errors", "--recursive", tr.s3URL("many/"))
	if left := tr.witness.keys(t); !slices.Equal(left, []string{"top-0000"}) {
		t.Errorf("left after rm --recursive: %q", left)
	}
}

// prefixesBefore9 counts what the numbers 0000 to n-1 begin with up to their
// first 9.
func prefixesBefore9(n int) int {
	all := map[string]bool{}
	for i := range n {
		if before, _, found := strings.Cut(fmt.Sprintf("%04d", i), "9"); found {
			all[before] = true
		}
	}
	return len(all)
}

func awsMetadata(t *testing.T, tr *trial) {
	want := bytesOf("metadata", 100_000)
	must(t, os.WriteFile(tr.path("up"), want, 0o600))
	tr.aws(t, "s3", "cp", "--only-show-errors", "--metadata", "Mixed-Case=a b:c", "--content-type", "text/x-cairn",
		"--cache-control", "no-store", "up", tr.s3URL("k"))
	var head struct {
		ETag, ContentType, CacheControl string
		Metadata                        map[string]string
	}
	at := []string{"--bucket", tr.bucket, "--key", "k"}
	decode(t, tr.aws(t, append([]string{"s3api", "head-object", "--output", "json"}, at...)...), &head)
	if head.ContentType != "text/x-cairn" || head.CacheControl != "no-store" || head.Metadata["mixed-case"] != "a b:c" {
		t.Errorf("head-object = %+v", head)
	}
	get := append([]string{"s3api", "get-object"}, at...)
	tr.aws(t, append(get, "--range", "bytes=65519-65521", "part")...)
	sameBytes(t, "range", readFile(t, tr.path("part")), want[65519:65522])
	get = append([]string{"--endpoint-url", tr.url}, get...)
	tr.refused(t, "PreconditionFailed", "aws", append(get, "--if-match", `"0123"`, "none")...)
	tr.refused(t, "304", "aws", append(get, "--if-none-match", head.ETag, "none")...)
	tr.refused(t, "InvalidRange", "aws", append(get, "--range", "bytes=100000-", "none")...)
}

func awsChecksums(t *testing.T, tr *trial) {
	content := bytesOf("checksums", 9<<20)
	must(t, os.WriteFile(tr.path("up"), content, 0o600))
	for _, algorithm := range []string{"CRC32", "CRC32C", "SHA1", "SHA256"} {
		tr.aws(t, "s3api", "put-object", "--bucket", tr.bucket, "--key", algorithm, "--body", "up", "--checksum-algorithm", algorithm)
		var head map[string]any
		decode(t, tr.aws(t, "s3api", "head-object", "--bucket", tr.bucket, "--key", algorithm, "--checksum-mode", "ENABLED", "--output", "json"), &head)
		if head["Checksum"+algorithm] == nil {
			t.Errorf("head-object knows no Checksum%s: %v", algorithm, head)
		}
		sameBytes(t, algorithm, tr.witness.get(t, algorithm), content)
	}
}

func awsPresign(t *testing.T, tr *trial) {
	key, want := "dir/ä b+%?", bytesOf("presign", 70_000)
	tr.witness.put(t, key, want)
	url := strings.TrimSpace(tr.aws(t, "s3", "presign", "--expires-in", "60", tr.s3URL(key)))
	got, _ := send(t, tr.httpClient(t, false), "GET", url, nil, http.StatusOK)
	sameBytes(t, key, got, want)
}

func awsMultipart(t *testing.T, tr *trial) {
	const partSize = 5 << 20
	want := bytesOf("multipart", partSize+1000)
	must(t, os.WriteFile(tr.path("1"), want[:partSize], 0o600))
	must(t, os.WriteFile(tr.path("2"), want[partSize:], 0o600))
	at := []string{"--bucket", tr.bucket, "--key", "k", "--output", "json"}
	begin := func() []string {
		var upload struct{ UploadId string }
		decode(t, tr.aws(t, append([]string{"s3api", "create-multipart-upload"}, at...)...), &upload)
		return append(slices.Clone(at), "--upload-id", upload.UploadId)
	}
	up := begin()
	type part struct {
		PartNumber int
		ETag       string
	}
	var list struct{ Parts []part }
	for _, n := range []string{"1", "2"} {
		tr.aws(t, append([]string{"s3api", "upload-part", "--part-number", n, "--body", n}, up...)...)
	}
	decode(t, tr.aws(t, append([]string{"s3api", "list-parts", "--query", "{Parts: Parts[].{PartNumber: PartNumber, ETag: ETag}}"}, up...)...), &list)
	if len(list.Parts) != 2 {
		t.Fatalf("list-parts shows %+v, want two parts", list.Parts)
	}
	parts, err := json.Marshal(list)
	must(t, err)
	tr.aws(t, append([]string{"s3api", "complete-multipart-upload", "--multipart-upload", string(parts)}, up...)...)
	sameBytes(t, "k", tr.witness.get(t, "k"), want)

	up = begin()
	tr.aws(t, append([]string{"s3api", "abort-multipart-upload"}, up...)...)
	tr.refused(t, "NoSuchUpload", "aws", append([]string{"--endpoint-url", tr.url, "s3api", "list-parts"}, up...)...)
}

func awsBuckets(t *testing.T, tr *trial) {
	name := bucketName()
	tr.aws(t, "s3", "mb", "s3://"+name)
	if all := tr.aws(t, "s3", "ls"); !strings.Contains(all, name) || !strings.Contains(all, tr.bucket) {
		t.Errorf("s3 ls does not show the buckets %s and %s:\n%s", name, tr.bucket, all)
	}
	must(t, os.WriteFile(tr.path("f"), nil, 0o600))
	tr.aws(t, "s3", "cp", "--only-show-errors", "f", "s3://"+name+"/f")
	tr.refused(t, "BucketNotEmpty", "aws", "--endpoint-url", tr.url, "s3", "rb", "s3://"+name)
	tr.aws(t, "s3", "rb", "--force", "s3://"+name)
	tr.refused(t, "NoSuchBucket", "aws", "--endpoint-url", tr.url, "s3", "ls", "s3://"+name)
}

func awsVirtualHost(t *testing.T, tr *trial) {
	must(t, os.MkdirAll(tr.home+"/.aws", 0o700))
	must(t, os.WriteFile(tr.home+"/.aws/config", []byte("[default]\ns3 =\n  addressing_style = virtual\n"), 0o600))
	want := bytesOf("virtual", 9<<20)
	must(t, os.WriteFile(tr.path("up"), want, 0o600))
	run := func(args ...string) string {
		return tr.runWith(t, tr.proxied(), "", "aws", append([]string{"--endpoint-url", tr.virtual}, args...)...)
	}
	run("s3", "cp", "--only-show-errors", "up", tr.s3URL("dir/ä b+%"))
	sameBytes(t, "by path", tr.witness.get(t, "dir/ä b+%"), want)
	run("s3", "cp", "--only-show-errors", tr.s3URL("dir/ä b+%"), "down")
	sameBytes(t, "by host", readFile(t, tr.path("down")), want)
	if url := run("s3", "presign", tr.s3URL("k")); !strings.Contains(url, "://"+tr.bucket+"."+domain) {
		t.Errorf("the cli presigned %s, want the bucket in the host", url)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}
