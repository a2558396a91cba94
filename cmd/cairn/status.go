package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/console"
	"github.com/cairn-store/cairn/internal/cli"
	"github.com/cairn-store/cairn/internal/control"
)

type (
	statusReply = console.Status
	peersReply  = []console.Peer
)

func newStatus(a *cli.App) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "status", Short: "Show how the running gateway is", Args: cobra.NoArgs,
		Long: "Show how the gateway that runs on --dir is. The exit code is 4 while reads or writes are refused.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := control.Call[nothing, statusReply](cmd.Context(), dir, methodStatus, nothing{})
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
	dirVar(cmd, &dir, "directory of the gateway")
	return cmd
}

func printStatus(w io.Writer, s console.Status) error {
	g := s.Gateway
	writes := "refused"
	if g.WriteReady {
		writes = fmt.Sprintf("accepted, %s: any %d nodes may vanish", g.Scheme, g.Losses)
	}
	reads := "refused"
	if g.ReadReady {
		reads = "served"
	}
	if err := cli.Fields(w,
		"verdict", string(s.Verdict),
		"S3", g.Endpoint,
		"reads", reads,
		"writes", writes,
		"nodes", fmt.Sprintf("%d of %d live, %d failure domains", g.Network.Live, g.Network.Known, g.Network.Domains),
		"space", cli.Bytes(g.Network.FreeBytes)+" free of "+cli.Bytes(g.Network.CapacityBytes),
		"content", fmt.Sprintf("%d buckets, %d versions, %s", g.Content.Buckets, g.Content.Versions, cli.Bytes(g.Content.Bytes)),
		"version", s.Version,
	); err != nil {
		return err
	}
	for _, p := range s.Problems {
		if _, err := fmt.Fprintf(w, "problem: %s\n", p); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	return nil
}

func newNodeLs(a *cli.App) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "ls", Short: "List the nodes the running gateway knows", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			peers, err := control.Call[nothing, peersReply](cmd.Context(), dir, methodNodes, nothing{})
			if err != nil {
				return err
			}
			return a.Print(map[string]peersReply{"nodes": peers}, func(w io.Writer) error { return printPeers(w, peers) })
		},
	}
	dirVar(cmd, &dir, "directory of the gateway")
	return cmd
}

func printPeers(w io.Writer, peers []console.Peer) error {
	rows := make([][]string, len(peers))
	for i, p := range peers {
		rtt := ""
		if p.RTTMillis > 0 {
			rtt = fmt.Sprintf("%.1f ms", p.RTTMillis)
		}
		rows[i] = []string{p.ID.String(), p.State, p.FailureDomain, cli.Bytes(p.FreeBytes), cli.Bytes(p.CapacityBytes), rtt, p.Reason}
	}
	return cli.Table(w, []string{"NODE", "STATE", "DOMAIN", "FREE", "CAPACITY", "RTT", "REASON"}, rows)
}

func newBucketLs(a *cli.App) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "ls", Short: "List the buckets of the running gateway", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			buckets, err := control.Call[nothing, []bucketView](cmd.Context(), dir, methodBuckets, nothing{})
			if err != nil {
				return err
			}
			return a.Print(map[string][]bucketView{"buckets": buckets}, func(w io.Writer) error {
				rows := make([][]string, len(buckets))
				for i, b := range buckets {
					rows[i] = []string{b.Name, b.Created.UTC().Format(time.DateTime), b.Region}
				}
				return cli.Table(w, []string{"BUCKET", "CREATED (UTC)", "REGION"}, rows)
			})
		},
	}
	dirVar(cmd, &dir, "directory of the gateway")
	return cmd
}

func newObjectInspect(a *cli.App) *cobra.Command {
	var dir, version string
	cmd := &cobra.Command{
		Use: "inspect s3://BUCKET/KEY", Short: "Show where an object's shards are, asking every node", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bucket, key, err := parseS3(args[0])
			if err != nil {
				return err
			}
			return runInspect(cmd.Context(), a, dir, objectRequest{bucket, key, version})
		},
	}
	dirVar(cmd, &dir, "directory of the gateway")
	cmd.Flags().StringVar(&version, "version-id", "", "version to show (default: the newest)")
	return cmd
}

func parseS3(url string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(url, "s3://")
	bucket, key, slash := strings.Cut(rest, "/")
	if !ok || !slash || bucket == "" || key == "" {
		return "", "", cli.Usage("%q is not s3://BUCKET/KEY", url)
	}
	return bucket, key, nil
}

func runInspect(ctx context.Context, a *cli.App, dir string, r objectRequest) error {
	o, err := control.Call[objectRequest, objectView](ctx, dir, methodObject, r)
	if err != nil {
		return err
	}
	if err := a.Print(o, func(w io.Writer) error { return printObject(w, o) }); err != nil {
		return err
	}
	if o.Health == healthUnreadable {
		return cairn.Errorf("inspect object", cairn.Unavailable, "too few shards answer to read it")
	}
	return nil
}

func printObject(w io.Writer, o objectView) error {
	what := fmt.Sprintf("%s, %d bytes", o.Class, o.Size)
	if o.Marker {
		what = "delete marker"
	}
	if err := cli.Fields(w,
		"object", "s3://"+o.Bucket+"/"+o.Key, "version", o.Version, "what", what, "etag", o.ETag,
		"modified", o.Modified.UTC().Format(time.RFC3339), "health", o.Health); err != nil {
		return err
	}
	var rows [][]string
	add := func(name string, p placeView) {
		for _, s := range p.Shards {
			rows = append(rows, []string{name, p.Segment[:min(10, len(p.Segment))], p.Kind, p.Scheme, fmt.Sprint(s.Index), s.State, s.Node})
		}
	}
	if o.Record != nil {
		add("record", *o.Record)
	}
	for _, s := range o.Segments {
		add(fmt.Sprintf("part %d", s.Part), s.placeView)
	}
	return cli.Table(w, []string{"OF", "SEGMENT", "KIND", "SCHEME", "SHARD", "STATE", "NODE"}, rows)
}
