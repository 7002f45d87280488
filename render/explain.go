package render

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Explanation says what made an object of a layer what it is.
type Explanation struct {
	Origin Origin
	// Through are the entries that lead to the origin, from the kustomization
	// beside it to that of the layer.
	Through []Step
	// Steps are the entries without which the object would be another, in the order
	// in which kustomize follows them.
	Steps     []Step
	Variables []string          // that it uses, sorted
	Images    map[string]string // reference → digest, or ""
}

// Step is an entry of a kustomization.
type Step struct {
	File  string   `json:"file"`
	Line  int      `json:"line"`
	Field string   `json:"field"`           // resources, patches, namespace, …
	Value string   `json:"value,omitempty"` // of a scalar, or what an entry is known by
	Files []string `json:"files,omitempty"` // of the repository, that it names
}

// Object names an object of a layer.
type Object struct{ APIVersion, Kind, Namespace, Name string }

func (o Object) id() string {
	return object{apiVersion: o.APIVersion, kind: o.Kind, namespace: o.Namespace, name: o.Name}.id()
}

// Explain finds out what made an object. An entry did if the layer without it does
// not have the object, or has it otherwise: so the layer is built once for each.
// Its error joins [fleet.Problem]s.
func (r *Renderer) Explain(site *fleet.Site, layer fleet.Layer, o Object) (Explanation, error) {
	in, err := r.inputOf(site, layer)
	if err != nil {
		return Explanation{}, err
	}
	if in, err = in.scanned(); err != nil {
		return Explanation{}, err
	}
	b, err := r.build(in)
	if err != nil {
		return Explanation{}, err
	}
	t, filled, err := newVariables(site).templateOf(b, o, site.Profile.Lock.Images)
	if err != nil {
		return Explanation{}, err
	}
	origins, err := r.Origins(site, layer)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Origin: origins.Of(o.APIVersion, o.Kind, o.Namespace, o.Name), Images: map[string]string{}}
	uses := t.uses()
	slices.Sort(uses)
	e.Variables = slices.Compact(uses)
	for _, i := range filled {
		e.Images[i.Ref] = i.Digest
	}
	x := explainer{r: r, in: in, template: t, origin: e.Origin}
	e.Through, _ = x.through(in.dir)
	e.Steps, err = x.steps()
	return e, err
}

// templateOf finds the template that becomes an object, and the images in it.
func (v variables) templateOf(b *built, o Object, locked map[string]string) (template, []image, error) {
	for _, t := range b.templates {
		named := t
		if t.Named {
			var err error
			if named, err = t.named(v, b); err != nil {
				return t, nil, err
			}
		}
		if named.object().id() == o.id() {
			_, images, err := named.fill(v, locked)
			return t, images, err
		}
	}
	return template{}, nil, fmt.Errorf("%s %s is not in %s", o.Kind, o.Name, b.file)
}

// explainer looks for what an object depends on.
type explainer struct {
	r        *Renderer
	in       *input
	template template
	origin   Origin
}

// steps tries each entry of each kustomization.
func (x explainer) steps() ([]Step, error) {
	var found []Step
	for _, file := range x.order() {
		entries, err := entriesOf(file, x.in.scan.texts[file])
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.leads() || !x.matters(e) {
				continue
			}
			found = append(found, e.step())
		}
	}
	return found, nil
}

// matters tells whether the object is another without the entry.
func (x explainer) matters(e entry) bool {
	text, err := e.without()
	if err != nil {
		return false
	}
	list, err := x.built(e.file, text)
	if err != nil { // something else needs it: its name has to do
		return e.makes(x.template)
	}
	return !slices.ContainsFunc(list, func(t template) bool {
		return t.object().id() == x.template.object().id() && string(t.Text) == string(x.template.Text)
	})
}

// built builds the layer with another text of a file.
func (x explainer) built(file string, text []byte) ([]template, error) {
	s := newScan(x.in.files, x.in.reach)
	s.texts[file] = text
	s.kustomization(x.in.dir, place{}, "")
	if len(s.problems) > 0 {
		return nil, errors.Join(s.problems...)
	}
	j, err := x.r.job(&input{dir: x.in.dir, file: x.in.file, scan: s})
	if err != nil {
		return nil, err
	}
	return j.run()
}

// kustomization is that of a folder; empty if it has none, or is none.
func (x explainer) kustomization(dir string) string {
	if file := kustomizationFile(x.in.scan, dir); file != dir {
		return file
	}
	return ""
}

// through lists the entries that lead from the origin to a folder's kustomization.
func (x explainer) through(dir string) ([]Step, bool) {
	file := x.kustomization(dir)
	switch file {
	case "":
		return nil, false
	case x.origin.File:
		return nil, true
	}
	entries, err := entriesOf(file, x.in.scan.texts[file])
	if err != nil {
		return nil, false
	}
	for _, e := range entries {
		if !e.leads() && e.field != "components" {
			continue
		}
		for _, to := range e.step().Files {
			if to == x.origin.File {
				return []Step{e.step()}, true
			}
			if steps, found := x.through(to); found {
				return append(steps, e.step()), true
			}
		}
	}
	return nil, false
}

// order lists the kustomizations, each after those that it refers to.
func (x explainer) order() []string {
	var list []string
	seen := map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		file := x.kustomization(dir)
		if file == "" || seen[file] {
			return
		}
		seen[file] = true
		entries, err := entriesOf(file, x.in.scan.texts[file])
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.leads() || e.field == "components" {
				for _, to := range e.step().Files {
					visit(to)
				}
			}
		}
		list = append(list, file)
	}
	visit(x.in.dir)
	return list
}

// Objects names the objects of a layer of a site, or of its distribution. Its error
// joins [fleet.Problem]s.
func (r *Renderer) Objects(site *fleet.Site, layer fleet.Layer) ([]Object, error) {
	in, err := r.inputOf(site, layer)
	if err != nil {
		return nil, err
	}
	b, err := r.build(in)
	if err != nil {
		return nil, err
	}
	vars := newVariables(site)
	var list []Object
	for _, t := range b.templates {
		if t.Named {
			if t, err = t.named(vars, b); err != nil {
				return nil, err
			}
		}
		list = append(list, Object{t.APIVersion, t.Kind, t.Namespace, t.Name})
	}
	return list, nil
}
