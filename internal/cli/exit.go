package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/cairn-store/cairn"
)

// Exit codes. Scripts rely on them; docs/operations.md lists them.
const (
	ExitOK          = 0   // done, or stopped because it was asked to
	ExitFailure     = 1   // a failure without a code of its own
	ExitUsage       = 2   // wrong command, flag, argument or setting
	ExitNotFound    = 3   // what was asked for is not there
	ExitUnavailable = 4   // not now: nothing running, too few nodes, timeout
	ExitDenied      = 5   // wrong passphrase, file mode, missing permission
	ExitCorrupt     = 6   // bytes that fail their hash or seal
	ExitFull        = 7   // no room
	ExitExists      = 8   // would overwrite something
	ExitInterrupted = 130 // interrupted before it was done
)

// ExitCode returns the exit code of a command that ended with err.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, context.Canceled) {
		return ExitInterrupted
	}
	switch cairn.KindOf(err) {
	case cairn.Invalid:
		return ExitUsage
	case cairn.NotFound:
		return ExitNotFound
	case cairn.Unavailable:
		return ExitUnavailable
	case cairn.Denied:
		return ExitDenied
	case cairn.Corrupt:
		return ExitCorrupt
	case cairn.Full:
		return ExitFull
	case cairn.Exists:
		return ExitExists
	default:
		return ExitFailure
	}
}

// Usage returns an error for a command line or setting that cannot be right.
func Usage(format string, args ...any) *cairn.Error {
	return cairn.Errorf("read command line", cairn.Invalid, format, args...)
}

// failure is how --json shows an error, on stderr.
type failure struct {
	Error struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
		Exit    int    `json:"exit"`
	} `json:"error"`
}

// printError writes err and its hint to stderr.
func (a *App) printError(err error) {
	if a.JSON {
		var f failure
		f.Error.Kind = cairn.KindOf(err).String()
		f.Error.Message = err.Error()
		f.Error.Hint = cairn.HintOf(err)
		f.Error.Exit = ExitCode(err)
		a.IO.errJSON(f)
		return
	}
	// Joined errors stand on lines of their own.
	message := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n  ")
	a.IO.Notef("%s: %s", a.Name, message)
	if hint := cairn.HintOf(err); hint != "" {
		a.IO.Notef("hint: %s", hint)
	}
}
