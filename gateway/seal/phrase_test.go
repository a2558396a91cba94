package seal

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
)

var update = flag.Bool("update", false, "rewrite the vectors")

func TestPhrasesAreForgivenTheirSpacing(t *testing.T) {
	messy := "  " + strings.ToUpper(strings.ReplaceAll(testPhrase, " ", "\n\t ")) + "\r\n"
	got, err := CheckPhrase(messy)
	if err != nil || got != testPhrase {
		t.Errorf("CheckPhrase = %q, %v, want the phrase", got, err)
	}
	fresh, err := NewPhrase()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := CheckPhrase(fresh); err != nil || got != fresh || len(strings.Fields(got)) != PhraseWords {
		t.Errorf("CheckPhrase of a new phrase = %v", err)
	}
	if again, err := NewPhrase(); err != nil || again == fresh {
		t.Errorf("NewPhrase gave the same phrase twice, %v", err)
	}
}

func TestWrongPhrasesSayWhereAndNothingElse(t *testing.T) {
	words := strings.Fields(testPhrase)
	with := func(i int, w string) string {
		c := append([]string{}, words...)
		c[i] = w
		return strings.Join(c, " ")
	}
	tests := []struct{ phrase, want string }{
		{"", "0 words, want 24"},
		{strings.Join(words[:12], " "), "12 words, want 24"},
		{testPhrase + " art", "25 words, want 24"},
		{with(6, "abandonn"), "word 7 is not in the word list"},
		{with(23, "about"), "checksum"},
		{strings.Repeat("a", 2000), "too long"},
	}
	for _, tt := range tests {
		_, err := CheckPhrase(tt.phrase)
		if !errors.Is(err, cairn.Invalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CheckPhrase(%.30q…) = %v, want Invalid: %s", tt.phrase, err, tt.want)
		}
		if text := err.Error() + cairn.HintOf(err); strings.Contains(text, "abandon") || strings.Contains(text, "about") {
			t.Errorf("CheckPhrase(%.30q…) gives words away: %v", tt.phrase, err)
		}
		if _, err := FromPhrase(tt.phrase, ""); !errors.Is(err, cairn.Invalid) {
			t.Errorf("FromPhrase(%.30q…) = %v, want Invalid", tt.phrase, err)
		}
	}
}

func TestPassphraseIsNormalised(t *testing.T) {
	composed, err := FromPhrase(testPhrase, "caf\u00e9")
	if err != nil {
		t.Fatal(err)
	}
	decomposed, err := FromPhrase(testPhrase, "cafe\u0301")
	if err != nil {
		t.Fatal(err)
	}
	if composed.Owner() != decomposed.Owner() {
		t.Error("two spellings of one passphrase give two owners")
	}
	if composed.Owner() == testKeys(t).Owner() {
		t.Error("the passphrase changes nothing")
	}
}

func TestEveryPurposeHasAKeyOfItsOwn(t *testing.T) {
	k := testKeys(t)
	seen := map[[32]byte]string{}
	add := func(name string, key [32]byte) {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s are one key", name, other)
		}
		seen[key] = name
	}
	add("owner", k.Owner())
	add("catalog", k.CatalogKey())
	add("token", k.TokenKey())
	for i := range k.purposes {
		add("purpose", k.purposes[i])
	}
	for e := range cairn.KeyEpoch(3) {
		keys := k.epochKeys(e + 1)
		add("wrap", keys.wrap)
		add("manifest", keys.manifest)
	}
	for i := range byte(3) {
		node := k.NodeKey(cairn.NodeID{i})
		add("node", [32]byte(node.Seed()))
		if again := k.NodeKey(cairn.NodeID{i}); !again.Equal(node) {
			t.Errorf("NodeKey(%d) gives two keys", i)
		}
	}
}

func TestTheNodeKeyCacheIsBounded(t *testing.T) {
	k := testKeys(t)
	first := k.NodeKey(cairn.NodeID{})
	for i := range maxNodeKeys + 10 {
		k.cache.nodes[cairn.NodeID{byte(i), byte(i >> 8), 1}] = first
		if len(k.cache.nodes) > maxNodeKeys {
			k.NodeKey(cairn.NodeID{byte(i), byte(i >> 8), 2})
		}
	}
	k.NodeKey(cairn.NodeID{3})
	if n := len(k.cache.nodes); n > maxNodeKeys {
		t.Errorf("%d keys in the cache, want at most %d", n, maxNodeKeys)
	}
	for e := range cairn.KeyEpoch(3 * maxEpochs) {
		k.epochKeys(e)
	}
	if n := len(k.cache.epochs); n > maxEpochs {
		t.Errorf("%d epochs in the cache, want at most %d", n, maxEpochs)
	}
}

func TestCredentialsLookLikeThoseOfAWS(t *testing.T) {
	k := testKeys(t)
	seen := map[string]bool{}
	for n := range uint32(100) {
		access, secret := k.S3Credential(n)
		if len(access) != 20 || !strings.HasPrefix(access, "CAIRN") || strings.Trim(access, accessAlphabet) != "" {
			t.Errorf("access key %d = %q", n, access)
		}
		if len(secret) != 40 || strings.Trim(secret, secretAlphabet) != "" {
			t.Errorf("secret key %d has %d characters, or others than letters and digits", n, len(secret))
		}
		if seen[access] || seen[secret] {
			t.Errorf("credential %d is not new", n)
		}
		seen[access], seen[secret] = true, true
	}
}

// vectors are what fixed words and keys give. They never change: data sealed
// today is opened by whatever runs then.
func vectors(t *testing.T) map[string]string {
	k := testKeys(t)
	access, secret := k.S3Credential(0)
	owner, catalog, token := k.Owner(), k.CatalogKey(), k.TokenKey()
	salt := make([]byte, 32)
	for i := range salt {
		salt[i] = byte(i)
	}
	seg := cairn.SegmentID{1, 2, 3}
	v := map[string]string{
		"owner":           hex.EncodeToString(owner[:]),
		"catalog_key":     hex.EncodeToString(catalog[:]),
		"token_key":       hex.EncodeToString(token[:]),
		"s3_access_key":   access,
		"s3_secret_key":   secret,
		"node_key_public": hex.EncodeToString(k.NodeKey(cairn.NodeID{1}).Public().(ed25519.PublicKey)),
		"manifest":        hex.EncodeToString(k.sealManifest(seg, cairn.KindData, []byte("manifest"), salt)),
		"wrapped_key":     hex.EncodeToString(k.AtEpoch(2).wrapKey(ContentKey{5}, salt)),
	}
	s := testSegment(t, testLayout(t, 4, 2, 2000), nil) // one frame of 1,024 bytes in each block
	st := s.layout.Stripe(0)
	for shard := range 4 {
		block := make([]byte, st.BlockLen())
		for i := range st.FramePlain() {
			block[i] = byte(i)
		}
		if err := s.SealBlock(st, shard, block); err != nil {
			t.Fatal(err)
		}
		v["block_"+string('0'+rune(shard))] = hex.EncodeToString(block)
	}
	mask := make([]byte, 48)
	s.Mask(4, 0, mask)
	v["mask_4"] = hex.EncodeToString(mask)
	secretBytes := s.MaskSecret()
	v["mask_secret"] = hex.EncodeToString(secretBytes[:])
	withPassphrase, err := FromPhrase(testPhrase, "TREZOR")
	if err != nil {
		t.Fatal(err)
	}
	owner = withPassphrase.Owner()
	v["owner_with_passphrase"] = hex.EncodeToString(owner[:])
	return v
}

func TestVectorsHold(t *testing.T) {
	path := filepath.Join("testdata", "vectors", "seal.json")
	got := vectors(t)
	if *update {
		text, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(got) {
		t.Errorf("%d vectors in the file, want %d", len(want), len(got))
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s = %s, want %s", name, got[name], w)
		}
	}
}
