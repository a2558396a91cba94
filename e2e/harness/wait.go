package harness

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"
)

const pollEvery = 25 * time.Millisecond

// Eventually calls try until it returns nil, and fails the test with its last
// error when limit has passed.
func Eventually(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	if err := poll(limit, try); err != nil {
		t.Fatalf("%s: not after %v: %v", what, limit, err)
	}
}

func poll(limit time.Duration, try func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollEvery) // the pause between two looks; the look decides
	}
}

// healthClient asks console and admin listeners.
var healthClient = &http.Client{Timeout: 5 * time.Second}

// ready asks a health address; p ending makes waiting pointless.
func ready(p *Process, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := healthClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() // only the status is wanted
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// waitReady waits until url answers 200, and fails at once when p has ended.
func waitReady(t testing.TB, p *Process, url string, limit time.Duration) {
	t.Helper()
	var ended error
	err := poll(limit, func() error {
		if !p.Running() {
			ended = fmt.Errorf("it ended: %v", p.err)
			return nil
		}
		return ready(p, url)
	})
	if ended != nil {
		err = ended
	}
	if err != nil {
		t.Fatalf("%s is not ready: %v\n%s", p.Name, err, p.Tail(8<<10))
	}
}
