package clients

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var rclone = client{
	name:    "rclone",
	note:    "`type = s3`, `provider = Other`, `env_auth = true`; `--ca-cert` over https.",
	version: firstLine("rclone", "version"),
	checks: []check{
		{name: "sizes", tried: "`copy` up and down and `check --download`, 0 bytes to 17 MiB (multipart from 5 MiB)", smoke: true, run: rcloneSizes},
		{name: "names", tried: "odd file names: `sync` up and down, `check`", run: rcloneNames},
		{name: "sync", tried: "`sync` after changes: uploads what changed, deletes what went, leaves the rest", run: rcloneSync},
		{name: "mtime", tried: "modification times to the nanosecond, changed in place by `touch`", run: rcloneModTime},
		{name: "mount", tried: "`mount` through FUSE: read, write, append, seek, rename, delete, directories", run: rcloneMount},
		{name: "listing", tried: "`lsf` and `size` of more than 1,000 keys, list V1 and V2", run: rcloneListing},
		{name: "purge", tried: "`purge` and `deletefile`", run: rclonePurge},
		{name: "copyto", tried: "server-side `copyto` and `moveto`, 11 MiB in parts", run: rcloneServerSide},
		{name: "stream", tried: "`rcat` from stdin, `cat` with offset and count", run: rcloneStream},
		{name: "link", tried: "`link` (presigned), used by plain HTTP", run: rcloneLink},
		{name: "cleanup", tried: "`cleanup` and `backend list-multipart-uploads`", run: rcloneCleanup},
		{name: "buckets", tried: "`mkdir`, `lsd`, `rmdir`", run: rcloneBuckets},
		{name: "virtual-host", tried: "virtual-host style (`force_path_style = false`)", run: rcloneVirtualHost},
	},
	limits: []string{
		"With `env_auth` it ends with LoadCustomCABundleError when AWS_CA_BUNDLE is set: unset it and give `--ca-cert`.",
		"Elements `.` and `..` of a key are shown as full-width dots, and empty elements (`//`) have no place in its tree of directories.",
	},
}

// rcloneFlags set the remote up without a configuration file.
func (tr *trial) rcloneFlags(endpoint string) []string {
	flags := []string{
		"--config", tr.home + "/none", "--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint", endpoint, "--s3-region", tr.region,
		"--retries", "1", "--low-level-retries", "2", "--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi",
	}
	if tr.caFile != "" {
		flags = append(flags, "--ca-cert", tr.caFile)
	}
	return flags
}

func (tr *trial) rclone(t *testing.T, args ...string) string {
	t.Helper()
	return tr.runWith(t, noBundle, "", "rclone", slices.Concat(args, tr.rcloneFlags(tr.url))...)
}

// noBundle takes away what rclone stumbles over; --ca-cert stands in for it.
var noBundle = []string{"AWS_CA_BUNDLE="}

// remote is a path in the bucket, as rclone spells it.
func (tr *trial) remote(path string) string { return ":s3:" + tr.bucket + "/" + path }

func rcloneSizes(t *testing.T, tr *trial) {
	want := sizeTree()
	want.write(t, tr.path("up"))
	tr.rclone(t, "copy", "up", tr.remote("d"))
	tr.rclone(t, "check", "--download", "up", tr.remote("d"))
	tr.rclone(t, "copy", tr.remote("d"), "down")
	same(t, "downloaded", readTree(t, tr.path("down")), want)
	same(t, "in the bucket", tr.witness.tree(t), with(want, "d/"))
}

func rcloneNames(t *testing.T, tr *trial) {
	want := nameTree()
	want.write(t, tr.path("up"))
	tr.rclone(t, "sync", "up", tr.remote(""))
	tr.rclone(t, "check", "up", tr.remote(""))
	same(t, "in the bucket", tr.witness.tree(t), want)
	tr.rclone(t, "sync", tr.remote(""), "down")
	same(t, "downloaded", readTree(t, tr.path("down")), want)
}

func rcloneSync(t *testing.T, tr *trial) {
	files := tree{"same": []byte("same"), "changed": []byte("before"), "gone": []byte("gone"), "dir/deep": []byte("deep")}
	files.write(t, tr.path("up"))
	tr.rclone(t, "sync", "up", tr.remote(""))
	untouched := tr.witness.head(t, "same").LastModified
	must(t, os.Remove(tr.path("up", "gone")))
	delete(files, "gone")
	files["changed"], files["new"] = []byte("after!"), []byte("new")
	files.write(t, tr.path("up"))
	tr.rclone(t, "sync", "--checksum", "up", tr.remote(""))
	same(t, "after the second sync", tr.witness.tree(t), files)
	if got := tr.witness.head(t, "same").LastModified; !got.Equal(*untouched) {
		t.Errorf("a file that did not change was written again at %v", got)
	}
}

func rcloneModTime(t *testing.T, tr *trial) {
	for name, size := range map[string]int{"small": 10, "parts": 6 << 20} {
		want := bytesOf(name, size)
		must(t, os.WriteFile(tr.path(name), want, 0o600))
		must(t, os.Chtimes(tr.path(name), oldTime, oldTime))
		tr.rclone(t, "copyto", name, tr.remote(name))
		tr.rclone(t, "copyto", tr.remote(name), name+".back")
		info, err := os.Stat(tr.path(name + ".back"))
		must(t, err)
		if !info.ModTime().Equal(oldTime) {
			t.Errorf("%s: came back with %v, want %v", name, info.ModTime().UTC(), oldTime)
		}
		tr.rclone(t, "touch", "--no-create", "--timestamp", "2011-12-13T14:15:16", tr.remote(name))
		if got := tr.rclone(t, "lsf", "--format", "t", tr.remote(name)); !strings.HasPrefix(got, "2011-12-13 14:15:16") {
			t.Errorf("%s: time after touch is %q", name, got)
		}
		sameBytes(t, name+" after touch", tr.witness.get(t, name), want)
	}
}

// oldTime is a time that no file has by chance, with nanoseconds.
var oldTime = time.Date(2001, 2, 3, 4, 5, 6, 123456789, time.UTC)

func rcloneListing(t *testing.T, tr *trial) {
	tr = tr.many(t)
	for _, version := range []string{"1", "2"} {
		list := []string{"--s3-list-version", version}
		if n := strings.Count(tr.rclone(t, append(list, "lsf", "--recursive", "--files-only", tr.remote(""))...), "\n"); n != 1103 {
			t.Errorf("V%s: lsf --recursive shows %d files, want 1103", version, n)
		}
		if n := strings.Count(tr.rclone(t, append(list, "lsf", "--fast-list", tr.remote("many"))...), "\n"); n != 1100 {
			t.Errorf("V%s: lsf of one directory shows %d files, want 1100", version, n)
		}
		if got := tr.rclone(t, append(list, "lsf", tr.remote(""))...); strings.Count(got, "\n") != 4 || !strings.Contains(got, "many/\n") {
			t.Errorf("V%s: lsf shows, want 3 files and a directory:\n%s", version, got)
		}
	}
	var size struct{ Count, Bytes int }
	decode(t, tr.rclone(t, "size", "--json", tr.remote("")), &size)
	if size.Count != 1103 || size.Bytes != 1103 {
		t.Errorf("size = %+v, want 1103 files of one byte", size)
	}
}

func rclonePurge(t *testing.T, tr *trial) {
	tr.witness.fill(t, "many/", 20)
	tr.witness.fill(t, "top-", 2)
	tr.rclone(t, "purge", tr.remote("many"))
	tr.rclone(t, "deletefile", tr.remote("top-0000"))
	if left := tr.witness.keys(t); !slices.Equal(left, []string{"top-0001"}) {
		t.Errorf("left after purge and deletefile: %q", left)
	}
}

func rcloneServerSide(t *testing.T, tr *trial) {
	small, big := []byte("small"), bytesOf("copyto", 11<<20)
	must(t, os.WriteFile(tr.path("big"), big, 0o600))
	must(t, os.Chtimes(tr.path("big"), oldTime, oldTime))
	tr.rclone(t, "copyto", "big", tr.remote("from ä+/big"))
	tr.witness.put(t, "small %", small)
	tr.rclone(t, "copyto", "--s3-copy-cutoff", "5Mi", tr.remote("from ä+/big"), tr.remote("to ?/big"))
	tr.rclone(t, "moveto", tr.remote("small %"), tr.remote("moved/small"))
	same(t, "in the bucket", tr.witness.tree(t), tree{"from ä+/big": big, "to ?/big": big, "moved/small": small})
	if a, b := tr.witness.head(t, "from ä+/big").Metadata["mtime"], tr.witness.head(t, "to ?/big").Metadata["mtime"]; a == "" || a != b {
		t.Errorf("the copy has mtime %q, the original %q", b, a)
	}
}

func rcloneStream(t *testing.T, tr *trial) {
	for name, size := range map[string]int{"short": 1000, "long": 6 << 20} {
		want := bytesOf(name, size)
		tr.runWith(t, noBundle, string(want), "rclone", slices.Concat([]string{"rcat", tr.remote(name)}, tr.rcloneFlags(tr.url))...)
		sameBytes(t, name, tr.witness.get(t, name), want)
		sameBytes(t, name+" read", []byte(tr.rclone(t, "cat", "--offset", "100", "--count", "500", tr.remote(name))), want[100:600])
	}
}

func rcloneLink(t *testing.T, tr *trial) {
	want := []byte("linked")
	tr.witness.put(t, "dir/ä b+%", want)
	url := strings.TrimSpace(tr.rclone(t, "link", "--expire", "1m", tr.remote("dir/ä b+%")))
	got, _ := send(t, tr.httpClient(t, false), "GET", url, nil, http.StatusOK)
	sameBytes(t, "linked", got, want)
}

func rcloneCleanup(t *testing.T, tr *trial) {
	c := tr.witness.s3
	tr.witness.beginUpload(t, "half")
	if got := tr.rclone(t, "backend", "list-multipart-uploads", tr.remote("")); !strings.Contains(got, `"half"`) {
		t.Errorf("list-multipart-uploads shows no upload of half:\n%s", got)
	}
	tr.rclone(t, "backend", "cleanup", tr.remote(""), "-o", "max-age=0s")
	left, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &tr.bucket})
	must(t, err)
	if len(left.Uploads) != 0 {
		t.Errorf("%d uploads are left after cleanup", len(left.Uploads))
	}
}

func rcloneBuckets(t *testing.T, tr *trial) {
	name := bucketName()
	tr.rclone(t, "mkdir", ":s3:"+name)
	tr.rclone(t, "mkdir", ":s3:"+name) // it is ours already, which is fine
	if all := tr.rclone(t, "lsd", ":s3:"); !strings.Contains(all, name) || !strings.Contains(all, tr.bucket) {
		t.Errorf("lsd does not show the buckets %s and %s:\n%s", name, tr.bucket, all)
	}
	tr.rclone(t, "rmdir", ":s3:"+name)
	if all := tr.rclone(t, "lsd", ":s3:"); strings.Contains(all, name) {
		t.Errorf("lsd still shows the bucket %s:\n%s", name, all)
	}
}

func rcloneVirtualHost(t *testing.T, tr *trial) {
	want := tree{"dir/ä b+%": bytesOf("virtual", 6<<20)}
	want.write(t, tr.path("up"))
	run := func(args ...string) {
		args = slices.Concat(args, tr.rcloneFlags(tr.virtual), []string{"--s3-force-path-style=false"})
		tr.runWith(t, append(tr.proxied(), noBundle...), "", "rclone", args...)
	}
	run("copy", "up", tr.remote(""))
	same(t, "by path", tr.witness.tree(t), want)
	run("copy", tr.remote(""), "down")
	same(t, "by host", readTree(t, tr.path("down")), want)
}

// mount mounts the bucket, and unmounts it when t ends.
func (tr *trial) mount(t *testing.T, at string) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no FUSE on this machine: %v", err)
	}
	must(t, f.Close())
	mkdir(t, at)
	args := append([]string{"mount", tr.remote(""), at, "--vfs-cache-mode", "writes", "--vfs-write-back", "0s",
		"--dir-cache-time", "0s", "--cache-dir", tr.home + "/cache"}, tr.rcloneFlags(tr.url)...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), find(t, "rclone"), args...)
	cmd.Env = append(tr.environ(), noBundle...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // unmounts; fails only if it has ended
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			t.Error("rclone mount did not end when it was asked to")
		}
		if t.Failed() {
			t.Logf("rclone mount said:\n%s", clip(said.String()))
		}
	})
	deadline := time.After(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if mounts, err := os.ReadFile("/proc/mounts"); err == nil && strings.Contains(string(mounts), at+" fuse.rclone") {
			return
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("rclone mount ended: %v", err)
		case <-deadline:
			t.Fatal("the mount did not appear within 30 s")
		}
	}
}

func rcloneMount(t *testing.T, tr *trial) {
	there := bytesOf("there", 3<<20)
	tr.witness.put(t, "dir ä/there", there)
	at := tr.path("mnt")
	tr.mount(t, at)
	sameBytes(t, "read", readFile(t, at+"/dir ä/there"), there)
	f, err := os.Open(at + "/dir ä/there")
	must(t, err)
	part := make([]byte, 1000)
	_, err = f.ReadAt(part, 2_000_000)
	must(t, err)
	must(t, f.Close())
	sameBytes(t, "read in the middle", part, there[2_000_000:2_001_000])

	written := bytesOf("written", 6<<20)
	must(t, os.MkdirAll(at+"/new/sub dir", 0o700))
	must(t, os.WriteFile(at+"/new/sub dir/file+%", written, 0o600))
	tr.awaitObject(t, "new/sub dir/file+%", written)
	f, err = os.OpenFile(at+"/new/sub dir/file+%", os.O_RDWR|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("appended")
	must(t, err)
	must(t, f.Close())
	written = append(written, "appended"...)
	tr.awaitObject(t, "new/sub dir/file+%", written)

	must(t, os.Rename(at+"/new/sub dir/file+%", at+"/renamed"))
	must(t, os.Remove(at+"/dir ä/there"))
	tr.awaitObject(t, "renamed", written)
	if keys := tr.witness.keys(t); !slices.Equal(keys, []string{"renamed"}) {
		t.Errorf("in the bucket there are %q, want renamed alone", keys)
	}
	entries, err := os.ReadDir(at)
	must(t, err)
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "renamed" }) {
		t.Errorf("the directory shows %v, want renamed", entries)
	}
}

// awaitObject waits until the object is as wanted: a mount writes it after the
// file is closed.
func (tr *trial) awaitObject(t *testing.T, key string, want []byte) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		got, err := tr.witness.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &tr.bucket, Key: &key})
		if err == nil && aws.ToInt64(got.ContentLength) == int64(len(want)) {
			sameBytes(t, key, tr.witness.get(t, key), want)
			return
		}
		if err == nil {
			err = fmt.Errorf("it has %d bytes", aws.ToInt64(got.ContentLength))
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not get its %d bytes within 30 s: %v", key, len(want), err)
		}
	}
}
