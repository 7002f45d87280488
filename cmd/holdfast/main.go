// Command holdfast keeps a fleet of edge Kubernetes hosts at what a signed Git
// repository says. It is both the agent on every host and the command line at
// headquarters.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever asks twice does not want to wait
	return report(os.Stderr, newRootCmd().ExecuteContext(ctx))
}
