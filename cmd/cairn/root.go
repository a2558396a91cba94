package main

import (
	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn/internal/cli"
)

const longHelp = `Cairn is an S3 object store without a metadata server: 24 words and any k of n
shards bring everything back.

Every flag can be set by an environment variable (--s3-tls is CAIRN_S3_TLS) or
in a TOML file (--config, or config.toml in --dir); a flag given wins over the
environment, which wins over the file. Exit codes: 0 done, 1 failure, 2 usage,
3 not found, 4 unavailable, 5 denied, 6 corrupt, 7 full, 8 exists, 130
interrupted.`

// newApp returns the command tree.
func newApp(io cli.Streams) *cli.App {
	a := cli.New("cairn", "CAIRN_", "S3 object store on other people's disks", longHelp, cli.Version(), io)
	a.Root.AddCommand(
		newUp(a),
		newInit(a),
		newGateway(a),
		newRecover(a),
		newStatus(a),
		cli.Group("node", "Storage nodes", newNodeLs(a)),
		cli.Group("bucket", "Buckets", newBucketLs(a)),
		cli.Group("object", "Objects", newObjectInspect(a)),
		newDecode(a),
		newDoctor(a),
	)
	return a
}

// dirVar adds the --dir flag.
func dirVar(cmd *cobra.Command, dir *string, what string) {
	cmd.Flags().StringVar(dir, "dir", defaultDir, what)
	_ = cmd.MarkFlagDirname("dir") // fails only for flags that are not there
}

const (
	defaultDir     = "cairn-data"
	defaultNetwork = "cairn"
	defaultS3      = "127.0.0.1:9000"
	defaultConsole = "127.0.0.1:9001"
	defaultRegion  = "us-east-1"
)
