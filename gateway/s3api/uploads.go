package s3api

import (
	"net/http"

	"github.com/cairn-store/cairn/gateway"
)

func listParts(c *call) error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	req := gateway.ListPartsRequest{UploadRef: gateway.UploadRef{Bucket: c.bucket, Key: c.key, UploadID: id}}
	if req.Max, err = c.limit("max-parts", maxListing); err != nil {
		return err
	}
	most := req.Max
	req.Max = max(most, 1) // the upload is asked for in any case
	if marker := c.param("part-number-marker"); marker != "" {
		n, ok := offset(marker)
		if !ok {
			return invalidArgument("Argument part-number-marker must be an integer between 0 and 2147483647", "part-number-marker", marker)
		}
		req.After = int(min(n, 1<<31-1))
	}
	coded, err := c.urlEncoding()
	if err != nil {
		return err
	}
	res, err := c.cfg.Store.ListParts(c.ctx(), req)
	if err != nil {
		return err
	}
	if most == 0 {
		res.Parts, res.Truncated = nil, false
	}
	c.sendXML(http.StatusOK, c.partsDocument(req, res, most, coded))
	return nil
}

func (c *call) partsDocument(req gateway.ListPartsRequest, res gateway.ListPartsResult, most int, coded bool) *xmlWriter {
	key := c.key
	if coded {
		key = urlEncode(key)
	}
	x := newXML()
	x.open("ListPartsResult")
	x.elem("Bucket", c.bucket)
	x.elem("Key", key)
	x.elem("UploadId", req.UploadID)
	if coded {
		x.elem("EncodingType", "url")
	}
	c.owner(x, "Initiator")
	c.owner(x, "Owner")
	x.elem("StorageClass", storageClass(res.Upload.StorageClass))
	x.elem("PartNumberMarker", number(req.After))
	if n := len(res.Parts); n > 0 {
		x.elem("NextPartNumberMarker", number(res.Parts[n-1].Number))
	}
	x.elem("MaxParts", number(most))
	x.bool("IsTruncated", res.Truncated)
	if res.Upload.Algorithm != "" {
		x.elem("ChecksumAlgorithm", res.Upload.Algorithm)
		x.elem("ChecksumType", checksumType(!res.Upload.FullObject))
	}
	for _, p := range res.Parts {
		x.openPlain("Part")
		x.elem("PartNumber", number(p.Number))
		x.time("LastModified", p.Modified)
		x.elem("ETag", quoteETag(p.ETag))
		x.elem("Size", number(p.Size))
		x.checksums(p.Checksums, false)
		x.close("Part")
	}
	x.close("ListPartsResult")
	return x
}

func listUploads(c *call) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	most, err := c.limit("max-uploads", maxListing)
	if err != nil {
		return err
	}
	req := gateway.ListUploadsRequest{
		Bucket: c.bucket, Prefix: l.req.Prefix, Delimiter: l.req.Delimiter,
		AfterKey: c.param("key-marker"), Max: most,
	}
	if req.AfterKey != "" { // without it S3 ignores the other
		req.AfterUpload = c.param("upload-id-marker")
		req.SkipPrefix = req.AfterUpload == "" && isCommonPrefix(req.AfterKey, req.Prefix, req.Delimiter)
	}
	var res gateway.ListUploadsResult
	if most == 0 {
		_, err = c.cfg.Store.HeadBucket(c.ctx(), c.bucket)
	} else {
		res, err = c.cfg.Store.ListUploads(c.ctx(), req)
	}
	if err != nil {
		return err
	}
	c.sendXML(http.StatusOK, c.uploadsDocument(l, req, res))
	return nil
}

func (c *call) uploadsDocument(l listing, req gateway.ListUploadsRequest, res gateway.ListUploadsResult) *xmlWriter {
	x := newXML()
	x.open("ListMultipartUploadsResult")
	x.elem("Bucket", c.bucket)
	x.elem("KeyMarker", l.encode(req.AfterKey))
	x.elem("UploadIdMarker", req.AfterUpload)
	if res.Truncated {
		x.elem("NextKeyMarker", l.encode(res.NextKey))
		x.elem("NextUploadIdMarker", res.NextUpload)
	}
	x.elem("Prefix", l.encode(req.Prefix))
	x.some("Delimiter", l.encode(req.Delimiter))
	if l.coded {
		x.elem("EncodingType", "url")
	}
	x.elem("MaxUploads", number(req.Max))
	x.bool("IsTruncated", res.Truncated)
	for _, u := range res.Uploads {
		x.openPlain("Upload")
		x.elem("Key", l.encode(u.Key))
		x.elem("UploadId", u.ID)
		c.owner(x, "Initiator")
		c.owner(x, "Owner")
		x.elem("StorageClass", storageClass(u.StorageClass))
		x.time("Initiated", u.Initiated)
		if u.Algorithm != "" {
			x.elem("ChecksumAlgorithm", u.Algorithm)
			x.elem("ChecksumType", checksumType(!u.FullObject))
		}
		x.close("Upload")
	}
	for _, p := range res.Prefixes {
		x.openPlain("CommonPrefixes")
		x.elem("Prefix", l.encode(p))
		x.close("CommonPrefixes")
	}
	x.close("ListMultipartUploadsResult")
	return x
}
