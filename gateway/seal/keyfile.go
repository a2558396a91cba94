package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
)

// The owner key file; docs/formats/owner-key.md has the table in full.
//
//	offset  bytes
//	0       8      "CAIRNKEY"
//	8       2      format, 1                     (all numbers little-endian)
//	10      1      protection: 0 none, 1 Argon2id and XChaCha20-Poly1305
//	11      1      Argon2id lanes                (0 without protection, as are
//	12      4      Argon2id passes                the next three)
//	16      4      Argon2id memory, KiB
//	20      32     salt
//	52      32     commitment to the passphrase's key; without protection SHA-256 of the rest
//	84      …      body: epoch 4, then 6 purpose keys of 32; with protection sealed, 16 longer
const (
	fileMagic    = "CAIRNKEY"
	fileFormat   = 1
	fileOpen     = 0
	fileArgon2id = 1
	fileSalt     = 20
	fileCommit   = 52
	fileBody     = 84
	bodySize     = 4 + purposes*32
	fileMaxSize  = fileBody + bodySize + chacha20poly1305.Overhead
)

// Cost of a passphrase, RFC 9106's choice for machines with little memory, and
// what a file may ask of whoever opens it.
const (
	argonPasses    = 3
	argonMemoryKiB = 64 << 10
	argonLanes     = 4

	maxArgonPasses    = 32
	maxArgonMemoryKiB = 1 << 20
	maxArgonLanes     = 64
)

// Save writes the keys to an owner key file with mode 0600, replacing the file
// at path in one step; it is on stable storage on return. An empty passphrase
// leaves the keys in the clear, guarded by the file's mode alone.
func (k *Keys) Save(path string, passphrase []byte) error {
	content := k.encodeFile(passphrase)
	defer clear(content)
	if err := durable.WriteFileAtomic(durable.OS{}, path, content); err != nil {
		return fmt.Errorf("save owner keys: %w", err)
	}
	return nil
}

func (k *Keys) encodeFile(passphrase []byte) []byte {
	body := binary.LittleEndian.AppendUint32(make([]byte, 0, bodySize), uint32(k.epoch))
	for _, p := range k.purposes {
		body = append(body, p[:]...)
	}
	defer clear(body)
	b := make([]byte, fileBody, fileMaxSize)
	copy(b, fileMagic)
	binary.LittleEndian.PutUint16(b[8:], fileFormat)
	if len(passphrase) == 0 {
		b[10] = fileOpen
		b = append(b, body...)
		sum := fileSum(b)
		copy(b[fileCommit:], sum[:])
		return b
	}
	b[10], b[11] = fileArgon2id, argonLanes
	binary.LittleEndian.PutUint32(b[12:], argonPasses)
	binary.LittleEndian.PutUint32(b[16:], argonMemoryKiB)
	_, _ = rand.Read(b[fileSalt:fileCommit])
	key, commitment := fileKey(b, passphrase)
	defer clear(key[:])
	copy(b[fileCommit:], commitment[:])
	return fileAEAD(key).Seal(b, fileNonce[:], body, b[:fileBody])
}

// fileNonce may be constant: the salt makes each key seal one file.
var fileNonce [chacha20poly1305.NonceSizeX]byte

// fileKey returns the key a passphrase makes with the cost and salt in the
// head of a file, and the commitment that stands there.
func fileKey(head, passphrase []byte) (key, commitment [32]byte) {
	stretched := argon2.IDKey(passphrase, head[fileSalt:fileCommit],
		binary.LittleEndian.Uint32(head[12:]), binary.LittleEndian.Uint32(head[16:]), head[11], 32)
	defer clear(stretched)
	return derive(stretched, labelFileKey), derive(stretched, labelFileSeal)
}

// fileSum is what stands in place of a commitment in an unprotected file.
func fileSum(b []byte) [32]byte {
	h := sha256.New()
	h.Write(b[:fileCommit])
	h.Write(b[fileBody:])
	return [32]byte(h.Sum(nil))
}

func fileAEAD(key [32]byte) interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
} {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic("seal: set up XChaCha20-Poly1305: " + err.Error())
	}
	return aead
}

// Load reads what Save wrote. A file that others may read, or a wrong
// passphrase, is a Denied error; a damaged file is Corrupt.
func Load(path string, passphrase []byte) (*Keys, error) {
	content, err := readPrivateFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	return decodeFile(content, passphrase)
}

func decodeFile(b, passphrase []byte) (*Keys, error) {
	const op = "load owner keys"
	if len(b) < fileBody || string(b[:8]) != fileMagic {
		return nil, cairn.Errorf(op, cairn.Corrupt, "not an owner key file")
	}
	if format := binary.LittleEndian.Uint16(b[8:]); format != fileFormat {
		return nil, cairn.Errorf(op, cairn.Invalid, "format %d is not known to this version", format)
	}
	switch b[10] {
	case fileOpen:
		sum := fileSum(b)
		if len(b) != fileBody+bodySize || subtle.ConstantTimeCompare(sum[:], b[fileCommit:fileBody]) != 1 {
			return nil, cairn.Errorf(op, cairn.Corrupt, "checksum does not match")
		}
		return decodeBody(b[fileBody:])
	case fileArgon2id:
		return openFile(b, passphrase)
	}
	return nil, cairn.Errorf(op, cairn.Invalid, "protection %d is not known to this version", b[10])
}

// openFile opens a file under a passphrase.
func openFile(b, passphrase []byte) (*Keys, error) {
	const op = "load owner keys"
	lanes, passes, memory := b[11], binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[16:])
	switch {
	case len(passphrase) == 0:
		return nil, cairn.Errorf(op, cairn.Denied, "the file is protected by a passphrase").WithHint("give the passphrase of the owner key file")
	case lanes == 0 || lanes > maxArgonLanes || passes == 0 || passes > maxArgonPasses || memory > maxArgonMemoryKiB:
		return nil, cairn.Errorf(op, cairn.Invalid, "a cost of %d passes over %d KiB in %d lanes is out of bounds", passes, memory, lanes)
	}
	key, commitment := fileKey(b, passphrase)
	defer clear(key[:])
	if subtle.ConstantTimeCompare(commitment[:], b[fileCommit:fileBody]) != 1 {
		return nil, cairn.Errorf(op, cairn.Denied, "the passphrase is wrong, or the head of the file is damaged")
	}
	body, err := fileAEAD(key).Open(nil, fileNonce[:], b[fileBody:], b[:fileBody])
	if err != nil {
		return nil, cairn.Errorf(op, cairn.Corrupt, "the passphrase is right and the file is damaged").
			WithHint("make the file anew from the recovery phrase")
	}
	defer clear(body)
	return decodeBody(body)
}

func decodeBody(body []byte) (*Keys, error) {
	if len(body) != bodySize {
		return nil, cairn.Errorf("load owner keys", cairn.Corrupt, "%d bytes of keys, want %d", len(body), bodySize)
	}
	epoch := cairn.KeyEpoch(binary.LittleEndian.Uint32(body))
	if epoch < FirstEpoch {
		return nil, cairn.Errorf("load owner keys", cairn.Corrupt, "key epoch %d", epoch)
	}
	var p [purposes][32]byte
	for i := range p {
		copy(p[i][:], body[4+32*i:])
	}
	return newKeys(p, epoch), nil
}

// readPrivateFile reads a small regular file that nobody but its owner may
// open. systemd hands credentials to a service through an access list that
// shows as group-readable, so inside $CREDENTIALS_DIRECTORY that is allowed.
func readPrivateFile(path string) ([]byte, error) {
	const op = "load owner keys"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cairn.NewError(op, cairn.NotFound, err)
	}
	if err != nil {
		return nil, fmt.Errorf("load owner keys: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load owner keys: %w", err)
	}
	others := fs.FileMode(0o077)
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		others = 0o037
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, cairn.Errorf(op, cairn.Invalid, "%s is not a regular file", path)
	case info.Mode().Perm()&others != 0:
		return nil, cairn.Errorf(op, cairn.Denied, "%s has mode %04o: others may open it", path, info.Mode().Perm()).
			WithHint("chmod 600 " + path)
	case info.Size() > fileMaxSize:
		return nil, cairn.Errorf(op, cairn.Corrupt, "%s is too long for an owner key file", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, fileMaxSize))
	if err != nil {
		return nil, fmt.Errorf("load owner keys: %w", err)
	}
	return content, nil
}
