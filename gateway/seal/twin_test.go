package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/tyler-smith/go-bip39"

	"github.com/cairn-store/cairn"
)

// Slow twin of what a frame, a mask and a box are, from docs/formats/shard.md
// and the RFCs alone.

// slowHKDF is HKDF-SHA256 for one block of output.
func slowHKDF(secret, salt []byte, info string) []byte {
	if salt == nil {
		salt = make([]byte, 32)
	}
	extract := hmac.New(sha256.New, salt)
	extract.Write(secret)
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte(info + "\x01"))
	return expand.Sum(nil)
}

func slowGCM(t *testing.T, key, nonce, plain, aad []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead.Seal(nil, nonce, plain, aad)
}

func TestFramesAreWhatTheFormatSays(t *testing.T) {
	id := cairn.SegmentID{1, 2, 3}
	owner, object := [32]byte{9}, cairn.ObjectID{7}
	s := testSegment(t, testLayout(t, 4, 2, 4<<20+5000), nil)
	for _, tt := range []struct {
		stripe, frame int
		number        byte
		final         byte
	}{{0, 0, 0, 0}, {0, 15, 15, 0}, {1, 0, 16, 1}} {
		st := s.layout.Stripe(tt.stripe)
		plain, block := sealed(t, s, st, 2)
		plain = plain[tt.frame*st.FramePlain() : (tt.frame+1)*st.FramePlain()]
		segmentKey := slowHKDF(bytes.Join([][]byte{{5}, make([]byte, 31)}, nil), nil, "cairn/1 segment frames\x00"+string(id[:]))
		key := slowHKDF(segmentKey, nil, "cairn/1 frame key\x00\x02")
		aad := bytes.Join([][]byte{
			[]byte("CAIRNFRM"), {0, 1, 1, tt.final, 0, 0, 0, tt.number}, owner[:], object[:],
			{0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x13, 0x88, 0, 0x10, 0, 0, 4, 2, 0, 0},
		}, nil)
		want := slowGCM(t, key, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, tt.number}, plain, aad)
		if got := block[tt.frame*st.FrameSize : (tt.frame+1)*st.FrameSize]; !bytes.Equal(got, want) {
			t.Errorf("frame %d of stripe %d is not what the format says", tt.frame, tt.stripe)
		}
	}
}

func TestMasksAreWhatTheFormatSays(t *testing.T) {
	id := cairn.SegmentID{1, 2, 3}
	secret := slowHKDF(bytes.Join([][]byte{{5}, make([]byte, 31)}, nil), nil, "cairn/1 segment masks\x00"+string(id[:]))
	block, err := aes.NewCipher(slowHKDF(secret, nil, "cairn/1 mask key\x00\x05"))
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range byte(10) {
		out := make([]byte, 16)
		block.Encrypt(out, append(make([]byte, 15), i))
		want = append(want, out...)
	}
	s := testSegment(t, testLayout(t, 4, 2, 1000), nil)
	got := make([]byte, 100)
	s.Mask(5, 37, got)
	if !bytes.Equal(got, want[37:137]) {
		t.Error("the mask is not what the format says")
	}
	fromSecret := make([]byte, 100)
	s.MaskSecret().Masks(s.layout.Scheme).Apply(5, 37, fromSecret)
	if !bytes.Equal(fromSecret, got) {
		t.Error("the mask secret gives another mask")
	}
}

func TestBoxesAreWhatTheFormatSays(t *testing.T) {
	k := testKeys(t)
	seg, salt := cairn.SegmentID{4}, bytes.Repeat([]byte{3}, 32)
	secret := slowHKDF(k.purposes[0][:], nil, "cairn/1 epoch manifest key\x00\x00\x00\x00\x07")
	context := string(seg[:]) + "\x04"
	head := []byte{1, 1, 0, 0, 0, 0, 0, 7}
	want := bytes.Join([][]byte{
		head, salt, slowHKDF(secret, salt, "cairn/1 box commitment\x00"+context),
		slowGCM(t, slowHKDF(secret, salt, "cairn/1 box key\x00"+context), make([]byte, 12), []byte("record"), append(head, context...)),
	}, nil)
	if got := k.AtEpoch(7).sealManifest(seg, cairn.KindVersion, []byte("record"), salt); !bytes.Equal(got, want) {
		t.Errorf("sealed record = %x, want %x", got, want)
	}
}

// TestSeedIsThatOfBIP39 checks a vector published with BIP-39.
func TestSeedIsThatOfBIP39(t *testing.T) {
	got := hex.EncodeToString(bip39.NewSeed(testPhrase, "TREZOR"))
	const want = "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8"
	if got != want {
		t.Errorf("seed = %s, want %s", got, want)
	}
}
