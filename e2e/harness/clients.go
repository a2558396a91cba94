package harness

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	miniocredentials "github.com/minio/minio-go/v7/pkg/credentials"
)

// Credentials are the lines of credentials.env.
type Credentials struct {
	AccessKey, SecretKey string
	Endpoint             string // URL
	Region               string
	CAFile               string // "" over http
}

// Env returns the credentials as a client's environment.
func (c Credentials) Env() []string {
	env := []string{
		"AWS_ACCESS_KEY_ID=" + c.AccessKey, "AWS_SECRET_ACCESS_KEY=" + c.SecretKey,
		"AWS_ENDPOINT_URL=" + c.Endpoint, "AWS_REGION=" + c.Region, "AWS_DEFAULT_REGION=" + c.Region,
	}
	if c.CAFile != "" {
		env = append(env, "AWS_CA_BUNDLE="+c.CAFile)
	}
	return env
}

// Credentials reads the gateway's credentials.env.
func (n *Network) Credentials() Credentials {
	n.t.Helper()
	f, err := os.Open(filepath.Join(n.Gateway.Dir, "credentials.env"))
	if err != nil {
		n.t.Fatalf("read credentials: %v", err)
	}
	defer f.Close() // nothing was written
	values := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			values[name] = strings.Trim(value, "'")
		}
	}
	if err := lines.Err(); err != nil {
		n.t.Fatalf("read credentials: %v", err)
	}
	c := Credentials{
		AccessKey: values["AWS_ACCESS_KEY_ID"], SecretKey: values["AWS_SECRET_ACCESS_KEY"],
		Endpoint: values["AWS_ENDPOINT_URL"], Region: values["AWS_REGION"], CAFile: values["AWS_CA_BUNDLE"],
	}
	if c.AccessKey == "" || c.SecretKey == "" || c.Endpoint == "" || c.Region == "" {
		n.t.Fatalf("credentials.env lacks a value; it has %d", len(values))
	}
	return c
}

// transport returns an HTTP transport that trusts the gateway.
func (n *Network) transport() *http.Transport {
	n.t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, DisableCompression: true}
	if ca := n.Credentials().CAFile; ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			n.t.Fatalf("read CA certificate: %v", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			n.t.Fatalf("%s holds no certificate", ca)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	n.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// S3 returns an aws-sdk-go-v2 client of the gateway. change may be nil.
func (n *Network) S3(change ...func(*s3.Options)) *s3.Client {
	n.t.Helper()
	c := n.Credentials()
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(c.Endpoint), Region: c.Region, UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey}, nil
		}),
		HTTPClient: &http.Client{Transport: n.transport()},
	}, change...)
}

// Minio returns a minio-go client of the gateway.
func (n *Network) Minio() *minio.Client {
	n.t.Helper()
	c := n.Credentials()
	client, err := minio.New(n.Gateway.S3Addr, &minio.Options{
		Creds:  miniocredentials.NewStaticV4(c.AccessKey, c.SecretKey, ""),
		Secure: n.Gateway.TLS, Region: c.Region, Transport: n.transport(), BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		n.t.Fatal(fmt.Errorf("make minio client: %w", err))
	}
	return client
}
