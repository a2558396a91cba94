package apitest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/s3api"
)

// viewVersion describes what a client can see of a version. Ids and times differ
// between stores.
func viewVersion(v *cairn.Version) string {
	if v == nil {
		return "no version"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%q %d bytes etag %s class %q marker %v null %v headers %q tags %q sums %v parts",
		v.Key, v.Size, v.ETag, v.StorageClass, v.Marker, v.Null, v.Headers, v.Tags, v.Checksums)
	for _, p := range v.Parts {
		fmt.Fprintf(&b, " %d:%d:%s", p.Number, p.Size, p.ETag)
	}
	return b.String()
}

func viewBytes(b []byte) string { return fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b)) }

// get reads an object or says why not. What was written before an error counts
// too: it must be a beginning of the truth, which the caller cannot see here, so
// it is only told how the read ended.
func get(ctx context.Context, s s3api.Store, req gateway.GetRequest) (string, error) {
	o, err := s.Get(ctx, req)
	if err != nil {
		return "", err
	}
	var data bytes.Buffer
	n, err := o.Body.WriteTo(&data)
	if cerr := o.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	if n != o.Length || int64(data.Len()) != o.Length {
		return "", fmt.Errorf("object of %d bytes wrote %d and said %d", o.Length, data.Len(), n)
	}
	return fmt.Sprintf("from %d partial %v parts %d: %s of %s", o.Offset, o.Partial, o.Parts, viewBytes(data.Bytes()), viewVersion(o.Version)), nil
}

func viewList(res gateway.ListResult) string {
	var b strings.Builder
	for _, v := range res.Versions {
		fmt.Fprintf(&b, "\n  %q %d %s %v", v.Key, v.Size, v.ETag, v.Checksums)
	}
	fmt.Fprintf(&b, "\n  prefixes %q truncated %v", res.Prefixes, res.Truncated)
	if res.Truncated {
		fmt.Fprintf(&b, " next %q prefix %v", res.Next, res.NextIsPrefix)
	}
	return b.String()
}

func viewParts(parts []gateway.PartInfo) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, " %d:%d:%s:%v", p.Number, p.Size, p.ETag, p.Checksums)
	}
	return b.String()
}

// place names an upload by its place in the side's list.
func (s *side) place(id string) string {
	if id == "" {
		return "-"
	}
	return fmt.Sprint(slices.Index(s.uploads, id))
}

func (s *side) viewUploads(res gateway.ListUploadsResult) string {
	var b strings.Builder
	for _, u := range res.Uploads {
		fmt.Fprintf(&b, " %q %s %q %q %v %q", u.Key, s.place(u.ID), u.Headers, u.Algorithm, u.FullObject, u.StorageClass)
	}
	fmt.Fprintf(&b, " prefixes %q truncated %v", res.Prefixes, res.Truncated)
	if res.Truncated {
		fmt.Fprintf(&b, " next %q %s prefix %v", res.NextKey, s.place(res.NextUpload), res.NextIsPrefix)
	}
	return b.String()
}
