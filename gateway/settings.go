package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// BucketSetting returns a bucket's document of that name, or ErrNoSuchSetting.
func (e *Engine) BucketSetting(ctx context.Context, bucket, name string) (string, error) {
	b, err := e.bucket(ctx, bucket)
	if err != nil {
		return "", err
	}
	if doc := b.Bucket.Setting(name); doc != "" {
		return doc, nil
	}
	return "", fmt.Errorf("%q of bucket %q: %w", name, bucket, ErrNoSuchSetting)
}

// PutBucketSetting replaces a bucket's document of that name; an empty one
// removes it. The bucket's new record is on nodes before it returns.
func (e *Engine) PutBucketSetting(ctx context.Context, bucket, name, document string) error {
	unlock := e.buckets.lock(bucket)
	defer unlock()
	b, err := e.bucket(ctx, bucket)
	if err != nil {
		return err
	}
	k := b.Bucket
	k.Settings = slices.DeleteFunc(slices.Clone(k.Settings), func(a cairn.Attr) bool { return a.Name == name })
	if document != "" {
		k.Settings = append(k.Settings, cairn.Attr{Name: name, Value: document})
		slices.SortFunc(k.Settings, func(a, b cairn.Attr) int { return strings.Compare(a.Name, b.Name) })
	}
	e.clock.Observe(b.Bucket.ID)
	k.ID = e.clock.Next()
	err = e.commitBucket(ctx, e.beginWrite(bucket, ""), &k, &catalog.Batch{
		If:         []catalog.Condition{{BucketExists: bucket}},
		AddGarbage: []catalog.Location{b.Record},
	})
	if err != nil {
		return fmt.Errorf("change %q of bucket %q: %w", name, bucket, err)
	}
	return nil
}

// SetTags replaces the tags of an object. Its ETag and Last-Modified stay.
func (e *Engine) SetTags(ctx context.Context, req TagsRequest) (*cairn.Version, error) {
	if _, err := e.find(ctx, GetRequest{Bucket: req.Bucket, Key: req.Key, Version: req.Version}); err != nil {
		return nil, err
	}
	unlock := e.lockKey(req.Bucket, req.Key)
	defer unlock()
	prev, err := e.newest(ctx, req.Bucket, req.Key)
	if err != nil {
		return nil, err
	}
	if prev == nil || prev.Version.Marker || !req.Version.IsZero() && prev.Version.ID != req.Version {
		return nil, ErrConflict // replaced since it was found
	}
	return e.rerecord(ctx, e.beginWrite(req.Bucket, req.Key), prev, func(v *cairn.Version) { v.Tags = req.Tags })
}

// rerecord gives a key's newest version a record of its own with other
// metadata. The caller holds the key's lock.
func (e *Engine) rerecord(ctx context.Context, w *write, prev *catalog.VersionEntry, change func(*cairn.Version)) (*cairn.Version, error) {
	v := prev.Version
	v.Modified = prev.Version.LastModified().UnixNano()
	change(&v)
	e.clock.Observe(prev.Version.ID)
	v.ID = e.clock.Next()
	b := e.replaceBatch(&v, prev)
	addRefs(b, v.Parts, 1)
	record, err := e.recordVersion(ctx, w, &v, nil)
	if err == nil {
		b.PutVersions = []*catalog.VersionEntry{{Version: v, Record: record}}
		err = e.commitVersion(ctx, w, b)
	}
	if err != nil {
		w.undo()
		return nil, fmt.Errorf("record %q/%q anew: %w", v.Bucket, v.Key, err)
	}
	return &v, nil
}
