package cairn

import (
	"encoding/hex"
	"errors"
	"testing"
)

// Peer ids as go-libp2p prints them for these public keys.
var peerIDs = map[string]string{
	"0000000000000000000000000000000000000000000000000000000000000000": "12D3KooW9pNAk8aiBuGVQtWRdbkLmo5qVL3e2h5UxbN2Nz9ttwiw",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": "12D3KooWT3gYEvLJyx1FyyHqrmvdy1tMjpgxmu9aSeKMEuafQtyC",
	"1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e": "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
	"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb": "12D3KooWPTCWpA2Xi73a1uREdWgF3ssywwth3Sd8A7M5vm3zgdKp",
	"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d": "12D3KooWDzwCfugwoor3LkCipVDjLhD22bJaQ1ontrVydY2eiiMz",
}

func TestNodeIDIsTheLibp2pPeerID(t *testing.T) {
	for key, want := range peerIDs {
		raw, err := hex.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		id := NodeID(raw)
		if got := id.String(); got != want {
			t.Errorf("NodeID(%s) = %s, want %s", key, got, want)
		}
		if got, err := ParseNodeID(want); got != id || err != nil {
			t.Errorf("ParseNodeID(%s) = %x, %v, want %s", want, got[:], err, key)
		}
	}
}

func TestOtherTextsAreNoNodeIDs(t *testing.T) {
	for _, text := range []string{
		"", "1", "12D3KooW", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p",
		"12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pqq",
		"112D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
		"12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p0",
		"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", // an RSA key
		"16Uiu2HAmL2nWS5DFAH9nCRNsSgnUvjLiCSGVLCJhcS6kJ6hXGjGo",
	} {
		if _, err := ParseNodeID(text); !errors.Is(err, Invalid) {
			t.Errorf("ParseNodeID(%q) = %v, want Invalid", text, err)
		}
	}
}

func FuzzParseNodeID(f *testing.F) {
	for _, text := range peerIDs {
		f.Add(text)
	}
	f.Add("12D3KooW")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseNodeID(text); err == nil && id.String() != text {
			t.Errorf("ParseNodeID(%q).String() = %q", text, id.String())
		}
	})
}
