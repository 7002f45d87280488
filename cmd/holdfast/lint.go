package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

func newLintCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check that everything in a fleet loads and renders",
		Long: `Check that everything in the fleet in DIR (default: here) loads and renders, with
the code that runs on the hosts. All problems are shown, each with file and line.`,
		Example: `  holdfast lint
  holdfast lint fleet-example`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return runLint(cmd.OutOrStdout(), dir)
		},
	}
}

func runLint(w io.Writer, dir string) error {
	fsys := os.DirFS(dir)
	f, err := fleet.Load(fsys)
	if err != nil {
		return err
	}
	if err := render.All(fsys, f); err != nil {
		return err
	}
	hosts := 0
	for _, s := range f.Sites {
		hosts += len(s.Hosts)
	}
	_, err = fmt.Fprintf(w, "%s: %d profiles, %d sites, %d hosts: no problems\n", f.Name, len(f.Profiles), len(f.Sites), hosts)
	return err
}
