package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/certs"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/control"
)

// Results of a check.
const (
	checkOK   = "ok"
	checkWarn = "warn"
	checkFail = "fail"
)

type check struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	Found  string `json:"found"`
	Hint   string `json:"hint,omitempty"`
}

func newDoctor(a *cli.App) *cobra.Command {
	var dir, passphraseFile string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong with an owner's directory and its gateway", Args: cobra.NoArgs,
		Long: "Look at --dir, at this machine and at the gateway running there, and say what to do. Changes nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := examine(cmd.Context(), home(dir), passphraseFile)
			if err := a.Print(map[string][]check{"checks": checks}, func(w io.Writer) error { return printChecks(w, checks) }); err != nil {
				return err
			}
			for _, c := range checks {
				if c.Result == checkFail {
					return cairn.Errorf("examine "+dir, cairn.Internal, "something is wrong: %s", c.Name).WithHint(c.Hint)
				}
			}
			return nil
		},
	}
	dirVar(cmd, &dir, "directory of the owner")
	ownerFlags(cmd, &passphraseFile)
	return cmd
}

func printChecks(w io.Writer, checks []check) error {
	for _, c := range checks {
		line := fmt.Sprintf("%-5s %s: %s\n", c.Result, c.Name, c.Found)
		if c.Hint != "" && c.Result != checkOK {
			line += "      " + c.Hint + "\n"
		}
		if _, err := io.WriteString(w, line); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	return nil
}

// examine makes every check whose ground the earlier ones found sound.
func examine(ctx context.Context, h home, passphraseFile string) []check {
	checks := []check{checkDir(h)}
	if checks[0].Result == checkFail {
		return checks
	}
	owner := checkOwner(h, passphraseFile)
	checks = append(checks, owner)
	if owner.Result != checkFail {
		checks = append(checks, checkPrivate("S3 credentials", h.credentials()))
	}
	checks = append(checks, checkPhraseFile(h), checkCertificate(h), checkSpace(h), checkFiles())
	return append(checks, checkGateway(ctx, h))
}

func checkDir(h home) check {
	c := check{Name: "directory", Result: checkOK, Found: string(h)}
	info, err := os.Stat(string(h))
	switch {
	case err != nil:
		c.Result, c.Found, c.Hint = checkFail, err.Error(), "make an owner with cairn init or cairn up, or name its directory with --dir"
	case !info.IsDir():
		c.Result, c.Found = checkFail, string(h)+" is not a directory"
	case info.Mode().Perm()&0o077 != 0:
		c.Result, c.Hint = checkWarn, "chmod 700 "+string(h)
		c.Found = fmt.Sprintf("%s has mode %04o: others can look into it", h, info.Mode().Perm())
	}
	return c
}

func checkOwner(h home, passphraseFile string) check {
	c := check{Name: "owner key", Result: checkOK, Found: h.ownerKey()}
	_, err := h.keys(passphraseFile)
	switch {
	case errors.Is(err, cairn.Denied) && passphraseFile == "":
		c.Result, c.Found, c.Hint = checkWarn, err.Error(), "give --passphrase-file to have the key opened"
	case err != nil:
		c.Result, c.Found, c.Hint = checkFail, err.Error(), cairn.HintOf(err)
	}
	return c
}

func checkPrivate(name, path string) check {
	c := check{Name: name, Result: checkOK, Found: path}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.Result, c.Found, c.Hint = checkWarn, path+" is not there", "starting the gateway writes it"
	case err != nil:
		c.Result, c.Found = checkFail, err.Error()
	case info.Mode().Perm()&0o077 != 0:
		c.Result, c.Hint = checkFail, "chmod 600 "+path
		c.Found = fmt.Sprintf("%s has mode %04o: others can read it", path, info.Mode().Perm())
	}
	return c
}

func checkPhraseFile(h home) check {
	c := check{Name: "recovery phrase", Result: checkOK, Found: "not on this machine's --dir, as it should be"}
	if _, err := os.Stat(h.phraseFile()); err == nil {
		c.Result, c.Found = checkWarn, h.phraseFile()+" lies beside the data"
		c.Hint = "move it off this machine: it would be lost together with it"
	}
	return c
}

// certificateSoon is when an expiry is worth a warning; renewal comes earlier.
const certificateSoon = 14 * 24 * time.Hour

func checkCertificate(h home) check {
	c := check{Name: "TLS certificate", Result: checkOK, Found: "none of our own"}
	if _, err := os.Stat(filepath.Join(h.tlsDir(), "server.pem")); errors.Is(err, os.ErrNotExist) {
		return c
	}
	expires, err := certs.ExpiryIn(h.tlsDir())
	switch {
	case err != nil:
		c.Result, c.Found, c.Hint = checkFail, err.Error(), cairn.HintOf(err)
	case time.Until(expires) < certificateSoon:
		c.Result, c.Hint = checkWarn, "a running gateway renews it; start it"
		c.Found = "expires on " + expires.Format(time.DateOnly)
	default:
		c.Found = "good until " + expires.Format(time.DateOnly)
	}
	return c
}

// Bounds below which the disk and the limit on open files get a warning.
const (
	spaceLow = 1 << 30
	filesLow = 4096
)

func checkSpace(h home) check {
	c := check{Name: "disk", Result: checkOK}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(string(h), &fs); err != nil {
		c.Result, c.Found = checkFail, err.Error()
		return c
	}
	free := int64(fs.Bavail) * int64(fs.Bsize)
	c.Found = cli.Bytes(free) + " free"
	if free < spaceLow {
		c.Result, c.Hint = checkWarn, "the catalog needs room to write; free some"
	}
	return c
}

func checkFiles() check {
	c := check{Name: "open files", Result: checkOK}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		c.Result, c.Found = checkFail, err.Error()
		return c
	}
	c.Found = fmt.Sprintf("at most %d", limit.Cur)
	if limit.Cur < filesLow {
		c.Result, c.Hint = checkWarn, fmt.Sprintf("raise the limit to %d or more (ulimit -n)", filesLow)
	}
	return c
}

func checkGateway(ctx context.Context, h home) check {
	c := check{Name: "gateway", Result: checkOK}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := control.Call[nothing, statusReply](ctx, string(h), methodStatus, nothing{})
	switch {
	case errors.Is(err, cairn.Unavailable):
		c.Result, c.Found = checkWarn, "none is running here"
	case err != nil:
		c.Result, c.Found, c.Hint = checkFail, err.Error(), cairn.HintOf(err)
	default:
		c.Found = fmt.Sprintf("%s: %d of %d nodes live", s.Verdict, s.Gateway.Network.Live, s.Gateway.Network.Known)
		if len(s.Problems) > 0 {
			c.Result, c.Hint = checkWarn, strings.Join(s.Problems, "; ")
		}
	}
	return c
}
