// Command cairn is the owner's and operator's side of Cairn: it runs a gateway
// or a whole network, makes and recovers owners, and shows what is stored.
//
// The command tree stands in root.go; each command in a file named after it.
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
