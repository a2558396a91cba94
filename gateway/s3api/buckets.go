package s3api

import (
	"net/http"

	"github.com/cairn-store/cairn/gateway"
)

func createBucket(c *call) error {
	data, _, err := c.readDocument(maxXML)
	if err != nil {
		return err
	}
	if err := c.checkLocation(data); err != nil {
		return err
	}
	if err := c.cfg.Store.CreateBucket(c.ctx(), c.bucket, c.cfg.Region); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	c.done(http.StatusOK)
	return nil
}

// checkLocation reads a CreateBucketConfiguration. Leaving the region out, and
// naming us-east-1, are accepted everywhere, because clients do both.
func (c *call) checkLocation(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	root, err := parseXML(data, "CreateBucketConfiguration")
	if err != nil {
		return err
	}
	for _, k := range root.kids {
		if k.name != "LocationConstraint" && k.name != "Tags" && k.name != "Location" && k.name != "Bucket" {
			return fail("MalformedXML")
		}
		if k.name != "LocationConstraint" && len(k.kids) > 0 {
			return notImplemented("CreateBucketConfiguration", k.name)
		}
	}
	region, _, err := root.child("LocationConstraint")
	if err != nil {
		return err
	}
	if region != "" && region != defaultRegion && region != c.cfg.Region {
		return fail("InvalidLocationConstraint", Field{"LocationConstraint", clip(region)})
	}
	return nil
}

func headBucket(c *call) error {
	info, err := c.cfg.Store.HeadBucket(c.ctx(), c.bucket)
	if err != nil {
		return err
	}
	if info.Region != "" {
		c.w.Header().Set("X-Amz-Bucket-Region", headerValue(info.Region))
	}
	c.w.Header().Set("X-Amz-Access-Point-Alias", "false")
	c.w.Header().Set("Content-Type", "application/xml")
	c.done(http.StatusOK)
	return nil
}

func deleteBucket(c *call) error {
	if err := c.cfg.Store.DeleteBucket(c.ctx(), c.bucket); err != nil {
		return err
	}
	c.done(http.StatusNoContent)
	return nil
}

func getBucketLocation(c *call) error {
	info, err := c.cfg.Store.HeadBucket(c.ctx(), c.bucket)
	if err != nil {
		return err
	}
	x := newXML()
	x.open("LocationConstraint")
	if info.Region != defaultRegion {
		x.escape(info.Region)
	}
	x.close("LocationConstraint")
	c.sendXML(http.StatusOK, x)
	return nil
}

func listBuckets(c *call) error {
	most, err := c.limit("max-buckets", maxBuckets)
	if err != nil {
		return err
	}
	if most == 0 {
		return invalidArgument("Argument max-buckets must be an integer between 1 and 10000", "max-buckets", c.param("max-buckets"))
	}
	req := gateway.ListBucketsRequest{Prefix: c.param("prefix"), Max: most}
	name := c.tokenName("ListBuckets", req.Prefix)
	if token := c.param("continuation-token"); c.query.Has("continuation-token") {
		at, ok := c.openToken(name, token, 1)
		if !ok {
			return invalidArgument("The continuation token provided is incorrect", "continuation-token", token)
		}
		req.After = at[0]
	}
	var res gateway.ListBucketsResult
	if region := c.param("bucket-region"); region == "" || region == c.cfg.Region {
		if res, err = c.cfg.Store.ListBuckets(c.ctx(), req); err != nil {
			return err
		}
	}
	x := newXML()
	x.open("ListAllMyBucketsResult")
	c.owner(x, "Owner")
	x.openPlain("Buckets")
	for _, b := range res.Buckets {
		x.openPlain("Bucket")
		x.elem("Name", b.Name)
		x.time("CreationDate", b.Created)
		x.some("BucketRegion", b.Region)
		x.close("Bucket")
	}
	x.close("Buckets")
	if n := len(res.Buckets); res.Truncated && n > 0 {
		x.elem("ContinuationToken", c.token(name, res.Buckets[n-1].Name))
	}
	x.some("Prefix", req.Prefix)
	x.close("ListAllMyBucketsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}
