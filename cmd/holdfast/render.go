package main

import (
	"fmt"
	"io"
	"os"
	"slices"

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
hosts. NAME is a host, a site, or a site's path. Digests are those that hosts report.`,
		Example: `  holdfast render store-042-a
  holdfast render sites/emea/store-043 --layer shop
  holdfast render store-043 -o json | jq .cluster.digest`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runRender(cmd.OutOrStdout(), args[0], opts) },
	}
	cmd.Flags().StringVar(&opts.fleet, "fleet", ".", "folder of the fleet")
	cmd.Flags().StringVar(&opts.layer, "layer", "", "show this layer alone")
	cmd.Flags().StringVarP(&opts.output, "output", "o", "text", "text (the manifests) or json (with digests)")
	return cmd
}

func runRender(w io.Writer, name string, opts renderOptions) error {
	fsys := os.DirFS(opts.fleet)
	f, err := fleet.Load(fsys)
	if err != nil {
		return err
	}
	desired, err := renderNamed(f, opts.fleet, name)
	if err != nil {
		return err
	}
	if opts.layer != "" {
		keep := func(l render.Layer) bool { return l.Name != opts.layer }
		desired.Cluster.Layers = slices.DeleteFunc(desired.Cluster.Layers, keep)
		if len(desired.Cluster.Layers) == 0 {
			return fmt.Errorf("%s has no layer %s", name, opts.layer)
		}
		desired.Node = render.Node{}
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
func renderNamed(f *fleet.Fleet, dir, name string) (render.Desired, error) {
	fsys := os.DirFS(dir)
	for _, s := range f.Sites {
		if s.Name == name || s.Dir == name {
			cluster, err := render.Site(fsys, s)
			return render.Desired{Site: s.Name, Cluster: cluster}, err
		}
		for _, h := range s.Hosts {
			if h.Name == name {
				return render.Host(fsys, h)
			}
		}
	}
	return render.Desired{}, fmt.Errorf("%s has no host and no site named %s", dir, name)
}
