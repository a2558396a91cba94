package gateway_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/storagenode/memnode"
)

func TestBucketSettingsAreKeptAndRemoved(t *testing.T) {
	m, e := newEngine(t, 6)
	if _, err := e.BucketSetting(t.Context(), "b", "cors"); !errors.Is(err, gateway.ErrNoSuchSetting) {
		t.Errorf("setting of a new bucket = %v, want ErrNoSuchSetting", err)
	}
	for _, doc := range []string{"one", "two"} {
		if err := e.PutBucketSetting(t.Context(), "b", "cors", doc); err != nil {
			t.Fatal(err)
		}
		if got, err := e.BucketSetting(t.Context(), "b", "cors"); err != nil || got != doc {
			t.Errorf("setting = %q, %v, want %q", got, err, doc)
		}
	}
	for _, n := range m.Nodes {
		n.Before(memnode.FailAll(cairn.Unavailable, memnode.OpPutRecord))
	}
	if err := e.PutBucketSetting(t.Context(), "b", "cors", "three"); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("change without nodes = %v, want Unavailable", err)
	}
	for _, n := range m.Nodes {
		n.Before(nil)
	}
	if got, err := e.BucketSetting(t.Context(), "b", "cors"); err != nil || got != "two" {
		t.Errorf("setting after a failed change = %q, %v, want %q", got, err, "two")
	}
	if err := e.PutBucketSetting(t.Context(), "b", "cors", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := e.BucketSetting(t.Context(), "b", "cors"); !errors.Is(err, gateway.ErrNoSuchSetting) {
		t.Errorf("removed setting = %v, want ErrNoSuchSetting", err)
	}
	eventually(t, "one record of the bucket is left", func() bool { return shardsOf(t, m)[cairn.KindBucket] == 3 })
}

func TestTagsChangeNothingElse(t *testing.T) {
	m, e := newEngine(t, 6)
	for _, size := range []int{0, 500, 3 << 20} {
		data := body(40, size)
		was := put(t, e, "k", data).Version
		v, err := e.SetTags(t.Context(), gateway.TagsRequest{Bucket: "b", Key: "k", Tags: []cairn.Attr{{Name: "a", Value: "b"}}})
		if err != nil {
			t.Fatal(err)
		}
		if v.ETag != was.ETag || !v.LastModified().Equal(was.LastModified()) || len(v.Tags) != 1 {
			t.Errorf("after tagging: %+v, want only tags to differ from %+v", v, was)
		}
		if got := get(t, e, gateway.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
			t.Error("tagged object differs")
		}
	}
	eventually(t, "the old version records are gone", func() bool { return shardsOf(t, m)[cairn.KindVersion] == 3 })
	if _, err := e.SetTags(t.Context(), gateway.TagsRequest{Bucket: "b", Key: "none"}); !errors.Is(err, gateway.ErrNoSuchKey) {
		t.Errorf("tags of no object = %v, want ErrNoSuchKey", err)
	}
}
