package s3api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

// getObject serves GET and HEAD. HEAD opens the object and sends no byte of it.
func getObject(c *call) error {
	req, err := c.getRequest()
	if err != nil {
		return err
	}
	overrides, err := c.overrides()
	if err != nil {
		return err
	}
	o, err := c.cfg.Store.Get(c.ctx(), req)
	if err != nil {
		c.describeUnsent(req, err)
		return err
	}
	if c.r.Method == http.MethodHead {
		status := c.objectHeaders(o, overrides)
		c.w.WriteHeader(status)
		return o.Body.Close()
	}
	return c.sendObject(o, overrides)
}

func (c *call) getRequest() (gateway.GetRequest, error) {
	req := gateway.GetRequest{Bucket: c.bucket, Key: c.key, If: readCondition(c.r.Header, "")}
	var err error
	if req.Version, err = c.version(); err != nil {
		return req, err
	}
	if values := c.r.Header["Range"]; len(values) == 1 {
		req.Range = parseRange(values[0])
	}
	if c.query.Has("partNumber") {
		if req.PartNumber, err = partNumber(c.param("partNumber")); err != nil {
			return req, err
		}
		if c.r.Header["Range"] != nil {
			return req, failf("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
		}
	}
	return req, nil
}

// describeUnsent adds what a client wants to know of an object that the
// conditions kept from being sent.
func (c *call) describeUnsent(req gateway.GetRequest, err error) {
	var condition *gateway.PreconditionError
	if !errors.Is(err, gateway.ErrNotModified) && !errors.As(err, &condition) {
		return
	}
	req.If, req.Range, req.PartNumber = gateway.ReadCondition{}, nil, 0
	o, err := c.cfg.Store.Get(c.ctx(), req)
	if err != nil {
		return // gone in between; the first answer stands
	}
	defer func() { _ = o.Body.Close() }() // nothing was read
	head := c.w.Header()
	head.Set("Etag", quoteETag(o.Version.ETag))
	head.Set("Last-Modified", o.Version.LastModified().Format(http.TimeFormat))
	if v := o.Version.Header("cache-control"); v != "" {
		head.Set("Cache-Control", headerValue(v))
	}
	c.versionHeader(o.Version)
}

// overrides reads the response-* parameters. They let whoever made the URL
// choose headers of our answer, so they are for signed requests only, which
// admit has made sure of.
func (c *call) overrides() (map[string]string, error) {
	var o map[string]string
	for name, values := range c.query {
		header, ok := strings.CutPrefix(name, "response-")
		if !ok || !ordinary[name] {
			continue
		}
		if c.auth == nil || c.auth.Anonymous {
			return nil, failf("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
		}
		if !printable(values[0]) {
			return nil, invalidArgument("The value contains control characters", name, "")
		}
		if o == nil {
			o = map[string]string{}
		}
		o[http.CanonicalHeaderKey(header)] = values[0]
	}
	return o, nil
}

// objectHeaders sets the headers of an answer with o and returns its status.
func (c *call) objectHeaders(o *gateway.Object, overrides map[string]string) int {
	v, head := o.Version, c.w.Header()
	head.Set("Content-Type", defaultMimeType)
	for _, a := range v.Headers {
		if strings.HasPrefix(a.Name, storedMetaPrefix) {
			// As it is, in lower case: botocore shows programs the spelling it
			// gets, and they look for what S3 sends.
			head[a.Name] = []string{headerValue(a.Value)}
			continue
		}
		head.Set(a.Name, headerValue(a.Value))
	}
	for name, value := range overrides {
		head.Set(name, headerValue(value))
	}
	head.Set("Accept-Ranges", "bytes")
	head.Set("Etag", quoteETag(v.ETag))
	head.Set("Last-Modified", v.LastModified().Format(http.TimeFormat))
	head.Set("Content-Length", number(o.Length))
	c.versionHeader(v)
	c.encryptionHeader()
	if v.StorageClass != "" {
		head.Set("X-Amz-Storage-Class", headerValue(v.StorageClass))
	}
	if len(v.Tags) > 0 {
		head.Set("X-Amz-Tagging-Count", number(len(v.Tags)))
	}
	if o.Parts > 0 {
		head.Set("X-Amz-Mp-Parts-Count", number(o.Parts))
	}
	whole := o.Length == v.Size
	if strings.EqualFold(c.r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") && whole {
		c.checksumHeaders(v.Checksums)
	}
	if !o.Partial || o.Length == 0 {
		return http.StatusOK
	}
	head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", o.Offset, o.Offset+o.Length-1, v.Size))
	return http.StatusPartialContent
}

// objectWriter sends the header with the first byte, because until then a
// failure can still be answered with an error.
type objectWriter struct {
	c         *call
	o         *gateway.Object
	overrides map[string]string
	written   int64
}

func (w *objectWriter) begin() {
	if !w.c.w.begun() {
		w.c.w.WriteHeader(w.c.objectHeaders(w.o, w.overrides))
	}
}

func (w *objectWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if w.written+int64(len(p)) > w.o.Length {
		return 0, fmt.Errorf("store gave more than the %d bytes it announced", w.o.Length)
	}
	w.begin()
	n, err := w.c.w.Write(p)
	w.written += int64(n)
	return n, err
}

func (c *call) sendObject(o *gateway.Object, overrides map[string]string) error {
	w := &objectWriter{c: c, o: o, overrides: overrides}
	_, err := o.Body.WriteTo(w)
	err = errors.Join(err, o.Body.Close())
	if err == nil && w.written != o.Length {
		err = fmt.Errorf("store gave %d of %d bytes", w.written, o.Length)
	}
	if err != nil {
		return fmt.Errorf("send object: %w", err)
	}
	w.begin()
	return nil
}

func partNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > cairn.MaxPartNumber {
		return 0, invalidArgument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", s)
	}
	return n, nil
}

// open opens an object to look at its record, not at its bytes.
func (c *call) look() (*cairn.Version, error) {
	version, err := c.version()
	if err != nil {
		return nil, err
	}
	o, err := c.cfg.Store.Get(c.ctx(), gateway.GetRequest{Bucket: c.bucket, Key: c.key, Version: version})
	if err != nil {
		return nil, err
	}
	return o.Version, o.Body.Close()
}

func getObjectLock(c *call) error {
	if _, err := c.look(); err != nil {
		return err
	}
	return fail("NoSuchObjectLockConfiguration")
}

func getObjectACL(c *call) error {
	if _, err := c.look(); err != nil {
		return err
	}
	c.sendXML(http.StatusOK, c.ownerACL())
	return nil
}

// getObjectAttributes answers with those of the attributes that were asked for.
func getObjectAttributes(c *call) error {
	asked := set()
	for _, v := range c.r.Header["X-Amz-Object-Attributes"] {
		for name := range strings.SplitSeq(v, ",") {
			asked[strings.TrimSpace(name)] = true
		}
	}
	known := set("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
	for name := range asked {
		if !known[name] {
			return invalidArgument("Invalid attribute name specified.", "x-amz-object-attributes", name)
		}
	}
	if len(asked) == 0 {
		return invalidArgument("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty", "x-amz-object-attributes", "")
	}
	v, err := c.look()
	if err != nil {
		return err
	}
	head := c.w.Header()
	head.Set("Last-Modified", v.LastModified().Format(http.TimeFormat))
	c.versionHeader(v)
	c.sendXML(http.StatusOK, c.attributesDocument(v, asked))
	return nil
}

func (c *call) attributesDocument(v *cairn.Version, asked map[string]bool) *xmlWriter {
	x := newXML()
	x.open("GetObjectAttributesResponse")
	if asked["ETag"] {
		x.elem("ETag", v.ETag)
	}
	if asked["Checksum"] && len(v.Checksums) > 0 {
		x.openPlain("Checksum")
		x.checksums(v.Checksums, true)
		x.close("Checksum")
	}
	if asked["ObjectParts"] && isMultipart(v) {
		x.openPlain("ObjectParts")
		x.elem("PartsCount", number(len(v.Parts)))
		x.close("ObjectParts")
	}
	if asked["StorageClass"] {
		x.elem("StorageClass", storageClass(v.StorageClass))
	}
	if asked["ObjectSize"] {
		x.elem("ObjectSize", number(v.Size))
	}
	x.close("GetObjectAttributesResponse")
	return x
}

// isMultipart reports whether the object was uploaded in parts: parts of an
// object put whole have the number 0.
func isMultipart(v *cairn.Version) bool { return len(v.Parts) > 0 && v.Parts[0].Number > 0 }

func storageClass(s string) string {
	if s == "" {
		return "STANDARD"
	}
	return s
}
