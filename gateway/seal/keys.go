package seal

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/cairn-store/cairn"
)

// FirstEpoch is the key epoch of a new owner.
const FirstEpoch cairn.KeyEpoch = 1

const (
	// maxNodeKeys bounds the cache of derived node keys.
	maxNodeKeys = 4096
	// maxEpochs bounds the cache of derived epoch keys.
	maxEpochs = 64
)

// Keys are an owner's keys, without the phrase they came from. They print as a
// placeholder.
type Keys struct {
	purposes [purposes][32]byte
	owner    [32]byte
	epoch    cairn.KeyEpoch
	cache    *keyCache // shared by all epochs of the same keys
}

// keyCache holds what is dear to derive and cheap to keep.
type keyCache struct {
	mu     sync.Mutex // guards the fields below; not held while deriving
	nodes  map[cairn.NodeID]ed25519.PrivateKey
	epochs map[cairn.KeyEpoch]epochKeys
}

// epochKeys are the sealing keys of one epoch.
type epochKeys struct{ wrap, manifest [32]byte }

func newKeys(p [purposes][32]byte, epoch cairn.KeyEpoch) *Keys {
	return &Keys{
		purposes: p,
		owner:    derive(p[pathOwner][:], labelOwner),
		epoch:    epoch,
		cache: &keyCache{
			nodes:  make(map[cairn.NodeID]ed25519.PrivateKey),
			epochs: make(map[cairn.KeyEpoch]epochKeys),
		},
	}
}

// Owner returns the id frames authenticate. Nodes never see it.
func (k *Keys) Owner() [32]byte { return k.owner }

// Epoch returns the epoch new content keys and manifests are sealed under.
// What earlier epochs sealed opens all the same.
func (k *Keys) Epoch() cairn.KeyEpoch { return k.epoch }

// AtEpoch returns the same keys, sealing under another epoch.
// Requires epoch >= FirstEpoch.
func (k *Keys) AtEpoch(epoch cairn.KeyEpoch) *Keys {
	next := *k
	next.epoch = max(epoch, FirstEpoch)
	return &next
}

// NodeKey returns the owner's signing key at a node. cairn.Tag of its public
// half is the owner's tag there.
func (k *Keys) NodeKey(node cairn.NodeID) ed25519.PrivateKey {
	k.cache.mu.Lock()
	key, ok := k.cache.nodes[node]
	k.cache.mu.Unlock()
	if ok {
		return key
	}
	seed := derive(k.purposes[pathNodes][:], labelNode, node[:])
	key = ed25519.NewKeyFromSeed(seed[:])
	k.cache.mu.Lock()
	defer k.cache.mu.Unlock()
	if len(k.cache.nodes) >= maxNodeKeys {
		clear(k.cache.nodes) // cheaper than keeping an order nobody needs
	}
	k.cache.nodes[node] = key
	return key
}

func (k *Keys) epochKeys(epoch cairn.KeyEpoch) epochKeys {
	k.cache.mu.Lock()
	keys, ok := k.cache.epochs[epoch]
	k.cache.mu.Unlock()
	if ok {
		return keys
	}
	root, number := k.purposes[pathSealing][:], uint32Bytes(uint32(epoch))
	keys = epochKeys{wrap: derive(root, labelWrap, number), manifest: derive(root, labelManifest, number)}
	k.cache.mu.Lock()
	defer k.cache.mu.Unlock()
	if len(k.cache.epochs) >= maxEpochs {
		clear(k.cache.epochs)
	}
	k.cache.epochs[epoch] = keys
	return keys
}

// CatalogKey returns the key that protects the catalog's files.
func (k *Keys) CatalogKey() [32]byte { return derive(k.purposes[pathCatalog][:], labelCatalog) }

// TokenKey returns the HMAC key of list tokens.
func (k *Keys) TokenKey() [32]byte { return derive(k.purposes[pathTokens][:], labelToken) }

// Lengths of S3 credentials, as clients know them from AWS.
const (
	accessKeyLen    = 20
	secretKeyLen    = 40
	accessKeyPrefix = "CAIRN"
)

const (
	accessAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// S3Credential returns the owner's n-th S3 credential, the same after every
// recovery. The secret has letters and digits only, so that no shell, URL or
// configuration file needs to quote it.
func (k *Keys) S3Credential(n uint32) (accessKey, secretKey string) {
	// 512 bytes hold 40 that are below 4*62 but for odds of less than 2^-1000.
	stream := deriveBytes(k.purposes[pathAccess][:], nil, 512, labelAccess, uint32Bytes(n))
	access := []byte(accessKeyPrefix)
	for ; len(access) < accessKeyLen; stream = stream[1:] {
		access = append(access, accessAlphabet[stream[0]%32])
	}
	var secret []byte
	for ; len(secret) < secretKeyLen; stream = stream[1:] {
		if stream[0] < 4*62 { // unbiased
			secret = append(secret, secretAlphabet[stream[0]%62])
		}
	}
	return string(access), string(secret)
}

const hiddenKeys = "[owner keys]"

// String returns a placeholder.
func (k *Keys) String() string { return hiddenKeys }

// GoString returns a placeholder.
func (k *Keys) GoString() string { return hiddenKeys }

// Format writes a placeholder, whatever the verb.
func (k *Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenKeys) }

// LogValue returns a placeholder.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(hiddenKeys) }

// MarshalText returns a placeholder.
func (k *Keys) MarshalText() ([]byte, error) { return []byte(hiddenKeys), nil }
