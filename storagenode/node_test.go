package storagenode_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

func open(t *testing.T, set func(*storagenode.Config)) (*storagenode.Node, storagenode.Config) {
	t.Helper()
	cfg := storagenode.Config{Dir: t.TempDir()}
	if set != nil {
		set(&cfg)
	}
	key, err := storagenode.Init(cfg.FS, cfg.Dir, cfg.ShardDir)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Key = key
	return reopen(t, cfg), cfg
}

func reopen(t *testing.T, cfg storagenode.Config) *storagenode.Node {
	t.Helper()
	n, err := storagenode.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return n
}

func want(t *testing.T, what string, err error, kind cairn.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s = %v, want %v", what, err, kind)
	}
}

func info(t *testing.T, n *storagenode.Node) nodeapi.Info {
	t.Helper()
	i, err := n.Info(t.Context())
	if err != nil {
		t.Fatalf("Info = %v", err)
	}
	return i
}

func TestNodeKeepsItsPromises(t *testing.T) {
	storetest.Run(t, func(t *testing.T) nodeapi.Service {
		n, _ := open(t, func(c *storagenode.Config) { c.CapacityBytes = storetest.Capacity })
		return n
	})
}

func TestARestartKeepsEverything(t *testing.T) {
	n, cfg := open(t, nil)
	o := storetest.NewOwner(n.ID(), 1)
	big, little, dead := o.Record(1, 3<<20, 500), o.Record(2, 5000, 500), o.Record(3, 5000, 500)
	if _, err := storetest.Put(t.Context(), n, o.Put(big), big); err != nil {
		t.Fatal(err)
	}
	for _, r := range []storetest.Record{little, dead} {
		if _, err := storetest.PutSmall(t.Context(), n, o, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Delete(t.Context(), o.Delete(dead.ID())); err != nil {
		t.Fatal(err)
	}
	before := info(t, n)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	key, err := storagenode.LoadKey(nil, cfg.Dir)
	if err != nil || !key.Equal(cfg.Key) {
		t.Fatalf("LoadKey = another key, %v", err)
	}
	n = reopen(t, cfg)
	for _, r := range []storetest.Record{big, little} {
		if err := storetest.CheckStored(t.Context(), n, o.Session(), r); err != nil {
			t.Errorf("after a restart: %v", err)
		}
	}
	want(t, "Read of a deleted shard", n.Read(t.Context(), o.Session(), dead.ID(), 0, make([]byte, 1)), cairn.NotFound)
	if after := info(t, n); after.Shards != 2 || after.UsedBytes != before.UsedBytes {
		t.Errorf("Info after a restart = %d shards, %d bytes, want 2, %d", after.Shards, after.UsedBytes, before.UsedBytes)
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	_, cfg := open(t, nil)
	if _, err := storagenode.Init(nil, cfg.Dir, ""); !errors.Is(err, cairn.Exists) {
		t.Errorf("Init of a node's directory = %v, want Exists", err)
	}
	if _, err := storagenode.Init(nil, t.TempDir(), cfg.Dir); !errors.Is(err, cairn.Exists) {
		t.Errorf("Init over a node's shards = %v, want Exists", err)
	}
	st, err := os.Stat(filepath.Join(cfg.Dir, "node.key"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key file: mode %v, %v, want 0600", st.Mode(), err)
	}
	if _, err := storagenode.LoadKey(nil, t.TempDir()); !errors.Is(err, cairn.NotFound) {
		t.Errorf("LoadKey where none is = %v, want NotFound", err)
	}
}

func TestANodeStopsWithoutItsVolume(t *testing.T) {
	disk := t.TempDir()
	n, cfg := open(t, func(c *storagenode.Config) { c.ShardDir = disk })
	o := storetest.NewOwner(n.ID(), 1)
	r, next := o.Record(1, 100_000, 10), o.Record(2, 100, 10)
	if _, err := storetest.Put(t.Context(), n, o.Put(r), r); err != nil {
		t.Fatal(err)
	}
	up, err := n.Put(t.Context(), o.Put(next))
	if err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(disk, "volume")
	if err := os.Rename(marker, marker+".away"); err != nil {
		t.Fatal(err)
	}
	n.Tend(t.Context())
	_, err = up.Commit(t.Context(), next.Upload())
	want(t, "Commit without the volume", err, cairn.Unavailable)
	_, err = storetest.PutSmall(t.Context(), n, o, next)
	want(t, "PutRecord without the volume", err, cairn.Unavailable)
	if !strings.Contains(cairn.HintOf(err), "mounted") {
		t.Errorf("hint = %q, want one about mounting", cairn.HintOf(err))
	}
	_, err = storetest.Put(t.Context(), n, o.Put(next), next)
	want(t, "Put without the volume", err, cairn.Unavailable)
	req := o.Delete(r.ID())
	_, err = n.Delete(t.Context(), req)
	want(t, "Delete without the volume", err, cairn.Unavailable)
	if i := info(t, n); i.Writable || i.Reason == "" {
		t.Errorf("Info = writable %v, reason %q; want the reason", i.Writable, i.Reason)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = storagenode.New(cfg)
	want(t, "New without the volume", err, cairn.Unavailable)

	other := t.TempDir()
	if _, err := storagenode.Init(nil, t.TempDir(), other); err != nil {
		t.Fatal(err)
	}
	wrong := cfg
	wrong.ShardDir = other
	_, err = storagenode.New(wrong)
	want(t, "New on another node's volume", err, cairn.Unavailable)

	if err := os.Rename(marker+".away", marker); err != nil {
		t.Fatal(err)
	}
	n = reopen(t, cfg)
	if err := storetest.CheckStored(t.Context(), n, o.Session(), r); err != nil {
		t.Errorf("when the volume is back: %v", err)
	}
	if _, err := n.Delete(t.Context(), req); err != nil {
		t.Errorf("the delete that was refused, sent again = %v", err)
	}
}

func TestUploadsAreBoundedAndIdleOnesGivenUp(t *testing.T) {
	now := time.Now()
	n, _ := open(t, func(c *storagenode.Config) {
		c.MaxUploads = 2
		c.Now = func() time.Time { return now }
	})
	o := storetest.NewOwner(n.ID(), 1)
	var ups []nodeapi.Upload
	for i := range uint64(2) {
		up, err := n.Put(t.Context(), o.Put(o.Record(i, 1000, 10)))
		if err != nil {
			t.Fatal(err)
		}
		ups = append(ups, up)
	}
	r := o.Record(9, 1000, 10)
	_, err := n.Put(t.Context(), o.Put(r))
	want(t, "a third upload of two", err, cairn.Unavailable)

	now = now.Add(50 * time.Second)
	if err := ups[1].Write(o.Record(1, 1000, 10).Payload[:10]); err != nil {
		t.Fatal(err)
	}
	now = now.Add(50 * time.Second)
	n.Tend(t.Context())
	if got := info(t, n).Uploads; got != 1 {
		t.Errorf("%d uploads open, want the one that moved", got)
	}
	want(t, "Write to an upload given up", ups[0].Write([]byte{1}), cairn.Unavailable)
	if _, err := storetest.Put(t.Context(), n, o.Put(r), r); err != nil {
		t.Errorf("Put when there is a place again = %v", err)
	}
}

func TestADrainingNodeServesButTakesNothing(t *testing.T) {
	n, _ := open(t, nil)
	o := storetest.NewOwner(n.ID(), 1)
	r := o.Record(1, 1000, 10)
	if _, err := storetest.PutSmall(t.Context(), n, o, r); err != nil {
		t.Fatal(err)
	}
	n.SetDraining(true)
	_, err := storetest.PutSmall(t.Context(), n, o, o.Record(2, 1000, 10))
	want(t, "PutRecord while draining", err, cairn.Full)
	if err := storetest.CheckStored(t.Context(), n, o.Session(), r); err != nil {
		t.Errorf("read while draining: %v", err)
	}
	if i := info(t, n); i.Writable {
		t.Error("Info.Writable = true while draining")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	n, _ := open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want the context's end", err)
	}
}

func TestMetricsCountTheWork(t *testing.T) {
	reg := prometheus.NewRegistry()
	n, _ := open(t, func(c *storagenode.Config) { c.Registerer = reg })
	o := storetest.NewOwner(n.ID(), 1)
	r := o.Record(1, 1000, 10)
	if _, err := storetest.PutSmall(t.Context(), n, o, r); err != nil {
		t.Fatal(err)
	}
	_, err := n.PutRecord(t.Context(), cairn.Authorization{}, r.Bytes())
	want(t, "PutRecord without leave", err, cairn.Denied)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, v := range map[string]float64{
		"storagenode_shards":                           1,
		"storagenode_requests_total ok put_record":     1,
		"storagenode_requests_total denied put_record": 1,
		"storagenode_payload_bytes_total put_record":   float64(len(r.Bytes())),
	} {
		if got[name] != v {
			t.Errorf("%s = %v, want %v (have %v)", name, got[name], v, got)
		}
	}
}
