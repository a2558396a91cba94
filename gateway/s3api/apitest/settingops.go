package apitest

import (
	"fmt"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

func (c *comparer) settingState(b, name string) func(*side) (string, error) {
	return func(s *side) (string, error) { return s.store.BucketSetting(c.ctx, b, name) }
}

func (c *comparer) settingName() string { return pick(c, "cors", "policy", "tagging") }

func (c *comparer) getSetting() operation {
	b, name := c.bucket(), c.settingName()
	return operation{name: "get setting", detail: b + " " + name, run: c.settingState(b, name)}
}

func (c *comparer) putSetting() operation {
	b, name := c.bucket(), c.settingName()
	doc := pick(c, "", "one", "two", "<three/>", strings.Repeat("long ", 4000))
	return operation{name: "put setting", detail: fmt.Sprintf("%s %s %d bytes", b, name, len(doc)), state: c.settingState(b, name),
		run: func(s *side) (string, error) { return "", s.store.PutBucketSetting(c.ctx, b, name, doc) }}
}

func (c *comparer) setTags() operation {
	b, k := c.bucket(), c.key()
	var tags []cairn.Attr
	for i := range c.rnd.IntN(3) {
		tags = append(tags, cairn.Attr{Name: fmt.Sprint("t", i), Value: pick(c, "", "v", "日")})
	}
	return operation{name: "set tags", detail: fmt.Sprintf("%s %q %v", b, k, tags), state: c.objectState(b, k), run: func(s *side) (string, error) {
		v, err := s.store.SetTags(c.ctx, gateway.TagsRequest{Bucket: b, Key: k, Tags: tags})
		if err != nil {
			return "", err
		}
		return viewVersion(v), nil
	}}
}
