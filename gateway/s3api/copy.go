package s3api

import (
	"errors"
	"strings"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

// source reads what is to be copied, and checks that the sender may read it.
func (c *call) source() (gateway.GetRequest, error) {
	h := c.r.Header
	from, version, err := parseCopySource(h.Get(copySource))
	if err != nil {
		return gateway.GetRequest{}, err
	}
	action := "s3:GetObject"
	if version != "" {
		action = ofVersion(action)
	}
	if err := c.authorize(action, from.bucket, from.key); err != nil {
		return gateway.GetRequest{}, err
	}
	if want := h.Get("X-Amz-Source-Expected-Bucket-Owner"); want != "" && want != c.cfg.OwnerID {
		return gateway.GetRequest{}, fail("AccessDenied")
	}
	req := gateway.GetRequest{Bucket: from.bucket, Key: from.key, If: readCondition(h, copySource+"-")}
	if version != "" {
		if req.Version, err = parseVersion(version); err != nil {
			return req, err
		}
	}
	return req, nil
}

// copyError is ErrorOf for copies, where some causes mean something else: there
// is nobody to answer 304 to, and the source is what is too large.
func copyError(err error) error {
	var condition *gateway.PreconditionError
	switch {
	case errors.Is(err, gateway.ErrNotModified):
		return fail("PreconditionFailed", Field{"Condition", "x-amz-copy-source-If-None-Match"})
	case errors.Is(err, gateway.ErrTooLarge):
		return failf("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: "+number(int64(maxPutSize)))
	case errors.As(err, &condition) && strings.HasSuffix(condition.Condition, "Since"):
		return fail("PreconditionFailed", Field{"Condition", "x-amz-copy-source-" + condition.Condition})
	}
	return err
}

func copyObject(c *call) error {
	req, err := c.copyRequest()
	if err != nil {
		return err
	}
	return c.patiently(func() (outcome, error) {
		stored, err := c.cfg.Store.Copy(c.ctx(), req)
		if err != nil {
			return outcome{}, copyError(err)
		}
		v := stored.Version
		return outcome{copyResult("CopyObjectResult", v.LastModified(), v.ETag, v.Checksums), v, stored.Durability}, nil
	})
}

func (c *call) copyRequest() (gateway.CopyRequest, error) {
	h := c.r.Header
	req := gateway.CopyRequest{Bucket: c.bucket, Key: c.key}
	var err error
	if req.Source, err = c.source(); err != nil {
		return req, err
	}
	if req.If, err = writeCondition(h); err != nil {
		return req, err
	}
	if req.ReplaceHeaders, err = directive(h.Get("X-Amz-Metadata-Directive"), "x-amz-metadata-directive"); err != nil {
		return req, err
	}
	if req.ReplaceTags, err = directive(h.Get("X-Amz-Tagging-Directive"), "x-amz-tagging-directive"); err != nil {
		return req, err
	}
	if req.Attributes, err = c.attributes(); err != nil {
		return req, err
	}
	if !req.ReplaceHeaders {
		req.Headers = nil
	}
	if !req.ReplaceTags {
		req.Tags = nil
	}
	if name := h.Get("X-Amz-Checksum-Algorithm"); name != "" {
		if req.Algorithm, err = checksumAlgorithm(name); err != nil {
			return req, err
		}
	}
	return req, nil
}

func directive(value, name string) (replace bool, err error) {
	switch value {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, invalidArgument("Unknown "+strings.TrimPrefix(name, "x-amz-")+".", name, value)
}

func copyResult(root string, modified time.Time, etag string, sums []cairn.Checksum) *xmlWriter {
	x := newXML()
	x.open(root)
	x.time("LastModified", modified)
	x.elem("ETag", quoteETag(etag))
	x.checksums(sums, root == "CopyObjectResult")
	x.close(root)
	return x
}

func uploadPartCopy(c *call) error {
	var req gateway.CopyPartRequest
	var err error
	if req.Number, err = partNumber(c.param("partNumber")); err != nil {
		return err
	}
	if req.UploadID, err = c.uploadID(); err != nil {
		return err
	}
	req.Bucket, req.Key = c.bucket, c.key
	if req.Source, err = c.source(); err != nil {
		return err
	}
	if req.Source.Range, err = parseCopyRange(c.r.Header.Get("X-Amz-Copy-Source-Range")); err != nil {
		return err
	}
	return c.patiently(func() (outcome, error) {
		part, err := c.cfg.Store.CopyPart(c.ctx(), req)
		if err != nil {
			return outcome{}, copyError(err)
		}
		return outcome{copyResult("CopyPartResult", part.Modified, part.ETag, part.Checksums), nil, part.Durability}, nil
	})
}
