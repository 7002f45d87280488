package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
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
	File       string   `json:"file"`
	Digest     string   `json:"digest,omitempty"`
	Recipients []string `json:"recipients"`
	Hosts      []string `json:"hosts"`            // that need it
	Cannot     []string `json:"cannot,omitempty"` // of those, open it
	Problem    string   `json:"problem,omitempty"`
}

func runSecretsCheck(w io.Writer, dir, output string) error {
	f, err := loadFleet(dir)
	if err != nil {
		return err
	}
	names := map[string]string{} // of hosts, by key
	for _, s := range f.Sites {
		for _, h := range s.Hosts {
			names[h.Identity] = h.Name
		}
	}
	list := []checkedSecret{}
	var errs []error
	err = documents(dir, func(name string, data []byte) {
		checked, err := checkSecret(f, name, data)
		list, errs = append(list, checked), append(errs, err)
	})
	if err != nil {
		return err
	}
	if output != "text" {
		return errors.Join(append(errs, printAs(w, output, map[string]any{"secrets": list}))...)
	}
	for _, s := range list {
		fmt.Fprintf(w, "%s: %d recipients, needed by %d hosts\n", s.File, len(s.Recipients), len(s.Hosts))
		for _, r := range s.Recipients {
			if name := names[r]; name != "" {
				r += " (" + name + ")"
			}
			fmt.Fprintf(w, "  %s\n", printable(r))
		}
	}
	return errors.Join(errs...)
}

func checkSecret(f *fleet.Fleet, name string, data []byte) (checkedSecret, error) {
	s := checkedSecret{File: name, Recipients: []string{}, Hosts: []string{}}
	doc, err := secrets.Parse(name, data)
	if err != nil {
		s.Problem = err.Error()
		return s, err
	}
	s.Digest, s.Recipients = doc.Digest(), doc.Recipients()
	can := map[string]bool{}
	for _, r := range s.Recipients {
		can[r] = true
	}
	for _, site := range readers(f, name) {
		for _, h := range site.Hosts {
			if h.State != fleet.Active {
				continue
			}
			if s.Hosts = append(s.Hosts, h.Name); !can[h.Identity] {
				s.Cannot = append(s.Cannot, h.Name)
			}
		}
	}
	if len(s.Cannot) == 0 {
		return s, nil
	}
	who := s.Cannot
	more := ""
	if len(who) > 5 {
		who, more = who[:5], fmt.Sprintf(" and %d more hosts", len(who)-5)
	}
	return s, &tipError{fmt.Errorf("%s: %s%s cannot open it", name, strings.Join(who, ", "), more),
		"add the identity of their host files to .sops.yaml, then: holdfast secrets rotate " + name}
}

// readers returns the sites within whose reach a file of the fleet is.
func readers(f *fleet.Fleet, name string) []*fleet.Site {
	below := func(file, dir string) bool { return strings.HasPrefix(file, dir+"/") }
	for _, s := range f.Sites {
		if below(name, s.Dir) {
			return []*fleet.Site{s}
		}
	}
	group := path.Dir(name)
	for below(group, "sites") && !slices.ContainsFunc(f.Sites, func(s *fleet.Site) bool { return below(s.Dir, group) }) {
		group = path.Dir(group)
	}
	return slices.DeleteFunc(slices.Clone(f.Sites), func(s *fleet.Site) bool {
		inGroup := below(name, "sites") && below(s.Dir, group)
		return !inGroup && !below(name, "bases") && !below(name, s.Profile.Dir)
	})
}
