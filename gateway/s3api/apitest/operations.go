package apitest

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/checksum"
	"github.com/cairn-store/cairn/gateway/s3api"
)

// next chooses a step.
func (c *comparer) next() operation {
	if c.step < len(buckets) {
		return c.createBucket(buckets[c.step])
	}
	switch n := c.rnd.IntN(100); {
	case n < 26:
		return c.put()
	case n < 46:
		return c.get()
	case n < 55:
		return c.delete()
	case n < 56:
		return c.setTags()
	case n < 64:
		return c.list()
	case n < 72:
		return c.copy()
	case n < 75:
		return c.createUpload()
	case n < 82:
		return c.putPart()
	case n < 84:
		return c.copyPart()
	case n < 89:
		return c.completeUpload()
	case n < 91:
		return c.abortUpload()
	case n < 94:
		return c.listParts()
	case n < 96:
		return c.listUploads()
	case n < 97:
		return pick(c, c.deleteMany, c.putSetting, c.getSetting)()
	case n < 98:
		return c.createBucket(c.bucket())
	case n < 99:
		return c.deleteBucket()
	}
	return c.listBuckets()
}

func (c *comparer) objectState(b, k string) func(*side) (string, error) {
	return func(s *side) (string, error) { return get(c.ctx, s.store, gateway.GetRequest{Bucket: b, Key: k}) }
}

func (c *comparer) bucketState(b string) func(*side) (string, error) {
	return func(s *side) (string, error) {
		info, err := s.store.HeadBucket(c.ctx, b)
		return info.Name + info.Region, err
	}
}

func (c *comparer) createBucket(b string) operation {
	return operation{name: "create bucket", detail: b, state: c.bucketState(b), run: func(s *side) (string, error) {
		return "", s.store.CreateBucket(c.ctx, b, "us-east-1")
	}}
}

func (c *comparer) deleteBucket() operation {
	b := c.bucket()
	return operation{name: "delete bucket", detail: b, state: c.bucketState(b), run: func(s *side) (string, error) {
		return "", s.store.DeleteBucket(c.ctx, b)
	}}
}

func (c *comparer) listBuckets() operation {
	req := gateway.ListBucketsRequest{Prefix: pick(c, "", "beta", "x"), After: pick(c, "", "alpha-bucket", "b"), Max: 1 + c.rnd.IntN(4)}
	return operation{name: "list buckets", detail: fmt.Sprintf("%+v", req), run: func(s *side) (string, error) {
		res, err := s.store.ListBuckets(c.ctx, req)
		text := fmt.Sprint(res.Truncated)
		for _, b := range res.Buckets {
			text += " " + b.Name
		}
		return text, err
	}}
}

// errBody is what a broken connection gives; it must come back as it is.
var errBody = &s3api.Error{Code: "RequestTimeout", Message: "the connection broke"}

// upload is a body and what is said about it, some of it wrong.
type upload struct {
	data   []byte
	size   int64 // announced
	breaks int   // the body ends here with errBody; negative: never
	said   gateway.Digests
}

func (u *upload) body() io.Reader {
	if u.breaks < 0 {
		return bytes.NewReader(u.data)
	}
	return io.MultiReader(bytes.NewReader(u.data[:u.breaks]), brokenReader{})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, fmt.Errorf("read: %w", errBody) }

func (c *comparer) data(n int) []byte {
	out := make([]byte, n)
	x := c.rnd.Uint64() | 1
	for i := range out {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out[i] = byte(x)
	}
	return out
}

func (c *comparer) newUpload(n int) *upload {
	u := &upload{data: c.data(n), size: int64(n), breaks: -1}
	if c.chance(30) {
		sum := md5.Sum(u.data)
		u.said.MD5 = sum[:]
	}
	if c.chance(40) {
		algorithm := pick(c, checksum.Algorithms()...)
		claim := checksum.Of(algorithm, u.data)
		u.said.Algorithm = algorithm
		u.said.Expected = func() (string, error) { return claim, nil }
	}
	switch c.rnd.IntN(30) { // at most one thing is wrong
	case 0:
		u.size++
	case 1:
		u.size = max(u.size-1, 0)
		u.data = append(u.data, 'x')
	case 2:
		u.breaks = c.rnd.IntN(n + 1)
	case 3:
		u.said = gateway.Digests{MD5: make([]byte, md5.Size)}
	case 4:
		u.said = gateway.Digests{Algorithm: checksum.CRC32, Expected: func() (string, error) { return checksum.Of(checksum.CRC32, []byte("no")), nil }}
	}
	return u
}

func (u *upload) String() string {
	return fmt.Sprintf("%d bytes announced %d breaks %d md5 %v sum %q", len(u.data), u.size, u.breaks, u.said.MD5 != nil, u.said.Algorithm)
}

func (c *comparer) attributes() gateway.Attributes {
	var a gateway.Attributes
	if c.chance(50) {
		a.Headers = append(a.Headers, cairn.Attr{Name: "content-type", Value: "text/plain"})
	}
	if c.chance(30) {
		a.Headers = append(a.Headers, cairn.Attr{Name: "x-amz-meta-n", Value: strings.Repeat("v", c.rnd.IntN(900))})
	}
	if c.chance(20) {
		a.Tags = []cairn.Attr{{Name: "t", Value: fmt.Sprint(c.rnd.IntN(9))}}
	}
	return a
}

// etag returns an ETag that the key may have now, or a wrong one.
func (c *comparer) etag(b, k string) string {
	o, err := c.model.store.Get(c.ctx, gateway.GetRequest{Bucket: b, Key: k})
	if err != nil || c.chance(30) {
		return strings.Repeat("0", 32)
	}
	return o.Version.ETag
}

func (c *comparer) writeCondition(b, k string) (w gateway.WriteCondition) {
	switch c.rnd.IntN(10) {
	case 0:
		w.IfNoneMatch = true
	case 1:
		w.IfMatch = c.etag(b, k)
	case 2:
		w.IfMatch = "*"
	}
	return w
}

func (c *comparer) readCondition(b, k string) (r gateway.ReadCondition) {
	past, future := time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	switch c.rnd.IntN(12) {
	case 0:
		r.IfMatch = []string{"x", c.etag(b, k)}
	case 1:
		r.IfNoneMatch = []string{c.etag(b, k)}
	case 2:
		r.IfModifiedSince = pick(c, past, future)
	case 3:
		r.IfUnmodifiedSince = pick(c, past, future)
	case 4:
		r.IfMatch, r.IfUnmodifiedSince = []string{c.etag(b, k)}, pick(c, past, future)
	case 5:
		r.IfNoneMatch, r.IfModifiedSince = []string{c.etag(b, k)}, pick(c, past, future)
	}
	return r
}

func (c *comparer) put() operation {
	b, k := c.bucket(), c.key()
	u, a, w := c.newUpload(pick(c, c.sizes...)), c.attributes(), c.writeCondition(b, k)
	return operation{name: "put", detail: fmt.Sprintf("%s %q %v if %+v", b, k, u, w), state: c.objectState(b, k), run: func(s *side) (string, error) {
		stored, err := s.store.Put(c.ctx, gateway.PutRequest{Bucket: b, Key: k, Attributes: a, Digests: u.said, If: w, Body: u.body(), Size: u.size})
		if errors.Is(err, gateway.ErrIncompleteBody) && u.breaks >= 0 {
			return "", fmt.Errorf("the body's error was lost: %v", err)
		}
		return viewVersion(stored.Version), err
	}}
}

func (c *comparer) get() operation {
	b, k := c.bucket(), c.key()
	req := gateway.GetRequest{Bucket: b, Key: k, If: c.readCondition(b, k)}
	switch c.rnd.IntN(4) {
	case 0:
		req.Range = c.byteRange()
	case 1:
		if c.chance(30) {
			req.PartNumber = 1 + c.rnd.IntN(4)
		}
	}
	detail := fmt.Sprintf("%s %q part %d", b, k, req.PartNumber)
	if req.Range != nil {
		detail += fmt.Sprintf(" range %+v", *req.Range)
	}
	return operation{name: "get", detail: detail, run: func(s *side) (string, error) { return get(c.ctx, s.store, req) }}
}

func (c *comparer) byteRange() *gateway.Range {
	at := int64(max(0, pick(c, c.sizes...)-2+c.rnd.IntN(5)))
	switch c.rnd.IntN(4) {
	case 0:
		return &gateway.Range{Suffix: at, SuffixZero: at == 0}
	case 1:
		return &gateway.Range{First: at, Last: -1}
	case 2:
		return &gateway.Range{First: at, Last: at + int64(c.rnd.IntN(70_000))}
	}
	return &gateway.Range{First: int64(c.rnd.IntN(int(at) + 1)), Last: at}
}

func (c *comparer) delete() operation {
	b, k := c.bucket(), c.key()
	req := gateway.DeleteRequest{Bucket: b, Key: k}
	if c.chance(20) {
		req.If.IfMatch = pick(c, "*", c.etag(b, k))
	}
	return operation{name: "delete", detail: fmt.Sprintf("%s %q if %+v", b, k, req.If), state: c.objectState(b, k), run: func(s *side) (string, error) {
		d, err := s.store.Delete(c.ctx, req)
		return fmt.Sprint(d.Marker), err
	}}
}

func (c *comparer) deleteMany() operation {
	b := c.bucket()
	var reqs []gateway.DeleteRequest
	for range 1 + c.rnd.IntN(4) {
		reqs = append(reqs, gateway.DeleteRequest{Bucket: b, Key: c.key()})
	}
	state := func(s *side) (string, error) {
		var all []string
		for _, r := range reqs {
			view, err := get(c.ctx, s.store, gateway.GetRequest{Bucket: b, Key: r.Key})
			if err != nil && c.tolerated != nil && c.tolerated(err) {
				return "", err
			}
			all = append(all, withError(view, err))
		}
		return strings.Join(all, "\n"), nil
	}
	op := operation{name: "delete many", detail: fmt.Sprintf("%+v", reqs), state: state}
	op.run = func(s *side) (string, error) {
		text := ""
		for _, o := range s.store.DeleteMany(c.ctx, reqs) {
			if o.Err != nil && c.tolerated != nil && c.tolerated(o.Err) {
				return "", o.Err
			}
			text += withError("deleted", o.Err) + ";"
		}
		return text, nil
	}
	if c.tolerated != nil { // several keys may end in several ways: one at a time
		return c.delete()
	}
	return op
}

func (c *comparer) list() operation {
	req := gateway.ListRequest{Bucket: c.bucket(), Max: 1 + c.rnd.IntN(6)}
	k := c.key()
	if c.chance(40) {
		req.Prefix = k[:c.rnd.IntN(len(k)+1)]
	}
	if c.chance(60) {
		req.Delimiter = pick(c, "/", "//", "a", "%2F")
	}
	if c.chance(40) {
		req.After = c.key()
		req.SkipPrefix = c.chance(30)
	}
	return operation{name: "list", detail: fmt.Sprintf("%+v", req), run: func(s *side) (string, error) {
		text, page := "", req
		for range 3 { // pages that follow each other
			res, err := s.store.List(c.ctx, page)
			if err != nil {
				return text, err
			}
			text += viewList(res)
			if !res.Truncated {
				break
			}
			page.After, page.SkipPrefix = res.Next, res.NextIsPrefix
		}
		return text, nil
	}}
}

func (c *comparer) copy() operation {
	b, k := c.bucket(), c.key()
	from := gateway.GetRequest{Bucket: c.bucket(), Key: c.key()}
	if c.chance(20) {
		from.Bucket, from.Key = b, k
	}
	from.If = c.readCondition(from.Bucket, from.Key)
	req := gateway.CopyRequest{Source: from, Bucket: b, Key: k, ReplaceHeaders: c.chance(40), ReplaceTags: c.chance(20)}
	if c.chance(20) {
		req.Algorithm = pick(c, checksum.Algorithms()...)
	}
	if c.chance(20) {
		req.If = c.writeCondition(b, k)
	}
	a := c.attributes()
	if req.ReplaceHeaders {
		req.Headers = a.Headers
	}
	if req.ReplaceTags {
		req.Tags = a.Tags
	}
	detail := fmt.Sprintf("%s %q to %s %q headers %v tags %v sum %q if %+v %+v", from.Bucket, from.Key, b, k, req.ReplaceHeaders, req.ReplaceTags, req.Algorithm, from.If, req.If)
	return operation{name: "copy", detail: detail, state: c.objectState(b, k), run: func(s *side) (string, error) {
		stored, err := s.store.Copy(c.ctx, req)
		return viewVersion(stored.Version), err
	}}
}
