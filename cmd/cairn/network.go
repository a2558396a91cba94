package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/provider"
	"github.com/cairn-store/cairn/placement/directory"
)

// newClientHost returns a libp2p host that only dials, under an identity made
// for this run: a lasting one would let nodes recognise the owner.
func newClientHost(network, networkKeyFile string) (*directory.Host, error) {
	networkKey, err := provider.ReadNetworkKey(networkKeyFile)
	if err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	return directory.NewHost(directory.HostConfig{Network: network, Key: key, NetworkKey: networkKey})
}

// quietFor is how long no new node may turn up before a network counts as
// known.
const quietFor = 2 * time.Second

// survey waits until the directory has met the network: at least want nodes
// are alive, every node known was checked, and none was added for a while. At
// the end of the wait it takes what is there, unless that is nothing.
func survey(ctx context.Context, d *directory.Directory, want int, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	changed, stop := d.Subscribe()
	defer stop()
	known, since := -1, time.Now()
	for {
		nodes := d.Nodes()
		if len(nodes) != known {
			known, since = len(nodes), time.Now()
		}
		quiet := time.NewTimer(max(0, quietFor-time.Since(since)))
		settled := len(d.Live()) >= max(want, 1) && allChecked(nodes)
		select {
		case <-changed:
		case <-quiet.C:
			if settled {
				return nil
			}
			since = time.Now()
		case <-ctx.Done():
			quiet.Stop()
			return surveyed(ctx, d, want)
		}
		quiet.Stop()
	}
}

func allChecked(nodes []directory.Node) bool {
	for _, n := range nodes {
		if n.Liveness == directory.Suspect {
			return false
		}
	}
	return true
}

// surveyed says whether what was met until the end of the wait will do.
func surveyed(ctx context.Context, d *directory.Directory, want int) error {
	live := len(d.Live())
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("meet the network: %w", ctx.Err())
	case live == 0:
		return cairn.Errorf("meet the network", cairn.Unavailable, "no node answers").
			WithHint("is --join right, is --network, and are the nodes running?")
	case live < want:
		return cairn.Errorf("meet the network", cairn.Unavailable, "%d of %d nodes answer", live, want).
			WithHint("start the others, or ask for fewer with --nodes")
	}
	return nil
}
