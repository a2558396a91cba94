package storagenode

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
)

const (
	keyFile    = "node.key"
	markerFile = "volume"
	shardsDir  = "shards"

	keyBlock      = "PRIVATE KEY"
	markerPurpose = "cairn/volume/1\x00"
	maxSmallFile  = 4096
)

// Init makes a node in dir: its key, and the marker in shardDir (dir when
// empty). It answers Exists when either directory holds a node already, and
// overwrites nothing. fsys nil means the machine's filesystem.
//
// Order: the marker, then the key. A crash in between leaves a marker without
// shards, which the next Init replaces.
func Init(fsys durable.FS, dir, shardDir string) (ed25519.PrivateKey, error) {
	const op = "init node"
	if fsys == nil {
		fsys = durable.OS{}
	}
	if shardDir == "" {
		shardDir = dir
	}
	for _, name := range []string{filepath.Join(dir, keyFile), filepath.Join(shardDir, shardsDir)} {
		if _, err := fsys.Stat(name); err == nil {
			return nil, cairn.Errorf(op, cairn.Exists, "%s is there already", name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("init node: %w", err)
		}
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make node key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode node key: %w", err)
	}
	mark, err := newMarker(key, time.Now())
	if err != nil {
		return nil, err
	}
	for _, d := range []string{dir, shardDir} {
		if err := durable.MakeDir(fsys, d); err != nil {
			return nil, err
		}
	}
	if err := durable.WriteFileAtomic(fsys, filepath.Join(shardDir, markerFile), mark); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	return key, durable.WriteFileAtomic(fsys, filepath.Join(dir, keyFile), text)
}

// LoadKey reads the key that Init left in dir; NotFound when there is none.
func LoadKey(fsys durable.FS, dir string) (ed25519.PrivateKey, error) {
	const op = "load node key"
	if fsys == nil {
		fsys = durable.OS{}
	}
	name := filepath.Join(dir, keyFile)
	text, err := durable.ReadFile(fsys, name, maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cairn.NewError(op, cairn.NotFound, err).WithHint("run storagenode init first")
	}
	if err != nil {
		return nil, fmt.Errorf("load node key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyBlock {
		return nil, cairn.Errorf(op, cairn.Corrupt, "%s holds no private key", name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, cairn.Errorf(op, cairn.Corrupt, "%s holds no Ed25519 key", name)
	}
	return key, nil
}

// marker says whose volume a directory is.
type marker struct {
	Node      cairn.NodeID `json:"node"`
	Volume    string       `json:"volume"` // random, hexadecimal
	Created   int64        `json:"created"`
	Signature string       `json:"signature"` // hexadecimal
}

func (m marker) signed() []byte {
	return fmt.Appendf(nil, "%s%s %s %d", markerPurpose, m.Node, m.Volume, m.Created)
}

func newMarker(key ed25519.PrivateKey, now time.Time) ([]byte, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	m := marker{Node: nodeID(key), Volume: hex.EncodeToString(id[:]), Created: now.Unix()}
	m.Signature = hex.EncodeToString(ed25519.Sign(key, m.signed()))
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode marker: %w", err)
	}
	return append(b, '\n'), nil
}

// checkVolume returns an Unavailable error unless dir carries the marker of
// node.
func checkVolume(fsys durable.FS, dir string, node cairn.NodeID) error {
	const op = "check volume"
	name := filepath.Join(dir, markerFile)
	b, err := durable.ReadFile(fsys, name, maxSmallFile)
	if err != nil {
		return cairn.NewError(op, cairn.Unavailable, fmt.Errorf("volume missing: %w", err)).WithHint("is the disk mounted?")
	}
	var m marker
	if err := json.Unmarshal(b, &m); err != nil {
		return cairn.NewError(op, cairn.Unavailable, fmt.Errorf("marker %s: %w", name, err))
	}
	sig, err := hex.DecodeString(m.Signature)
	if err != nil || m.Node != node || !ed25519.Verify(node[:], m.signed(), sig) {
		return cairn.Errorf(op, cairn.Unavailable, "%s is the volume of another node", dir).
			WithHint("mount the right disk, or start the node it belongs to")
	}
	return nil
}
