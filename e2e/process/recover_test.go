package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn/e2e/harness"
)

func TestRecoveryGoesOnAfterAKill(t *testing.T) {
	long(t)
	s := begin(t, harness.Options{})
	s.putMany("k/", 400, 2000)
	s.write("mixed", 60, nil, false)
	s.KillGateway()
	s.RemoveGatewayDir()
	dir := filepath.Join(s.Dir, "again", "recovery")
	kills := 0
	// Each try is killed a little later after it began to write, until one
	// ends first.
	for delay := time.Duration(0); ; delay += 25 * time.Millisecond {
		if _, err := os.Stat(filepath.Join(s.Dir, "again", "owner.key")); err == nil {
			break // the kill came after all was done
		}
		began := changesOf(t, dir)
		c := s.StartRecover("again")
		awaitChange(t, c, dir, began)
		select {
		case <-c.Done():
		case <-time.After(delay):
			c.Kill()
			kills++
			continue
		}
		r := c.Wait(t.Context())
		if r.Code != 0 {
			t.Fatalf("recovery after %d kills: %v", kills, r)
		}
		v := harness.ParseVerdict(t, r)
		if want := int64(len(s.m.keys())); v.Objects != want || v.Unreadable != 0 {
			t.Errorf("recovery after %d kills: %+v, want %d objects", kills, v, want)
		}
		break
	}
	if kills == 0 {
		t.Error("no recovery was killed")
	}
	t.Logf("killed %d times", kills)
	s.Gateway.Dir = filepath.Join(s.Dir, "again")
	s.StartGateway()
	s.connect()
	s.verify(t)
}

// changesOf describes the files of dir: names, sizes and times.
func changesOf(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %d %v\n", e.Name(), info.Size(), info.ModTime())
	}
	return out.String()
}

// awaitChange returns once the recovery c changed dir, or has ended.
func awaitChange(t *testing.T, c *harness.Command, dir, was string) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for changesOf(t, dir) == was {
		select {
		case <-c.Done():
			return
		case <-ctx.Done():
			t.Fatal("the recovery changes nothing")
		case <-tick.C:
		}
	}
}

func TestRecoveringTwiceGivesTheSame(t *testing.T) {
	long(t)
	s := begin(t, harness.Options{})
	s.write("write", 80, nil, false)
	s.KillGateway()
	first := s.Recover("first")
	second := s.Recover("second")
	first.Unanswered, second.Unanswered = nil, nil
	if first.Objects != second.Objects || first.Bytes != second.Bytes || first.Deleted != second.Deleted ||
		first.Superseded != second.Superseded || first.Unreadable+second.Unreadable+first.Lost+second.Lost != 0 {
		t.Errorf("first recovery: %+v, second: %+v", first, second)
	}
	r := s.StartRecover("second").Wait(t.Context())
	if r.Code != exitExists {
		t.Errorf("recovery over a recovered owner: %v, want exit code %d", r, exitExists)
	}
	s.StartGateway() // on the second
	s.connect()
	s.verify(t)
}

// Exit codes as documented.
const (
	exitUsage       = 2
	exitNotFound    = 3
	exitUnavailable = 4
	exitExists      = 8
)

// TestRecoverySaysWhatIsWrong gives recover a phrase with a typo, the phrase
// of somebody else, and a network where nobody answers.
func TestRecoverySaysWhatIsWrong(t *testing.T) {
	s := begin(t, harness.Options{Nodes: 4})
	s.putMany("k/", 5, 1000)
	s.KillGateway()
	phrase, err := os.ReadFile(s.Gateway.PhraseFile)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(s.Dir, "other.txt")
	if r := harness.Run(t, harness.Cairn(t), "init", "--dir", filepath.Join(s.Dir, "other"), "--phrase-out", other); r.Code != 0 {
		t.Fatalf("cairn init: %v", r)
	}
	words := strings.Fields(string(phrase))
	last := len(words) - 1
	words[last], words[last-1] = words[last-1], words[last]
	typo := filepath.Join(s.Dir, "typo.txt")
	if err := os.WriteFile(typo, []byte("zebra "+strings.Join(words[last-22:], " ")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, phrase string
		code         int
		says         string
	}{
		{"typo", typo, exitUsage, "phrase"},
		{"other", other, exitNotFound, "nothing"},
	} {
		dir := "wrong-" + c.name
		r := s.StartRecover(dir, "--phrase-file", c.phrase).Wait(t.Context())
		if r.Code != c.code || !strings.Contains(r.Stderr, c.says) {
			t.Errorf("%s: %v, want exit code %d and something about %q", c.name, r, c.code, c.says)
		}
		if _, err := os.Stat(filepath.Join(s.Dir, dir, "owner.key")); err == nil {
			t.Errorf("%s: an owner was made", c.name)
		}
	}
	// The directory that a wrong phrase was tried on takes the right one.
	if v := s.Recover("wrong-other"); v.Objects != int64(len(s.m.keys())) {
		t.Errorf("recovery with the right phrase after a wrong one: %+v", v)
	}
	for i := range s.Nodes {
		s.KillNode(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := s.StartRecover("nobody", "--wait", "3s").Wait(ctx)
	if r.Code != exitUnavailable || !strings.Contains(r.Stderr, "no node answers") {
		t.Errorf("without nodes: %v, want exit code %d and %q", r, exitUnavailable, "no node answers")
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "nobody", "owner.key")); err == nil {
		t.Error("without nodes: an owner was made")
	}
}
