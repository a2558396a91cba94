package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/recovery"
	"github.com/cairn-store/cairn/gateway/seal"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/secretfile"
	"github.com/cairn-store/cairn/placement/directory"
)

type recoverOptions struct {
	dir, phraseFile, wordFile, passphraseFile string
	network, networkKeyFile                   string
	join                                      []string
	nodes                                     int
	wait                                      time.Duration
	s3, region                                string
}

func newRecover(a *cli.App) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use: "recover", Short: "Bring an owner back from the recovery phrase and the nodes", Args: cobra.NoArgs,
		Long: `Bring back buckets, objects, versions and the S3 key into an empty --dir, from the
24 words and whatever nodes answer. An interrupted recovery goes on when it is
started again with the same --dir. Then start cairn gateway on it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.phraseFile == "":
				return cli.Usage("--phrase-file is missing").WithHint("write the 24 words into a file of mode 0600")
			case len(o.join) == 0:
				return cli.Usage("--join is missing").WithHint("give the address of any node of the network")
			}
			return runRecover(cmd.Context(), a, o)
		},
	}
	dirVar(cmd, &o.dir, "new directory of the owner")
	ownerFlags(cmd, &o.passphraseFile)
	f := cmd.Flags()
	f.StringVar(&o.phraseFile, "phrase-file", "", "file with the recovery phrase (mode 0600)")
	f.StringVar(&o.wordFile, "bip39-passphrase-file", "", wordFileHelp)
	f.StringSliceVar(&o.join, "join", nil, "multiaddrs of nodes to begin with")
	f.StringVar(&o.network, "network", defaultNetwork, "name of the network of nodes")
	f.StringVar(&o.networkKeyFile, "network-key-file", "", "file with the 64 hexadecimal digits that a private network shares")
	f.IntVar(&o.nodes, "nodes", 1, "nodes to wait for before starting")
	f.DurationVar(&o.wait, "wait", time.Minute, "longest wait for nodes to answer")
	f.StringVar(&o.s3, "s3", defaultS3, "address of the S3 endpoint to be, for credentials.env")
	f.StringVar(&o.region, "region", defaultRegion, "S3 region")
	return cmd
}

func runRecover(ctx context.Context, a *cli.App, o recoverOptions) (err error) {
	log, err := a.Logger()
	if err != nil {
		return err
	}
	phrase, err := readPhrase(o.phraseFile)
	if err != nil {
		return err
	}
	keys, err := phraseKeys(phrase, o.wordFile)
	if err != nil {
		return err
	}
	if err := secretfile.MakeDir(o.dir); err != nil {
		return err
	}
	unlock, err := secretfile.Lock(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	h := home(o.dir)
	if err := h.wantNoOwner(); err != nil {
		return err
	}
	if err := secretfile.MakeDir(h.path("recovery")); err != nil {
		return err
	}
	cat, err := openCatalog(h, keys, log)
	if err != nil {
		return err
	}
	verdict, err := o.recover(ctx, a, keys, cat)
	// The catalog is closed before owner.key says that there is an owner.
	if err = errors.Join(err, cat.Close()); err != nil {
		return err
	}
	if foundNothing(verdict) {
		return h.forgetRecovery()
	}
	// owner.key comes last: until it is there, recover can be run again.
	keys = keys.AtEpoch(max(verdict.Epoch, keys.Epoch()))
	if err := makeOwner(h, keys, o.passphraseFile, access{Endpoint: "http://" + o.s3, Region: o.region}); err != nil {
		return err
	}
	return reportVerdict(a, h, verdict)
}

// foundNothing reports whether the nodes have never heard of the owner.
func foundNothing(v recovery.Verdict) bool {
	return v.Objects+v.Buckets+v.Segments+v.Deleted+v.Superseded+v.Unfinished+v.Undecided+
		v.Orphans+v.OrphansLeft+v.Corrupt+v.Lost == 0
}

// forgetRecovery removes what a recovery that found nothing has written, which
// holds nothing either, and says so: the phrase of somebody else is a phrase,
// too, and must not look like a success.
func (h home) forgetRecovery() error {
	for _, dir := range []string{h.path("recovery"), h.catalogDir()} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove empty recovery: %w", err)
		}
	}
	return cairn.Errorf("recover", cairn.NotFound, "the nodes that answered keep nothing of this owner").
		WithHint("is it the right phrase, the right --network, and has it a BIP-39 passphrase?")
}

func reportVerdict(a *cli.App, h home, v recovery.Verdict) error {
	err := a.Print(v, func(w io.Writer) error {
		if _, err := fmt.Fprintln(w, v); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		for _, n := range v.Unanswered {
			if _, err := fmt.Fprintf(w, "did not answer: %v: %s\n", n.Node, n.Reason); err != nil {
				return fmt.Errorf("write result: %w", err)
			}
		}
		return cli.Fields(w, "owner", h.ownerKey(), "credentials", h.credentials())
	})
	if err != nil {
		return err
	}
	if v.Unreadable > 0 {
		return cairn.Errorf("recover", cairn.Unavailable, "%d objects cannot be read from the nodes that answered", v.Unreadable).
			WithHint("they are listed, and come back with their nodes")
	}
	return nil
}

// recover meets the network and rebuilds the catalog.
func (o recoverOptions) recover(ctx context.Context, a *cli.App, keys *seal.Keys, cat catalog.Catalog) (v recovery.Verdict, err error) {
	log, err := a.Logger()
	if err != nil {
		return v, err
	}
	host, err := newClientHost(o.network, o.networkKeyFile)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	nodes := newCluster(keys)
	dir, err := nodes.open(host, directory.Config{Join: o.join, Path: home(o.dir).nodeSet(), Logger: log})
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, nodes.close()) }()
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- dir.Run(run) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	bar := a.Progress("meeting the network", -1, false)
	defer bar.Done()
	if err := survey(ctx, dir, o.nodes, o.wait); err != nil {
		return v, err
	}
	v, err = recovery.Run(ctx, recovery.Config{
		Keys: keys, Catalog: cat, Dir: home(o.dir).path("recovery"), Log: log,
		Nodes: func() []recovery.Node { return nodes.all() },
		Progress: func(p recovery.Progress) {
			bar.Describe(fmt.Sprintf("%s: %d of %d nodes, %d objects", p.Phase, p.NodesDone, p.Nodes, p.Objects))
			bar.Set(p.Records, -1)
		},
	})
	if err != nil && ctx.Err() != nil {
		return v, fmt.Errorf("recover: %w; start it again with the same --dir to go on", ctx.Err())
	}
	return v, err
}
