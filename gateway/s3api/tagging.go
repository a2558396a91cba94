package s3api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

func getObjectTagging(c *call) error {
	v, err := c.look()
	if err != nil {
		return err
	}
	c.versionHeader(v)
	return c.show(writeTags(v.Tags))
}

func putObjectTagging(c *call) error {
	data, _, err := c.readDocument(maxSetting)
	if err != nil {
		return err
	}
	tags, err := parseTags(data)
	if err != nil {
		return err
	}
	if err := checkTags(tags, maxTags, "Object tags cannot be greater than 10"); err != nil {
		return err
	}
	return c.setTags(tags, http.StatusOK)
}

func deleteObjectTagging(c *call) error { return c.setTags(nil, http.StatusNoContent) }

func (c *call) setTags(tags []cairn.Attr, status int) error {
	version, err := c.version()
	if err != nil {
		return err
	}
	v, err := c.cfg.Store.SetTags(c.ctx(), gateway.TagsRequest{Bucket: c.bucket, Key: c.key, Version: version, Tags: tags})
	if errors.Is(err, gateway.ErrConflict) {
		return fail("OperationAborted")
	}
	if err != nil {
		return err
	}
	c.versionHeader(v)
	c.done(status)
	return nil
}

func putBucketTagging(c *call) error {
	data, _, err := c.readDocument(maxSetting)
	if err != nil {
		return err
	}
	tags, err := parseTags(data)
	if err != nil {
		return err
	}
	if err := checkTags(tags, maxBucketTags, "Bucket tag count cannot be greater than 50"); err != nil {
		return err
	}
	if err := c.keepSetting(taggingSetting, writeTags(tags).b.String()); err != nil {
		return err
	}
	c.done(http.StatusNoContent)
	return nil
}

// parseTags reads a Tagging document.
func parseTags(data []byte) ([]cairn.Attr, error) {
	root, err := parseXML(data, "Tagging")
	if err != nil {
		return nil, err
	}
	if len(root.kids) != 1 || root.kids[0].name != "TagSet" {
		return nil, fail("MalformedXML")
	}
	var tags []cairn.Attr
	for _, k := range root.kids[0].kids {
		name, named, err := k.child("Key")
		if err != nil {
			return nil, err
		}
		value, valued, err := k.child("Value")
		if err != nil {
			return nil, err
		}
		if k.name != "Tag" || !named || !valued || len(k.kids) != 2 {
			return nil, fail("MalformedXML")
		}
		tags = append(tags, cairn.Attr{Name: name, Value: value})
	}
	return tags, nil
}

func writeTags(tags []cairn.Attr) *xmlWriter {
	x := newXML()
	x.open("Tagging")
	x.openPlain("TagSet")
	for _, t := range tags {
		x.openPlain("Tag")
		x.elem("Key", t.Name)
		x.elem("Value", t.Value)
		x.close("Tag")
	}
	x.close("TagSet")
	x.close("Tagging")
	return x
}

// parseTagging reads x-amz-tagging: "a=1&b=2".
func parseTagging(header string) ([]cairn.Attr, error) {
	if header == "" {
		return nil, nil
	}
	bad := invalidArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
		"x-amz-tagging", header)
	if _, err := parseQuery(header); err != nil {
		return nil, bad
	}
	var tags []cairn.Attr
	for pair := range strings.SplitSeq(header, "&") {
		one, _ := parseQuery(pair) // valid, because the whole is
		for name, values := range one {
			if slices.ContainsFunc(tags, func(t cairn.Attr) bool { return t.Name == name }) {
				return nil, bad
			}
			tags = append(tags, cairn.Attr{Name: name, Value: values[0]})
		}
	}
	return tags, checkTags(tags, maxTags, "Object tags cannot be greater than 10")
}

// checkTags applies S3's rules for tags.
func checkTags(tags []cairn.Attr, most int, tooMany string) error {
	if len(tags) > most {
		return failf("BadRequest", tooMany)
	}
	for i, t := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(t.Name), "aws:"):
			return failf("InvalidTag", "System tags cannot be added/updated by requester", Field{"TagKey", clip(t.Name)})
		case t.Name == "" || utf16Len(t.Name) > 128 || !printable(t.Name):
			return failf("InvalidTag", "The TagKey you have provided is invalid", Field{"TagKey", clip(t.Name)})
		case utf16Len(t.Value) > 256 || !printable(t.Value):
			return failf("InvalidTag", "The TagValue you have provided is invalid", Field{"TagKey", clip(t.Name)})
		case slices.ContainsFunc(tags[:i], func(u cairn.Attr) bool { return u.Name == t.Name }):
			return failf("InvalidTag", "Cannot provide multiple Tags with the same key", Field{"TagKey", clip(t.Name)})
		}
	}
	return nil
}

func utf16Len(s string) int { return len(utf16.Encode([]rune(s))) }
