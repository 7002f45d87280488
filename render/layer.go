package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// filled is a layer with the values of a site in it.
type filled struct {
	layer   Layer
	objects []called // as in the layer
	images  []image
}

// called says what an object is.
type called struct{ id, name, kind, apiVersion string }

// inputOf finds what a site makes a layer from: its overlay, if it has one.
func (r *Renderer) inputOf(site *fleet.Site, layer fleet.Layer) (*input, error) {
	dir := layer.Path
	if overlay, ok := site.Overlays[layer.Name]; ok {
		dir = overlay
	}
	return r.input(dir, reach{profile: site.Profile.Dir, site: site.Dir}, site.Profile)
}

func (r *Renderer) layer(site *fleet.Site, layer fleet.Layer, vars variables) (*filled, error) {
	in, err := r.inputOf(site, layer)
	if err != nil {
		return nil, err
	}
	from, err := r.build(in)
	if err != nil {
		return nil, err
	}
	if from.varies || !from.plain || !under(in.dir, in.reach.profile) || probesVary(layer) {
		return newLayer(site, layer, vars, from)
	}
	return r.fixed.do(fixed{site.Profile, layer.Name}, func() (*filled, error) { return newLayer(site, layer, vars, from) })
}

func newLayer(site *fleet.Site, layer fleet.Layer, vars variables, from *built) (*filled, error) {
	got, err := vars.fill(from, site.Profile.Lock.Images)
	probes, probeErr := vars.probes(layer)
	if err := fleet.Join(err, probeErr); err != nil {
		return nil, err
	}
	if len(got.objects) == 0 {
		return nil, &fleet.Problem{File: from.file, Msg: fmt.Sprintf("layer %s of site %s has no objects", layer.Name, site.Name),
			Tip: "to delete what it had, remove the layer from profile.yaml", Rule: fleet.RuleEmptyLayer}
	}
	objects := got.layer.Objects
	got.layer = Layer{Name: layer.Name, DependsOn: layer.DependsOn, Wait: layer.Wait, Prune: layer.Prune, Timeout: layer.Timeout,
		Rollback: layer.Rollback, Retry: layer.Retry, Objects: objects, Sealed: from.sealed,
		Ignore: layer.Ignore, Health: layer.Health, Probes: probes}
	got.layer.Digest, err = got.layer.digest()
	return got, err
}

// fill puts a site's values into all that was built, and refuses two of the same.
func (v variables) fill(from *built, locked map[string]string) (*filled, error) {
	if from.plain {
		return v.fillPlain(from, locked)
	}
	templates := make([]template, 0, len(from.templates))
	var errs []error
	for _, t := range from.templates {
		var err error
		if t.Named {
			t, err = t.named(v, from)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		templates = append(templates, t)
	}
	sortTemplates(templates)
	out := &filled{}
	seen := map[string]bool{}
	for i := range templates {
		t := &templates[i]
		raw, images, err := t.fill(v, locked)
		if err != nil {
			errs = append(errs, v.problems(err, t.object(), from))
			continue
		}
		c := t.called()
		if seen[c.id] {
			p := &fleet.Problem{File: from.file, Msg: fmt.Sprintf("%s is there twice (site %s)", c.name, v.site.Name), Tip: "keep one of them", Rule: fleet.RuleDuplicateObject}
			errs = append(errs, writtenAs(p, from.texts(), t.Kind, t.Name))
		}
		seen[c.id] = true
		out.objects, out.images, out.layer.Objects = append(out.objects, c), append(out.images, images...), append(out.layer.Objects, raw)
	}
	return out, errors.Join(errs...)
}

// fillPlain does so where each site has the same objects: those in which no
// variables are, sites of a profile share.
func (v variables) fillPlain(from *built, locked map[string]string) (*filled, error) {
	known, err := from.settled.do(settling{v.site.Profile, locked != nil}, func() ([]settled, error) { return from.settle(locked) })
	if err != nil {
		return nil, err
	}
	out := &filled{objects: from.called, layer: Layer{Objects: make([]json.RawMessage, len(known))}}
	var errs []error
	for i, s := range known {
		if s.text == nil {
			t := &from.templates[i]
			if s.text, s.images, err = t.fill(v, locked); err != nil {
				errs = append(errs, v.problems(err, t.object(), from))
			}
		}
		out.images, out.layer.Objects[i] = append(out.images, s.images...), s.text
	}
	return out, errors.Join(errs...)
}

// settle fills in what no variables are in.
func (b *built) settle(locked map[string]string) ([]settled, error) {
	list := make([]settled, len(b.templates))
	for i := range b.templates {
		if t := &b.templates[i]; !t.varies() {
			var err error
			if list[i].text, list[i].images, err = t.fill(variables{}, locked); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// problems says in which file each variable is used.
func (v variables) problems(err error, o object, from *built) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return v.problem(err, o, from)
	}
	var errs []error
	for _, err := range joined.Unwrap() {
		errs = append(errs, v.problem(err, o, from))
	}
	return errors.Join(errs...)
}

// digest is "sha256:" over the JSON of the layer, its own digest still empty.
func (l Layer) digest() (string, error) {
	objects := l.Objects
	l.Objects, l.Digest = []json.RawMessage{}, ""
	around, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	before, after, _ := bytes.Cut(around, []byte("[]"))
	h := sha256.New()
	h.Write(before)
	for i, o := range objects {
		h.Write([]byte{"[,"[min(i, 1)]})
		h.Write(o) // canonical, so as it would be encoded
	}
	h.Write([]byte("]"))
	h.Write(after)
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// digest is "sha256:" over the names and digests of the layers, and the images.
func (c Cluster) digest() (string, error) {
	layers := slices.Clone(c.Layers)
	for i, l := range layers {
		layers[i] = Layer{Name: l.Name, Digest: l.Digest}
	}
	return digestOf(Cluster{Layers: layers, Images: c.Images})
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
