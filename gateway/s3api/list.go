package s3api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

// listing is what the listings of a bucket's objects have in common.
type listing struct {
	req    gateway.ListRequest
	max    int // as asked for, at most 1000; the store is not asked when 0
	encode func(string) string
	coded  bool
}

func (c *call) listing() (listing, error) {
	l := listing{encode: func(s string) string { return s }}
	l.req = gateway.ListRequest{Bucket: c.bucket, Prefix: c.param("prefix"), Delimiter: c.param("delimiter")}
	var err error
	if l.max, err = c.limit("max-keys", maxListing); err != nil {
		return l, err
	}
	l.req.Max = l.max
	l.coded, err = c.urlEncoding()
	if l.coded {
		l.encode = urlEncode
	}
	return l, err
}

func (c *call) urlEncoding() (bool, error) {
	switch v := c.param("encoding-type"); v {
	case "":
		return false, nil
	case "url":
		return true, nil
	default:
		return false, invalidArgument("Invalid Encoding Method specified in Request", "encoding-type", v)
	}
}

// limit reads a page size: most if absent or larger.
func (c *call) limit(name string, most int) (int, error) {
	v := c.param(name)
	if v == "" {
		return most, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	switch {
	case err != nil:
		return 0, invalidArgument("Provided "+name+" not an integer or within integer range", name, v)
	case n < 0:
		return 0, invalidArgument("Argument "+name+" must be an integer between 0 and 2147483647", name, v)
	}
	return min(int(n), most), nil
}

// page asks the store, or only for the bucket when no entry is wanted.
func (c *call) page(l listing) (gateway.ListResult, error) {
	if l.max == 0 {
		_, err := c.cfg.Store.HeadBucket(c.ctx(), c.bucket)
		return gateway.ListResult{}, err
	}
	return c.cfg.Store.List(c.ctx(), l.req)
}

// startAfter sets where a page starts when the client names a key. A marker that
// is itself a common prefix, as an earlier page gave it, stands for all below it.
func (l *listing) startAfter(marker string) {
	l.req.After = marker
	l.req.SkipPrefix = isCommonPrefix(marker, l.req.Prefix, l.req.Delimiter)
}

func isCommonPrefix(s, prefix, delimiter string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && delimiter != "" && len(rest) >= len(delimiter) && strings.Index(rest, delimiter) == len(rest)-len(delimiter)
}

func listObjects(c *call) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	l.startAfter(c.param("marker"))
	res, err := c.page(l)
	if err != nil {
		return err
	}
	x := newXML()
	x.open("ListBucketResult")
	x.elem("Name", c.bucket)
	x.elem("Prefix", l.encode(l.req.Prefix))
	x.elem("Marker", l.encode(c.param("marker")))
	if res.Truncated {
		x.elem("NextMarker", l.encode(res.Next))
	}
	x.elem("MaxKeys", number(l.max))
	c.listed(x, l, res, true)
	x.close("ListBucketResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func listObjectsV2(c *call) error {
	if v := c.param("list-type"); v != "2" {
		return invalidArgument("Invalid List Type specified in Request", "list-type", v)
	}
	l, err := c.listing()
	if err != nil {
		return err
	}
	name := c.tokenName("ListObjectsV2", l.req.Prefix, l.req.Delimiter)
	if c.query.Has("continuation-token") {
		token := c.param("continuation-token")
		at, ok := c.openToken(name, token, 2)
		if !ok {
			return invalidArgument("The continuation token provided is incorrect", "continuation-token", token)
		}
		l.req.After, l.req.SkipPrefix = at[1], at[0] == "prefix"
	} else {
		l.startAfter(c.param("start-after"))
	}
	res, err := c.page(l)
	if err != nil {
		return err
	}
	x := newXML()
	x.open("ListBucketResult")
	x.elem("Name", c.bucket)
	x.elem("Prefix", l.encode(l.req.Prefix))
	x.some("ContinuationToken", c.param("continuation-token"))
	if res.Truncated {
		kind := "key"
		if res.NextIsPrefix {
			kind = "prefix"
		}
		x.elem("NextContinuationToken", c.token(name, kind, res.Next))
	}
	x.some("StartAfter", l.encode(c.param("start-after")))
	x.elem("KeyCount", number(len(res.Versions)+len(res.Prefixes)))
	x.elem("MaxKeys", number(l.max))
	c.listed(x, l, res, c.param("fetch-owner") == "true")
	x.close("ListBucketResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// tokenName says what a continuation token is for.
func (c *call) tokenName(parts ...string) string {
	return strings.Join(append([]string{c.bucket}, parts...), "\x00")
}

// listed writes what both versions of ListObjects have in common.
func (c *call) listed(x *xmlWriter, l listing, res gateway.ListResult, owner bool) {
	x.some("Delimiter", l.encode(l.req.Delimiter))
	if l.coded {
		x.elem("EncodingType", "url")
	}
	x.bool("IsTruncated", res.Truncated)
	for _, v := range res.Versions {
		x.openPlain("Contents")
		c.entry(x, v, l.encode, owner)
		x.close("Contents")
	}
	for _, p := range res.Prefixes {
		x.openPlain("CommonPrefixes")
		x.elem("Prefix", l.encode(p))
		x.close("CommonPrefixes")
	}
}

// entry writes the elements of one object of a listing.
func (c *call) entry(x *xmlWriter, v *cairn.Version, encode func(string) string, owner bool) {
	x.elem("Key", encode(v.Key))
	x.time("LastModified", v.LastModified())
	x.elem("ETag", quoteETag(v.ETag))
	for _, s := range v.Checksums {
		x.elem("ChecksumAlgorithm", s.Algorithm)
		x.elem("ChecksumType", checksumType(s.Composite))
	}
	x.elem("Size", number(v.Size))
	if owner {
		c.owner(x, "Owner")
	}
	x.elem("StorageClass", storageClass(v.StorageClass))
}

func (c *call) owner(x *xmlWriter, name string) {
	x.openPlain(name)
	x.elem("ID", c.cfg.OwnerID)
	x.elem("DisplayName", c.cfg.OwnerName)
	x.close(name)
}

// listVersions shows the one version that every object has while versioning has
// not been enabled.
func listVersions(c *call) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	if c.param("version-id-marker") != "" && c.param("key-marker") == "" {
		return invalidArgument("A version-id marker cannot be specified without a key marker.", "version-id-marker", c.param("version-id-marker"))
	}
	l.startAfter(c.param("key-marker"))
	res, err := c.page(l)
	if err != nil {
		return err
	}
	x := newXML()
	x.open("ListVersionsResult")
	x.elem("Name", c.bucket)
	x.elem("Prefix", l.encode(l.req.Prefix))
	x.elem("KeyMarker", l.encode(c.param("key-marker")))
	x.elem("VersionIdMarker", c.param("version-id-marker"))
	if res.Truncated {
		x.elem("NextKeyMarker", l.encode(res.Next))
		if !res.NextIsPrefix {
			x.elem("NextVersionIdMarker", versionText(res.Versions[len(res.Versions)-1]))
		}
	}
	x.elem("MaxKeys", number(l.max))
	x.some("Delimiter", l.encode(l.req.Delimiter))
	if l.coded {
		x.elem("EncodingType", "url")
	}
	x.bool("IsTruncated", res.Truncated)
	for _, v := range res.Versions {
		x.openPlain("Version")
		x.elem("VersionId", versionText(v))
		x.bool("IsLatest", true)
		c.entry(x, v, l.encode, true)
		x.close("Version")
	}
	for _, p := range res.Prefixes {
		x.openPlain("CommonPrefixes")
		x.elem("Prefix", l.encode(p))
		x.close("CommonPrefixes")
	}
	x.close("ListVersionsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func versionText(v *cairn.Version) string {
	if v.Null || v.ID.IsZero() {
		return "null"
	}
	return v.ID.String()
}
