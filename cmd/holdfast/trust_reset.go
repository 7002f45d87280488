package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

func newTrustResetCmd() *cobra.Command {
	var to, dataDir string
	cmd := &cobra.Command{
		Use:   "reset --to COMMIT",
		Short: "Make a commit the floor of this host, against what it has accepted",
		Long: `Make a commit the floor of this host, whatever it has accepted before: an older
one, or one of another history. Nothing else makes a host go back.

The agent must be stopped. When it starts again it takes the commit from its
sources, if it is signed by a key that the anchor, the commit's parent or the
commit itself trusts, and goes on from there. Its log and "holdfast status" say
so until a newer revision is accepted.`,
		Example: "  holdfast trust reset --to 8d1f7f0b9a3c5e6d7f8091a2b3c4d5e6f7a8b9c0",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runTrustReset(cmd.OutOrStdout(), dataDir, to)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "commit, 40 hexadecimal digits (required)")
	_ = cmd.MarkFlagRequired("to")
	addDataDir(cmd, &dataDir)
	return cmd
}

// sourceState says where the agent of a data folder keeps what it knows of its sources.
func sourceState(dataDir string) gitsource.Options {
	return gitsource.Options{Dir: filepath.Join(dataDir, "source"), Second: dataDir}
}

func runTrustReset(w io.Writer, dataDir, to string) error {
	from, err := gitsource.Reset(sourceState(dataDir), to)
	switch {
	case errors.Is(err, gitsource.ErrInUse):
		return &tipError{fmt.Errorf("an agent runs with data in %s", dataDir), "stop it first: systemctl stop holdfast"}
	case errors.Is(err, fs.ErrNotExist):
		return &tipError{fmt.Errorf("no agent has run with data in %s", dataDir), "say where its data is with --data-dir"}
	case err != nil:
		return err
	}
	if from == "" {
		from = "not known"
	}
	_, err = fmt.Fprintf(w, "floor      %s\nbefore     %s\nThe agent takes it when it is started, if it is signed.\n", to, from)
	return err
}
