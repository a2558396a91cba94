package s3api

import (
	"net/http"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

func putObject(c *call) error {
	condition, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	attributes, err := c.attributes()
	if err != nil {
		return err
	}
	b, err := c.body()
	if err != nil {
		return err
	}
	if b.Length() > maxPutSize {
		return fail("EntityTooLarge", Field{"ProposedSize", number(b.Length())}, Field{"MaxSizeAllowed", number(maxPutSize)})
	}
	said, err := c.claims(b)
	if err != nil {
		return err
	}
	stored, err := c.cfg.Store.Put(c.ctx(), gateway.PutRequest{
		Bucket: c.bucket, Key: c.key,
		Attributes: attributes, Digests: said.Digests, If: condition,
		Body: b, Size: b.Length(),
	})
	if err != nil {
		return err
	}
	c.storedHeaders(stored.Version, stored.Durability)
	head := c.w.Header()
	head.Set("Etag", quoteETag(stored.Version.ETag))
	c.checksumHeaders(stored.Version.Checksums)
	c.done(http.StatusOK)
	return nil
}

// storedHeaders are common to the answers of all operations that make a version.
func (c *call) storedHeaders(v *cairn.Version, durability string) {
	head := c.w.Header()
	if durability != "" {
		head.Set("X-Cairn-Durability", headerValue(durability))
	}
	if v != nil {
		c.versionHeader(v)
	}
	c.encryptionHeader()
}

func (c *call) versionHeader(v *cairn.Version) {
	if !v.Null && !v.ID.IsZero() {
		c.w.Header().Set("X-Amz-Version-Id", v.ID.String())
	}
}

// encryptionHeader tells that the object is encrypted, as everything is.
func (c *call) encryptionHeader() { c.w.Header().Set("X-Amz-Server-Side-Encryption", "AES256") }

func (c *call) checksumHeaders(sums []cairn.Checksum) {
	head := c.w.Header()
	for _, s := range sums {
		head.Set(checksumPrefix+strings.ToLower(s.Algorithm), s.Value)
		head.Set("X-Amz-Checksum-Type", checksumType(s.Composite))
	}
}

func checksumType(composite bool) string {
	if composite {
		return "COMPOSITE"
	}
	return "FULL_OBJECT"
}

// checksums writes the same as checksumHeaders into a document.
func (x *xmlWriter) checksums(sums []cairn.Checksum, withType bool) {
	for _, s := range sums {
		x.elem("Checksum"+s.Algorithm, s.Value)
	}
	if withType && len(sums) > 0 {
		x.elem("ChecksumType", checksumType(sums[0].Composite))
	}
}

func deleteObject(c *call) error {
	version, err := c.version()
	if err != nil {
		return err
	}
	condition, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	if condition.IfNoneMatch {
		return notImplemented("If-None-Match", "")
	}
	deleted, err := c.cfg.Store.Delete(c.ctx(), gateway.DeleteRequest{Bucket: c.bucket, Key: c.key, Version: version, If: condition})
	if err != nil {
		return err
	}
	head := c.w.Header()
	if deleted.Marker {
		head.Set("X-Amz-Delete-Marker", "true")
	}
	if deleted.Marker || !version.IsZero() {
		head.Set("X-Amz-Version-Id", deleted.Version.String())
	}
	c.done(http.StatusNoContent)
	return nil
}

// version reads the versionId parameter.
func (c *call) version() (cairn.VersionID, error) {
	if !c.query.Has("versionId") {
		return cairn.VersionID{}, nil
	}
	return parseVersion(c.param("versionId"))
}

// parseVersion reads a version id. "null" is the version of a bucket without
// versioning, which is the newest.
func parseVersion(s string) (cairn.VersionID, error) {
	switch s {
	case "null":
		return cairn.VersionID{}, nil
	case "":
		return cairn.VersionID{}, invalidArgument("Version id cannot be the empty string", "versionId", "")
	}
	id, err := cairn.ParseVersionID(s)
	if err != nil || id.IsZero() {
		return cairn.VersionID{}, invalidArgument("Invalid version id specified", "versionId", s)
	}
	return id, nil
}
