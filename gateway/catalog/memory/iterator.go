package memory

import (
	"cmp"
	"context"
	"slices"
	"sort"

	"github.com/cairn-store/cairn/gateway/catalog"
)

// Versions implements catalog.Catalog.
func (c *Catalog) Versions(ctx context.Context, bucket string) (catalog.VersionIterator, error) {
	if err := c.lock(ctx, "list versions"); err != nil {
		return nil, err
	}
	it := &iterator{}
	for k, e := range c.versions {
		if k.Bucket == bucket {
			it.all = append(it.all, e)
		}
	}
	c.mu.Unlock()
	slices.SortFunc(it.all, func(a, b *catalog.VersionEntry) int {
		return cmp.Or(cmp.Compare(a.Version.Key, b.Version.Key), b.Version.ID.Compare(a.Version.ID))
	})
	it.at = len(it.all)
	return it, nil
}

// iterator walks a sorted copy of a bucket.
type iterator struct {
	all []*catalog.VersionEntry
	at  int // len(all) when it stands nowhere
}

func (it *iterator) Seek(key string) bool {
	it.at = sort.Search(len(it.all), func(i int) bool { return it.all[i].Version.Key >= key })
	return it.at < len(it.all)
}

func (it *iterator) Next() bool {
	it.at = min(it.at+1, len(it.all))
	return it.at < len(it.all)
}

func (it *iterator) NextKey() bool {
	if it.at == len(it.all) {
		return false
	}
	for key := it.Key(); it.at < len(it.all) && it.Key() == key; {
		it.at++
	}
	return it.at < len(it.all)
}

func (it *iterator) Entry() (*catalog.VersionEntry, error) { return cloneVersion(it.all[it.at]) }
func (it *iterator) Key() string                           { return it.all[it.at].Version.Key }
func (it *iterator) Err() error                            { return nil }

func (it *iterator) Close() error {
	it.all, it.at = nil, 0
	return nil
}
