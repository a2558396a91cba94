package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairn-store/cairn"
)

// Mode says where certificates come from.
type Mode struct {
	Off       bool
	Auto      bool
	Cert, Key string // files, when neither Off nor Auto
}

// Parse reads "auto", "off" or "CERT,KEY". An empty text means off when addr is
// on loopback, where there is nobody to protect from, and auto elsewhere.
func Parse(text, addr string) (Mode, error) {
	switch text {
	case "off":
		return Mode{Off: true}, nil
	case "auto":
		return Mode{Auto: true}, nil
	case "":
		if IsLoopback(addr) {
			return Mode{Off: true}, nil
		}
		return Mode{Auto: true}, nil
	}
	cert, key, ok := strings.Cut(text, ",")
	if !ok || cert == "" || key == "" || strings.Contains(key, ",") {
		return Mode{}, cairn.Errorf("read TLS setting", cairn.Invalid, "%q is not auto, off or CERT,KEY", text)
	}
	return Mode{Cert: cert, Key: key}, nil
}

// IsLoopback reports whether host:port is reached from this machine only.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Source gives certificates to a TLS server.
type Source struct {
	names []string
	dir   string // of our own authority; "" with files
	cert  string
	key   string
	now   func() time.Time

	mu      sync.Mutex // guards the fields below
	current *tls.Certificate
	looked  time.Time // when the files were last looked at
	stamp   string    // what they looked like
}

// lookAgain is how often files are looked at for a change.
const lookAgain = 10 * time.Second

// Open returns a source for the mode, or nil when it is off. dir keeps our own
// authority; names are the hosts and addresses that certificate is for, beside
// localhost. now may be nil.
func Open(m Mode, dir string, names []string, now func() time.Time) (*Source, error) {
	if m.Off {
		return nil, nil
	}
	if now == nil {
		now = time.Now
	}
	s := &Source{names: serverNames(names), cert: m.Cert, key: m.Key, now: now}
	if m.Auto {
		s.dir = dir
	}
	if _, err := s.certificate(); err != nil {
		return nil, err
	}
	return s, nil
}

// CAFile returns the certificate clients have to trust, or "" when it comes
// from files and is somebody else's business.
func (s *Source) CAFile() string {
	if s.dir == "" {
		return ""
	}
	return filepath.Join(s.dir, caCertFile)
}

// Config returns the server's TLS configuration.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.certificate()
		},
	}
}

// Expires returns when the certificate in use does.
func (s *Source) Expires() (time.Time, error) {
	c, err := s.certificate()
	if err != nil {
		return time.Time{}, err
	}
	return c.Leaf.NotAfter, nil
}

// certificate returns the certificate to use now. One that cannot be renewed
// stays in use until it expires.
func (s *Source) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.current != nil && now.Sub(s.looked) < lookAgain && now.After(s.looked.Add(-lookAgain)) {
		return s.current, nil
	}
	s.looked = now
	next, err := s.load(now)
	if err != nil {
		if s.current != nil && now.Before(s.current.Leaf.NotAfter) {
			return s.current, nil
		}
		return nil, err
	}
	s.current = next
	return next, nil
}

func (s *Source) load(now time.Time) (*tls.Certificate, error) {
	if s.dir != "" {
		if s.current != nil && s.current.Leaf.NotAfter.Sub(now) > renewBefore {
			return s.current, nil
		}
		return loadOrIssue(s.dir, s.names, now)
	}
	stamp, err := stampOf(s.cert, s.key)
	if err == nil && s.current != nil && stamp == s.stamp {
		return s.current, nil
	}
	if err == nil {
		var c tls.Certificate
		if c, err = tls.LoadX509KeyPair(s.cert, s.key); err == nil {
			s.stamp = stamp
			return &c, nil
		}
	}
	return nil, cairn.Errorf("load TLS certificate", cairn.Invalid, "%w", err).
		WithHint("--s3-tls wants two PEM files: CERT,KEY")
}

// stampOf tells a changed file from an unchanged one.
func stampOf(paths ...string) (string, error) {
	var stamp strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&stamp, "%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return stamp.String(), nil
}

// serverNames returns names with those of this machine, without doubles.
func serverNames(names []string) []string {
	all := []string{"localhost", "127.0.0.1", "::1"}
	for _, n := range names {
		if ip := net.ParseIP(n); n == "" || (ip != nil && ip.IsUnspecified()) {
			continue
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var errExpiring = errors.New("certificate expires soon or is for other names")
