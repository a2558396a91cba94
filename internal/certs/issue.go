package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/secretfile"
)

// Files in the directory of our own authority. The order of writing is
// authority, then server; each file holds certificate and key together, so a
// crash never leaves a pair that does not match.
const (
	caFile     = "ca-key.pem" // certificate and key
	caCertFile = "ca.pem"     // the certificate alone, for clients
	serverFile = "server.pem" // certificate and key
)

const (
	caLife      = 10 * 365 * 24 * time.Hour
	serverLife  = 90 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
	backdate    = time.Hour // clients' clocks differ
	maxPEM      = 64 << 10
)

// loadOrIssue returns the server certificate in dir if it is good for names
// and for a while, else a new one, which it keeps there.
func loadOrIssue(dir string, names []string, now time.Time) (*tls.Certificate, error) {
	if err := secretfile.MakeDir(dir); err != nil {
		return nil, err
	}
	ca, err := loadOrMakeCA(dir, now)
	if err != nil {
		return nil, err
	}
	c, err := readPair(filepath.Join(dir, serverFile))
	if err == nil {
		err = usable(c, ca, names, now)
	}
	if err == nil {
		return c, nil
	}
	if !errors.Is(err, cairn.NotFound) && !errors.Is(err, errExpiring) {
		return nil, err
	}
	return issue(dir, ca, names, now)
}

// ExpiryIn returns when the server certificate that our own authority in dir
// issued expires.
func ExpiryIn(dir string) (time.Time, error) {
	c, err := readPair(filepath.Join(dir, serverFile))
	if err != nil {
		return time.Time{}, err
	}
	return c.Leaf.NotAfter, nil
}

func usable(c, ca *tls.Certificate, names []string, now time.Time) error {
	if c.Leaf.CheckSignatureFrom(ca.Leaf) != nil || c.Leaf.NotAfter.Sub(now) <= renewBefore || now.Before(c.Leaf.NotBefore) {
		return errExpiring
	}
	for _, name := range names {
		if !listed(c.Leaf, name) {
			return errExpiring
		}
	}
	return nil
}

// listed reports whether the certificate names exactly this host or wildcard.
func listed(c *x509.Certificate, name string) bool {
	if ip := net.ParseIP(name); ip != nil {
		for _, have := range c.IPAddresses {
			if have.Equal(ip) {
				return true
			}
		}
		return false
	}
	for _, have := range c.DNSNames {
		if have == name {
			return true
		}
	}
	return false
}

func loadOrMakeCA(dir string, now time.Time) (*tls.Certificate, error) {
	path := filepath.Join(dir, caFile)
	ca, err := readPair(path)
	if errors.Is(err, cairn.NotFound) {
		if err = makeCA(path, now); err == nil || errors.Is(err, cairn.Exists) {
			ca, err = readPair(path)
		}
	}
	if err != nil {
		return nil, err
	}
	if now.After(ca.Leaf.NotAfter.Add(-serverLife)) {
		return nil, cairn.Errorf("use certificate authority", cairn.Invalid, "it expires on %s", ca.Leaf.NotAfter.Format(time.DateOnly)).
			WithHint("remove " + dir + ", start again, and give clients the new " + caCertFile)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]})
	if err := secretfile.Replace(filepath.Join(dir, caCertFile), public); err != nil {
		return nil, err
	}
	return ca, nil
}

func makeCA(path string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make authority key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Cairn local authority " + now.UTC().Format(time.DateOnly)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	b, err := encodePair(key, der)
	if err != nil {
		return err
	}
	return secretfile.Create(path, b)
}

func issue(dir string, ca *tls.Certificate, names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make server key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "Cairn S3"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(serverLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	b, err := encodePair(key, der, ca.Certificate[0])
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, serverFile)
	if err := secretfile.Replace(path, b); err != nil {
		return nil, err
	}
	return readPair(path)
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func encodePair(key *ecdsa.PrivateKey, chain ...[]byte) ([]byte, error) {
	var out []byte
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
}

func readPair(path string) (*tls.Certificate, error) {
	b, err := secretfile.Read(path, maxPEM)
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, cairn.Errorf("read "+path, cairn.Corrupt, "%w", err).
			WithHint("remove the file to have a new one made")
	}
	return &c, nil
}
