package pebble

import (
	"bytes"
	"context"
	"errors"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cockroachdb/pebble/v2"
)

// Versions implements catalog.Catalog. An open iterator keeps old files and
// Close waiting; it is meant for one page of a listing.
func (c *Catalog) Versions(ctx context.Context, bucket string) (catalog.VersionIterator, error) {
	const op = "list versions"
	if err := c.gate.enter(ctx, op); err != nil {
		return nil, err
	}
	prefix := bucketPrefix(tableVersion, bucket)
	it, err := c.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix, UpperBound: endOf(prefix)})
	if err != nil {
		c.gate.leave()
		return nil, wrap(op, err)
	}
	return &iterator{it: it, gate: &c.gate, prefix: prefix}, nil
}

// iterator walks the versions of a bucket.
type iterator struct {
	it     *pebble.Iterator
	gate   *gate
	prefix []byte // of the bucket
	at     bool   // stands at a version
	object []byte // scratch: the key without its version id
	closed bool
}

func (i *iterator) Seek(key string) bool {
	i.object = appendEscaped(append(i.object[:0], i.prefix...), key)
	i.at = i.it.SeekGE(i.object)
	return i.at
}

func (i *iterator) Next() bool {
	i.at = i.at && i.it.Next()
	return i.at
}

// NextKey tries one step, which is enough where keys have one version, and
// then seeks past all other versions of the key.
func (i *iterator) NextKey() bool {
	if !i.at {
		return false
	}
	i.object = append(i.object[:0], objectOf(i.it.Key())...)
	if !i.Next() || !bytes.Equal(objectOf(i.it.Key()), i.object) {
		return i.at
	}
	i.object[len(i.object)-1] = textEnd + 1
	i.at = i.it.SeekGE(i.object)
	return i.at
}

// objectOf cuts the version id off a key.
func objectOf(key []byte) []byte { return key[:max(0, len(key)-len(cairn.VersionID{}))] }

func (i *iterator) Entry() (*catalog.VersionEntry, error) {
	v, err := i.it.ValueAndErr()
	if err != nil {
		return nil, wrap("list versions", err)
	}
	return decodeVersionAt(i.it.Key(), v)
}

// Key returns "" for a malformed key, which Entry reports.
func (i *iterator) Key() string {
	key, _, _ := cutText(i.it.Key()[len(i.prefix):])
	return key
}

func (i *iterator) Err() error { return wrap("list versions", i.it.Error()) }

func (i *iterator) Close() error {
	if i.closed {
		return cairn.NewError("close iterator", cairn.Invalid, errors.New("it is closed already"))
	}
	i.closed, i.at = true, false
	defer i.gate.leave()
	return wrap("close iterator", i.it.Close())
}
