package apitest

import (
	"fmt"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/checksum"
)

// pending is an upload of the run: by its place in the sides' lists.
type pending struct {
	place       int
	bucket, key string
	algorithm   string
	complete    bool // a retry of its completion is due
	parts       []gateway.CompletedPart
}

func (c *comparer) createUpload() operation {
	b, k := c.bucket(), c.key()
	req := gateway.CreateUploadRequest{Bucket: b, Key: k, Attributes: c.attributes()}
	if c.chance(60) {
		req.Algorithm = pick(c, checksum.Algorithms()...)
	}
	req.FullObject = checksum.FullObject(req.Algorithm, checksum.Combines(req.Algorithm) && c.chance(50))
	p := &pending{place: len(c.model.uploads), bucket: b, key: k, algorithm: req.Algorithm}
	return operation{
		name: "create upload", detail: fmt.Sprintf("%s %q %q full %v", b, k, req.Algorithm, req.FullObject),
		run: func(s *side) (string, error) {
			u, err := s.store.CreateUpload(c.ctx, req)
			if err != nil {
				return "", err
			}
			s.uploads = append(s.uploads, u.ID)
			if s == c.model {
				c.pending = append(c.pending, p)
			}
			return fmt.Sprintf("%s %q %q %q %v", u.Bucket, u.Key, u.Headers, u.Algorithm, u.FullObject), nil
		},
		state: c.uploadsState(b),
		undo: func(s *side) { // nobody knows the id of what may have been created
			res, err := s.store.ListUploads(c.ctx, gateway.ListUploadsRequest{Bucket: b, Max: 10_000})
			if err != nil {
				return
			}
			for _, u := range res.Uploads {
				if s.place(u.ID) == "-1" {
					_ = s.store.AbortUpload(c.ctx, gateway.UploadRef{Bucket: b, Key: u.Key, UploadID: u.ID}) // best effort; a leftover shows up as a difference
				}
			}
		},
	}
}

func (c *comparer) uploadsState(b string) func(*side) (string, error) {
	return func(s *side) (string, error) {
		res, err := s.store.ListUploads(c.ctx, gateway.ListUploadsRequest{Bucket: b, Max: 10_000})
		return s.viewUploads(res), err
	}
}

// somePending returns an upload, possibly of the past, possibly none.
func (c *comparer) somePending() (*pending, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	if c.chance(80) { // the latest is the one most likely to be open
		return c.pending[len(c.pending)-1], true
	}
	return pick(c, c.pending...), true
}

func (p *pending) ref(s *side) gateway.UploadRef {
	return gateway.UploadRef{Bucket: p.bucket, Key: p.key, UploadID: s.uploads[p.place]}
}

func (c *comparer) partsState(p *pending) func(*side) (string, error) {
	return func(s *side) (string, error) {
		res, err := s.store.ListParts(c.ctx, gateway.ListPartsRequest{UploadRef: p.ref(s), Max: 1000})
		return viewParts(res.Parts), err
	}
}

func (c *comparer) putPart() operation {
	p, ok := c.somePending()
	if !ok {
		return c.createUpload()
	}
	size := c.minPart + pick(c, 0, 1, 65_520)
	if c.chance(30) {
		size = pick(c, 0, 1, 1000)
	}
	u, n := c.newUpload(size), 1+c.rnd.IntN(4)
	if c.chance(80) && u.said.Algorithm != "" && p.algorithm != "" {
		u.said.Algorithm = p.algorithm
		claim := checksum.Of(p.algorithm, u.data)
		u.said.Expected = func() (string, error) { return claim, nil }
	}
	return operation{name: "put part", detail: fmt.Sprintf("%d of upload %d: %v", n, p.place, u), state: c.partsState(p), run: func(s *side) (string, error) {
		ref := p.ref(s)
		info, err := s.store.PutPart(c.ctx, gateway.PutPartRequest{Bucket: ref.Bucket, Key: ref.Key, UploadID: ref.UploadID, Number: n, Digests: u.said, Body: u.body(), Size: u.size})
		return viewParts([]gateway.PartInfo{info}), err
	}}
}

func (c *comparer) copyPart() operation {
	p, ok := c.somePending()
	if !ok {
		return c.createUpload()
	}
	from := gateway.GetRequest{Bucket: c.bucket(), Key: c.key()}
	from.If = c.readCondition(from.Bucket, from.Key)
	if c.chance(60) {
		first := int64(c.rnd.IntN(1000))
		from.Range = &gateway.Range{First: first, Last: first + int64(pick(c, 0, 10, 65_520, 100_000))}
	}
	n := 1 + c.rnd.IntN(4)
	return operation{name: "copy part", detail: fmt.Sprintf("%d of upload %d: %+v", n, p.place, from), state: c.partsState(p), run: func(s *side) (string, error) {
		ref := p.ref(s)
		info, err := s.store.CopyPart(c.ctx, gateway.CopyPartRequest{Source: from, Bucket: ref.Bucket, Key: ref.Key, UploadID: ref.UploadID, Number: n})
		return viewParts([]gateway.PartInfo{info}), err
	}}
}

func (c *comparer) completeUpload() operation {
	p, ok := c.somePending()
	if !ok {
		return c.createUpload()
	}
	parts := p.parts // of a completion before
	if !p.complete {
		parts = nil
		res, err := c.model.store.ListParts(c.ctx, gateway.ListPartsRequest{UploadRef: p.ref(c.model), Max: 1000})
		for _, info := range res.Parts {
			if err == nil && (info.Size >= int64(c.minPart) || c.chance(50)) {
				parts = append(parts, gateway.CompletedPart{Number: info.Number, ETag: info.ETag})
			}
		}
	}
	if len(parts) == 0 && c.chance(90) {
		return c.putPart()
	}
	req := gateway.CompleteRequest{Bucket: p.bucket, Key: p.key, Parts: parts, Size: -1}
	if !p.complete && len(parts) > 0 && c.chance(10) {
		parts[c.rnd.IntN(len(parts))].ETag = fmt.Sprintf("%032x", c.step)
	}
	detail := fmt.Sprintf("upload %d, retry %v: %+v", p.place, p.complete, parts)
	objects, uploads := c.objectState(p.bucket, p.key), c.uploadsState(p.bucket)
	state := func(s *side) (string, error) {
		object, err := objects(s)
		if err != nil && c.tolerated != nil && c.tolerated(err) {
			return "", err
		}
		open, err2 := uploads(s)
		return withError(object, err) + open, err2
	}
	return operation{name: "complete upload", detail: detail, state: state, run: func(s *side) (string, error) {
		r := req
		r.UploadID = p.ref(s).UploadID
		stored, err := s.store.CompleteUpload(c.ctx, r)
		if err == nil && s == c.model {
			p.complete, p.parts = true, parts
		}
		return viewVersion(stored.Version), err
	}}
}

func (c *comparer) abortUpload() operation {
	p, ok := c.somePending()
	if !ok {
		return c.createUpload()
	}
	return operation{name: "abort upload", detail: fmt.Sprint(p.place), state: c.uploadsState(p.bucket), run: func(s *side) (string, error) {
		return "", s.store.AbortUpload(c.ctx, p.ref(s))
	}}
}

func (c *comparer) listParts() operation {
	p, ok := c.somePending()
	if !ok {
		return c.createUpload()
	}
	after, most := c.rnd.IntN(4), 1+c.rnd.IntN(4)
	return operation{name: "list parts", detail: fmt.Sprint(p.place, after, most), run: func(s *side) (string, error) {
		res, err := s.store.ListParts(c.ctx, gateway.ListPartsRequest{UploadRef: p.ref(s), After: after, Max: most})
		return fmt.Sprint(viewParts(res.Parts), res.Truncated, res.Upload.Algorithm, res.Upload.FullObject), err
	}}
}

func (c *comparer) listUploads() operation {
	req := gateway.ListUploadsRequest{Bucket: c.bucket(), Max: 1 + c.rnd.IntN(3)}
	if k := c.key(); c.chance(30) {
		req.Prefix = k[:c.rnd.IntN(len(k)+1)]
	}
	if c.chance(40) {
		req.Delimiter = "/"
	}
	return operation{name: "list uploads", detail: fmt.Sprintf("%+v", req), run: func(s *side) (string, error) {
		text, page := "", req
		for range 4 {
			res, err := s.store.ListUploads(c.ctx, page)
			if err != nil {
				return text, err
			}
			text += s.viewUploads(res)
			if !res.Truncated {
				break
			}
			page.AfterKey, page.AfterUpload, page.SkipPrefix = res.NextKey, res.NextUpload, res.NextIsPrefix
		}
		return text, nil
	}}
}
