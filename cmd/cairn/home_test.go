package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/cli"
)

const testPhrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

func testKeys(t *testing.T) *seal.Keys {
	t.Helper()
	keys, err := seal.FromPhrase(testPhrase, "")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestCredentialsFollowTheEndpointAndStayPrivate(t *testing.T) {
	h := home(filepath.Join(t.TempDir(), "it's here"))
	if err := os.Mkdir(string(h), 0o700); err != nil {
		t.Fatal(err)
	}
	keys := testKeys(t)
	for _, a := range []access{
		{Endpoint: "http://127.0.0.1:9000", Region: "us-east-1"},
		{Endpoint: "https://[::1]:9000", Region: "eu-1", CAFile: "/srv/cairn data/ca.pem"},
	} {
		if err := h.writeCredentials(keys, a); err != nil {
			t.Fatal(err)
		}
		env, err := readEnv(h.credentials())
		if err != nil {
			t.Fatal(err)
		}
		access, secret := keys.S3Credential(0)
		for name, want := range map[string]string{
			"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL": a.Endpoint,
			"AWS_REGION": a.Region, "AWS_DEFAULT_REGION": a.Region, "AWS_CA_BUNDLE": a.CAFile,
		} {
			if env[name] != want {
				t.Errorf("%s = %q, want %q", name, env[name], want)
			}
		}
		info, err := os.Stat(h.credentials())
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("credentials.env has mode %v, %v; want 0600", info.Mode(), err)
		}
	}
	if err := h.writeCredentials(keys, access{Endpoint: "http://x'y"}); err == nil {
		t.Error("an endpoint with a quote was written into a file that shells read")
	}
}

func TestCredentialsAreNotRewrittenForNothing(t *testing.T) {
	h := home(t.TempDir())
	a := access{Endpoint: "http://127.0.0.1:9000", Region: "us-east-1"}
	if err := h.writeCredentials(testKeys(t), a); err != nil {
		t.Fatal(err)
	}
	before := time.Unix(1_000_000, 0)
	if err := os.Chtimes(h.credentials(), before, before); err != nil {
		t.Fatal(err)
	}
	if err := h.writeCredentials(testKeys(t), a); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(h.credentials()); err != nil || !info.ModTime().Equal(before) {
		t.Errorf("the same credentials were written again: %v", err)
	}
}

// syncBuffer is a buffer that a program writes to while a test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	new chan struct{} // one slot: something was written
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.new <- struct{}{}:
	default:
	}
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// An interrupted first run of "up" left the phrase file: the next one uses it.
// The endpoint speaks TLS under a certificate that ca.pem vouches for.
func TestUpFinishesAnInterruptedFirstRunAndServesTLS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writePhrase(home(dir).phraseFile(), testPhrase); err != nil {
		t.Fatal(err)
	}
	out, errs := &syncBuffer{new: make(chan struct{}, 1)}, &syncBuffer{new: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	exit := make(chan int, 1)
	go func() {
		exit <- newApp(cli.Streams{In: strings.NewReader(""), Out: out, Err: errs}).Run(ctx, []string{
			"up", "--dir", dir, "--nodes", "3", "--capacity", "1GiB", "--s3", "127.0.0.1:0", "--s3-tls", "auto", "--console", "off",
		})
	}()
	select {
	case <-out.new:
	case code := <-exit:
		t.Fatalf("exit %d: %s", code, errs)
	}
	if !strings.Contains(errs.String(), "MOVE IT OFF THIS MACHINE") || strings.Contains(errs.String(), "abandon") {
		t.Errorf("the first run does not warn, or shows the phrase: %s", errs)
	}
	env, err := readEnv(home(dir).credentials())
	if err != nil {
		t.Fatal(err)
	}
	if access, _ := testKeys(t).S3Credential(0); env["AWS_ACCESS_KEY_ID"] != access {
		t.Errorf("access key %s, want that of the phrase in the file", env["AWS_ACCESS_KEY_ID"])
	}
	pem, err := os.ReadFile(env["AWS_CA_BUNDLE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.Get(env["AWS_ENDPOINT_URL"])
	if err != nil || resp.StatusCode != http.StatusForbidden || !regexp.MustCompile(`^https://127`).MatchString(env["AWS_ENDPOINT_URL"]) {
		t.Fatalf("GET %s without a signature = %v, %v; want 403 over TLS", env["AWS_ENDPOINT_URL"], resp, err)
	}
	resp.Body.Close()
	stop()
	if code := <-exit; code != 0 {
		t.Errorf("exit after the stop = %d: %s", code, errs)
	}
}
