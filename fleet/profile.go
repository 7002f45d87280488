package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const defaultTimeout = 5 * time.Minute

// profileNames lists the folders of profiles/.
func profileNames(fsys fs.FS, ps *problems) []string {
	entries, err := fs.ReadDir(fsys, "profiles")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ps.add("profiles", 0, "", "%s", withoutPath(err)).Rule = RuleIrregularFile
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !hidden(e) {
			names = append(names, e.Name())
		}
	}
	return names
}

// loadProfile loads profiles/<name>.
func loadProfile(fsys fs.FS, name string, ps *problems) *Profile {
	p := &Profile{Name: name, FS: fsys, Dir: path.Join("profiles", name)}
	p.Distribution = path.Join(p.Dir, "distribution")
	file := path.Join(p.Dir, "profile.yaml")
	if !dnsLabel.MatchString(name) {
		ps.add(p.Dir, 0, nameTip, "%q is not a name for a profile", name).Rule = RuleBadName
	}
	root := folder{fsys, ".", ps, nil}
	data, ok := root.read(file, "every folder of profiles/ is a profile; shared pieces belong to bases/")
	if !ok {
		return p
	}
	r, lines := reader{file, ps}, map[string]int{}
	r.named(r.kubeObject(data, "Profile", false, r.profileFields(p, lines)), name)
	r.dependencies(p.Layers, lines)
	for _, layer := range p.Layers {
		root.kustomization(layer.Path, file, lines[layer.Name], "layer "+layer.Name)
	}
	root.kustomization(p.Distribution, file, 0, "the profile's distribution")
	lock := path.Join(p.Dir, "content.lock")
	if _, err := fs.Stat(fsys, lock); err == nil || !errors.Is(err, fs.ErrNotExist) { // a profile may lack one
		if data, ok := root.read(lock, ""); ok {
			p.Lock = reader{lock, ps}.lock(data)
		}
	}
	p.declared = make(map[string]struct{}, len(p.Variables))
	for _, v := range p.Variables {
		p.declared[v.Name] = struct{}{}
	}
	return p
}

func (p *Profile) variableNames() []string {
	names := make([]string, len(p.Variables))
	for i, v := range p.Variables {
		names[i] = v.Name
	}
	return names
}

// profileFields reads layers and variables; lines gets the layers' lines.
func (r reader) profileFields(p *Profile, lines map[string]int) map[string]field {
	return map[string]field{
		"layers": {true, "Units of add-ons, each applied, waited for and pruned as a whole", listOf(mapping(r.layerFields(&Layer{}, ""))), func(n *yaml.Node) {
			r.items(n, "spec.layers", func(n *yaml.Node) {
				layer := r.layer(n, p.Dir)
				if layer.Name == "" {
					return
				}
				if first, twice := lines[layer.Name]; twice {
					r.problem(n, fmt.Sprintf("it is first declared at line %d", first), "layer %s is declared twice", layer.Name).Rule = RuleDuplicateField
					return
				}
				lines[layer.Name] = n.Line
				p.Layers = append(p.Layers, layer)
			})
		}},
		"confirm":   {false, "How long all layers must stay healthy before a change is confirmed; default 0s", matching(durationPattern), func(n *yaml.Node) { p.Confirm = r.duration(n, "confirm") }},
		"variables": {false, "Inputs that sites set", listOf(mapping(r.variableFields(&Variable{}, nil))), func(n *yaml.Node) { p.Variables = r.variables(n) }},
	}
}

func (r reader) layer(n *yaml.Node, dir string) Layer {
	layer := Layer{Wait: true, Prune: true, Timeout: defaultTimeout}
	r.object(n, "a layer", r.layerFields(&layer, dir))
	if layer.Path == "" {
		layer.Path = path.Join(dir, "addons", layer.Name)
	}
	slices.Sort(layer.DependsOn)
	layer.DependsOn = slices.Compact(layer.DependsOn)
	return layer
}

func (r reader) layerFields(layer *Layer, dir string) map[string]field {
	return map[string]field{
		"name": {true, "", nameShape, func(n *yaml.Node) {
			if layer.Name = r.name(n, "a layer's name"); layer.Name == "distribution" {
				r.problem(n, "give it another; profiles/<profile>/distribution is the node", "distribution is not a name for a layer").Rule = RuleBadName
			}
		}},
		"path": {false, "Folder of its kustomization, from the profile's folder; default addons/<name>", textShape, func(n *yaml.Node) {
			rel := r.text(n, "a layer's path")
			if !fs.ValidPath(rel) || rel == "." {
				r.problem(n, "it is relative to the profile's folder and stays inside it, like addons/web", "a layer's path is not %q", rel)
				return
			}
			layer.Path = path.Join(dir, rel)
		}},
		"dependsOn": {false, "Layers that must be healthy before this one is applied", listOf(nameShape), func(n *yaml.Node) {
			r.items(n, "dependsOn", func(n *yaml.Node) { layer.DependsOn = append(layer.DependsOn, r.text(n, "dependsOn")) })
		}},
		"wait":    {false, "Its health gates what depends on it; default true", booleanShape, func(n *yaml.Node) { layer.Wait = r.boolean(n, "wait") }},
		"prune":   {false, "Objects that left it are deleted; default true", booleanShape, func(n *yaml.Node) { layer.Prune = r.boolean(n, "prune") }},
		"timeout": {false, "How long it may take to become healthy; default 5m", matching(durationPattern), func(n *yaml.Node) { layer.Timeout = r.duration(n, "timeout") }},
		"rollback": {false, "Whether it is put back when it fails; default auto, but hold for a layer that touches CRDs, storage or Jobs",
			oneOf(string(RollbackAuto), string(RollbackHold)), func(n *yaml.Node) {
				if layer.Rollback = Rollback(r.text(n, "rollback")); layer.Rollback != RollbackAuto && layer.Rollback != RollbackHold {
					r.problem(n, "the ways are auto and hold", "unknown way to roll back %s", layer.Rollback)
				}
			}},
		"retry": {false, "How many more times it may fail before it is put back; default 0", between(0, maxRetry), func(n *yaml.Node) {
			layer.Retry = r.number(n, "retry", 0, maxRetry)
		}},
		"suspend": r.suspendField(&layer.Suspend, true, suspendDoc("The layer")),
		"ignore": {false, "Fields that are set when an object is made, and left to others from then on", listOf(mapping(r.ignoreFields(&Ignore{}))), func(n *yaml.Node) {
			r.items(n, "ignore", func(n *yaml.Node) { layer.Ignore = append(layer.Ignore, r.ignore(n)) })
		}},
		"health": {false, "What makes objects healthy, beyond what is known of their kinds", listOf(mapping(r.healthFields(&Health{}))), func(n *yaml.Node) {
			r.items(n, "health", func(n *yaml.Node) { layer.Health = append(layer.Health, r.health(n)) })
		}},
		"probes": {false, "What must answer for the layer to be healthy, asked from the host", listOf(mapping(r.probeFields(&Probe{}))), func(n *yaml.Node) {
			r.items(n, "probes", func(n *yaml.Node) { layer.Probes = append(layer.Probes, r.probe(n)) })
		}},
	}
}

const maxRetry = 100

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
				r.add(r.file, lines[layer.Name], "add that layer, or drop it from dependsOn", "layer %s depends on %s, which is not a layer of the profile", layer.Name, dep).Rule = RuleNoSuchLayer
			}
		}
	}
	done := map[string]bool{}
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		if at := slices.Index(trail, name); at >= 0 {
			cycle := append(slices.Clone(trail[at:]), name)
			r.add(r.file, lines[name], "remove one of these dependencies", "layers wait for each other: %s", strings.Join(cycle, " -> ")).Rule = RuleLayerCycle
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
func (f folder) kustomization(dir, file string, line int, whose string) {
	for _, name := range KustomizationFiles() {
		if _, err := fs.Stat(f.fsys, path.Join(dir, name)); err == nil {
			return
		}
	}
	f.noKustomization(dir, file, line, whose)
}

func (ps *problems) noKustomization(dir, file string, line int, whose string) {
	ps.add(file, line, "create "+path.Join(dir, "kustomization.yaml"), "%s has no kustomization in %s", whose, dir).Rule = RuleMissingFile
}
