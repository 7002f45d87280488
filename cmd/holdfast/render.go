package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

type renderOptions struct {
	fleet   string
	layer   string
	digests bool
	to      string
	output  string
}

func newRenderCmd() *cobra.Command {
	var opts renderOptions
	cmd := &cobra.Command{
		Use:   "render [NAME...]",
		Short: "Show what hosts or sites should run",
		Long: `Show what hosts or sites should run, rendered by the code that runs on the
hosts. NAME is a host, a site, or a site's path; without one, all sites are shown.
Text is the manifests; json and yaml are what the host works with, a document for
each NAME. Digests are those that hosts report.`,
		Example: `  holdfast render store-042-a
  holdfast render sites/emea/store-043 --layer shop
  holdfast render store-043 -o json | jq .cluster.digest
  holdfast render --digests
  holdfast render --to rendered`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return runRender(cmd.OutOrStdout(), args, opts) },
	}
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	cmd.Flags().StringVar(&opts.layer, "layer", "", "show this layer alone")
	cmd.Flags().BoolVar(&opts.digests, "digests", false, "show the digests alone, a line for each host")
	cmd.Flags().StringVar(&opts.to, "to", "", "write into this new folder, a file for each layer of each site")
	cmd.MarkFlagsMutuallyExclusive("digests", "to")
	cmd.MarkFlagsMutuallyExclusive("digests", "layer")
	cmd.MarkFlagsMutuallyExclusive("to", "output")
	_ = cmd.RegisterFlagCompletionFunc("layer", completeLayers)
	_ = cmd.MarkFlagDirname("to")
	return cmd
}

func runRender(w io.Writer, names []string, opts renderOptions) error {
	f, err := openFleet(opts.fleet)
	if err != nil {
		return err
	}
	defer f.Close()
	chosen, err := choose(f.Fleet, names)
	if err != nil {
		return err
	}
	if opts.digests {
		return printDigests(w, f, chosen, opts.output)
	}
	if opts.to != "" {
		if err := newFolder(opts.to); err != nil {
			return err
		}
	}
	for _, c := range chosen {
		desired, err := c.render(f.Renderer, opts)
		if err != nil {
			return err
		}
		if opts.to != "" {
			err = writeDesired(filepath.Join(opts.to, filepath.FromSlash(c.site.Dir)), desired)
		} else {
			err = printDesired(w, desired, opts.output)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// named is a site, or one of its hosts.
type named struct {
	site *fleet.Site
	host *fleet.Host
}

// choose finds hosts and sites by name or path; without names, it finds all sites.
func choose(f *fleet.Fleet, wanted []string) ([]named, error) {
	var chosen []named
	for _, name := range wanted {
		c, err := chooseOne(f, name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, c)
	}
	if len(wanted) == 0 {
		for _, s := range f.Sites {
			chosen = append(chosen, named{site: s})
		}
	}
	return chosen, nil
}

func chooseOne(f *fleet.Fleet, name string) (named, error) {
	for _, s := range f.Sites {
		for _, h := range s.Hosts {
			if h.Name == name || h.File == name {
				return named{s, h}, nil
			}
		}
	}
	s, err := siteNamed(f, name)
	if err != nil {
		return named{}, &tipError{error: fmt.Errorf("no host and no site %s in the fleet", name), tip: near(name, names(f), "there is")}
	}
	return named{site: s}, nil
}

// render renders a host, or a site's cluster half alone; into a folder, both halves.
func (c named) render(r *render.Renderer, opts renderOptions) (d render.Desired, err error) {
	switch {
	case c.host != nil:
		d, err = r.Host(c.host)
	case opts.to != "":
		d, err = r.Host(&fleet.Host{Site: c.site})
	default:
		d.Site = c.site.Name
		d.Cluster, err = r.Site(c.site)
	}
	if err == nil && opts.layer != "" {
		d, err = onlyLayer(d, opts.layer)
	}
	return d, err
}

// onlyLayer leaves one layer of what is desired, and nothing of the node.
func onlyLayer(d render.Desired, name string) (render.Desired, error) {
	var layers []string
	for _, l := range d.Cluster.Layers {
		if l.Name == name {
			d.Cluster.Layers, d.Node = []render.Layer{l}, render.Node{}
			return d, nil
		}
		layers = append(layers, l.Name)
	}
	return d, &tipError{error: fmt.Errorf("site %s has no layer %s", d.Site, name), tip: near(name, layers, "its layers are")}
}

func printDesired(w io.Writer, d render.Desired, output string) error {
	if output != "text" {
		return printAs(w, output, d)
	}
	data, err := d.YAML()
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// newFolder makes a folder, which must be new or empty: what an earlier run wrote
// there must not be taken for a part of this one.
func newFolder(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return &tipError{error: fmt.Errorf("%s is not empty", dir), tip: "name a new folder, or empty this one"}
	}
	return os.MkdirAll(dir, 0o755)
}

// writeDesired writes each layer of a site to a file of its name.
func writeDesired(dir string, d render.Desired) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if d.Node.Distribution != nil {
		node, err := d.Node.YAML()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "distribution.yaml"), node, 0o644); err != nil {
			return err
		}
	}
	for _, l := range d.Cluster.Layers {
		text, err := l.YAML()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, l.Name+".yaml"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
