package s3api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn/gateway/sigv4"
)

// Config says what a Handler serves and how much it puts up with.
type Config struct {
	// Store keeps the data. It is required.
	Store Store
	// Verifier checks signatures. It is required.
	Verifier *sigv4.Verifier
	// Region is where the buckets are. Empty means us-east-1. It should be the
	// region of Verifier.
	Region string
	// Domains are host names without port under which "bucket.domain"
	// addresses a bucket. Every other host addresses buckets by path.
	Domains []string
	// OwnerID and OwnerName are shown as the owner of everything. Empty means
	// "cairn".
	OwnerID, OwnerName string
	// TokenKey authenticates continuation tokens. Empty means a random key, so
	// that tokens end with the process.
	TokenKey []byte

	// MaxRequests bounds the requests served at once; more are told to slow
	// down. Zero means 512.
	MaxRequests int
	// Patience is how long a client may take to send or to accept the next
	// bytes of a body. Zero means one minute.
	Patience time.Duration
	// KeepAlive is how long a copy or a completion may take before blanks are
	// sent so that the client keeps waiting. Zero means ten seconds.
	KeepAlive time.Duration

	// Log receives what needs attention. Nil discards.
	Log *slog.Logger
	// Registerer receives the metrics. Nil means none are kept.
	Registerer prometheus.Registerer
}

const (
	maxXML          = 2 << 20 // bytes of a request document
	maxHeaderBytes  = 16 << 10
	maxMetadata     = 2 << 10 // names and values of x-amz-meta-*
	maxPutSize      = 5 << 30
	maxObjectSize   = 5 << 40
	maxListing      = 1000
	maxBuckets      = 10_000
	maxDeletes      = 1000
	maxTags         = 10
	maxBucketTags   = 50
	maxUploadID     = 1024
	minPartSize     = 5 << 20  // of every part but the last
	maxIgnoredBody  = 64 << 10 // of a request that needs no body
	minPatience     = 10 * time.Millisecond
	defaultRegion   = "us-east-1"
	defaultMimeType = "application/octet-stream"
)

func (c *Config) validate() error {
	switch {
	case c.Store == nil:
		return errors.New("s3api: Config.Store is nil")
	case c.Verifier == nil:
		return errors.New("s3api: Config.Verifier is nil")
	case c.MaxRequests < 0:
		return fmt.Errorf("s3api: Config.MaxRequests is %d, want 0 or more", c.MaxRequests)
	case c.Patience < 0 || c.Patience > 0 && c.Patience < minPatience:
		return fmt.Errorf("s3api: Config.Patience is %v, want 0 or at least %v", c.Patience, minPatience)
	case c.KeepAlive < 0:
		return fmt.Errorf("s3api: Config.KeepAlive is %v, want 0 or more", c.KeepAlive)
	}
	domains := make([]string, len(c.Domains))
	for i, d := range c.Domains {
		domains[i] = strings.ToLower(strings.TrimSuffix(d, "."))
		if domains[i] == "" || strings.ContainsAny(domains[i], ":/ ") {
			return fmt.Errorf("s3api: Config.Domains has %q, want a host name without port", d)
		}
	}
	c.Domains = domains
	c.fillDefaults()
	return nil
}

func (c *Config) fillDefaults() {
	if c.Region == "" {
		c.Region = defaultRegion
	}
	if c.OwnerID == "" {
		c.OwnerID = "cairn"
	}
	if c.OwnerName == "" {
		c.OwnerName = "cairn"
	}
	if len(c.TokenKey) == 0 {
		c.TokenKey = []byte(rand.Text())
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 512
	}
	if c.Patience == 0 {
		c.Patience = time.Minute
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
