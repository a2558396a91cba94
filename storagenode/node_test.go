package storagenode_test

import (
	"testing"

	"github.com/cairn-store/cairn/storagenode"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

func open(t *testing.T, set func(*storagenode.Config)) *storagenode.Node {
	t.Helper()
	cfg := storagenode.Config{Dir: t.TempDir()}
	if set != nil {
		set(&cfg)
	}
	key, err := storagenode.Init(cfg.FS, cfg.Dir, "")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Key = key
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

func TestNodeKeepsItsPromises(t *testing.T) {
	storetest.Run(t, func(t *testing.T) nodeapi.Service {
		return open(t, func(c *storagenode.Config) { c.CapacityBytes = storetest.Capacity })
	})
}
