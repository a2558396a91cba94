package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/certs"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text, addr string
		want       certs.Mode
		bad        bool
	}{
		{"off", "0.0.0.0:9000", certs.Mode{Off: true}, false},
		{"auto", "127.0.0.1:9000", certs.Mode{Auto: true}, false},
		{"", "127.0.0.1:9000", certs.Mode{Off: true}, false},
		{"", "[::1]:9000", certs.Mode{Off: true}, false},
		{"", "localhost:9000", certs.Mode{Off: true}, false},
		{"", ":9000", certs.Mode{Auto: true}, false},
		{"", "192.0.2.1:9000", certs.Mode{Auto: true}, false},
		{"c.pem,k.pem", ":9000", certs.Mode{Cert: "c.pem", Key: "k.pem"}, false},
		{"c.pem", ":9000", certs.Mode{}, true},
		{"c.pem,", ":9000", certs.Mode{}, true},
		{"a,b,c", ":9000", certs.Mode{}, true},
	} {
		got, err := certs.Parse(c.text, c.addr)
		if got != c.want || (err != nil) != c.bad || (c.bad && !errors.Is(err, cairn.Invalid)) {
			t.Errorf("Parse(%q, %q) = %+v, %v; want %+v, error %v", c.text, c.addr, got, err, c.want, c.bad)
		}
	}
}

// shake makes a TLS handshake as a client that trusts the CA file alone.
func shake(t *testing.T, s *certs.Source, caFile, name string, now time.Time) error {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", caFile)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	served := make(chan error, 1)
	go func() { served <- tls.Server(far, s.Config()).Handshake() }()
	client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: name, Time: func() time.Time { return now }})
	err = client.HandshakeContext(t.Context())
	near.Close()
	<-served
	return err
}

func TestAutoCertificateIsTrustedForItsNames(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "tls"), time.Now()
	s, err := certs.Open(certs.Mode{Auto: true}, dir, []string{"192.0.2.7", "0.0.0.0", "s3.example.org", "*.s3.example.org"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "192.0.2.7", "s3.example.org", "bucket.s3.example.org"} {
		if err := shake(t, s, s.CAFile(), name, now); err != nil {
			t.Errorf("handshake as %s: %v", name, err)
		}
	}
	for _, name := range []string{"0.0.0.0", "example.org", "a.b.s3.example.org"} {
		if err := shake(t, s, s.CAFile(), name, now); err == nil {
			t.Errorf("handshake as %s succeeded", name)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", f.Name(), info.Mode(), err)
		}
	}
}

func TestAuthorityOutlivesServerCertificates(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	clock := func() time.Time { return now }
	s, err := certs.Open(certs.Mode{Auto: true}, dir, nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Expires()
	if err != nil {
		t.Fatal(err)
	}
	now = first.Add(-31 * 24 * time.Hour)
	if again, err := s.Expires(); err != nil || !again.Equal(first) {
		t.Errorf("31 days before the end, the certificate expires at %v, %v; want still %v", again, err, first)
	}
	now = first.Add(-29 * 24 * time.Hour)
	second, err := s.Expires()
	if err != nil || !second.After(first) {
		t.Errorf("29 days before the end, the certificate expires at %v, %v; want a new one", second, err)
	}
	if err := shake(t, s, s.CAFile(), "localhost", now); err != nil {
		t.Errorf("handshake with the renewed certificate: %v", err)
	}
	// A restart keeps both, and other names get another certificate.
	s, err = certs.Open(certs.Mode{Auto: true}, dir, []string{"new.example.org"}, clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := shake(t, s, s.CAFile(), "new.example.org", now); err != nil {
		t.Errorf("handshake under a new name: %v", err)
	}
	if after, err := os.ReadFile(s.CAFile()); err != nil || string(after) != string(ca) {
		t.Errorf("the authority changed, %v", err)
	}
}

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if _, err := certs.Open(certs.Mode{Auto: true}, dir, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	pair := filepath.Join(t.TempDir(), "pair.pem")
	install := func(dir string) {
		t.Helper()
		pem, err := os.ReadFile(filepath.Join(dir, "server.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pair, pem, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(pair, now, now); err != nil {
			t.Fatal(err)
		}
	}
	install(a)
	s, err := certs.Open(certs.Mode{Cert: pair, Key: pair}, "", nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	if s.CAFile() != "" {
		t.Errorf("CAFile with own files = %q, want none", s.CAFile())
	}
	if err := shake(t, s, filepath.Join(a, "ca.pem"), "localhost", now); err != nil {
		t.Errorf("handshake with the first file: %v", err)
	}
	now = now.Add(11 * time.Second)
	install(b)
	if err := shake(t, s, filepath.Join(b, "ca.pem"), "localhost", now); err != nil {
		t.Errorf("handshake after the file changed: %v", err)
	}
	// A broken file does not take the endpoint down.
	now = now.Add(11 * time.Second)
	if err := os.WriteFile(pair, []byte("half a certific"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shake(t, s, filepath.Join(b, "ca.pem"), "localhost", now); err != nil {
		t.Errorf("handshake while the file is broken: %v", err)
	}
}

func TestMissingFilesFailAtOnce(t *testing.T) {
	_, err := certs.Open(certs.Mode{Cert: "nowhere.pem", Key: "nowhere.key"}, "", nil, nil)
	if !errors.Is(err, cairn.Invalid) || cairn.HintOf(err) == "" {
		t.Errorf("Open = %v, hint %q; want Invalid with a hint", err, cairn.HintOf(err))
	}
}
