package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/review"
)

func newSecretsCheckCmd() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "List secrets, who can open them, and hosts that cannot",
		Long: `List the secrets of a fleet and to whom they are encrypted, and name the hosts that
cannot open what they need: control-plane hosts what the layers of their site hold,
as rendered for it, and all hosts the credentials of their sources. No private key
is needed.`,
		Example: `  holdfast secrets check --fleet fleet-example
  holdfast secrets check -o json | jq '.secrets[] | select(.cannot)'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSecretsCheck(cmd.OutOrStdout(), dir, output) },
	}
	addFleet(cmd, &dir)
	addOutput(cmd, &output)
	return cmd
}

// checkedSecret is one secret of the fleet.
type checkedSecret struct {
	review.Secret
	Problem string `json:"problem,omitempty"`
}

func runSecretsCheck(w io.Writer, dir, output string) error {
	f, err := openFleet(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := review.Secrets(os.DirFS(dir), f.Fleet, f.Renderer)
	if err != nil {
		return err
	}
	list := make([]checkedSecret, len(found))
	errs := make([]error, len(found))
	for i, s := range found {
		list[i].Secret, errs[i] = s, unreadable(&s)
		if s.Problem != nil {
			list[i].Problem = s.Problem.Error()
		}
	}
	if output != "text" {
		return errors.Join(append(errs, printAs(w, output, map[string]any{"secrets": list}))...)
	}
	names := map[string]string{} // of hosts, by key
	for _, s := range f.Sites {
		for _, h := range s.Hosts {
			names[h.Identity] = h.Name
		}
	}
	for _, s := range found {
		fmt.Fprintf(w, "%s: %s, needed by %s\n", printable(s.Name()), counted(len(s.Recipients), "recipient"), counted(len(s.Hosts), "host"))
		for _, r := range s.Recipients {
			if name := names[r]; name != "" {
				r += " (" + name + ")"
			}
			fmt.Fprintf(w, "  %s\n", printable(r))
		}
	}
	return errors.Join(errs...)
}

// unreadable says which hosts cannot open a secret, or nil.
func unreadable(s *review.Secret) error {
	switch {
	case s.Problem != nil:
		return s.Problem
	case len(s.Cannot) == 0:
		return nil
	}
	return &tipError{fmt.Errorf("%s: %s", s.Name(), s.Text()), s.Tip()}
}
