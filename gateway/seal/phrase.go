package seal

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/tyler-smith/go-bip39"
	"golang.org/x/text/unicode/norm"

	"github.com/cairn-store/cairn"
)

const (
	// PhraseWords is the number of words of a recovery phrase.
	PhraseWords   = 24
	phraseEntropy = 32 // bytes
	// maxPhrase bounds what is looked at; the longest list word has 8 letters.
	maxPhrase = 1024
)

// NewPhrase returns a new recovery phrase of 24 BIP-39 words.
func NewPhrase() (string, error) {
	entropy := make([]byte, phraseEntropy)
	_, _ = rand.Read(entropy) // crypto/rand.Read never fails
	defer clear(entropy)
	words, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return "", fmt.Errorf("make a recovery phrase: %w", err)
	}
	return words, nil
}

// CheckPhrase returns the phrase in its normal form: lower case, one space
// between words. A phrase that cannot be right is an Invalid error that says
// where, by position; no word of the phrase stands in the error.
func CheckPhrase(words string) (normalised string, err error) {
	const op = "check recovery phrase"
	if len(words) > maxPhrase {
		return "", cairn.Errorf(op, cairn.Invalid, "%d characters are too long for %d words", len(words), PhraseWords)
	}
	list := strings.Fields(strings.ToLower(norm.NFKD.String(words)))
	for i, w := range list {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return "", cairn.Errorf(op, cairn.Invalid, "word %d is not in the word list", i+1).
				WithHint("compare the word with your note, letter by letter")
		}
	}
	if len(list) != PhraseWords {
		return "", cairn.Errorf(op, cairn.Invalid, "%d words, want %d", len(list), PhraseWords)
	}
	normalised = strings.Join(list, " ")
	if _, err := bip39.EntropyFromMnemonic(normalised); err != nil {
		return "", cairn.Errorf(op, cairn.Invalid, "the checksum does not match").
			WithHint("every word is in the list, but one is wrong or two are swapped")
	}
	return normalised, nil
}

// FromPhrase returns the keys of a recovery phrase and its passphrase, which
// may be empty. Another passphrase gives other keys, never an error.
func FromPhrase(words, passphrase string) (*Keys, error) {
	normalised, err := CheckPhrase(words)
	if err != nil {
		return nil, err
	}
	seed := bip39.NewSeed(normalised, norm.NFKD.String(passphrase))
	defer clear(seed)
	purposes, err := purposeKeys(seed)
	if err != nil {
		return nil, err
	}
	return newKeys(purposes, FirstEpoch), nil
}
