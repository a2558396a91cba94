package main

import (
	"log/slog"
	"path/filepath"

	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/pebble"
	"github.com/cairn-store/cairn/gateway/seal"
)

// openCatalog opens the owner's catalog, whose files are encrypted under a key
// of their own.
func openCatalog(h home, keys *seal.Keys, log *slog.Logger) (catalog.Catalog, error) {
	key := keys.CatalogKey()
	c, err := pebble.Open(h.catalogDir(), pebble.Config{Key: key[:], Log: log})
	if err != nil {
		return nil, err // not a typed nil
	}
	return c, nil
}

// absolute returns path from the root, for files read from other directories.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}
