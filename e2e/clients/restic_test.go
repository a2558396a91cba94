package clients

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var restic = client{
	name:    "restic",
	note:    "`-r s3:URL/BUCKET/PATH`; `--cacert` over https.",
	version: firstLine("restic", "version"),
	checks: []check{
		{name: "backup", tried: "`init`, `backup`, `snapshots`, `check --read-data`, `restore`, with odd file names and 0 bytes to 17 MiB", smoke: true, run: resticBackup},
		{name: "prune", tried: "a second backup, `forget --prune`, `check`, `restore` of both, `unlock`", run: resticPrune},
		{name: "damage", tried: "`check` finds an object that was overwritten", run: resticDamage},
		{name: "virtual-host", tried: "virtual-host style (`-o s3.bucket-lookup=dns`)", run: resticVirtualHost},
	},
}

func (tr *trial) resticFlags(endpoint string) []string {
	flags := []string{"-r", "s3:" + endpoint + "/" + tr.bucket + "/repo", "--no-cache"}
	if tr.caFile != "" {
		flags = append(flags, "--cacert", tr.caFile)
	}
	return flags
}

// password protects the repositories; restic wants one.
var password = []string{"RESTIC_PASSWORD=of the test"}

func (tr *trial) restic(t *testing.T, args ...string) string {
	t.Helper()
	return tr.runWith(t, password, "", "restic", append(tr.resticFlags(tr.url), args...)...)
}

// restored returns what a snapshot restores of the directory up.
func (tr *trial) restored(t *testing.T, snapshot string) tree {
	t.Helper()
	to := filepath.Join(tr.home, "restored-"+snapshot)
	tr.restic(t, "restore", snapshot, "--target", to)
	return readTree(t, filepath.Join(to, "up"))
}

func resticBackup(t *testing.T, tr *trial) {
	want := with(sizeTree(), "sizes/")
	for name, content := range nameTree() {
		want[name] = content
	}
	want.write(t, tr.path("up"))
	tr.restic(t, "init")
	tr.restic(t, "backup", "up")
	if all := tr.restic(t, "snapshots"); !strings.Contains(all, "1 snapshots") {
		t.Errorf("snapshots says:\n%s", all)
	}
	tr.restic(t, "check", "--read-data")
	same(t, "restored", tr.restored(t, "latest"), want)
	tr.refused(t, "already", "restic", slices.Concat(tr.resticFlags(tr.url), []string{"init", "--password-command", "echo of the test"})...)
}

func resticPrune(t *testing.T, tr *trial) {
	first := tree{"kept": bytesOf("kept", 3<<20), "gone": bytesOf("gone", 3<<20)}
	first.write(t, tr.path("up"))
	tr.restic(t, "init")
	tr.restic(t, "backup", "--tag", "first", "up")
	before := len(tr.witness.keys(t))
	must(t, os.Remove(tr.path("up", "gone")))
	second := tree{"kept": first["kept"], "new": bytesOf("new", 1<<20)}
	second.write(t, tr.path("up"))
	tr.restic(t, "backup", "--tag", "second", "up")
	same(t, "second", tr.restored(t, "latest"), second)
	tr.restic(t, "forget", "--keep-last", "1", "--prune")
	tr.restic(t, "unlock")
	tr.restic(t, "check", "--read-data")
	same(t, "second after prune", tr.restored(t, "latest"), second)
	if all := tr.restic(t, "snapshots"); !strings.Contains(all, "1 snapshots") {
		t.Errorf("after forget, snapshots says:\n%s", all)
	}
	if locks := tr.witness.keysUnder(t, "repo/locks/"); len(locks) > 0 || before == 0 {
		t.Errorf("locks are left: %q (the first backup made %d objects)", locks, before)
	}
}

func resticDamage(t *testing.T, tr *trial) {
	tree{"f": bytesOf("damage", 1<<20)}.write(t, tr.path("up"))
	tr.restic(t, "init")
	tr.restic(t, "backup", "up")
	packs := tr.witness.keysUnder(t, "repo/data/")
	if len(packs) == 0 {
		t.Fatal("the backup made no packs")
	}
	for _, key := range packs {
		content := tr.witness.get(t, key)
		content[len(content)/2] ^= 1
		tr.witness.put(t, key, content)
	}
	o := tr.start(t, password, "", "restic", append(tr.resticFlags(tr.url), "check", "--read-data")...)
	if o.err == nil || !strings.Contains(o.stdout+o.stderr, "repository contains errors") {
		t.Errorf("check of damaged packs ended with %v:\n%s%s", o.err, clip(o.stdout), clip(o.stderr))
	}
}

func resticVirtualHost(t *testing.T, tr *trial) {
	want := tree{"dir/ä b+%": bytesOf("virtual", 1<<20)}
	want.write(t, tr.path("up"))
	run := func(args ...string) {
		flags := append(tr.resticFlags(tr.virtual), "-o", "s3.bucket-lookup=dns", "-o", "s3.region="+tr.region)
		tr.runWith(t, append(tr.proxied(), password...), "", "restic", append(flags, args...)...)
	}
	run("init")
	run("backup", "up")
	run("check", "--read-data")
	same(t, "restored by path", tr.restored(t, "latest"), want)
}
