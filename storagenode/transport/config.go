package transport

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is how a node serves. Only Key is required.
type Config struct {
	// Key is the node's identity; its public half is the NodeID.
	Key ed25519.PrivateKey

	// MaxConns bounds open connections. Zero means 1024.
	MaxConns int
	// MaxConnsPerIP bounds those from one IPv4 address or IPv6 /64 network.
	// Zero means 256.
	MaxConnsPerIP int
	// MaxInFlight bounds requests under way, uploads among them; more are
	// answered Unavailable. Zero means 512.
	MaxInFlight int
	// MaxBufferBytes bounds what requests hold in memory at once; more wait.
	// Zero means 256 MiB; at least 32 MiB.
	MaxBufferBytes int64

	// HandshakeTimeout bounds the time from accept to welcome. Zero means 10 s.
	HandshakeTimeout time.Duration
	// IdleTimeout closes a connection without a request. Zero means 5 min.
	IdleTimeout time.Duration
	// UploadIdleTimeout ends an upload whose client sends nothing: it may be
	// waiting for its own, slower client. Zero means 5 min.
	UploadIdleTimeout time.Duration
	// PaceTimeout bounds the time for each 64 KiB inside a message to arrive
	// and for each piece of a reply to leave. Zero means 20 s.
	PaceTimeout time.Duration
	// DrainTimeout bounds the wait for requests under way when the server
	// stops. Zero means 30 s.
	DrainTimeout time.Duration

	// Log may be nil.
	Log *slog.Logger
	// Metrics registers the server's metrics; nil does not.
	Metrics prometheus.Registerer
	// Now returns wall time; nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Key) != ed25519.PrivateKeySize {
		return c, errors.New("transport: Config.Key is not an Ed25519 key")
	}
	orInt(&c.MaxConns, 1024)
	orInt(&c.MaxConnsPerIP, 256)
	orInt(&c.MaxInFlight, 512)
	if c.MaxBufferBytes == 0 {
		c.MaxBufferBytes = 256 << 20
	}
	c.MaxBufferBytes = max(c.MaxBufferBytes, 32<<20)
	orDuration(&c.HandshakeTimeout, 10*time.Second)
	orDuration(&c.IdleTimeout, 5*time.Minute)
	orDuration(&c.UploadIdleTimeout, 5*time.Minute)
	orDuration(&c.PaceTimeout, 20*time.Second)
	orDuration(&c.DrainTimeout, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// ChannelConfig is how a client keeps connections to one node. The zero value
// works.
type ChannelConfig struct {
	// Dialer makes connections; nil means TCPDialer.
	Dialer Dialer
	// MaxConns bounds connections in use; more requests wait. Zero means 32.
	MaxConns int
	// MaxIdle bounds connections kept for later. Zero means MaxConns: to make
	// one costs more than many small requests, and IdleTimeout ends it.
	MaxIdle int
	// IdleTimeout closes a connection nobody used. Zero means 1 min; shorter
	// than the node's own, so that the node's close is rarely met.
	IdleTimeout time.Duration
	// MaxAge retires a connection, and with it its session. Zero means 30 min.
	MaxAge time.Duration
	// DialTimeout bounds the making of a connection. Zero means 10 s.
	DialTimeout time.Duration
	// Now returns wall time; nil means time.Now.
	Now func() time.Time
}

func (c ChannelConfig) withDefaults() ChannelConfig {
	if c.Dialer == nil {
		c.Dialer = TCPDialer{}
	}
	orInt(&c.MaxConns, 32)
	orInt(&c.MaxIdle, c.MaxConns)
	orDuration(&c.IdleTimeout, time.Minute)
	orDuration(&c.MaxAge, 30*time.Minute)
	orDuration(&c.DialTimeout, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func orInt(v *int, otherwise int) {
	if *v <= 0 {
		*v = otherwise
	}
}

func orDuration(v *time.Duration, otherwise time.Duration) {
	if *v <= 0 {
		*v = otherwise
	}
}
