package clients

import (
	"net"
	"sync"
	"testing"

	"github.com/cairn-store/cairn/e2e/harness"
)

// endpoint is a gateway over one scheme, and how to reach it.
type endpoint struct {
	scheme, url          string
	host                 string // host:port
	accessKey, secretKey string
	region               string
	caFile               string // "" over http
	virtual              string // URL under which bucket names are hosts
	proxy                string // makes such hosts reachable

	mu   sync.Mutex // guards many
	many string     // see trial.many; "" until asked for
}

// domain is the gateway's name for virtual-host style requests.
const domain = "s3.cairn.test"

// startNetwork starts six nodes and a gateway that serves over the scheme. They
// end with t.
func startNetwork(t *testing.T, scheme string) *endpoint {
	t.Helper()
	n := harness.New(t, harness.Options{TLS: scheme == "https", ExtraGatewayArgs: []string{"--s3-domain", domain}})
	c := n.Credentials()
	_, port, err := net.SplitHostPort(n.Gateway.S3Addr)
	must(t, err)
	return &endpoint{
		scheme: scheme, url: c.Endpoint, host: n.Gateway.S3Addr,
		accessKey: c.AccessKey, secretKey: c.SecretKey, region: c.Region, caFile: c.CAFile,
		virtual: scheme + "://" + net.JoinHostPort(domain, port), proxy: startResolver(t, n.Gateway.S3Addr),
	}
}
