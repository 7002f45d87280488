package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func newLintCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "lint [DIR]",
		ValidArgsFunction: completeFolder,
		Short:             "Check that everything in a fleet loads and renders",
		Long: `Check that everything in the fleet in DIR (default: here) loads and renders, with
the code that runs on the hosts. All problems are shown, each with file and line.

What was found out is kept in the folder that HOLDFAST_CACHE names, by default
holdfast in the user's cache folder, to be faster the next time. The folder may be
shared, and deleted at any time; HOLDFAST_CACHE=off keeps nothing.`,
		Example: `  holdfast lint
  holdfast lint fleet-example -o json | jq .problems`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return runLint(cmd.OutOrStdout(), dir, output)
		},
	}
	addOutput(cmd, &output)
	return cmd
}

// linted is what lint found.
type linted struct {
	Fleet    string    `json:"fleet,omitempty"`
	Profiles int       `json:"profiles"`
	Sites    int       `json:"sites"`
	Hosts    int       `json:"hosts"`
	Problems []problem `json:"problems"`
}

// problem is a fleet.Problem for programs.
type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // from 1; 0 if the whole file is meant
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func runLint(w io.Writer, dir, output string) error {
	found := linted{Problems: []problem{}}
	bad := lint(dir, &found)
	for _, p := range fleet.Problems(bad) {
		found.Problems = append(found.Problems, problem{p.File, p.Line, p.Msg, p.Tip})
	}
	var err error
	switch {
	case output != "text":
		err = printAs(w, output, found)
	case bad == nil:
		_, err = fmt.Fprintf(w, "%s: %d profiles, %d sites, %d hosts: no problems\n", found.Fleet, found.Profiles, found.Sites, found.Hosts)
	}
	return errors.Join(bad, err)
}

func lint(dir string, found *linted) error {
	f, err := openFleet(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	found.Fleet, found.Profiles, found.Sites = f.Name, len(f.Profiles), len(f.Sites)
	for _, s := range f.Sites {
		found.Hosts += len(s.Hosts)
	}
	_, err = f.Digests(f.Sites)
	return fleet.Join(err, lintSources(os.DirFS(dir), f.Sites))
}
