package shardstore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/shardstore"
)

const childDir = "CAIRN_TEST_STORE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := writeForever(dir, os.Getenv("CAIRN_TEST_FIRST")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever puts and deletes until it is killed, and prints each fact once
// it is acknowledged.
func writeForever(dir, first string) error {
	n, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return err
	}
	s, err := shardstore.Open(shardstore.Config{Dir: dir, LogBytes: 4 << 20})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var hands sync.WaitGroup
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format, args...)
	}
	for w := range uint64(4) {
		hands.Go(func() {
			for i := n + w; ; i += 4 {
				r := owner.Record(i, int(i%5)*30_000, 200)
				put := put
				if i%3 == 0 {
					put = putSmall
				}
				if err := put(s, r); err != nil {
					say("error %v\n", err)
					return
				}
				say("put %d\n", i)
				if i%4 == 1 {
					say("deleting %d\n", i)
					if _, _, err := s.Delete(context.Background(), owner.Tag(), []cairn.ShardID{r.ID()}, time.Now()); err != nil {
						say("error %v\n", err)
						return
					}
					say("gone %d\n", i)
				}
			}
		})
	}
	hands.Wait()
	return nil
}

func TestNothingAcknowledgedIsLostToSIGKILL(t *testing.T) {
	dir := t.TempDir()
	m := newModel()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	next := uint64(1)
	for round := range rounds {
		next = killRun(t, dir, m, next, 60+rand.IntN(300))
		s, err := shardstore.Open(shardstore.Config{Dir: dir, LogBytes: 4 << 20})
		if err != nil {
			t.Fatalf("round %d: open after SIGKILL: %v", round, err)
		}
		for n, f := range m.state {
			r := owner.Record(n, int(n%5)*30_000, 200)
			err := check(s, r)
			if f == kept && err != nil || f == gone && cairn.KindOf(err) != cairn.NotFound {
				t.Errorf("round %d: shard %d, fate %d: %v", round, n, f, err)
			}
		}
		mustClose(t, s)
	}
	t.Logf("%d shards acknowledged in %d runs", len(m.state), rounds)
}

// killRun lets a child write until it has said enough, kills it, and notes what
// it said. It returns a number above all that the child used.
func killRun(t *testing.T, dir string, m *model, first uint64, lines int) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, "CAIRN_TEST_FIRST="+strconv.FormatUint(first, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := first
	sc := bufio.NewScanner(out)
	for n := 0; sc.Scan(); n++ {
		word, num, ok := strings.Cut(sc.Text(), " ")
		i, err := strconv.ParseUint(num, 10, 64)
		if !ok || err != nil {
			t.Fatalf("child says %q", sc.Text())
		}
		m.state[i] = map[string]fate{"put": kept, "deleting": dying, "gone": gone}[word]
		last = max(last, i)
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil && !strings.Contains(err.Error(), "closed") {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child ended by itself: %v", err)
	}
	return last + 1000
}
