package pebble_test

import (
	"bytes"
	"testing"

	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/conformance"
	"github.com/cairn-store/cairn/gateway/catalog/pebble"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var testKey = bytes.Repeat([]byte{0x5a}, pebble.KeySize)

func open(t *testing.T, dir string, cfg pebble.Config) *pebble.Catalog {
	t.Helper()
	c, err := pebble.Open(dir, cfg)
	if err != nil {
		t.Fatalf("Open(%q) = %v, want nil", dir, err)
	}
	return c
}

func TestPebbleKeepsTheCatalogsPromises(t *testing.T) {
	conformance.Run(t, func(t *testing.T) catalog.Catalog {
		return open(t, "/cat", pebble.Config{FS: vfs.NewMem()})
	})
}

func TestEncryptedPebbleKeepsTheCatalogsPromises(t *testing.T) {
	conformance.Run(t, func(t *testing.T) catalog.Catalog {
		return open(t, t.TempDir(), pebble.Config{Key: testKey, MemTableBytes: 256 << 10})
	})
}
