// Command storagenode is a storage provider's daemon: it keeps shards for
// owners it knows nothing about.
//
// Flags, files, endpoints and exit codes are described in docs/operations.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/cairn-store/cairn/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return newApp(cli.ProcessStreams()).Run(ctx, os.Args[1:])
}
