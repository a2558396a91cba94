package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/cli"
)

// person sits at a terminal: reads the phrase off the screen and answers each
// question with it, or as answer says.
type person struct {
	screen  bytes.Buffer // all that was shown
	words   []string     // read off the screen
	answer  func(number int, right string) string
	asked   []int
	typed   chan string // lines; closed when the person leaves
	pending []byte      // of a line that was read in part; Read's alone
}

var (
	shownWord = regexp.MustCompile(`(\d+)\. ([a-z]+)`)
	question  = regexp.MustCompile(`^Word (\d+): $`)
)

func newPerson(answer func(number int, right string) string) *person {
	return &person{answer: answer, typed: make(chan string, 64)}
}

// Write is the terminal's screen.
func (p *person) Write(b []byte) (int, error) {
	p.screen.Write(b)
	for _, m := range shownWord.FindAllStringSubmatch(string(b), -1) {
		p.words = append(p.words, m[2])
	}
	var line string
	if strings.Contains(string(b), "Press Enter") {
		line = "\n"
	}
	if m := question.FindStringSubmatch(string(b)); m != nil {
		var number int
		fmt.Sscan(m[1], &number)
		p.asked = append(p.asked, number)
		line = p.answer(number, p.words[number-1]) + "\n"
	}
	if line != "" {
		p.typed <- line
	}
	return len(b), nil
}

// Read is the keyboard.
func (p *person) Read(b []byte) (int, error) {
	if len(p.pending) == 0 {
		line, open := <-p.typed
		if !open {
			return 0, io.EOF
		}
		p.pending = []byte(line)
	}
	n := copy(b, p.pending)
	p.pending = p.pending[n:]
	return n, nil
}

func initWith(t *testing.T, p *person, args ...string) (code int, dir string, stdout string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "d")
	var out bytes.Buffer
	a := newApp(cli.Streams{In: p, Out: &out, Err: p, InTerminal: true, ErrTerminal: true})
	code = a.Run(t.Context(), append([]string{"init", "--dir", dir}, args...))
	return code, dir, out.String()
}

func right(_ int, word string) string { return word }

func TestInitShowsThePhraseOnceAndAsksThreeWords(t *testing.T) {
	p := newPerson(right)
	code, dir, stdout := initWith(t, p)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, &p.screen)
	}
	if len(p.words) != seal.PhraseWords {
		t.Fatalf("%d words were shown, want %d", len(p.words), seal.PhraseWords)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(p.asked)))
	if len(p.asked) != 3 || len(distinct) != 3 {
		t.Errorf("asked for words %v, want three different ones", p.asked)
	}
	if i := strings.Index(p.screen.String(), clearScreen); i < 0 || i > strings.Index(p.screen.String(), "Word ") {
		t.Error("the screen was not cleared before the questions")
	}
	// The phrase shown is the owner's.
	keys, err := seal.FromPhrase(strings.Join(p.words, " "), "")
	if err != nil {
		t.Fatal(err)
	}
	env, err := readEnv(filepath.Join(dir, "credentials.env"))
	if access, secret := keys.S3Credential(0); err != nil || env["AWS_ACCESS_KEY_ID"] != access || env["AWS_SECRET_ACCESS_KEY"] != secret {
		t.Errorf("credentials.env is not of the phrase that was shown: %v", err)
	}
	loaded, err := home(dir).keys("")
	if err != nil || loaded.Owner() != keys.Owner() {
		t.Errorf("owner.key is not of the phrase that was shown: %v", err)
	}
	// It is nowhere else.
	three := strings.Join(p.words[:3], " ")
	if strings.Contains(stdout, p.words[0]+" ") {
		t.Errorf("stdout shows the phrase: %s", stdout)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(three)) {
			t.Errorf("%s holds the phrase", e.Name())
		}
	}
}

func TestInitForgivesTwoWrongAnswersAWord(t *testing.T) {
	wrong := map[int]int{}
	p := newPerson(func(number int, word string) string {
		if wrong[number]++; wrong[number] < 3 {
			return "nonsense"
		}
		return "  " + strings.ToUpper(word) + " "
	})
	if code, _, _ := initWith(t, p); code != 0 {
		t.Errorf("exit %d: %s", code, &p.screen)
	}
}

func TestInitMakesNothingAfterThreeWrongAnswers(t *testing.T) {
	p := newPerson(func(int, string) string { return "nonsense" })
	code, dir, _ := initWith(t, p)
	if code != cli.ExitDenied {
		t.Errorf("exit %d, want %d", code, cli.ExitDenied)
	}
	if has, err := home(dir).hasOwner(); has || err != nil {
		t.Errorf("an owner was made: %v, %v", has, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "credentials.env")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("credentials.env: %v, want that it is not there", err)
	}
}

func TestInitEndsWhenInterruptedOrTheInputDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newPerson(func(int, string) string { cancel(); return "" })
	s := cli.Streams{In: p, Err: p}
	words := strings.Repeat("abandon ", 24)
	if err := confirmPhrase(ctx, s, words, randomPositions); err == nil {
		t.Error("confirmed without answers")
	}
	close(p.typed)

	var screen bytes.Buffer
	err := confirmPhrase(t.Context(), cli.Streams{In: strings.NewReader("\nabandon\n"), Err: &screen}, words, randomPositions)
	if !errors.Is(err, cairn.Denied) {
		t.Errorf("input ended after one answer: %v, want Denied", err)
	}
}

func TestPhraseFilesAllowRemarksAndLines(t *testing.T) {
	phrase, err := seal.NewPhrase()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "phrase")
	if err := writePhrase(path, phrase); err != nil {
		t.Fatal(err)
	}
	if got, err := readPhrase(path); err != nil || got != phrase {
		t.Errorf("what was written does not read back: %v", err)
	}
	words := strings.Fields(strings.ToUpper(phrase))
	text := "# from paper\r\n" + strings.Join(words[:12], "  ") + "\r\n" + strings.Join(words[12:], "\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readPhrase(path); err != nil || got != phrase {
		t.Errorf("a phrase in many lines does not read back: %v", err)
	}
}

func TestErrorsDoNotQuoteThePhrase(t *testing.T) {
	phrase, err := seal.NewPhrase()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(phrase)
	words[7] = "xylophonist"
	path := filepath.Join(t.TempDir(), "phrase")
	if err := os.WriteFile(path, []byte(strings.Join(words, " ")), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, screen bytes.Buffer
	a := newApp(cli.Streams{In: strings.NewReader(""), Out: &out, Err: &screen})
	if code := a.Run(t.Context(), []string{"recover", "--dir", t.TempDir(), "--join", "x", "--phrase-file", path, "--log-level", "debug"}); code != cli.ExitUsage {
		t.Errorf("exit %d, want 2: %s", code, &screen)
	}
	for _, w := range words {
		if strings.Contains(screen.String()+out.String(), " "+w+" ") && len(w) > 5 {
			t.Errorf("the error quotes %q: %s", w, &screen)
		}
	}
	if strings.Contains(screen.String(), "xylophonist") {
		t.Errorf("the error quotes the wrong word: %s", &screen)
	}
}
