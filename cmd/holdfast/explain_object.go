package main

import (
	"context"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

type explainOptions struct {
	fleet, namespace, layer, output string
	log                             bool
}

func newExplainObjectCmd() *cobra.Command {
	var opts explainOptions
	cmd := &cobra.Command{
		Use:   "explain-object SITE KIND/NAME",
		Short: "Show which files and variables make an object what it is",
		Long: `Show which files and variables make an object of a site what it is: the file and
line that it stands in, the kustomizations that lead there, and each of their entries
without which it would be another. That is tried: the layer is built without each.

SITE is a site or one of its hosts, by name or path. The kind is as kubectl takes it:
Deployment, deployments, deploy or deployments.apps; the distribution is
distribution/NAME. Where an object is in more than one namespace or layer, name it
with -n or --layer.`,
		Example: `  holdfast explain-object store-042 deployment/web -n shop
  holdfast explain-object store-042 cm/web-text --log
  holdfast explain-object store-042-a distribution/web-shop -o json`,
		Args:              func(cmd *cobra.Command, args []string) error { return takes(cmd, "a site and an object", args, 2, 3) },
		ValidArgsFunction: completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExplainObject(cmd.Context(), cmd.OutOrStdout(), args[0], strings.Join(args[1:], "/"), opts)
		},
	}
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	cmd.Flags().StringVarP(&opts.namespace, "namespace", "n", "", "namespace of the object")
	cmd.Flags().StringVar(&opts.layer, "layer", "", "layer of the object")
	cmd.Flags().BoolVar(&opts.log, "log", false, "show the last commit of each file, as git has it")
	_ = cmd.RegisterFlagCompletionFunc("layer", completeLayers)
	return cmd
}

// explainedObject is what there is to say of an object.
type explainedObject struct {
	Site      string              `json:"site"`
	Layer     string              `json:"layer"`
	Object    string              `json:"object"`
	Profile   string              `json:"profile"`
	ChosenIn  string              `json:"chosenIn"` // file that names the profile
	Pin       *explainedPin       `json:"pin,omitempty"`
	Origin    fleet.Position      `json:"origin"`
	Through   []render.Step       `json:"through"`
	Steps     []render.Step       `json:"steps"`
	Variables []explainedVariable `json:"variables"`
	Images    []explainedImage    `json:"images"`
	Commits   []fileCommit        `json:"commits,omitempty"`
}

type explainedPin struct {
	Tag    string `json:"tag"`
	Commit string `json:"commit"`
}

type explainedVariable struct {
	Name     string          `json:"name"`
	Value    any             `json:"value"` // nil: the default where it is used
	Declared fleet.Position  `json:"declared"`
	Set      *fleet.Position `json:"set,omitempty"` // nil: the profile's default, or none
}

type explainedImage struct {
	Image  string          `json:"image"`
	Digest string          `json:"digest,omitempty"`
	Locked *fleet.Position `json:"locked,omitempty"` // where the digest comes from, if not from the image
}

func runExplainObject(ctx context.Context, w io.Writer, name, object string, opts explainOptions) error {
	f, err := openFleet(opts.fleet)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := chooseOne(f.Fleet, name)
	if err != nil {
		return err
	}
	said, _, err := explain(f.Renderer, c.site, object, opts)
	if err != nil {
		return err
	}
	if opts.log {
		if said.Commits, err = lastCommits(ctx, clone(opts.fleet), said); err != nil {
			return err
		}
	}
	if opts.output != "text" {
		return printAs(w, opts.output, said)
	}
	return said.print(w)
}

// explain finds an object of a site, and what made it.
func explain(r *render.Renderer, s *fleet.Site, object string, opts explainOptions) (*explainedObject, foundObject, error) {
	found, err := findObject(r, s, object, opts)
	if err != nil {
		return nil, found, err
	}
	e, err := r.Explain(s, found.layer, found.Object)
	if err != nil {
		return nil, found, err
	}
	return explainedOf(s, found, e), found, nil
}

func explainedOf(s *fleet.Site, found foundObject, e render.Explanation) *explainedObject {
	said := &explainedObject{Site: s.Name, Layer: found.layer.Name, Object: found.String(), Profile: s.Profile.Name, ChosenIn: s.ChosenIn,
		Origin: fleet.Position{File: e.Origin.File, Line: e.Origin.Line}, Through: e.Through, Steps: e.Steps,
		Variables: []explainedVariable{}, Images: []explainedImage{}}
	if !s.Profile.Pin.IsZero() {
		said.Pin = &explainedPin{s.Profile.Pin.Tag, s.Profile.Pin.Commit}
	}
	for _, name := range e.Variables {
		v := explainedVariable{Name: name, Value: s.Variables[name]}
		for _, declared := range s.Profile.Variables {
			if declared.Name == name {
				v.Declared = fleet.Position{File: declared.File, Line: declared.Line}
			}
		}
		if at, set := s.SetAt[name]; set {
			v.Set = &at
		}
		said.Variables = append(said.Variables, v)
	}
	for _, ref := range slices.Sorted(maps.Keys(e.Images)) {
		i := explainedImage{Image: ref, Digest: e.Images[ref]}
		if i.Digest != "" && !strings.Contains(ref, "@") {
			i.Locked = lockedAt(s.Profile, ref)
		}
		said.Images = append(said.Images, i)
	}
	return said
}

// lockedAt finds the line that has the digest of an image.
func lockedAt(p *fleet.Profile, ref string) *fleet.Position {
	at := &fleet.Position{File: path.Join(p.Dir, "content.lock")}
	data, err := fs.ReadFile(p.FS, at.File)
	if err != nil {
		return at
	}
	for i, line := range strings.Split(string(data), "\n") {
		if key := strings.Trim(strings.TrimSpace(line), `"'`); strings.HasPrefix(key, ref+":") || strings.HasPrefix(key, ref+`":`) {
			at.Line = i + 1 // of the images, which come last
		}
	}
	return at
}
