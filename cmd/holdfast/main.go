// Command holdfast keeps a fleet of edge Kubernetes hosts at what a signed Git
// repository says. It is both the agent on every host and the command line at
// headquarters.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRootCmd().ExecuteContext(ctx); err != nil {
		os.Exit(report(os.Stderr, err))
	}
}

// report prints err as people read it and returns the exit code: 2 for a
// command line that makes no sense, 1 for everything else.
func report(w *os.File, err error) int {
	for _, e := range unjoin(err) {
		fmt.Fprintf(w, "holdfast: %v\n", e)
		var h interface{ Hint() string }
		if errors.As(e, &h) && h.Hint() != "" {
			fmt.Fprintf(w, "hint: %s\n", h.Hint())
		}
	}
	var u usageError
	if errors.As(err, &u) {
		return 2
	}
	return 1
}

func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // only a list itself is taken apart, not one that is wrapped
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, unjoin(e)...)
		}
		return all
	}
	return []error{err}
}
