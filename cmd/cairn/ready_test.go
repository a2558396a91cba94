package main

import (
	"errors"
	"net/http"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/internal/httpd"
	"github.com/cairn-store/cairn/internal/testnet"
)

func TestAGatewayIsReadyOnceItsEndpointListens(t *testing.T) {
	g := &gatewayProcess{}
	if err := g.ready(false); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("ready without an engine = %v, want Unavailable", err)
	}
	e, _ := testnet.NewMem(t, 6).Engine(t, gateway.Config{})
	g.engine.Store(e)
	if err := g.ready(true); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("ready before the endpoint listens = %v, want Unavailable", err)
	}
	server := httpd.New(httpd.Config{Name: "test", Addr: "127.0.0.1:0", Server: &http.Server{}})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Run(t.Context()) }()
	g.s3.Store(server)
	if err := g.ready(true); err != nil {
		t.Errorf("ready once it listens = %v", err)
	}
	g.draining.Store(true)
	if err := g.ready(false); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("ready while draining = %v, want Unavailable", err)
	}
	if err := errors.Join(server.Stop(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}
