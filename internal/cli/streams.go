package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Streams is what a command sees of the world. Tests hand in their own.
type Streams struct {
	In  io.Reader
	Out io.Writer // results
	Err io.Writer // everything else
	// Environ is the environment as NAME=value.
	Environ []string
	// InTerminal and ErrTerminal say that a person is there to answer, and to
	// look at progress.
	InTerminal, ErrTerminal bool
}

// ProcessStreams returns the streams of this process.
func ProcessStreams() Streams {
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(),
		InTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
}

// Notef writes a line to stderr. What stderr does not take is lost: there is
// nowhere else to say so.
func (s Streams) Notef(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Err, format+"\n", args...)
}

func (s Streams) errJSON(v any) {
	enc := json.NewEncoder(s.Err)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // as in Notef
}
