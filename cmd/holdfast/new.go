package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/scaffold"
)

type newOptions struct {
	fleet, output string
	profile       string
	key, role     string
	dependsOn     []string
}

func newNewCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Add a profile, site, group, host or layer to a fleet",
		Long: `Add a profile, site, group, host or layer to a fleet. If the fleet would not load
with it, nothing is written.`,
		Example: `  holdfast new site sites/emea/store-050 --profile web-shop STORE_ID=050
  holdfast new layer web-shop monitoring`,
	}
	cmd.AddCommand(newNewProfileCmd(), newNewSiteCmd(), newNewGroupCmd(), newNewHostCmd(), newNewLayerCmd())
	return cmd
}

func addNew(cmd *cobra.Command, opts *newOptions) *cobra.Command {
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	return cmd
}

func newNewProfileCmd() *cobra.Command {
	var opts newOptions
	var distribution string
	cmd := addNew(&cobra.Command{
		Use:   "profile NAME",
		Short: "Add a profile: a distribution, and one layer with a namespace",
		Example: `  holdfast new profile web-shop
  holdfast new profile web-shop --distribution kubeadm`,
		Args: oneArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := scaffold.Profile(args[0], distribution, opts.schemas())
			return opts.add(cmd.OutOrStdout(), files, err)
		},
	}, &opts)
	addDistribution(cmd, &distribution)
	return cmd
}

func addDistribution(cmd *cobra.Command, to *string) {
	addChoice(cmd, "distribution", "", choice{to, "type of distribution", fleet.DistributionTypes})
}

func newNewSiteCmd() *cobra.Command {
	var opts newOptions
	cmd := addNew(&cobra.Command{
		Use:   "site SITE [VARIABLE=VALUE...]",
		Short: "Add a site",
		Long: `Add a site, by its folder. Its profile is --profile, or that of a group above it;
give the variables that the profile requires.`,
		Example: "  holdfast new site sites/emea/store-050 --profile web-shop STORE_ID=050",
		Args:    func(cmd *cobra.Command, args []string) error { return takes(cmd, "a site", args, 1, 1000) },
		RunE:    func(cmd *cobra.Command, args []string) error { return runNewSite(cmd.OutOrStdout(), args, opts) },
	}, &opts)
	cmd.Flags().StringVar(&opts.profile, "profile", "", "profile that the site runs")
	_ = cmd.RegisterFlagCompletionFunc("profile", completeProfiles)
	return cmd
}

func runNewSite(w io.Writer, args []string, opts newOptions) error {
	dir, err := belowSites(args[0])
	if err != nil {
		return err
	}
	f, err := loadFleet(opts.fleet)
	if err != nil {
		return err
	}
	like, err := siteLike(f, dir, opts.profile)
	if err != nil {
		return err
	}
	variables := map[string]any{}
	for _, arg := range args[1:] {
		name, text, ok := strings.Cut(arg, "=")
		if !ok {
			return usagef("%q is not VARIABLE=VALUE", arg)
		}
		if variables[name], err = parseValue(like, name, text); err != nil {
			return err
		}
	}
	files, err := scaffold.Site(dir, opts.profile, variables, opts.schemas())
	return opts.add(w, files, err)
}

// siteLike returns what tells the types of a new site's variables: a site of its
// profile, or those that share a group with it.
func siteLike(f *fleet.Fleet, dir, profile string) ([]*fleet.Site, error) {
	if profile == "" {
		for group := path.Dir(dir); group != "."; group = path.Dir(group) {
			if sites := (fleet.Selection{Groups: []string{group}}).Of(f.Sites); len(sites) > 0 {
				return sites, nil
			}
		}
		return nil, nil
	}
	p := f.Profiles[profile]
	if p == nil {
		return nil, &tipError{fmt.Errorf("no profile %s in the fleet", profile), near(profile, slices.Collect(maps.Keys(f.Profiles)), "its profiles are")}
	}
	return []*fleet.Site{{Profile: p}}, nil
}

// belowSites takes the folder of a site or a group with or without sites/ before it.
func belowSites(name string) (string, error) {
	dir := path.Clean(filepath.ToSlash(name))
	if dir != "sites" && !strings.HasPrefix(dir, "sites/") {
		dir = path.Join("sites", dir)
	}
	if path.IsAbs(name) || !strings.HasPrefix(dir, "sites/") {
		return "", usagef("%q is not a folder below sites/, such as sites/emea", name)
	}
	return dir, nil
}

func newNewGroupCmd() *cobra.Command {
	var opts newOptions
	cmd := addNew(&cobra.Command{
		Use:     "group GROUP",
		Short:   "Add a group: what the sites below a folder share",
		Example: "  holdfast new group sites/emea",
		Args:    oneArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := belowSites(args[0])
			if err != nil {
				return err
			}
			files, err := scaffold.Group(dir, opts.profile, opts.schemas())
			return opts.add(cmd.OutOrStdout(), files, err)
		},
	}, &opts)
	cmd.Flags().StringVar(&opts.profile, "profile", "", "profile of the sites that name none")
	_ = cmd.RegisterFlagCompletionFunc("profile", completeProfiles)
	return cmd
}

func newNewHostCmd() *cobra.Command {
	var opts newOptions
	cmd := addNew(&cobra.Command{
		Use:   "host SITE HOST --key KEY",
		Short: "Add a host to a site",
		Long: `Add a host to a site, with the public key that "holdfast register" shows on it.
This is "holdfast register" at headquarters.`,
		Example:           "  holdfast new host store-042 store-042-a --key 'ssh-ed25519 AAAA…'",
		Args:              func(cmd *cobra.Command, args []string) error { return takes(cmd, "a site and a host", args, 2, 2) },
		ValidArgsFunction: completeSites,
		RunE: func(cmd *cobra.Command, args []string) error {
			return registerHost(cmd.OutOrStdout(), registerOptions{
				fleet: opts.fleet, output: opts.output, site: args[0], host: args[1], key: opts.key, role: opts.role,
			})
		},
	}, &opts)
	cmd.Flags().StringVar(&opts.key, "key", "", "public key of the host (required)")
	addChoice(cmd, "role", "", choice{&opts.role, "role", []string{string(fleet.ControlPlane), string(fleet.Worker)}})
	_ = cmd.MarkFlagRequired("key")
	return cmd
}

func newNewLayerCmd() *cobra.Command {
	var opts newOptions
	cmd := addNew(&cobra.Command{
		Use:               "layer PROFILE LAYER",
		Short:             "Add a layer to a profile: a kustomization with a namespace",
		Example:           "  holdfast new layer web-shop monitoring --depends-on platform",
		Args:              func(cmd *cobra.Command, args []string) error { return takes(cmd, "a profile and a layer", args, 2, 2) },
		ValidArgsFunction: completeProfiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return runNewLayer(cmd.OutOrStdout(), args, opts) },
	}, &opts)
	cmd.Flags().StringSliceVar(&opts.dependsOn, "depends-on", nil, "layers that must be healthy before it is applied")
	return cmd
}

func runNewLayer(w io.Writer, args []string, opts newOptions) error {
	profile, layer := args[0], args[1]
	files, err := scaffold.Layer(profile, layer)
	if err != nil {
		return err
	}
	file := path.Join("profiles", profile, "profile.yaml")
	data, err := fleet.ReadFile(os.DirFS(opts.fleet), file, fleet.MaxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return &tipError{fmt.Errorf("no profile %s in the fleet", profile), "make it first: holdfast new profile " + profile}
	}
	if err != nil {
		return err
	}
	item := struct {
		Name      string   `yaml:"name"`
		DependsOn []string `yaml:"dependsOn,omitempty,flow"`
	}{layer, opts.dependsOn}
	if data, err = fleet.AppendYAML(file, data, item, "spec", "layers"); err != nil {
		return err
	}
	e := editFleet(opts.fleet)
	e.files[file] = data
	return e.addAll(w, files, opts.output)
}

// schemas tells whether the fleet keeps schemas.
func (o *newOptions) schemas() bool {
	_, err := os.Stat(filepath.Join(o.fleet, filepath.FromSlash(scaffold.SchemaDir)))
	return err == nil
}

func (o *newOptions) add(w io.Writer, files scaffold.Files, err error) error {
	if err != nil {
		return err
	}
	if err := isFolder(o.fleet, fleetTip); err != nil {
		return err
	}
	return editFleet(o.fleet).addAll(w, files, o.output)
}

func (e *fleetEdit) addAll(w io.Writer, files scaffold.Files, output string) error {
	for name, data := range files {
		if err := e.create(name, data); err != nil {
			return err
		}
	}
	names, err := e.write()
	if err != nil {
		return err
	}
	return printWritten(w, names, output)
}
