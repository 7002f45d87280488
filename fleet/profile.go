package fleet

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const defaultTimeout = 5 * time.Minute

// profile loads profiles/<name>.
func (l *loader) profile(name string) *Profile {
	p := &Profile{Name: name, Dir: path.Join("profiles", name)}
	file := path.Join(p.Dir, "profile.yaml")
	if !dnsLabel.MatchString(name) {
		l.add(p.Dir, 0, nameTip, "%q is not a name for a profile", name)
	}
	data, ok := l.read(file, "every folder of profiles/ is a profile; shared pieces belong to bases/")
	if !ok {
		return p
	}
	r := reader{file, l.problems}
	lines := map[string]int{}
	r.kubeObject(data, "Profile", name, map[string]field{
		"layers": {true, func(n *yaml.Node) {
			r.items(n, "spec.layers", func(n *yaml.Node) {
				layer := r.layer(n, p.Dir)
				if layer.Name == "" {
					return
				}
				if first, twice := lines[layer.Name]; twice {
					r.problem(n, fmt.Sprintf("it is first declared at line %d", first), "layer %s is declared twice", layer.Name)
					return
				}
				lines[layer.Name] = n.Line
				l.kustomization(layer.Path, file, n.Line, "layer "+layer.Name)
				p.Layers = append(p.Layers, layer)
			})
		}},
		"variables": {false, func(n *yaml.Node) { p.Variables = r.variables(n) }},
	})
	r.dependencies(p.Layers, lines)
	p.Distribution = path.Join(p.Dir, "distribution")
	l.kustomization(p.Distribution, file, 0, "the profile's distribution")
	l.lock(p)
	return p
}

func (r reader) layer(n *yaml.Node, dir string) Layer {
	layer := Layer{Wait: true, Prune: true, Timeout: defaultTimeout}
	r.object(n, "a layer", map[string]field{
		"name": {true, func(n *yaml.Node) {
			if layer.Name = r.name(n, "a layer's name"); layer.Name == "distribution" {
				r.problem(n, "give it another; profiles/<profile>/distribution is the node", "distribution is not a name for a layer")
			}
		}},
		"path": {false, func(n *yaml.Node) {
			rel := r.text(n, "a layer's path")
			if !fs.ValidPath(rel) || rel == "." {
				r.problem(n, "it is relative to the profile's folder and stays inside it, like addons/web", "a layer's path is not %q", rel)
				return
			}
			layer.Path = path.Join(dir, rel)
		}},
		"dependsOn": {false, func(n *yaml.Node) {
			r.items(n, "dependsOn", func(n *yaml.Node) { layer.DependsOn = append(layer.DependsOn, r.text(n, "dependsOn")) })
		}},
		"wait":    {false, func(n *yaml.Node) { layer.Wait = r.boolean(n, "wait") }},
		"prune":   {false, func(n *yaml.Node) { layer.Prune = r.boolean(n, "prune") }},
		"timeout": {false, func(n *yaml.Node) { layer.Timeout = r.duration(n, "timeout") }},
	})
	if layer.Path == "" {
		layer.Path = path.Join(dir, "addons", layer.Name)
	}
	slices.Sort(layer.DependsOn)
	layer.DependsOn = slices.Compact(layer.DependsOn)
	return layer
}

// dependencies checks that every name in dependsOn is a layer and that no
// layer waits for itself.
func (r reader) dependencies(layers []Layer, lines map[string]int) {
	byName := map[string]Layer{}
	for _, layer := range layers {
		byName[layer.Name] = layer
	}
	for _, layer := range layers {
		for _, dep := range layer.DependsOn {
			if _, ok := byName[dep]; !ok {
				r.add(r.file, lines[layer.Name], "add that layer, or drop it from dependsOn", "layer %s depends on %s, which is not a layer of the profile", layer.Name, dep)
			}
		}
	}
	done := map[string]bool{}
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		if at := slices.Index(trail, name); at >= 0 {
			cycle := append(slices.Clone(trail[at:]), name)
			r.add(r.file, lines[name], "remove one of these dependencies", "layers wait for each other: %s", strings.Join(cycle, " -> "))
			return
		}
		if done[name] {
			return
		}
		for _, dep := range byName[name].DependsOn {
			visit(dep, append(slices.Clone(trail), name))
		}
		done[name] = true
	}
	for _, layer := range layers {
		visit(layer.Name, nil)
	}
}

// KustomizationFiles are the names that kustomize gives meaning to.
func KustomizationFiles() []string {
	return []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
}

// kustomization checks that dir has one; what is wrong is reported at file:line.
func (l *loader) kustomization(dir, file string, line int, whose string) {
	for _, name := range KustomizationFiles() {
		if _, err := fs.Stat(l.fsys, path.Join(dir, name)); err == nil {
			return
		}
	}
	l.add(file, line, "create "+path.Join(dir, "kustomization.yaml"), "%s has no kustomization in %s", whose, dir)
}
