package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Host renders what one host should run. Its error joins [fleet.Problem]s.
func Host(fsys fs.FS, host *fleet.Host) (Desired, error) {
	b := newBuilder(fsys)
	defer b.close()
	cluster, err := b.cluster(host.Site)
	node, nodeErr := b.node(host.Site)
	if err := fleet.Join(err, nodeErr); err != nil {
		return Desired{}, err
	}
	return Desired{Site: host.Site.Name, Host: host.Name, Cluster: cluster, Node: node}, nil
}

// Site renders the half that is the same on all hosts of a site. Its error
// joins [fleet.Problem]s.
func Site(fsys fs.FS, site *fleet.Site) (Cluster, error) {
	b := newBuilder(fsys)
	defer b.close()
	return b.cluster(site)
}

// All renders every site of the fleet, with or without hosts, for what is
// wrong with them: its error joins the [fleet.Problem]s in a stable order.
func All(fsys fs.FS, f *fleet.Fleet) error {
	b := newBuilder(fsys)
	defer b.close()
	var errs []error
	for _, site := range f.Sites {
		_, err := b.cluster(site)
		_, nodeErr := b.node(site)
		errs = append(errs, err, nodeErr)
	}
	return fleet.Join(errs...)
}

func (b *builder) cluster(site *fleet.Site) (Cluster, error) {
	c := Cluster{Images: map[string]string{}}
	vars := newVariables(site)
	owners := map[string]string{}
	var errs []error
	for _, layer := range inOrder(site.Profile.Layers) {
		objects, err := b.layer(site, layer, vars)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, o := range objects {
			if other := owners[o.id()]; other != "" {
				errs = append(errs, &fleet.Problem{File: layer.Path, Tip: "keep it in one layer, and let the other depend on that",
					Msg: fmt.Sprintf("%s is in layer %s and in layer %s of site %s", o, other, layer.Name, site.Name)})
			}
			owners[o.id()] = layer.Name
			pin(o, site.Profile.Lock.Images, c.Images)
		}
		out, err := newLayer(layer, objects)
		errs = append(errs, err)
		c.Layers = append(c.Layers, out)
	}
	if err := fleet.Join(errs...); err != nil {
		return Cluster{}, err
	}
	var err error
	c.Digest, err = digestOf(c)
	return c, err
}

// inOrder returns the layers so that each comes after what it depends on, and
// otherwise as declared.
func inOrder(layers []fleet.Layer) []fleet.Layer {
	var out []fleet.Layer
	done := map[string]bool{}
	left := slices.Clone(layers)
	for len(left) > 0 {
		ready := func(l fleet.Layer) bool {
			return !slices.ContainsFunc(l.DependsOn, func(dep string) bool { return !done[dep] })
		}
		next := max(0, slices.IndexFunc(left, ready)) // a loaded fleet has no cycle
		done[left[next].Name] = true
		out = append(out, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return out
}

// layer renders the objects of a layer, before images are pinned.
func (b *builder) layer(site *fleet.Site, layer fleet.Layer, vars variables) ([]object, error) {
	dir := layer.Path
	if overlay, ok := site.Overlays[layer.Name]; ok {
		dir = overlay
	}
	from, err := b.build(dir, reach{profile: site.Profile.Dir, site: site.Dir})
	if err != nil {
		return nil, err
	}
	objects, err := vars.objects(from)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, &fleet.Problem{File: from.file, Msg: fmt.Sprintf("layer %s of site %s has no objects", layer.Name, site.Name),
			Tip: "to delete what it had, remove the layer from profile.yaml"}
	}
	return objects, nil
}

// objects replaces the variables in all that was built, and refuses two of the same.
func (v variables) objects(from built) ([]object, error) {
	var objects []object
	var errs []error
	seen := map[string]bool{}
	for _, o := range from.objects {
		o, err := v.object(o, from)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if seen[o.id()] {
			errs = append(errs, &fleet.Problem{File: from.file, Msg: fmt.Sprintf("%s is there twice (site %s)", o, v.site.Name), Tip: "keep one of them"})
		}
		seen[o.id()] = true
		objects = append(objects, o)
	}
	sortObjects(objects)
	return objects, errors.Join(errs...)
}

func newLayer(from fleet.Layer, objects []object) (Layer, error) {
	l := Layer{Name: from.Name, DependsOn: from.DependsOn, Wait: from.Wait, Prune: from.Prune, Timeout: from.Timeout, Rollback: from.Rollback, Retry: from.Retry}
	for _, o := range objects {
		raw, err := canonical(o.value)
		if err != nil {
			return Layer{}, fmt.Errorf("encode %s: %w", o, err)
		}
		l.Objects = append(l.Objects, raw)
	}
	var err error
	l.Digest, err = digestOf(l)
	return l, err
}

// node renders the half that belongs to one host.
func (b *builder) node(site *fleet.Site) (Node, error) {
	dir := site.Profile.Distribution
	if overlay, ok := site.Overlays["distribution"]; ok {
		dir = overlay
	}
	from, err := b.build(dir, reach{profile: site.Profile.Dir, site: site.Dir})
	if err != nil {
		return Node{}, err
	}
	objects, err := newVariables(site).objects(from)
	if err != nil {
		return Node{}, err
	}
	if len(objects) != 1 || objects[0].kind != "Distribution" || objects[0].apiVersion != fleet.APIVersion {
		var names []string
		for _, o := range objects {
			names = append(names, o.String())
		}
		return Node{}, &fleet.Problem{File: from.file, Tip: "it makes exactly one Distribution of " + fleet.APIVersion,
			Msg: fmt.Sprintf("the distribution makes %d objects: %s", len(objects), strings.Join(names, ", "))}
	}
	raw, err := canonical(objects[0].value)
	if err != nil {
		return Node{}, fmt.Errorf("encode %s: %w", objects[0], err)
	}
	if _, err := fleet.ParseDistribution(raw); err != nil {
		return Node{}, inFile(err, from.file)
	}
	n := Node{Distribution: raw, Content: map[string]string{}}
	maps.Copy(n.Content, site.Profile.Lock.Distribution)
	n.Digest, err = digestOf(n)
	return n, err
}

// inFile puts problems of a rendered object down to the file that made it.
func inFile(err error, file string) error {
	var errs []error
	for _, p := range fleet.Problems(err) {
		errs = append(errs, &fleet.Problem{File: file, Msg: p.Msg, Tip: p.Tip})
	}
	return errors.Join(errs...)
}

// digestOf is "sha256:" over the JSON of a value whose own digest is still empty.
func digestOf(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
