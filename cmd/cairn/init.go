package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/secretfile"
)

type initOptions struct {
	dir, phraseOut, passphraseFile, wordFile, s3, region string
}

// ownerFlags are shared by what makes an owner: init, recover, up.
func ownerFlags(cmd *cobra.Command, passphraseFile *string) {
	cmd.Flags().StringVar(passphraseFile, "passphrase-file", "", "file whose first line seals owner.key (or a systemd credential)")
}

const wordFileHelp = "file with the BIP-39 passphrase, if the phrase has one: another gives another owner"

func newInit(a *cli.App) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use: "init", Short: "Make a new owner", Args: cobra.NoArgs,
		Long: `Make a new owner in --dir. On a terminal the recovery phrase is shown once and
three of its words are asked back. Without one, --phrase-out names a file for it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), a, o) },
	}
	dirVar(cmd, &o.dir, "directory of the owner")
	ownerFlags(cmd, &o.passphraseFile)
	f := cmd.Flags()
	f.StringVar(&o.phraseOut, "phrase-out", "", "write the recovery phrase to this new file (mode 0600) instead of showing it")
	f.StringVar(&o.wordFile, "bip39-passphrase-file", "", wordFileHelp)
	f.StringVar(&o.s3, "s3", defaultS3, "address of the S3 endpoint to be, for credentials.env")
	f.StringVar(&o.region, "region", defaultRegion, "S3 region")
	return cmd
}

// initResult is what init says with --json.
type initResult struct {
	Dir         string `json:"dir"`
	Credentials string `json:"credentials"`
	PhraseFile  string `json:"phrase_file,omitempty"`
}

func runInit(ctx context.Context, a *cli.App, o initOptions) (err error) {
	if o.phraseOut == "" && !a.IO.InTerminal {
		return cli.Usage("there is no terminal to show the recovery phrase on").
			WithHint("name a file for it with --phrase-out")
	}
	h := home(o.dir)
	if err := secretfile.MakeDir(o.dir); err != nil {
		return err
	}
	unlock, err := secretfile.Lock(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := h.wantNoOwner(); err != nil {
		return err
	}
	phrase, err := seal.NewPhrase()
	if err != nil {
		return err
	}
	if o.phraseOut != "" {
		err = writePhrase(o.phraseOut, phrase)
	} else {
		err = confirmPhrase(ctx, a.IO, phrase, randomPositions)
	}
	if err != nil {
		return err
	}
	keys, err := phraseKeys(phrase, o.wordFile)
	if err != nil {
		return err
	}
	if err := makeOwner(h, keys, o.passphraseFile, access{Endpoint: "http://" + o.s3, Region: o.region}); err != nil {
		return err
	}
	return a.Print(initResult{o.dir, h.credentials(), o.phraseOut}, func(w io.Writer) error {
		return cli.Fields(w, "owner", h.ownerKey(), "credentials", h.credentials())
	})
}

// phraseKeys returns the keys of a phrase and the passphrase in wordFile, if
// there is one.
func phraseKeys(phrase, wordFile string) (*seal.Keys, error) {
	word, err := readPassphrase(wordFile)
	if err != nil {
		return nil, err
	}
	return seal.FromPhrase(phrase, string(word))
}

// makeOwner writes credentials, then the owner's key file.
func makeOwner(h home, keys *seal.Keys, passphraseFile string, a access) error {
	passphrase, err := readPassphrase(passphraseFile)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	if err := h.writeCredentials(keys, a); err != nil {
		return err
	}
	return keys.Save(h.ownerKey(), passphrase)
}

// firstOwner makes an owner for "up", whose first run asks nobody. A phrase
// file that an interrupted first run left is used again.
func firstOwner(h home, passphraseFile string, a access, io cli.Streams) error {
	phrase, err := seal.NewPhrase()
	if err != nil {
		return err
	}
	if _, err := os.Stat(h.phraseFile()); err == nil {
		if phrase, err = readPhrase(h.phraseFile()); err != nil {
			return fmt.Errorf("use %s: %w", h.phraseFile(), err)
		}
	} else if err := writePhrase(h.phraseFile(), phrase); err != nil {
		return err
	}
	io.Notef(phraseWarning, h.phraseFile())
	keys, err := phraseKeys(phrase, "")
	if err != nil {
		return err
	}
	return makeOwner(h, keys, passphraseFile, a)
}

const phraseWarning = `
  ****************************************************************************
  A new owner was made. Its 24-word recovery phrase is in
      %s
  MOVE IT OFF THIS MACHINE NOW. It is the only way to get the data back if this
  machine is lost, and whoever reads it can read everything.
  ****************************************************************************
`
