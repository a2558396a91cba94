package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/secretfile"
)

// home is the directory of an owner on this machine:
//
//	owner.key            keys, sealed under a passphrase if there is one
//	credentials.env      the first S3 key, made anew from owner.key
//	recovery-phrase.txt  written by "up" on its first run, to be moved away
//	catalog/             the index of everything, made anew by "recover"
//	nodes.set            nodes known
//	tls/                 our own certificate authority
//	nodes/N/             nodes of "up"
//	control.sock, lock   of the running process
//
// An owner exists once owner.key does; it is written last.
type home string

func (h home) path(name ...string) string {
	return filepath.Join(append([]string{string(h)}, name...)...)
}

func (h home) ownerKey() string    { return h.path("owner.key") }
func (h home) phraseFile() string  { return h.path("recovery-phrase.txt") }
func (h home) credentials() string { return h.path("credentials.env") }
func (h home) nodeSet() string     { return h.path("nodes.set") }
func (h home) tlsDir() string      { return h.path("tls") }
func (h home) catalogDir() string  { return h.path("catalog") }

// nodeDir is the directory of one of the nodes that "up" runs.
func (h home) nodeDir(i int) string { return h.path("nodes", fmt.Sprint(i)) }

// hasOwner reports whether an owner was made or recovered here.
func (h home) hasOwner() (bool, error) {
	_, err := os.Stat(h.ownerKey())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for owner: %w", err)
	}
	return true, nil
}

// wantNoOwner returns an Exists error if there is an owner.
func (h home) wantNoOwner() error {
	has, err := h.hasOwner()
	if err == nil && has {
		return cairn.Errorf("use "+string(h), cairn.Exists, "there is an owner in it already").
			WithHint("choose another --dir; an owner's keys are never overwritten")
	}
	return err
}

// keys loads the owner's keys. passphraseFile may be empty.
func (h home) keys(passphraseFile string) (*seal.Keys, error) {
	has, err := h.hasOwner()
	if err != nil {
		return nil, err
	}
	if !has {
		return nil, cairn.Errorf("load owner keys", cairn.NotFound, "there is no owner in %s", string(h)).
			WithHint("make one with cairn init, or bring one back with cairn recover")
	}
	passphrase, err := readPassphrase(passphraseFile)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	return seal.Load(h.ownerKey(), passphrase)
}

// maxSecret bounds phrase and passphrase files.
const maxSecret = 4 << 10

// readPassphrase returns the first line of a file, or nil if path is empty.
func readPassphrase(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := secretfile.Read(path, maxSecret)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, cairn.Errorf("read passphrase", cairn.Invalid, "the first line of %s is empty", path)
	}
	return line, nil
}

// readPhrase returns the recovery phrase in a file, checked. Lines that start
// with # are not part of it.
func readPhrase(path string) (string, error) {
	b, err := secretfile.Read(path, maxSecret)
	if err != nil {
		return "", err
	}
	defer clear(b)
	var words []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			words = append(words, line)
		}
	}
	return seal.CheckPhrase(strings.Join(words, " "))
}

const phraseNote = `# Recovery phrase of a Cairn owner: %d words that are enough to bring everything
# back, for whoever has them. Move this file to a safe place off this machine.
`

// writePhrase creates the file of a recovery phrase; it never overwrites.
func writePhrase(path, phrase string) error {
	return secretfile.Create(path, fmt.Appendf(nil, phraseNote+"%s\n", seal.PhraseWords, phrase))
}

// access is what credentials.env says beside the keys.
type access struct {
	Endpoint string // URL
	Region   string
	CAFile   string // "" unless clients have to trust our own authority
}

const credentialsNote = `# S3 access of this Cairn owner, written anew by cairn. Keep it private.
# In a shell:  set -a; . %s; set +a
`

// writeCredentials writes credentials.env if it does not say so already.
func (h home) writeCredentials(keys *seal.Keys, a access) error {
	accessKey, secretKey := keys.S3Credential(0)
	var b bytes.Buffer
	fmt.Fprintf(&b, credentialsNote, h.credentials())
	for _, pair := range [][2]string{
		{"AWS_ACCESS_KEY_ID", accessKey},
		{"AWS_SECRET_ACCESS_KEY", secretKey},
		{"AWS_ENDPOINT_URL", a.Endpoint},
		{"AWS_REGION", a.Region},
		{"AWS_DEFAULT_REGION", a.Region}, // what boto3 reads
		{"AWS_CA_BUNDLE", a.CAFile},
	} {
		if pair[1] == "" {
			continue
		}
		if strings.ContainsAny(pair[1], "'\n") {
			return cairn.Errorf("write credentials", cairn.Invalid, "%s holds a quote or a line break", pair[0])
		}
		fmt.Fprintf(&b, "%s=%s\n", pair[0], quoted(pair[1]))
	}
	have, err := secretfile.Read(h.credentials(), maxSecret)
	if err == nil && bytes.Equal(have, b.Bytes()) {
		return nil
	}
	return secretfile.Replace(h.credentials(), b.Bytes())
}

// quoted quotes what a shell would not take as it is.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || r == ':' || r == '/' || r == '[' || r == ']' ||
			r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + s + "'"
}
