package s3api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/policy"
)

func putBucketPolicy(c *call) error {
	data, _, err := c.readDocument(policy.MaxDocument)
	if err != nil {
		return err
	}
	p, err := policy.Parse(data)
	if err == nil {
		err = p.Check(c.bucket, c.cfg.OwnerID)
	}
	if err != nil {
		return malformedPolicy(err)
	}
	block, _, err := c.publicBlock(c.bucket)
	if err != nil {
		return err
	}
	if block.BlockPublicPolicy && p.Public() {
		return failf("AccessDenied", "The policy is public, and public policies are prevented by the BlockPublicPolicy setting "+
			"in S3 Block Public Access of this bucket")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return malformedPolicy(err)
	}
	if err := c.keepSetting(policySetting, compact.String()); err != nil {
		return err
	}
	c.done(http.StatusNoContent)
	return nil
}

func malformedPolicy(err error) error {
	var e *cairn.Error
	if errors.As(err, &e) && e.Err != nil {
		return failf("MalformedPolicy", clip(e.Err.Error()))
	}
	return fail("MalformedPolicy")
}

func getBucketPolicy(c *call) error {
	doc, err := c.document(policySetting)
	if err != nil {
		return err
	}
	if doc == "" {
		return fail("NoSuchBucketPolicy")
	}
	head := c.w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Content-Length", number(len(doc)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write([]byte(doc)) // a client that went away is nobody's fault
	return nil
}

func getPolicyStatus(c *call) error {
	rules, err := c.accessRules(c.bucket)
	if err != nil {
		return err
	}
	if rules.policy == nil {
		return fail("NoSuchBucketPolicy")
	}
	x := newXML()
	x.open("PolicyStatus")
	x.bool("IsPublic", rules.policy.Public())
	x.close("PolicyStatus")
	return c.show(x)
}

// publicBlock keeps a bucket from becoming public by mistake. There are no ACLs,
// so the first two change nothing.
type publicBlock struct {
	BlockPublicAcls, IgnorePublicAcls        bool
	BlockPublicPolicy, RestrictPublicBuckets bool
}

func (b *publicBlock) fields() map[string]*bool {
	return map[string]*bool{"BlockPublicAcls": &b.BlockPublicAcls, "IgnorePublicAcls": &b.IgnorePublicAcls,
		"BlockPublicPolicy": &b.BlockPublicPolicy, "RestrictPublicBuckets": &b.RestrictPublicBuckets}
}

// noBlock is stored when the owner has removed the block that every bucket has
// at first, as on AWS: then nothing is blocked.
const noBlock = "none"

// publicBlock returns a bucket's block, and false if the owner has removed it.
func (c *call) publicBlock(bucket string) (publicBlock, bool, error) {
	doc, err := c.documentOf(bucket, blockSetting)
	switch {
	case err != nil:
		return publicBlock{}, false, err
	case doc == "":
		return publicBlock{true, true, true, true}, true, nil
	case doc == noBlock:
		return publicBlock{}, false, nil
	}
	b, err := c.blocks.get(doc, parsePublicBlock)
	return b, true, err
}

func parsePublicBlock(document string) (publicBlock, error) {
	var b publicBlock
	root, err := parseXML([]byte(document), "PublicAccessBlockConfiguration")
	if err != nil {
		return b, err
	}
	fields := b.fields()
	for _, k := range root.kids {
		field := fields[k.name]
		text := strings.ToLower(strings.TrimSpace(k.text))
		if field == nil || len(k.kids) > 0 || text != "true" && text != "false" {
			return b, fail("MalformedXML")
		}
		*field = text == "true"
		delete(fields, k.name) // a second one is not known any more
	}
	return b, nil
}

func (b *publicBlock) document() *xmlWriter {
	x := newXML()
	x.open("PublicAccessBlockConfiguration")
	fields := b.fields()
	for _, name := range [...]string{"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"} {
		x.bool(name, *fields[name])
	}
	x.close("PublicAccessBlockConfiguration")
	return x
}

func getPublicBlock(c *call) error {
	b, there, err := c.publicBlock(c.bucket)
	if err != nil {
		return err
	}
	if !there {
		return fail("NoSuchPublicAccessBlockConfiguration")
	}
	return c.show(b.document())
}

func putPublicBlock(c *call) error {
	data, _, err := c.readDocument(maxSetting)
	if err != nil {
		return err
	}
	b, err := parsePublicBlock(string(data))
	if err != nil {
		return err
	}
	if err := c.keepSetting(blockSetting, b.document().b.String()); err != nil {
		return err
	}
	c.done(http.StatusOK)
	return nil
}

func deletePublicBlock(c *call) error {
	if err := c.keepSetting(blockSetting, noBlock); err != nil {
		return err
	}
	c.done(http.StatusNoContent)
	return nil
}
