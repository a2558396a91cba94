package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/durable"
	"github.com/cairn-store/cairn/internal/secretfile"
	"github.com/cairn-store/cairn/storagenode"
)

type exportOptions struct{ dir, shardDir, out string }

// exportResult is what export says with --json.
type exportResult struct {
	Records int64       `json:"records"`
	Bytes   cairn.Bytes `json:"bytes"`
	Dir     string      `json:"dir"`
}

func newExport(a *cli.App) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use: "export", Short: "Write every shard record to a file of its own", Args: cobra.NoArgs,
		Long: `Write every record that a stopped node keeps to a file of its own. The owner's
"cairn decode" restores objects from such files. Files that are there already are
not overwritten.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.out == "" {
				return cli.Usage("--out is missing")
			}
			return runExport(cmd.Context(), a, o)
		},
	}
	dirVar(cmd, &o.dir)
	cmd.Flags().StringVar(&o.shardDir, "shard-dir", "", shardDirHelp)
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "directory to write to; made if missing")
	return cmd
}

func runExport(ctx context.Context, a *cli.App, o exportOptions) (err error) {
	unlock, err := secretfile.Lock(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	key, err := storagenode.LoadKey(durable.OS{}, o.dir)
	if err != nil {
		return err
	}
	node, err := storagenode.New(storagenode.Config{Key: key, Dir: o.dir, ShardDir: o.shardDir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	stats, err := node.Store().Stats()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(o.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()

	result := exportResult{Dir: o.out}
	bar := a.Progress("exporting", stats.UsedBytes, true)
	err = node.Store().Export(ctx, func(id cairn.ShardID, r *io.SectionReader) error {
		n, err := exportRecord(root, id, r)
		result.Records++
		result.Bytes += cairn.Bytes(n)
		bar.Set(int64(result.Bytes), stats.UsedBytes)
		return err
	})
	bar.Done()
	if err != nil {
		return fmt.Errorf("export records: %w", err)
	}
	return a.Print(result, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d records, %v, in %s\n", result.Records, result.Bytes, result.Dir)
		return err
	})
}

// exportRecord writes one record to "SEGMENT.INDEX.shard".
func exportRecord(root *os.Root, id cairn.ShardID, r io.Reader) (n int64, err error) {
	f, err := root.OpenFile(fmt.Sprintf("%s.%d.shard", id.Segment, id.Index), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	if n, err = io.Copy(f, r); err == nil {
		err = f.Sync()
	}
	return n, errors.Join(err, f.Close())
}
