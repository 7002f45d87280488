package main

import (
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

type renderOptions struct {
	fleet  string
	layer  string
	output string
}

func newRenderCmd() *cobra.Command {
	var opts renderOptions
	cmd := &cobra.Command{
		Use:   "render NAME",
		Short: "Show what a host or a site should run",
		Long: `Show what a host or a site should run, rendered by the code that runs on the
hosts. NAME is a host, a site, or a site's path. Text is the manifests; json and
yaml are what the host works with. Digests are those that hosts report.`,
		Example: `  holdfast render store-042-a
  holdfast render sites/emea/store-043 --layer shop
  holdfast render store-043 -o json | jq .cluster.digest`,
		Args:              oneArgument,
		ValidArgsFunction: completeNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return runRender(cmd.OutOrStdout(), args[0], opts) },
	}
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	cmd.Flags().StringVar(&opts.layer, "layer", "", "show this layer alone")
	_ = cmd.RegisterFlagCompletionFunc("layer", completeLayers)
	return cmd
}

func runRender(w io.Writer, name string, opts renderOptions) error {
	fsys, f, err := loadFleet(opts.fleet)
	if err != nil {
		return err
	}
	desired, err := renderNamed(fsys, f, name)
	if err != nil {
		return err
	}
	if opts.layer != "" {
		if desired, err = onlyLayer(desired, opts.layer); err != nil {
			return err
		}
	}
	if opts.output != "text" {
		return printAs(w, opts.output, desired)
	}
	data, err := desired.YAML()
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// renderNamed renders a host, or a site's cluster half alone.
func renderNamed(fsys fs.FS, f *fleet.Fleet, name string) (render.Desired, error) {
	for _, s := range f.Sites {
		for _, h := range s.Hosts {
			if h.Name == name || h.File == name {
				return render.Host(fsys, h)
			}
		}
	}
	s, err := siteNamed(f, name)
	if err != nil {
		return render.Desired{}, &tipError{error: fmt.Errorf("no host and no site %s in the fleet", name), tip: near(name, names(f), "there is")}
	}
	cluster, err := render.Site(fsys, s)
	return render.Desired{Site: s.Name, Cluster: cluster}, err
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
