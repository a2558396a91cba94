package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/cli"
)

const (
	askedWords = 3
	wordTries  = 3
	// clearScreen empties screen and scroll-back.
	clearScreen = "\x1b[H\x1b[2J\x1b[3J"
)

// confirmPhrase shows the phrase once and has some of its words typed back.
// Until it returns nil, nothing depends on the phrase.
func confirmPhrase(ctx context.Context, s cli.Streams, phrase string, pick func() []int) error {
	words := strings.Fields(phrase)
	s.Notef("This is your recovery phrase. It is shown once. Write it on paper, in order:\n")
	const columns = 4
	for row := range len(words) / columns {
		var line strings.Builder
		for c := range columns {
			i := row*columns + c
			fmt.Fprintf(&line, "  %2d. %-10s", i+1, words[i])
		}
		s.Notef("%s", strings.TrimRight(line.String(), " "))
	}
	s.Notef("\nPress Enter when you have it.")
	lines := readLines(s.In)
	if _, err := lines.next(ctx); err != nil {
		return err
	}
	if s.ErrTerminal {
		_, _ = io.WriteString(s.Err, clearScreen)
	}
	for _, i := range pick() {
		if err := askWord(ctx, s, lines, i+1, words[i]); err != nil {
			return err
		}
	}
	return nil
}

func askWord(ctx context.Context, s cli.Streams, lines *lineReader, number int, want string) error {
	for range wordTries {
		_, _ = fmt.Fprintf(s.Err, "Word %d: ", number)
		got, err := lines.next(ctx)
		if err != nil {
			return err
		}
		if strings.EqualFold(strings.TrimSpace(got), want) {
			return nil
		}
		s.Notef("That is not word %d.", number)
	}
	return cairn.Errorf("confirm recovery phrase", cairn.Denied, "word %d was wrong %d times; nothing was made", number, wordTries).
		WithHint("run cairn init again: it makes another phrase")
}

// randomPositions picks different words to ask for.
func randomPositions() []int {
	var picked []int
	for len(picked) < askedWords {
		n, err := rand.Int(rand.Reader, big.NewInt(seal.PhraseWords))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		if i := int(n.Int64()); !slices.Contains(picked, i) {
			picked = append(picked, i)
		}
	}
	slices.Sort(picked)
	return picked
}

// lineReader reads lines so that waiting for one can be given up.
type lineReader struct{ lines chan lineOrError }

type lineOrError struct {
	line string
	err  error
}

// readLines starts to read r, one line ahead. Its goroutine ends with r: a
// read from a terminal cannot be interrupted, and the process is about to end
// when nobody waits for the line.
func readLines(r io.Reader) *lineReader {
	l := &lineReader{make(chan lineOrError, 1)}
	go func() {
		defer close(l.lines)
		b := bufio.NewReader(io.LimitReader(r, 1<<16))
		for {
			line, err := b.ReadString('\n')
			if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
				l.lines <- lineOrError{"", err}
				return
			}
			l.lines <- lineOrError{line, nil}
		}
	}()
	return l
}

func (l *lineReader) next(ctx context.Context) (string, error) {
	select {
	case got, open := <-l.lines:
		if !open || errors.Is(got.err, io.EOF) {
			return "", cairn.Errorf("read answer", cairn.Denied, "the input ended; nothing was made")
		}
		return got.line, got.err
	case <-ctx.Done():
		return "", fmt.Errorf("read answer: %w", ctx.Err())
	}
}
