package storagenode

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
)

// Config describes a Node.
type Config struct {
	// Key is the node's key; LoadKey reads it. Required.
	Key ed25519.PrivateKey
	// Dir is the node's directory. Required, unless ShardDir is set.
	Dir string
	// ShardDir holds the marker and the shards. Empty means Dir.
	ShardDir string
	// CapacityBytes bounds what the node keeps. Zero means what the disk has.
	CapacityBytes int64

	// What the node says of itself.
	FailureDomain string // empty means the node's id
	Operator      string
	Region        string
	Version       string

	// MaxUploads bounds the uploads open at once; each holds a buffer of 1 MiB.
	// Zero means 256.
	MaxUploads int
	// MaxSmallBytes bounds the records of PutRecord being written at once.
	// Zero means 64 MiB.
	MaxSmallBytes int64
	// UploadIdle is how long an upload may stand still before it is given up.
	// Zero means one minute.
	UploadIdle time.Duration
	// CheckInterval is the pause between two looks at the marker, at idle
	// uploads and at what could be compacted. Zero means five seconds.
	CheckInterval time.Duration

	// FS is the filesystem. Nil means the machine's.
	FS durable.FS
	// Now returns the time. Nil means time.Now.
	Now func() time.Time
	// Log receives changes of state. Nil discards them.
	Log *slog.Logger
	// Registerer receives the node's metrics. Nil keeps them private.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() (Config, error) {
	const op = "open node"
	if len(c.Key) != ed25519.PrivateKeySize {
		return c, cairn.NewError(op, cairn.Invalid, errors.New("no node key given"))
	}
	if c.ShardDir == "" {
		c.ShardDir = c.Dir
	}
	if c.ShardDir == "" {
		return c, cairn.NewError(op, cairn.Invalid, errors.New("no directory given"))
	}
	c.ShardDir = filepath.Clean(c.ShardDir)
	if c.CapacityBytes < 0 || c.MaxUploads < 0 || c.MaxSmallBytes < 0 || c.UploadIdle < 0 || c.CheckInterval < 0 {
		return c, cairn.NewError(op, cairn.Invalid, errors.New("a limit is negative"))
	}
	c.MaxUploads = orDefault(c.MaxUploads, 256)
	c.MaxSmallBytes = orDefault(c.MaxSmallBytes, 64<<20)
	c.UploadIdle = orDefault(c.UploadIdle, time.Minute)
	c.CheckInterval = orDefault(c.CheckInterval, 5*time.Second)
	if c.FS == nil {
		c.FS = durable.OS{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.FailureDomain == "" {
		c.FailureDomain = nodeID(c.Key).Short()
	}
	return c, nil
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func nodeID(key ed25519.PrivateKey) cairn.NodeID {
	return cairn.NodeID(key.Public().(ed25519.PublicKey))
}
