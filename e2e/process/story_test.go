package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/cairn-store/cairn/e2e/harness"
)

const bucket = "stones"

// story is a network with the model of what it must hold.
type story struct {
	*harness.Network
	t    *testing.T
	s3   *s3.Client
	m    *model
	seed uint64
}

// begin starts a network with one bucket.
func begin(t *testing.T, o harness.Options) *story {
	t.Helper()
	s := &story{Network: harness.New(t, o), t: t, m: newModel(), seed: testSeed(t)}
	s.connect()
	_, err := s.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	if err != nil {
		t.Fatalf("create bucket: %v", err)
	}
	return s
}

// connect makes a client that tries everything once: what a retry would hide
// is what these tests look for.
func (s *story) connect() {
	s.s3 = s.S3(func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
}

// long leaves a test to runs without -short.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64N(1 << 32)
	if text := os.Getenv("CAIRN_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CAIRN_E2E_SEED: %v", err)
		}
	}
	t.Logf("CAIRN_E2E_SEED=%d", seed)
	return seed
}

// step runs a part of a test and ends the test if it fails, because what
// follows stands on it.
func (s *story) step(name string, f func(t *testing.T)) {
	s.t.Helper()
	whole := s.t
	began := time.Now()
	ok := whole.Run(name, func(t *testing.T) {
		s.t = t
		defer func() { s.t = whole }()
		f(t)
	})
	whole.Logf("%-60s %6.1fs", name, time.Since(began).Seconds())
	if !ok {
		whole.FailNow()
	}
}

// workers is how many clients write or read at once.
const workers = 8

// each calls f for every key, several at once, and fails the test with each
// error, the first few.
func (s *story) each(keys []string, f func(key string) error) {
	s.t.Helper()
	work := make(chan string)
	var group sync.WaitGroup
	var mu sync.Mutex // guards failures
	failures := 0
	for range workers {
		group.Go(func() {
			for key := range work {
				err := f(key)
				if err == nil {
					continue
				}
				mu.Lock()
				if failures++; failures <= 10 {
					s.t.Errorf("%q: %v", key, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, key := range keys {
		work <- key
	}
	close(work)
	group.Wait()
	if failures > 0 {
		s.t.Fatalf("%d of %d keys fail", failures, len(keys))
	}
}

// opLimit bounds one request of a client.
const opLimit = time.Minute

func opContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), opLimit)
}

// s3Code returns the code of an S3 error, "" for any other error.
func s3Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isAbsent reports whether err says that the key is not there.
func isAbsent(err error) bool {
	code := s3Code(err)
	return code == "NoSuchKey" || code == "NotFound"
}

// oddKeys are names that clients, URLs and listings stumble over.
var oddKeys = []string{
	"with space/and more", "plus+and&amp;=?#", "per%cent%20%2F", "umlaut-äöü", "日本語/キー", "emoji-🪨",
	"trailing/", "a//double", "dots/...", ".hidden", "quote\"'`", "back\\slash", "semi;colon:at@", "~tilde", "!(*)$,[]{}|^<>",
	"UPPER/lower", "-dash", "_under", "0", fmt.Sprintf("long/%01000d", 7),
}
