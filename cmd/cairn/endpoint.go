package main

import (
	"context"
	"crypto/tls"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/gateway/sigv4"
	"github.com/cairn-store/cairn/internal/httpd"
)

// openS3 opens the S3 endpoint and writes credentials.env, which names it.
func (g *gatewayProcess) openS3(ctx context.Context) error {
	verifier, err := sigv4.NewVerifier(sigv4.Config{Region: g.o.region, Lookup: ownersKey(g.keys)})
	if err != nil {
		return cairn.NewError("open S3 endpoint", cairn.Invalid, err)
	}
	token := g.keys.TokenKey()
	handler, err := s3api.New(s3api.Config{
		Store: g.engine.Load(), Verifier: verifier, Region: g.o.region, Domains: g.o.s3Domains,
		TokenKey: token[:], Log: g.log, Registerer: g.metrics,
	})
	if err != nil {
		return cairn.NewError("open S3 endpoint", cairn.Invalid, err)
	}
	var secure *tls.Config
	if g.certs != nil {
		secure = g.certs.Config()
	}
	server := httpd.New(httpd.Config{
		Name: "S3 endpoint", Addr: g.o.s3, Server: s3api.NewServer(handler, g.log), Wrap: s3api.Guard,
		TLS: secure, MaxConns: 4096, Log: g.log,
	})
	if err := server.Start(ctx); err != nil {
		return err
	}
	g.s3.Store(server)
	return g.home.writeCredentials(g.keys, g.access())
}

func (g *gatewayProcess) runS3(ctx context.Context) error { return g.s3.Load().Run(ctx) }

// access is how clients of this gateway reach it.
func (g *gatewayProcess) access() access {
	a := access{Endpoint: g.s3.Load().URL(), Region: g.o.region}
	if g.certs != nil {
		a.CAFile = absolute(g.certs.CAFile())
	}
	return a
}

// ownersKey finds the owner's first S3 key, the only one there is.
func ownersKey(keys *seal.Keys) sigv4.Lookup {
	accessKey, secretKey := keys.S3Credential(0)
	return func(_ context.Context, name string) (sigv4.Credential, error) {
		if name != accessKey { // access keys are public: no constant time needed
			return sigv4.Credential{}, cairn.Errorf("find access key", cairn.NotFound, "no such access key")
		}
		return sigv4.Credential{SecretKey: sigv4.Secret(secretKey)}, nil
	}
}
