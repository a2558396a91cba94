package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/durable"
	"github.com/cairn-store/cairn/internal/secretfile"
	"github.com/cairn-store/cairn/storagenode"
)

const longHelp = `A storage node of a Cairn network. It keeps encrypted shards and learns nothing
about what they are part of.

Every flag can be set by an environment variable (--data-listen is
STORAGENODE_DATA_LISTEN) or in a TOML file (--config, or config.toml in --dir);
a flag given wins over the environment, which wins over the file. Exit codes: 0
done, 1 failure, 2 usage, 3 not found, 4 unavailable, 5 denied, 6 corrupt, 7
full, 8 exists, 130 interrupted.`

const defaultDir = "storagenode-data"

// newApp returns the command tree.
func newApp(io cli.Streams) *cli.App {
	a := cli.New("storagenode", "STORAGENODE_", "Storage node of a Cairn network", longHelp, cli.Version(), io)
	a.Root.AddCommand(newInit(a), newRun(a), newStatus(a), newExport(a))
	return a
}

// dirVar adds the --dir flag.
func dirVar(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", defaultDir, "directory of the node")
	_ = cmd.MarkFlagDirname("dir") // fails only for flags that are not there
}

const shardDirHelp = "directory of the shards, on a disk of its own (default: --dir)"

func newInit(a *cli.App) *cobra.Command {
	var dir, shardDir string
	cmd := &cobra.Command{
		Use: "init", Short: "Make a new node: its key, and the mark on its volume", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runInit(a, dir, shardDir) },
	}
	dirVar(cmd, &dir)
	cmd.Flags().StringVar(&shardDir, "shard-dir", "", shardDirHelp)
	return cmd
}

func runInit(a *cli.App, dir, shardDir string) error {
	if err := secretfile.MakeDir(dir); err != nil {
		return err
	}
	if shardDir != "" {
		if err := secretfile.MakeDir(shardDir); err != nil {
			return err
		}
	}
	key, err := storagenode.Init(durable.OS{}, dir, shardDir)
	if err != nil {
		return fmt.Errorf("make node in %s: %w", dir, err)
	}
	id := idOf(key)
	return a.Print(map[string]string{"node": id.String(), "dir": dir}, func(w io.Writer) error {
		return cli.Fields(w, "node", id.String(), "directory", dir)
	})
}
