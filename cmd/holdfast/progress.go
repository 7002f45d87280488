package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

// showProgress returns a context whose long steps rewrite one line of a terminal,
// and what clears that line in the end. Elsewhere nothing is shown.
func showProgress(cmd *cobra.Command) (ctx context.Context, done func()) {
	w := cmd.ErrOrStderr()
	if !isTerminal(w) {
		return cmd.Context(), func() {}
	}
	const clearLine = "\r\x1b[K"
	ctx = gitsource.WithProgress(cmd.Context(), func(p gitsource.Progress) {
		fmt.Fprint(w, clearLine+printable(p.String()))
	})
	return ctx, func() { fmt.Fprint(w, clearLine) }
}
