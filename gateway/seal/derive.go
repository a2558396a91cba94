package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
)

// Hardened BIP-32 path m/appPath'/purpose'. The numbers are part of the
// format: another number is another key.
const (
	appPath = 0x4341524e // "CARN", so that no wallet's path meets ours

	pathSealing = 0 // content keys and manifests
	pathNodes   = 1 // the owner's signing key at each node
	pathAccess  = 2 // S3 credentials
	pathCatalog = 3 // the catalog's files
	pathTokens  = 4 // list tokens
	pathOwner   = 5 // the owner id frames authenticate
	// 6 is kept for the ledger account.
	purposes = 6
)

// HKDF-SHA256 labels. Each derives one kind of key from one kind of secret.
const (
	labelOwner    = "cairn/1 owner id"
	labelNode     = "cairn/1 owner key at node"
	labelAccess   = "cairn/1 s3 credential"
	labelCatalog  = "cairn/1 catalog key"
	labelToken    = "cairn/1 list token key"
	labelWrap     = "cairn/1 epoch wrap key"
	labelManifest = "cairn/1 epoch manifest key"
	labelBox      = "cairn/1 box key"
	labelCommit   = "cairn/1 box commitment"
	labelFrames   = "cairn/1 segment frames"
	labelFrameKey = "cairn/1 frame key"
	labelMasks    = "cairn/1 segment masks"
	labelMaskKey  = "cairn/1 mask key"
	labelFileKey  = "cairn/1 key file key"
	labelFileSeal = "cairn/1 key file commitment"
)

// derive returns the 32-byte key that label and context make of secret. The
// parts of context have fixed lengths, so their concatenation is unambiguous.
func derive(secret []byte, label string, context ...[]byte) [32]byte {
	return [32]byte(deriveBytes(secret, nil, 32, label, context...))
}

func deriveBytes(secret, salt []byte, n int, label string, context ...[]byte) []byte {
	info := append([]byte(label), 0)
	for _, c := range context {
		info = append(info, c...)
	}
	key, err := hkdf.Key(sha256.New, secret, salt, string(info), n)
	if err != nil {
		panic("seal: derive a key: " + err.Error()) // n is a constant within HKDF's bounds
	}
	return key
}

func uint32Bytes(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// purposeKeys walks the hardened paths from a BIP-39 seed.
func purposeKeys(seed []byte) (keys [purposes][32]byte, err error) {
	master, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
	if err != nil {
		return keys, fmt.Errorf("derive the master key: %w", err)
	}
	defer master.Zero()
	app, err := master.Derive(hdkeychain.HardenedKeyStart + appPath)
	if err != nil {
		return keys, fmt.Errorf("derive the application key: %w", err)
	}
	defer app.Zero()
	for i := range keys {
		child, err := app.Derive(hdkeychain.HardenedKeyStart + uint32(i))
		if err != nil {
			return keys, fmt.Errorf("derive the key of purpose %d: %w", i, err)
		}
		private, err := child.ECPrivKey()
		if err != nil {
			return keys, fmt.Errorf("derive the key of purpose %d: %w", i, err)
		}
		copy(keys[i][:], private.Serialize())
		private.Zero()
		child.Zero()
	}
	return keys, nil
}
