package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/console"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/control"
)

// methodStatus is the control socket's only method.
const methodStatus = "status"

type nothing struct{}

func newStatus(a *cli.App) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "status", Short: "Show how the running node is", Args: cobra.NoArgs,
		Long: "Show how the node that runs on --dir is. The exit code is 4 while it takes no new shards.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := control.Call[nothing, console.Status](cmd.Context(), dir, methodStatus, nothing{})
			if err != nil {
				return err
			}
			if err := a.Print(s, func(w io.Writer) error { return printStatus(w, s) }); err != nil {
				return err
			}
			if s.Verdict == console.Unavailable {
				return cairn.Errorf("check status", cairn.Unavailable, "%s", strings.Join(s.Problems, "; "))
			}
			return nil
		},
	}
	dirVar(cmd, &dir)
	return cmd
}

func printStatus(w io.Writer, s console.Status) error {
	n := s.Node
	writes := "accepted"
	if !n.Writable {
		writes = "refused: " + n.Reason
	}
	return cli.Fields(w,
		"verdict", string(s.Verdict),
		"node", n.ID.String(),
		"address", strings.Join(n.Addresses, ", "),
		"failure domain", n.FailureDomain,
		"writes", writes,
		"space", cli.Bytes(n.UsedBytes)+" used, "+cli.Bytes(n.FreeBytes)+" free of "+cli.Bytes(n.CapacityBytes),
		"shards", fmt.Sprintf("%d", n.Shards),
		"peers", fmt.Sprintf("%d", n.Peers),
		"version", s.Version,
	)
}
