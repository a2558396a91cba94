package s3api

import (
	"net/http"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

// deletion is one line of a DeleteObjects request.
type deletion struct {
	key, version string
	req          gateway.DeleteRequest
	err          error // why it is not even tried
}

func deleteObjects(c *call) error {
	data, said, err := c.readDocument(maxXML)
	if err != nil {
		return err
	}
	if !said.given() {
		return failf("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	lines, quiet, err := parseDelete(data, c.bucket)
	if err != nil {
		return err
	}
	if _, err := c.cfg.Store.HeadBucket(c.ctx(), c.bucket); err != nil {
		return err
	}
	var reqs []gateway.DeleteRequest
	for i := range lines {
		if lines[i].err == nil {
			action := "s3:DeleteObject"
			if lines[i].version != "" {
				action = ofVersion(action)
			}
			lines[i].err = c.authorize(action, c.bucket, lines[i].key)
		}
		if lines[i].err == nil {
			reqs = append(reqs, lines[i].req)
		}
	}
	outcomes := c.cfg.Store.DeleteMany(c.ctx(), reqs)
	x := newXML()
	x.open("DeleteResult")
	for _, l := range lines {
		if l.err != nil {
			c.deleteFailure(x, l, l.err)
			continue
		}
		o := outcomes[0]
		outcomes = outcomes[1:]
		switch {
		case o.Err != nil:
			c.deleteFailure(x, l, o.Err)
		case !quiet:
			deleteSuccess(x, l, o.Deleted)
		}
	}
	x.close("DeleteResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func deleteSuccess(x *xmlWriter, l deletion, d gateway.Deleted) {
	x.openPlain("Deleted")
	x.elem("Key", l.key)
	x.some("VersionId", l.version)
	if d.Marker {
		x.bool("DeleteMarker", true)
		x.elem("DeleteMarkerVersionId", d.Version.String())
	}
	x.close("Deleted")
}

func (c *call) deleteFailure(x *xmlWriter, l deletion, err error) {
	e, known := ErrorOf(err)
	if !known {
		c.report(err, known)
	}
	x.openPlain("Error")
	x.elem("Key", l.key)
	x.some("VersionId", l.version)
	x.elem("Code", e.Code)
	x.elem("Message", e.Message)
	x.close("Error")
}

// parseDelete reads the Delete document.
func parseDelete(data []byte, bucket string) (lines []deletion, quiet bool, err error) {
	root, err := parseXML(data, "Delete")
	if err != nil {
		return nil, false, err
	}
	for _, e := range root.kids {
		switch e.name {
		case "Quiet":
			quiet = e.text == "true" || e.text == "True" || e.text == "1"
		case "Object":
			l, err := parseDeletion(e, bucket)
			if err != nil {
				return nil, false, err
			}
			lines = append(lines, l)
		default:
			return nil, false, fail("MalformedXML")
		}
	}
	if len(lines) == 0 || len(lines) > maxDeletes {
		return nil, false, fail("MalformedXML")
	}
	return lines, quiet, nil
}

func parseDeletion(e *element, bucket string) (deletion, error) {
	var l deletion
	var etag string
	for _, f := range [...]struct {
		name string
		to   *string
	}{{"Key", &l.key}, {"VersionId", &l.version}, {"ETag", &etag}} {
		text, _, err := e.child(f.name)
		if err != nil {
			return l, err
		}
		*f.to = text
	}
	if l.key == "" {
		return l, fail("MalformedXML")
	}
	for _, k := range e.kids {
		if k.name == "Size" || k.name == "LastModifiedTime" {
			l.err = notImplemented(k.name, k.text)
		}
	}
	var version cairn.VersionID
	if l.version != "" {
		var err error
		if version, err = parseVersion(l.version); err != nil {
			l.err = fail("NoSuchVersion")
		}
	}
	if err := (target{bucket, l.key}).check(); err != nil {
		l.err = err
	}
	l.req = gateway.DeleteRequest{Bucket: bucket, Key: l.key, Version: version, If: gateway.WriteCondition{IfMatch: trimETag(etag)}}
	return l, nil
}
