package main

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
)

type setOptions struct {
	fleet, output string
	labels        []string
}

func newSetCmd() *cobra.Command {
	var opts setOptions
	cmd := &cobra.Command{
		Use:   "set SITE|GROUP [VARIABLE=VALUE...]",
		Short: "Set variables and labels of a site or a group",
		Long: `Set variables and labels of a site, by its name or folder, or of a group, by its
folder. Values are checked against what profiles declare, and written into
site.yaml or group.yaml, which keeps its comments, order and indentation.

Tags of images are set with "kustomize edit set image" in a layer's folder.`,
		Example: `  holdfast set store-042 REPLICAS=3 GREETING='Guten Tag'
  holdfast set sites/emea NTP=10.10.0.124 --label ring=canary`,
		Args:              func(cmd *cobra.Command, args []string) error { return takes(cmd, "a site or group", args, 1, 1000) },
		ValidArgsFunction: completeSites,
		RunE:              func(cmd *cobra.Command, args []string) error { return runSet(cmd.OutOrStdout(), args, opts) },
	}
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	cmd.Flags().StringArrayVarP(&opts.labels, "label", "l", nil, "label to set, as KEY=VALUE (may be repeated)")
	return cmd
}

func runSet(w io.Writer, args []string, opts setOptions) error {
	if len(args) == 1 && len(opts.labels) == 0 {
		return usagef("say what to set: VARIABLE=VALUE, or --label KEY=VALUE")
	}
	f, err := loadFleet(opts.fleet)
	if err != nil {
		return err
	}
	file, sites, err := target(f, args[0])
	if err != nil {
		return err
	}
	e := editFleet(opts.fleet)
	for _, arg := range args[1:] {
		name, text, ok := strings.Cut(arg, "=")
		if !ok {
			return usagef("%q is not VARIABLE=VALUE", arg)
		}
		value, err := parseValue(sites, name, text)
		if err != nil {
			return err
		}
		if err := e.set(file, value, "spec", "variables", name); err != nil {
			return err
		}
	}
	for _, label := range opts.labels {
		key, value, err := parseLabel(label)
		if err != nil {
			return err
		}
		if err := e.set(file, value, "spec", "labels", key); err != nil {
			return err
		}
	}
	names, err := e.write()
	if err != nil {
		return err
	}
	return printWritten(w, names, opts.output)
}

// target finds the file of a site or of a group, and the sites that it is for.
func target(f *fleet.Fleet, name string) (string, []*fleet.Site, error) {
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "group.yaml"), "site.yaml"), "/")
	for _, s := range f.Sites {
		if slices.Contains(s.Groups, name) {
			return path.Join(name, "group.yaml"), fleet.Selection{Groups: []string{name}}.Of(f.Sites), nil
		}
	}
	s, err := siteNamed(f, name)
	if err != nil {
		return "", nil, err
	}
	return path.Join(s.Dir, "site.yaml"), []*fleet.Site{s}, nil
}

// parseValue reads a value as the first profile of the sites that has the variable declares it.
func parseValue(sites []*fleet.Site, name, text string) (any, error) {
	var names, profiles []string
	for _, s := range sites {
		profiles = append(profiles, s.Profile.Name)
		for i := range s.Profile.Variables {
			v := &s.Profile.Variables[i]
			if v.Name != name {
				names = append(names, v.Name)
				continue
			}
			value, err := v.Parse(text)
			if err != nil {
				return nil, &tipError{fmt.Errorf("variable %s: %w", name, err), fmt.Sprintf("it is declared as %s in %s:%d", v.Type, v.File, v.Line)}
			}
			return value, nil
		}
	}
	slices.Sort(names)
	slices.Sort(profiles)
	profiles = slices.Compact(profiles)
	tip := fmt.Sprintf("declare it first, under spec.variables of profiles/%s/profile.yaml", profiles[0])
	if names = slices.Compact(names); len(names) > 0 {
		tip = near(name, names, "it declares")
	}
	return nil, &tipError{fmt.Errorf("variable %s is not declared by profile %s", name, strings.Join(profiles, ", ")), tip}
}

func parseLabel(text string) (key, value string, err error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || !fleet.ValidLabel(key, value) {
		return "", "", usagef("%q is not a label as KEY=VALUE", text)
	}
	return key, value, nil
}

func printWritten(w io.Writer, names []string, output string) error {
	if output != "text" {
		return printAs(w, output, map[string]any{"written": append([]string{}, names...)})
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(w, "wrote", name); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		_, err := fmt.Fprintln(w, "nothing to change")
		return err
	}
	return nil
}
