package clients

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var boto3 = client{
	name: "boto3",
	note: "Debian's python3-boto3 with /usr/bin/python3; `endpoint_url` is given, the rest comes from the environment. " +
		"The scripts are in e2e/clients/testdata/boto3_checks.py.",
	version: func(t testing.TB) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), find(t, "python3"), "-c",
			"import boto3, botocore; print('boto3', boto3.__version__, 'botocore', botocore.__version__)").CombinedOutput()
		if err != nil {
			t.Fatalf("python3-boto3 is not installed; run: make setup\n%s", out)
		}
		return strings.TrimSpace(string(out))
	},
	checks: []check{
		{name: "sizes", tried: "`upload_file`, `download_file`, `put_object`, `upload_fileobj` of a stream, 0 bytes to 17 MiB", smoke: true, run: boto3Sizes},
		{name: "names", tried: "odd names: put, get, head, list, delete", run: boto3Names},
		{name: "metadata", tried: "metadata and headers, copy with COPY and REPLACE, copy of 17 MiB in parts", run: boto3Script("metadata")},
		{name: "ranges", tried: "range reads and conditional reads", run: boto3Script("ranges")},
		{name: "conditional-writes", tried: "If-None-Match: * and If-Match on put (as headers of their own)", run: boto3Script("conditional_writes")},
		{name: "checksums", tried: "ChecksumAlgorithm CRC32, SHA1, SHA256 on put and in parts; Content-MD5; wrong ones refused", run: boto3Script("checksums")},
		{name: "listing", tried: "paginators over more than 1,000 keys: V2, V1, versions, with delimiter", run: boto3Listing},
		{name: "delete", tried: "`delete_objects`, quiet, with keys that are not there", run: boto3Delete},
		{name: "presigned", tried: "`generate_presigned_url` for get, put and head, used by plain HTTP", run: boto3Presigned},
		{name: "multipart", tried: "multipart upload by hand, list and abort", run: boto3Script("multipart")},
		{name: "errors", tried: "typed errors and waiters", run: boto3Script("errors")},
		{name: "virtual-host", tried: "virtual-host style (`addressing_style: virtual`)", run: boto3VirtualHost},
	},
	limits: []string{
		"Before 1.28 it does not know AWS_ENDPOINT_URL: give `endpoint_url`.",
		"1.26 has no IfNoneMatch and IfMatch for `put_object`; the test adds the headers in an event handler.",
	},
}

// python runs one function of the script, with what it asks for on stdin.
func (tr *trial) python(t *testing.T, env []string, function, endpoint string) string {
	t.Helper()
	script, err := filepath.Abs("testdata/boto3_checks.py")
	must(t, err)
	return tr.runWith(t, env, "", "python3", "-B", script, function, endpoint, tr.bucket)
}

func boto3Script(function string) func(*testing.T, *trial) {
	return func(t *testing.T, tr *trial) { tr.python(t, nil, function, tr.url) }
}

func boto3Sizes(t *testing.T, tr *trial) {
	want := sizeTree()
	want.write(t, tr.path("up"))
	mkdir(t, tr.path("down"))
	tr.python(t, nil, "sizes", tr.url)
	same(t, "in the bucket", tr.witness.tree(t), with(want, "file/", "put/", "stream/"))
	same(t, "downloaded", readTree(t, tr.path("down")), want)
}

// with returns the tree once under each prefix.
func with(files tree, prefixes ...string) tree {
	all := tree{}
	for name, content := range files {
		for _, prefix := range prefixes {
			all[prefix+name] = content
		}
	}
	return all
}

func boto3Names(t *testing.T, tr *trial) {
	names := slices.Concat(fileNames(), keyNames())
	must(t, os.WriteFile(tr.path("names.json"), encode(t, names), 0o600))
	want := tree{}
	for _, name := range names {
		want[name] = []byte("content of " + name)
	}
	tr.python(t, nil, "names_put", tr.url)
	same(t, "in the bucket", tr.witness.tree(t), want)
	tr.python(t, nil, "names_delete", tr.url)
	if left := tr.witness.keys(t); len(left) > 0 {
		t.Errorf("left after deletion: %q", left)
	}
}

func boto3Listing(t *testing.T, tr *trial) { tr.many(t).python(t, nil, "listing", tr.url) }

func boto3Delete(t *testing.T, tr *trial) {
	tr.witness.fill(t, "k", 20)
	tr.python(t, nil, "delete", tr.url)
	if left := tr.witness.keys(t); !slices.Equal(left, []string{"k0019"}) {
		t.Errorf("left after delete_objects: %q", left)
	}
}

func boto3Presigned(t *testing.T, tr *trial) {
	var urls struct{ Get, Put, Head string }
	decode(t, tr.python(t, nil, "presigned", tr.url), &urls)
	c, want := tr.httpClient(t, false), bytesOf("presigned", 70_000)
	send(t, c, "PUT", urls.Put, want, http.StatusOK)
	got, header := send(t, c, "GET", urls.Get, nil, http.StatusOK)
	sameBytes(t, "presigned", got, want)
	if got := header.Get("Content-Type"); got != "text/x-override" {
		t.Errorf("Content-Type = %q, want that of the URL", got)
	}
	send(t, c, "HEAD", urls.Head, nil, http.StatusOK)
}

func boto3VirtualHost(t *testing.T, tr *trial) {
	tr.python(t, tr.proxied(), "virtual_host", tr.virtual)
	want := tree{"dir/ä b+%": []byte("virtual")}
	same(t, "by path", tr.witness.tree(t), want)
}
