package s3api

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cairn-store/cairn/gateway/cors"
	"github.com/cairn-store/cairn/gateway/policy"
)

// Handler serves S3.
type Handler struct {
	cfg     Config
	metrics *metrics
	slots   chan struct{} // one token per request being served

	cors     parsed[*cors.Config]
	policies parsed[*policy.Policy]
	blocks   parsed[publicBlock]
}

// New returns a Handler.
func New(cfg Config) (*Handler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	return &Handler{cfg: cfg, metrics: m, slots: make(chan struct{}, cfg.MaxRequests)}, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Handler: h, id: requestID(), w: newResponse(w, r, h.cfg.Patience)}
	// A copy, because net/http looks at the body of its own request to decide
	// whether to read on before it sends the answer.
	c.r = r.WithContext(r.Context())
	c.r.Body = newPacedBody(w, r, h.cfg.Patience)
	started := time.Now()
	defer c.finish(started)
	continueEmpty(w, r)
	head := c.w.Header()
	head.Set("Server", "Cairn")
	head.Set("X-Amz-Request-Id", c.id)
	head.Set("X-Amz-Id-2", hostID(c.id))
	head.Set("X-Content-Type-Options", "nosniff")
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		c.answer(c.serve())
	default: // counted, not logged: there may be very many
		c.writeError(slowDown())
	}
}

// continueEmpty answers an Expect: 100-continue before an empty body, which
// net/http leaves out because nothing is to follow. S3 says it, and botocore
// relies on it: a final answer in its place is remembered for the next request
// on the connection, whose answer is then waited for in vain.
func continueEmpty(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && r.ProtoMinor > 0 && r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.WriteHeader(http.StatusContinue)
	}
}

// serve passes the request through its stages.
func (c *call) serve() error {
	if err := rejectAmbiguous(c.r, c.w); err != nil {
		return err
	}
	if c.r.Method == http.MethodOptions {
		return c.preflight()
	}
	if err := c.admit(); err != nil {
		return err
	}
	return c.hideMissing(c.route.serve(c))
}

// answer sends the error, if there is one. When the answer has begun already,
// the connection is cut, so that the client cannot take it for complete.
func (c *call) answer(err error) {
	if err == nil {
		return
	}
	e, known := ErrorOf(err)
	if !known || e.Status() >= http.StatusInternalServerError && e.Status() != http.StatusNotImplemented {
		c.report(err, known)
	}
	if c.w.begun() {
		panic(http.ErrAbortHandler)
	}
	c.writeError(e)
}

func (c *call) report(err error, known bool) {
	if c.ctx().Err() != nil {
		return // the client went away; nobody waits for the answer
	}
	log := c.cfg.Log.ErrorContext
	if known {
		log = c.cfg.Log.WarnContext
	}
	log(c.ctx(), "request failed", "operation", c.operation(), "request", c.id, "bucket", c.bucket, "err", err)
}

// finish runs after every request, also when a handler panicked.
func (c *call) finish(started time.Time) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared as net/http does
		c.cfg.Log.Error("request handler panicked", "operation", c.operation(), "request", c.id, "err", p, "stack", string(debug.Stack()))
		if !c.w.begun() {
			c.writeError(fail("InternalError"))
			p = nil
		}
	}
	c.metrics.observe(c.operation(), c.w, c.r.Body, time.Since(started))
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

// operation names the request in logs and metrics.
func (c *call) operation() string {
	switch {
	case c.route != nil:
		return c.route.operation
	case c.r.Method == http.MethodOptions:
		return "Preflight"
	}
	return "unknown"
}

// writeError sends an error as S3 does. Nothing must have been sent before.
func (c *call) writeError(e *Error) {
	head := c.w.Header()
	for name, values := range e.Header {
		head[name] = values
	}
	status := e.Status()
	if status == http.StatusNotModified {
		c.w.WriteHeader(status)
		return
	}
	c.sendXML(status, c.errorDocument(e))
}

func (c *call) errorDocument(e *Error) *xmlWriter {
	x := newXML()
	x.openPlain("Error")
	x.elem("Code", e.Code)
	x.elem("Message", e.Message)
	for _, f := range append(e.Fields, c.subject(e.Code)...) {
		x.elem(f.Name, f.Value)
	}
	x.elem("Resource", c.r.URL.Path)
	x.elem("RequestId", c.id)
	x.elem("HostId", hostID(c.id))
	x.close("Error")
	return x
}

// subject returns the elements that S3 adds to say what was not there.
func (c *call) subject(code string) []Field {
	switch code {
	case "NoSuchKey":
		return []Field{{"Key", c.key}}
	case "NoSuchBucket", "BucketNotEmpty", "BucketAlreadyOwnedByYou", "BucketAlreadyExists", "NoSuchBucketPolicy",
		"NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration", "NoSuchTagSet", "NoSuchWebsiteConfiguration",
		"NoSuchPublicAccessBlockConfiguration", "ObjectLockConfigurationNotFoundError", "ReplicationConfigurationNotFoundError":
		return []Field{{"BucketName", c.bucket}}
	case "NoSuchVersion":
		return []Field{{"Key", c.key}, {"VersionId", clip(c.param("versionId"))}}
	case "NoSuchUpload":
		return []Field{{"UploadId", clip(c.param("uploadId"))}}
	case "InvalidRange":
		return []Field{{"RangeRequested", clip(c.r.Header.Get("Range"))}}
	case "InvalidPartNumber":
		return []Field{{"PartNumberRequested", clip(c.param("partNumber"))}}
	case "InvalidPart", "EntityTooSmall":
		return []Field{{"UploadId", clip(c.param("uploadId"))}}
	}
	return nil
}

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

// hostID is what AWS uses to find the machine; there is only this one.
func hostID(id string) string { return "cairn-" + strings.ToLower(id) }
