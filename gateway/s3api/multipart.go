package s3api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/checksum"
)

// uploadID reads the uploadId parameter, which is the store's to understand.
func (c *call) uploadID() (string, error) {
	id := c.param("uploadId")
	if id == "" || len(id) > maxUploadID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fail("NoSuchUpload")
	}
	return id, nil
}

func createUpload(c *call) error {
	attributes, err := c.attributes()
	if err != nil {
		return err
	}
	req := gateway.CreateUploadRequest{Bucket: c.bucket, Key: c.key, Attributes: attributes}
	if req.Algorithm, req.FullObject, err = uploadChecksum(c.r.Header); err != nil {
		return err
	}
	up, err := c.cfg.Store.CreateUpload(c.ctx(), req)
	if err != nil {
		return err
	}
	if req.Algorithm != "" {
		c.w.Header().Set("X-Amz-Checksum-Algorithm", req.Algorithm)
		c.w.Header().Set("X-Amz-Checksum-Type", checksumType(!req.FullObject))
	}
	c.encryptionHeader()
	x := newXML()
	x.open("InitiateMultipartUploadResult")
	x.elem("Bucket", c.bucket)
	x.elem("Key", c.key)
	x.elem("UploadId", up.ID)
	x.close("InitiateMultipartUploadResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// uploadChecksum reads which checksum the object is to have.
func uploadChecksum(h http.Header) (algorithm string, full bool, err error) {
	if name := h.Get("X-Amz-Checksum-Algorithm"); name != "" {
		if algorithm, err = checksumAlgorithm(name); err != nil {
			return "", false, err
		}
	}
	switch kind := h.Get("X-Amz-Checksum-Type"); {
	case kind == "":
		return algorithm, checksum.FullObject(algorithm, false), nil
	case algorithm == "":
		return "", false, failf("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case kind == "FULL_OBJECT" && checksum.Combines(algorithm):
		return algorithm, true, nil
	case kind == "COMPOSITE" && algorithm != checksum.CRC64NVME:
		return algorithm, false, nil
	case kind == "FULL_OBJECT" || kind == "COMPOSITE":
		return "", false, failf("InvalidRequest", "The "+kind+" checksum type cannot be used with the "+strings.ToLower(algorithm)+" checksum algorithm.")
	default:
		return "", false, failf("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
	}
}

func uploadPart(c *call) error {
	req := gateway.PutPartRequest{Bucket: c.bucket, Key: c.key}
	var err error
	if req.Number, err = partNumber(c.param("partNumber")); err != nil {
		return err
	}
	if req.UploadID, err = c.uploadID(); err != nil {
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
	req.Digests, req.Body, req.Size = said.Digests, b, b.Length()
	part, err := c.cfg.Store.PutPart(c.ctx(), req)
	if err != nil {
		return err
	}
	c.storedHeaders(nil, part.Durability)
	c.w.Header().Set("Etag", quoteETag(part.ETag))
	for _, s := range part.Checksums {
		c.w.Header().Set(checksumPrefix+strings.ToLower(s.Algorithm), s.Value)
	}
	c.done(http.StatusOK)
	return nil
}

func abortUpload(c *call) error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	if err := c.cfg.Store.AbortUpload(c.ctx(), gateway.UploadRef{Bucket: c.bucket, Key: c.key, UploadID: id}); err != nil {
		return err
	}
	c.done(http.StatusNoContent)
	return nil
}

func completeUpload(c *call) error {
	req, err := c.completeRequest()
	if err != nil {
		return err
	}
	return c.patiently(func() (outcome, error) {
		stored, err := c.cfg.Store.CompleteUpload(c.ctx(), req)
		if err != nil {
			return outcome{}, err
		}
		v := stored.Version
		x := newXML()
		x.open("CompleteMultipartUploadResult")
		x.elem("Location", c.location())
		x.elem("Bucket", c.bucket)
		x.elem("Key", c.key)
		x.elem("ETag", quoteETag(v.ETag))
		x.checksums(v.Checksums, true)
		x.close("CompleteMultipartUploadResult")
		return outcome{x, v, stored.Durability}, nil
	})
}

// location is the URL of the object, as the client addresses it.
func (c *call) location() string {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: c.r.Host, Path: c.r.URL.Path, RawPath: c.r.URL.RawPath}
	return u.String()
}

func (c *call) completeRequest() (gateway.CompleteRequest, error) {
	h := c.r.Header
	req := gateway.CompleteRequest{Bucket: c.bucket, Key: c.key, Size: -1}
	var err error
	if req.UploadID, err = c.uploadID(); err != nil {
		return req, err
	}
	if req.If, err = writeCondition(h); err != nil {
		return req, err
	}
	// Here the checksum headers speak of the object, not of this body.
	if req.ChecksumAlgorithm, req.Checksum, err = objectChecksum(h); err != nil {
		return req, err
	}
	if size := h.Get("X-Amz-Mp-Object-Size"); size != "" {
		n, ok := offset(size)
		if !ok {
			return req, invalidArgument("Value for x-amz-mp-object-size header is invalid", "x-amz-mp-object-size", size)
		}
		req.Size = n
	}
	for name := range h {
		if strings.HasPrefix(name, checksumPrefix) || name == sdkAlgorithm {
			h.Del(name)
		}
	}
	data, _, err := c.readDocument(maxXML)
	if err != nil {
		return req, err
	}
	req.Parts, err = parseComplete(data)
	return req, err
}

// objectChecksum reads the claimed checksum of the object to be, which may be
// composite: "…-N".
func objectChecksum(h http.Header) (algorithm, value string, err error) {
	plain := http.Header{}
	suffix := ""
	for name, values := range h {
		if !strings.HasPrefix(name, checksumPrefix) {
			continue
		}
		v, n, composite := strings.Cut(values[0], "-")
		if composite {
			suffix = "-" + n
		}
		plain[name] = []string{v}
	}
	algorithm, value, err = checksumHeader(plain)
	if err != nil || algorithm == "" {
		return "", "", err
	}
	return algorithm, value + suffix, nil
}

// parseComplete reads the list of parts.
func parseComplete(data []byte) ([]gateway.CompletedPart, error) {
	root, err := parseXML(data, "CompleteMultipartUpload")
	if err != nil {
		return nil, err
	}
	var parts []gateway.CompletedPart
	for _, e := range root.kids {
		if e.name != "Part" {
			return nil, fail("MalformedXML")
		}
		p, err := parsePart(e)
		if err != nil {
			return nil, err
		}
		if n := len(parts); n > 0 && parts[n-1].Number >= p.Number {
			return nil, gateway.ErrInvalidPartOrder
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 || len(parts) > 10_000 {
		return nil, fail("MalformedXML")
	}
	return parts, nil
}

func parsePart(e *element) (gateway.CompletedPart, error) {
	var p gateway.CompletedPart
	number, ok, err := e.child("PartNumber")
	if err != nil || !ok {
		return p, fail("MalformedXML")
	}
	if p.Number, err = strconv.Atoi(strings.TrimSpace(number)); err != nil {
		return p, fail("MalformedXML")
	}
	if p.Number < 1 || p.Number > 10_000 {
		return p, invalidArgument("PartNumber must be >= 1 and <= 10000", "PartNumber", number)
	}
	etag, ok, err := e.child("ETag")
	if err != nil || !ok {
		return p, fail("MalformedXML")
	}
	p.ETag = trimETag(etag)
	for _, algorithm := range checksum.Algorithms() {
		value, ok, err := e.child("Checksum" + algorithm)
		if err != nil {
			return p, err
		}
		if !ok {
			continue
		}
		if _, valid := checksum.Decode(algorithm, value); !valid || p.Checksum != "" {
			return p, failf("InvalidRequest", "Value for Checksum"+algorithm+" is invalid.")
		}
		p.Checksum = value
	}
	return p, nil
}
