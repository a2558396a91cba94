package provider

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
)

func TestDataListensAtThePortAfterTheNetworks(t *testing.T) {
	for _, c := range []struct{ listen, data, want string }{
		{"0.0.0.0:7700", "", "0.0.0.0:7701"},
		{"127.0.0.1:0", "", "127.0.0.1:0"},
		{":7700", "", "0.0.0.0:7701"},
		{"[::1]:7700", "", "[::1]:7701"},
		{"0.0.0.0:7700", "10.0.0.1:9", "10.0.0.1:9"},
	} {
		cfg := Config{Dir: "d", Network: "n", Listen: c.listen, DataListen: c.data}
		if err := cfg.fill(); err != nil || cfg.DataListen != c.want {
			t.Errorf("listen %q, data %q: data listens at %q, %v; want %q", c.listen, c.data, cfg.DataListen, err, c.want)
		}
	}
}

func TestWrongConfigurationsAreInvalid(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Dir: "d", Network: "n", Listen: "7700"},
		{Dir: "d", Network: "n", Listen: "example.org:7700"},
		{Dir: "d", Network: "n", Listen: "0.0.0.0:70000"},
		{Dir: "d", Network: "n", Listen: "0.0.0.0:1", DataListen: "x"},
		{Dir: "d", Network: "n", Listen: "0.0.0.0:1", Advertise: []string{"/ip4/1.2.3.4"}},
	} {
		if err := cfg.fill(); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%+v: %v, want Invalid", cfg, err)
		}
	}
}

func TestMultiaddrs(t *testing.T) {
	for listen, want := range map[string][]string{
		"0.0.0.0:7700": {"/ip4/0.0.0.0/tcp/7700", "/ip4/0.0.0.0/udp/7700/quic-v1"},
		"[::]:0":       {"/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"},
		"localhost:1":  {"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1"},
	} {
		if got, err := multiaddrs(listen); err != nil || !slices.Equal(got, want) {
			t.Errorf("multiaddrs(%q) = %q, %v; want %q", listen, got, err, want)
		}
	}
}

func TestAdvertisedHostsTakeThePlaceOfTheListeningOne(t *testing.T) {
	const listening = "/ip4/10.0.0.1/tcp/7700"
	for host, want := range map[string]string{
		"192.0.2.7":   "/ip4/192.0.2.7/tcp/7700",
		"2001:db8::1": "/ip6/2001:db8::1/tcp/7700",
		"example.org": "/dns/example.org/tcp/7700",
	} {
		if got, ok := withHost(listening, host); !ok || got != want {
			t.Errorf("withHost(%q) = %q, %v; want %q", host, got, ok, want)
		}
	}
	if got, ok := withHost("/dns/x/tcp/1", "192.0.2.7"); ok {
		t.Errorf("a name was replaced: %q", got)
	}
}

func TestAddressToJoinAtIsTheOneMostCanReach(t *testing.T) {
	addrs := []string{"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"}
	for n, want := range map[int]string{1: addrs[0], 2: addrs[1], 3: addrs[2], 4: addrs[3], 5: addrs[3]} {
		if got, err := bestAddress(addrs[:n]); err != nil || got != want {
			t.Errorf("bestAddress(%q) = %q, %v; want %q", addrs[:n], got, err, want)
		}
	}
	if got, err := bestAddress(nil); err == nil {
		t.Errorf("bestAddress of nothing = %q", got)
	}
}

func TestNetworkKeyIsReadOrRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for text, good := range map[string]bool{
		strings.Repeat("0f", 32) + "\n": true,
		strings.Repeat("0f", 31):        false,
		strings.Repeat("xy", 32):        false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := ReadNetworkKey(path)
		if good && (err != nil || len(key) != 32) || !good && !errors.Is(err, cairn.Invalid) {
			t.Errorf("key %q: %d bytes, %v", text, len(key), err)
		}
	}
	if key, err := ReadNetworkKey(""); key != nil || err != nil {
		t.Errorf("no file: %v, %v; want no key", key, err)
	}
}
