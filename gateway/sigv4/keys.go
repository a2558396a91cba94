package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
)

// Secret is a secret access key. It does not show itself in logs or errors.
type Secret string

// String hides the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[secret]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// scope is what a signing key is good for: one day, region and service.
type scope struct {
	date    string // YYYYMMDD
	region  string
	service string
}

func (s scope) String() string {
	return s.date + "/" + s.region + "/" + s.service + "/" + terminator
}

// signingKey is what requests of one scope are signed with. It is passed by
// pointer so that printing a struct that holds one does not print the key.
type signingKey [sha256.Size]byte

func deriveKey(secret Secret, s scope) *signingKey {
	key := append([]byte("AWS4"), secret...)
	for _, part := range [...]string{s.date, s.region, s.service, terminator} {
		key = mac(key, part)
	}
	return (*signingKey)(key)
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// sign returns the hexadecimal signature of a string to sign.
func (k *signingKey) sign(stringToSign []byte) string {
	var sum [sha256.Size]byte
	h := hmac.New(sha256.New, k[:])
	h.Write(stringToSign)
	return hex.EncodeToString(h.Sum(sum[:0]))
}

func equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// keyCache remembers derived keys. It has two generations: when the young one
// is full it becomes the old one and the old one is forgotten, so the cache
// holds at most 2*limit keys and a used key survives.
type keyCache struct {
	limit int

	mu         sync.Mutex // guards young and old
	young, old map[keyName]cachedKey
}

type keyName struct {
	accessKey string
	scope     scope
}

// clone copies the strings, which are otherwise parts of whole headers.
func (n keyName) clone() keyName {
	return keyName{strings.Clone(n.accessKey),
		scope{strings.Clone(n.scope.date), strings.Clone(n.scope.region), strings.Clone(n.scope.service)}}
}

type cachedKey struct {
	secret Secret // the key was derived from this one; secrets can be replaced
	key    *signingKey
}

// get returns the signing key, deriving it if needed.
func (c *keyCache) get(accessKey string, secret Secret, s scope) *signingKey {
	name := keyName{accessKey, s}
	c.mu.Lock()
	got, ok := c.young[name]
	if !ok {
		got, ok = c.old[name]
		if ok {
			c.put(name, got)
		}
	}
	c.mu.Unlock()
	if ok && equal(string(got.secret), string(secret)) {
		return got.key
	}
	got = cachedKey{secret: secret, key: deriveKey(secret, s)}
	name = name.clone()
	c.mu.Lock()
	c.put(name, got)
	c.mu.Unlock()
	return got.key
}

// put is called with mu held.
func (c *keyCache) put(name keyName, k cachedKey) {
	if c.young == nil || len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[keyName]cachedKey)
	}
	c.young[name] = k
}
