package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/review"
)

func newSecretsCheckCmd() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "List secrets, who can open them, and hosts that cannot",
		Long: `List the secrets of a fleet and to whom they are encrypted, and name the hosts that
cannot open what is within their reach: what is in the folder of their site, in its
groups, in its profile and in bases/. No private key is needed.`,
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
	f, err := loadFleet(dir)
	if err != nil {
		return err
	}
	found, err := review.Secrets(os.DirFS(dir), f)
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
		fmt.Fprintf(w, "%s: %d recipients, needed by %d hosts\n", printable(s.File), len(s.Recipients), len(s.Hosts))
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
	who, more := s.Cannot, ""
	if len(who) > 5 {
		who, more = who[:5], fmt.Sprintf(" and %d more hosts", len(who)-5)
	}
	return &tipError{fmt.Errorf("%s: %s%s cannot open it", s.File, strings.Join(who, ", "), more),
		"add the identity of their host files to .sops.yaml, then: holdfast secrets rotate " + s.File}
}
