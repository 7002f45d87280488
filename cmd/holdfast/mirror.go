package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

func newMirrorCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Publish the fleet as plain files for any web server",
		Long: `Publish the fleet as plain files: a small head file, and Git bundles that never
change. Any web server, object store or CDN can serve them. A host that has
nothing to learn asks one question, which is answered "not modified".`,
		Example: "  holdfast mirror publish /srv/www/fleet",
	}
	cmd.AddCommand(newMirrorPublishCmd())
	return cmd
}

func newMirrorPublishCmd() *cobra.Command {
	var fleet, branch, output string
	cmd := &cobra.Command{
		Use:   "publish DIR",
		Short: "Write what is new on a branch to a static mirror",
		Long: `Write what is new on a branch to a static mirror: an increment since what was
published last, and from time to time all of the history. Readers may read at any
time. To copy the folder elsewhere, copy the bundles first and head.json last.`,
		Example:           "  holdfast mirror publish /srv/www/fleet --fleet /srv/git/fleet.git",
		Args:              oneArgument,
		ValidArgsFunction: completeFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, done := showProgress(cmd)
			p, err := publishTo(ctx, args[0], fleet, branch)
			done()
			if err != nil {
				return err
			}
			if output != "text" {
				return printAs(cmd.OutOrStdout(), output, p)
			}
			return printPublished(cmd.OutOrStdout(), args[0], p)
		},
	}
	addFleet(cmd, &fleet)
	cmd.Flags().StringVar(&branch, "branch", "main", "branch to publish")
	addOutput(cmd, &output)
	return cmd
}

func publishTo(ctx context.Context, dir, fleet, branch string) (gitsource.Published, error) {
	if err := isFolder(filepath.Dir(dir), "make it first"); err != nil {
		return gitsource.Published{}, err
	}
	return gitsource.PublishMirror(ctx, dir, fleet, branch)
}

func printPublished(w io.Writer, dir string, p gitsource.Published) error {
	if len(p.Files) == 0 {
		_, err := fmt.Fprintf(w, "%s: at %.12s already\n", dir, p.Tip)
		return err
	}
	_, err := fmt.Fprintf(w, "%s: at %.12s, %d new files, %d bytes\n", dir, p.Tip, len(p.Files), p.Size)
	return err
}
