package s3api

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
)

// Names of the documents that a bucket keeps.
const (
	corsSetting    = "cors"
	taggingSetting = "tagging"
	policySetting  = "policy"
	blockSetting   = "publicAccessBlock"
)

const (
	maxSetting       = 64 << 10 // bytes of a document as sent
	maxParsedSetting = 64       // documents remembered parsed, of each kind
)

// document returns one of this bucket's documents, "" if there is none.
func (c *call) document(name string) (string, error) { return c.documentOf(c.bucket, name) }

// documentOf returns "" also if there is no such bucket.
func (c *call) documentOf(bucket, name string) (string, error) {
	doc, err := c.cfg.Store.BucketSetting(c.ctx(), bucket, name)
	if errors.Is(err, gateway.ErrNoSuchSetting) || errors.Is(err, gateway.ErrNoSuchBucket) {
		return "", nil
	}
	return doc, err
}

// keepSetting stores a document of this bucket.
func (c *call) keepSetting(name, document string) error {
	return c.cfg.Store.PutBucketSetting(c.ctx(), c.bucket, name, document)
}

// removeSetting answers the deletion of a document, which succeeds when there
// is none.
func removeSetting(name string) func(*call) error {
	return func(c *call) error {
		if err := c.keepSetting(name, ""); err != nil {
			return err
		}
		c.done(http.StatusNoContent)
		return nil
	}
}

// showSetting answers with a document as it is stored.
func showSetting(name, missing string) func(*call) error {
	return func(c *call) error {
		doc, err := c.document(name)
		if err != nil {
			return err
		}
		if doc == "" {
			return fail(missing)
		}
		x := &xmlWriter{}
		x.b.WriteString(doc)
		return c.show(x)
	}
}

// parsed remembers what documents say, by their text, so that nothing can be
// out of date.
type parsed[T any] struct {
	mu   sync.Mutex // guards docs
	docs map[string]T
}

func (p *parsed[T]) get(document string, parse func(string) (T, error)) (T, error) {
	p.mu.Lock()
	v, ok := p.docs[document]
	p.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := parse(document)
	if err != nil {
		return v, cairn.NewError("read bucket setting", cairn.Corrupt, fmt.Errorf("stored document: %v", err)) // not the client's fault
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.docs == nil || len(p.docs) >= maxParsedSetting {
		p.docs = map[string]T{}
	}
	p.docs[document] = v
	return v, nil
}
