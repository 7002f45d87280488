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
	show, done := showLine(cmd)
	if show == nil {
		return cmd.Context(), done
	}
	return gitsource.WithProgress(cmd.Context(), func(p gitsource.Progress) { show(p.String()) }), done
}

// showLine returns what rewrites one line of a terminal, and what clears that
// line in the end; without a terminal, nil.
func showLine(cmd *cobra.Command) (show func(text string), done func()) {
	w := cmd.ErrOrStderr()
	if !isTerminal(w) {
		return nil, func() {}
	}
	const clearLine = "\r\x1b[K"
	return func(text string) { fmt.Fprint(w, clearLine+printable(text)) }, func() { fmt.Fprint(w, clearLine) }
}
