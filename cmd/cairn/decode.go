package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/decode"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/secretfile"
)

type decodeOptions struct{ phraseFile, wordFile, out string }

func newDecode(a *cli.App) *cobra.Command {
	var o decodeOptions
	cmd := &cobra.Command{
		Use: "decode FILE...", Short: "Restore objects from shard files alone, without any node", Args: cobra.MinimumNArgs(1),
		Long: `Restore what shard records hold, with nothing but the recovery phrase. Each FILE is
one record as docs/formats/shard.md describes it, or a directory of them. Nothing
is overwritten. Parts whose version record is not at hand are written under the
number of the object they belong to.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.phraseFile == "" {
				return cli.Usage("--phrase-file is missing").WithHint("write the 24 words into a file of mode 0600")
			}
			return runDecode(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.phraseFile, "phrase-file", "", "file with the recovery phrase (mode 0600)")
	f.StringVar(&o.wordFile, "bip39-passphrase-file", "", wordFileHelp)
	f.StringVarP(&o.out, "out", "o", "restored", "directory to write to")
	return cmd
}

// decodeResult is what decode says with --json.
type decodeResult struct {
	Restored []decodedObject `json:"restored"`
	Failed   []decodedObject `json:"failed"`
	Skipped  []skippedFile   `json:"skipped"`
}

type decodedObject struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Error string `json:"error,omitempty"`
}

type skippedFile struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

func runDecode(ctx context.Context, a *cli.App, o decodeOptions, args []string) (err error) {
	phrase, err := readPhrase(o.phraseFile)
	if err != nil {
		return err
	}
	keys, err := phraseKeys(phrase, o.wordFile)
	if err != nil {
		return err
	}
	paths, err := recordFiles(args)
	if err != nil {
		return err
	}
	files, closeFiles, err := openRecords(paths)
	defer func() { err = errors.Join(err, closeFiles()) }()
	if err != nil {
		return err
	}
	if err := secretfile.MakeDir(o.out); err != nil {
		return err
	}
	out, err := os.OpenRoot(o.out)
	if err != nil {
		return fmt.Errorf("open %s: %w", o.out, err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	bar := a.Progress("restoring", -1, true)
	report, err := decode.Decode(ctx, files, keys, decode.Options{
		Create: decode.Dir(out), Progress: func(p decode.Progress) { bar.Set(p.Bytes, p.TotalBytes) },
	})
	bar.Done()
	if printErr := printReport(a, o.out, report); err == nil {
		err = printErr
	}
	return err
}

// recordFiles lists the files named and those in the directories named.
func recordFiles(args []string) ([]string, error) {
	var paths []string
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				paths = append(paths, path)
			}
			return err
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, cairn.Errorf("read shard files", cairn.NotFound, "%w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("read shard files: %w", err)
		}
	}
	return paths, nil
}

// maxOpenRecords keeps room below the usual limit on open files.
const maxOpenRecords = 60_000

func openRecords(paths []string) ([]decode.File, func() error, error) {
	var open []*os.File
	closeAll := func() error {
		var errs []error
		for _, f := range open {
			errs = append(errs, f.Close())
		}
		return errors.Join(errs...)
	}
	if len(paths) > maxOpenRecords {
		return nil, closeAll, cli.Usage("%d files at once, at most %d", len(paths), maxOpenRecords).
			WithHint("decode them in groups that hold whole segments")
	}
	files := make([]decode.File, 0, len(paths))
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, closeAll, fmt.Errorf("open shard file: %w", err)
		}
		open = append(open, f)
		info, err := f.Stat()
		if err != nil {
			return nil, closeAll, fmt.Errorf("open shard file: %w", err)
		}
		files = append(files, decode.File{Name: path, R: f, Size: info.Size()})
	}
	return files, closeAll, nil
}

func printReport(a *cli.App, out string, r decode.Report) error {
	v := decodeResult{Restored: []decodedObject{}, Failed: []decodedObject{}, Skipped: []skippedFile{}}
	for _, o := range r.Restored {
		v.Restored = append(v.Restored, decodedObject{Name: o.Name(), Bytes: o.Size})
	}
	for _, f := range r.Failed {
		v.Failed = append(v.Failed, decodedObject{Name: f.Output.Name(), Bytes: f.Output.Size, Error: f.Err.Error()})
	}
	for _, s := range r.Skipped {
		v.Skipped = append(v.Skipped, skippedFile{s.Name, s.Err.Error()})
	}
	return a.Print(v, func(w io.Writer) error {
		rows := [][]string{}
		for _, o := range v.Restored {
			rows = append(rows, []string{"restored", o.Name, cli.Bytes(o.Bytes), "to " + out})
		}
		for _, o := range v.Failed {
			rows = append(rows, []string{"failed", o.Name, cli.Bytes(o.Bytes), o.Error})
		}
		for _, s := range v.Skipped {
			rows = append(rows, []string{"skipped", s.File, "", s.Error})
		}
		return cli.Table(w, []string{"RESULT", "NAME", "SIZE", "REMARK"}, rows)
	})
}
