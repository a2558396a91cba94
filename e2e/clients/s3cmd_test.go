package clients

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

var s3cmd = client{
	name:    "s3cmd",
	note:    "`host_base` and `host_bucket` are HOST:PORT, `use_https` and `ca_certs_file` over https.",
	version: firstLine("s3cmd", "--version"),
	checks: []check{
		{name: "sizes", tried: "`put` and `get`, 0 bytes to 17 MiB (multipart from 15 MiB)", smoke: true, run: s3cmdSizes},
		{name: "names", tried: "odd file names: `sync` up and down, `--delete-removed`", run: s3cmdNames},
		{name: "attributes", tried: "`info`, mode and time kept by `sync`, `modify`, `cp`, `mv`", run: s3cmdAttributes},
		{name: "listing", tried: "`ls` and `du` of more than 1,000 keys", run: s3cmdListing},
		{name: "delete", tried: "`del`, `del --recursive`", run: s3cmdDelete},
		{name: "multipart", tried: "`multipart`, `listmp` and `abortmp`", run: s3cmdMultipart},
		{name: "buckets", tried: "`mb`, `ls`, `rb`; a bucket that is not empty stays", run: s3cmdBuckets},
		{name: "signurl", tried: "`signurl` (signature version 2) is refused", run: s3cmdSignURL},
		{name: "virtual-host", tried: "virtual-host style (`host_bucket = %(bucket)s.DOMAIN`)", run: s3cmdVirtualHost},
	},
	limits: []string{
		"`signurl` signs with version 2 of the signature, which is too weak to be accepted; other clients make presigned URLs.",
		"Over https its virtual-host style checks the certificate for BUCKET.DOMAIN; the gateway's own authority covers that.",
	},
}

// s3cmdFlags set it up without a configuration file.
func (tr *trial) s3cmdFlags() []string {
	flags := []string{
		"--config", "/dev/null", "--access_key", tr.accessKey, "--secret_key", tr.secretKey, "--region", tr.region,
		"--host", tr.host, "--host-bucket", tr.host, "--no-progress", "--no-ssl",
	}
	if tr.caFile != "" {
		flags[len(flags)-1] = "--ssl"
		flags = append(flags, "--ca-certs", tr.caFile)
	}
	return flags
}

func (tr *trial) s3cmd(t *testing.T, args ...string) string {
	t.Helper()
	return tr.run(t, "s3cmd", slices.Concat(tr.s3cmdFlags(), args)...)
}

func s3cmdSizes(t *testing.T, tr *trial) {
	want := sizeTree()
	want.write(t, tr.path("up"))
	mkdir(t, tr.path("down"))
	tr.s3cmd(t, "put", "--recursive", "up/", tr.s3URL("d/"))
	same(t, "in the bucket", tr.witness.tree(t), with(want, "d/"))
	tr.s3cmd(t, "get", "--recursive", tr.s3URL("d/"), "down/")
	same(t, "downloaded", readTree(t, tr.path("down")), want)
}

func s3cmdNames(t *testing.T, tr *trial) {
	want := nameTree()
	want.write(t, tr.path("up"))
	mkdir(t, tr.path("down"))
	tr.s3cmd(t, "sync", "up/", tr.s3URL(""))
	same(t, "in the bucket", tr.witness.tree(t), want)
	tr.s3cmd(t, "sync", tr.s3URL(""), "down/")
	same(t, "downloaded", readTree(t, tr.path("down")), want)
	must(t, os.Remove(tr.path("up", "plus+plus")))
	delete(want, "plus+plus")
	tr.s3cmd(t, "sync", "--delete-removed", "up/", tr.s3URL(""))
	same(t, "after --delete-removed", tr.witness.tree(t), want)
}

func s3cmdAttributes(t *testing.T, tr *trial) {
	files := tree{"k ä+": []byte("content")}
	files.write(t, tr.path("up"))
	must(t, os.Chmod(tr.path("up", "k ä+"), 0o640))
	must(t, os.Chtimes(tr.path("up", "k ä+"), oldTime, oldTime))
	tr.s3cmd(t, "sync", "--mime-type", "text/x-cairn", "up/", tr.s3URL("d/"))
	if info := tr.s3cmd(t, "info", tr.s3URL("d/k ä+")); !strings.Contains(info, "text/x-cairn") || !strings.Contains(info, "File size: 7") {
		t.Errorf("info says:\n%s", info)
	}
	if info := tr.s3cmd(t, "info", "s3://"+tr.bucket); !strings.Contains(info, "Location:") {
		t.Errorf("info of the bucket says:\n%s", info)
	}
	tr.s3cmd(t, "modify", "--add-header", "Cache-Control: no-store", tr.s3URL("d/k ä+"))
	tr.s3cmd(t, "cp", tr.s3URL("d/k ä+"), tr.s3URL("copy %"))
	tr.s3cmd(t, "mv", tr.s3URL("d/k ä+"), tr.s3URL("d/moved"))
	same(t, "in the bucket", tr.witness.tree(t), tree{"copy %": files["k ä+"], "d/moved": files["k ä+"]})
	if h := tr.witness.head(t, "copy %"); h.CacheControl == nil || *h.CacheControl != "no-store" {
		t.Errorf("after modify and cp, Cache-Control is %v", h.CacheControl)
	}
	mkdir(t, tr.path("down"))
	tr.s3cmd(t, "sync", tr.s3URL("d/"), "down/")
	info, err := os.Stat(tr.path("down", "moved"))
	must(t, err)
	if info.Mode().Perm() != 0o640 || info.ModTime().Unix() != oldTime.Unix() {
		t.Errorf("came back with mode %v and time %v, want 0640 and %v", info.Mode().Perm(), info.ModTime().UTC(), oldTime)
	}
}

func s3cmdListing(t *testing.T, tr *trial) {
	tr = tr.many(t)
	if n := strings.Count(tr.s3cmd(t, "ls", "--recursive", tr.s3URL("")), "\n"); n != 1103 {
		t.Errorf("ls --recursive shows %d keys, want 1103", n)
	}
	if got := tr.s3cmd(t, "ls", tr.s3URL("")); strings.Count(got, "\n") != 4 || !strings.Contains(got, "DIR") {
		t.Errorf("ls shows, want 3 keys and a directory:\n%s", got)
	}
	if got := tr.s3cmd(t, "du", tr.s3URL("")); !strings.Contains(got, "1103 objects") {
		t.Errorf("du says %q, want 1103 objects", got)
	}
}

func s3cmdDelete(t *testing.T, tr *trial) {
	tr.witness.fill(t, "many/", 20)
	tr.witness.fill(t, "top-", 2)
	tr.s3cmd(t, "del", "--recursive", "--force", tr.s3URL("many/"))
	tr.s3cmd(t, "del", tr.s3URL("top-0000"))
	if left := tr.witness.keys(t); !slices.Equal(left, []string{"top-0001"}) {
		t.Errorf("left after del: %q", left)
	}
}

func s3cmdMultipart(t *testing.T, tr *trial) {
	want := bytesOf("multipart", 11<<20)
	must(t, os.WriteFile(tr.path("up"), want, 0o600))
	tr.s3cmd(t, "put", "--multipart-chunk-size-mb", "5", "up", tr.s3URL("k ä+"))
	sameBytes(t, "k", tr.witness.get(t, "k ä+"), want)
	if etag := tr.witness.head(t, "k ä+").ETag; etag == nil || !strings.HasSuffix(*etag, `-3"`) {
		t.Errorf("ETag is %v, want that of three parts", etag)
	}
	begun := tr.witness.beginUpload(t, "half")
	if all := tr.s3cmd(t, "multipart", "s3://"+tr.bucket); !strings.Contains(all, "half") || !strings.Contains(all, begun) {
		t.Errorf("multipart shows no upload of half:\n%s", all)
	}
	tr.s3cmd(t, "listmp", tr.s3URL("half"), begun)
	tr.s3cmd(t, "abortmp", tr.s3URL("half"), begun)
	if all := tr.s3cmd(t, "multipart", "s3://"+tr.bucket); strings.Contains(all, begun) {
		t.Errorf("multipart still shows the upload:\n%s", all)
	}
}

func s3cmdBuckets(t *testing.T, tr *trial) {
	name := bucketName()
	tr.s3cmd(t, "mb", "s3://"+name)
	if all := tr.s3cmd(t, "ls"); !strings.Contains(all, name) || !strings.Contains(all, tr.bucket) {
		t.Errorf("ls does not show the buckets %s and %s:\n%s", name, tr.bucket, all)
	}
	tr.witness.put(t, "k", nil)
	tr.refused(t, "BucketNotEmpty", "s3cmd", slices.Concat(tr.s3cmdFlags(), []string{"rb", "s3://" + tr.bucket})...)
	tr.s3cmd(t, "rb", "s3://"+name)
	tr.refused(t, "NoSuchBucket", "s3cmd", slices.Concat(tr.s3cmdFlags(), []string{"ls", "s3://" + name})...)
}

func s3cmdSignURL(t *testing.T, tr *trial) {
	tr.witness.put(t, "k", []byte("x"))
	url := strings.TrimSpace(tr.s3cmd(t, "signurl", tr.s3URL("k"), "+60"))
	if tr.scheme == "https" {
		url = strings.Replace(url, "http://", "https://", 1)
	}
	resp, err := tr.httpClient(t, false).Get(url)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode < 400 || resp.StatusCode >= 500 {
		t.Errorf("%s was answered %s, want a refusal", url, resp.Status)
	}
}

func s3cmdVirtualHost(t *testing.T, tr *trial) {
	u, err := url.Parse(tr.virtual)
	must(t, err)
	proxy, err := url.Parse(tr.proxy)
	must(t, err)
	config := "[default]\nproxy_host = " + proxy.Hostname() + "\nproxy_port = " + proxy.Port() + "\n"
	must(t, os.WriteFile(tr.home+"/s3cfg", []byte(config), 0o600))
	flags := slices.Concat(tr.s3cmdFlags(), []string{"--config", tr.home + "/s3cfg", "--host", u.Host, "--host-bucket", "%(bucket)s." + u.Host})
	want := tree{"dir/ä b+%": bytesOf("virtual", 1<<20)}
	want.write(t, tr.path("up"))
	mkdir(t, tr.path("down"))
	tr.run(t, "s3cmd", slices.Concat(flags, []string{"sync", "up/", tr.s3URL("")})...)
	same(t, "by path", tr.witness.tree(t), want)
	tr.run(t, "s3cmd", slices.Concat(flags, []string{"sync", tr.s3URL(""), "down/"})...)
	same(t, "by host", readTree(t, tr.path("down")), want)
}
