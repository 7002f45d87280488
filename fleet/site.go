package fleet

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sites loads the sites at and below dir.
func (l *loader) sites(dir string) {
	entries := l.entriesOf(dir)
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "site.yaml" }) {
		l.fleet.Sites = append(l.fleet.Sites, l.site(dir, entries))
		return
	}
	for _, e := range entries {
		switch full := path.Join(dir, e.Name()); {
		case e.Name() == "group.yaml":
			l.add(full, 0, "put its variables and labels into each site for now", "groups with inherited values are not supported yet")
		case e.IsDir() && slices.Contains([]string{"hosts", "addons", "distribution"}, e.Name()):
			l.add(path.Join(dir, "site.yaml"), 0, "create it, or move "+full+" below a site", "the file is missing beside %s", full)
		case e.IsDir():
			l.sites(full)
		}
	}
}

func (l *loader) site(dir string, entries []fs.DirEntry) *Site {
	s := &Site{Name: path.Base(dir), Dir: dir, Variables: map[string]any{}, Labels: map[string]string{}, Overlays: map[string]string{}}
	file := path.Join(dir, "site.yaml")
	if !dnsLabel.MatchString(s.Name) {
		l.add(dir, 0, nameTip, "%q is not a name for a site", s.Name)
	}
	data, ok := l.read(file, "")
	if !ok {
		return s
	}
	r := reader{file, l.problems}
	var values *yaml.Node
	r.kubeObject(data, "Site", s.Name, map[string]field{
		"profile": {true, func(n *yaml.Node) {
			name := r.name(n, "profile")
			if s.Profile = l.fleet.Profiles[name]; s.Profile == nil && name != "" {
				r.problem(n, l.knownProfiles(), "unknown profile %s", name)
			}
		}},
		"variables": {false, func(n *yaml.Node) { values = n }},
		"labels": {false, func(n *yaml.Node) {
			r.entries(n, "labels", func(key, value *yaml.Node) { s.Labels[key.Value] = r.text(value, "label "+key.Value) })
		}},
	})
	if s.Profile == nil {
		return s
	}
	r.siteVariables(s, values)
	for _, e := range entries {
		full := path.Join(dir, e.Name())
		switch {
		case e.Name() == "hosts" && e.IsDir():
			l.hosts(s, full)
		case e.Name() == "addons" && e.IsDir():
			l.overlays(s, full)
		case e.Name() == "distribution" && e.IsDir():
			l.kustomization(full, file, 0, "the site's distribution")
			s.Overlays["distribution"] = full
		}
	}
	l.roles(s)
	return s
}

func (l *loader) knownProfiles() string {
	if len(l.fleet.Profiles) == 0 {
		return "create profiles/<name>/profile.yaml"
	}
	return "the profiles are " + strings.Join(slices.Sorted(maps.Keys(l.fleet.Profiles)), ", ")
}

// siteVariables checks the site's values against what its profile declares
// and fills in the defaults.
func (r reader) siteVariables(s *Site, values *yaml.Node) {
	declared := map[string]Variable{}
	var names []string
	for _, v := range s.Profile.Variables {
		declared[v.Name] = v
		names = append(names, v.Name)
		if v.Default != nil {
			s.Variables[v.Name] = v.Default
		}
	}
	given := map[string]bool{}
	if values != nil {
		r.entries(values, "spec.variables", func(key, value *yaml.Node) {
			v, ok := declared[key.Value]
			if !ok {
				tip := "it declares " + strings.Join(names, ", ")
				if len(names) == 0 {
					tip = "it declares none"
				}
				r.problem(key, tip, "variable %s is not declared by profile %s", key.Value, s.Profile.Name)
				return
			}
			given[v.Name] = true
			if got, ok := r.value(value, v); ok {
				s.Variables[v.Name] = got
			}
		})
	}
	for _, v := range s.Profile.Variables {
		if v.Required && !given[v.Name] {
			r.problem(values, fmt.Sprintf("add it under spec.variables, or give it a default in %s:%d", v.File, v.Line),
				"variable %s is required by profile %s", v.Name, s.Profile.Name)
		}
	}
}

func (l *loader) overlays(s *Site, dir string) {
	for _, e := range l.entriesOf(dir) {
		full := path.Join(dir, e.Name())
		if !e.IsDir() {
			continue
		}
		if !slices.ContainsFunc(s.Profile.Layers, func(layer Layer) bool { return layer.Name == e.Name() }) {
			l.add(full, 0, "name the folder as the layer it changes", "%s is not a layer of profile %s", e.Name(), s.Profile.Name)
			continue
		}
		l.kustomization(full, full, 0, "the overlay of layer "+e.Name())
		s.Overlays[e.Name()] = full
	}
}
