package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Limits of what one kustomization may read.
const (
	maxFile  = 4 << 20  // bytes of one file: as many as a host reads from a commit
	maxTotal = 32 << 20 // bytes of all files
	maxFiles = 10_000
)

// yamlLimits leave room for the schemas of large custom resource definitions.
func yamlLimits() fleet.Limits { return fleet.Limits{Depth: 200, Nodes: 2_000_000} }

// scan follows a kustomization to everything it refers to, before kustomize
// runs. What it has seen, read and found harmless it keeps in mem, so that
// kustomize meets nothing else: neither network, nor plugins, nor the disk.
type scan struct {
	fsys     files
	reach    reach
	texts    map[string][]byte  // all that was read, by path
	mem      map[string][]byte  // what kustomize gets of it
	names    filesys.FileSystem // takes those that kustomize takes
	total    int
	visited  map[string]bool   // folders
	folders  map[string]bool   // that were looked into
	trail    []string          // of folders that led here
	openapi  bool              // one of the kustomizations changes kustomize's schema
	sealed   map[string][]byte // SOPS documents, by path; texts has what is carried in their place
	uses     map[string]use    // of those
	standIns []string          // for what is in them
	problems []error

	inflations     []inflation
	derived        []Position           // where charts are let make something up
	kustomizations map[string]*declared // by folder
}

// place is where a kustomization refers to something.
type place struct {
	file string
	root *yaml.Node // of file
	line int        // where nothing better is found
}

func newScan(fsys files, r reach) *scan {
	return &scan{fsys: fsys, reach: r, names: filesys.MakeFsInMemory(), mem: map[string][]byte{}, texts: map[string][]byte{}, visited: map[string]bool{}, folders: map[string]bool{},
		sealed: map[string][]byte{}, uses: map[string]use{}, kustomizations: map[string]*declared{}}
}

// problem reports what the scalar value in the file at p leads to. It breaks the
// rule RuleKustomization unless that is set.
func (s *scan) problem(p place, value, tip, format string, args ...any) *fleet.Problem {
	line := lineOf(p.root, value)
	if line == 0 {
		line = p.line
	}
	found := &fleet.Problem{File: p.file, Line: line, Msg: fmt.Sprintf(format, args...), Tip: tip, Rule: fleet.RuleKustomization}
	s.problems = append(s.problems, found)
	return found
}

// lineOf returns the first line of a scalar with the value, or 0.
func lineOf(n *yaml.Node, value string) int {
	if n == nil {
		return 0
	}
	if n.Kind == yaml.ScalarNode && strings.EqualFold(n.Value, value) {
		return n.Line
	}
	for _, c := range n.Content {
		if line := lineOf(c, value); line > 0 {
			return line
		}
	}
	return 0
}

// kustomization scans the one in dir, once.
func (s *scan) kustomization(dir string, from place, ref string) {
	if at := slices.Index(s.trail, dir); at >= 0 {
		cycle := append(slices.Clone(s.trail[at:]), dir)
		s.problem(from, ref, "remove one of these references", "kustomizations refer to each other: %s", strings.Join(cycle, " -> "))
		return
	}
	if s.visited[dir] {
		return
	}
	s.visited[dir], s.folders[dir] = true, true
	s.trail = append(s.trail, dir)
	defer func() { s.trail = s.trail[:len(s.trail)-1] }()
	var names []string
	for _, name := range fleet.KustomizationFiles() {
		if _, err := s.fsys.Stat(path.Join(dir, name)); err == nil {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0 && from.file == "":
		s.problems = append(s.problems, &fleet.Problem{File: dir, Msg: "the folder has no kustomization.yaml", Tip: "create it", Rule: fleet.RuleMissingFile})
		return
	case len(names) == 0:
		s.problem(from, ref, "create it, or name the files in it", "the folder %s has no kustomization.yaml", dir).Rule = fleet.RuleMissingFile
		return
	case len(names) > 1:
		s.problems = append(s.problems, &fleet.Problem{File: dir, Msg: "more than one kustomization: " + strings.Join(names, ", "), Tip: "keep one", Rule: fleet.RuleKustomization})
		return
	}
	file := path.Join(dir, names[0])
	data, ok := s.load(file, place{file: file}, "", objects)
	if !ok {
		return
	}
	if d := s.declared(file, data); d != nil {
		s.kustomizations[dir] = d
		s.follow(dir, place{file: file, root: d.root}, d.says)
	}
}

// declared reads what a kustomization says.
func (s *scan) declared(file string, data []byte) *declared {
	if known := s.fsys.declared(file, data); known != nil {
		return known
	}
	docs := s.parse(file, data)
	if len(docs) == 0 {
		return nil
	}
	// kustomize itself decodes loosely (keys in any case, merge keys): what it
	// will see is what must be judged, so its own decoder is used.
	d := &declared{data, docs[0], new(types.Kustomization)}
	if err := d.says.Unmarshal(data); err != nil {
		s.badField(place{file: file, root: docs[0]}, err)
		return nil
	}
	d.says.FixKustomization()
	s.fsys.declare(file, d)
	return d
}

// follow scans everything that k, in dir, refers to.
func (s *scan) follow(dir string, at place, k *types.Kustomization) {
	s.charts(dir, at, k)
	if slices.Contains(k.BuildMetadata, types.ManagedByLabelOption) {
		s.problem(at, types.ManagedByLabelOption, "drop it, or write the label under labels", "%s says which program built an object, so hosts could differ from what was reviewed", types.ManagedByLabelOption)
	}
	for _, ref := range slices.Concat(k.Resources, k.Components) {
		s.reference(dir, at, ref)
	}
	for _, ref := range slices.Concat(k.Crds, k.Configurations) {
		s.file(dir, at, ref, objects)
	}
	for _, ref := range slices.Concat(k.Generators, k.Transformers, k.Validators) {
		s.plugin(dir, at, ref)
	}
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) { //nolint:staticcheck // kustomize still follows this field
		s.pathOrText(dir, at, p.Path, p.Patch)
	}
	for _, p := range k.PatchesStrategicMerge { //nolint:staticcheck // kustomize still follows this field
		if inline(string(p)) {
			s.pathOrText(dir, at, "", string(p))
		} else {
			s.pathOrText(dir, at, string(p), "")
		}
	}
	for _, r := range k.Replacements {
		s.pathOrText(dir, at, r.Path, "")
	}
	for _, g := range k.ConfigMapGenerator {
		s.sources(dir, at, g.KvPairSources)
	}
	for _, g := range k.SecretGenerator {
		s.sources(dir, at, g.KvPairSources)
	}
	if len(k.OpenAPI) > 0 {
		s.openapi = true
		if ref, ok := k.OpenAPI["path"]; ok {
			s.file(dir, at, ref, objects)
		}
	}
}

// reference scans a resource or component: a file or a folder with a kustomization.
func (s *scan) reference(dir string, at place, ref string) {
	full, ok := s.resolve(dir, at, ref)
	if !ok {
		return
	}
	if info, err := s.lstat(full); err == nil && info.IsDir() {
		s.kustomization(full, at, ref)
		return
	}
	if data, ok := s.load(full, at, ref, objects); ok {
		s.objects(full, data)
	}
}

// objects checks that a resource's documents are objects, which kustomize says in words of its own.
func (s *scan) objects(file string, data []byte) {
	if s.fsys.holdsObjects(file, data) {
		return
	}
	before := len(s.problems)
	for _, doc := range s.parse(file, data) {
		if msg := notAnObject(doc.Content[0]); msg != "" {
			s.problems = append(s.problems, &fleet.Problem{File: file, Line: doc.Content[0].Line, Msg: msg,
				Tip: objectTip, Rule: fleet.RuleBadObject})
		}
	}
	if len(s.problems) == before {
		s.fsys.foundObjects(file, data)
	}
}

// sources scans what a generator of ConfigMaps or Secrets reads.
func (s *scan) sources(dir string, at place, src types.KvPairSources) {
	for _, ref := range src.FileSources {
		name := ref
		if _, after, ok := strings.Cut(ref, "="); ok {
			name = after
		}
		s.fileAt(dir, at, name, ref, content)
	}
	envs := src.EnvSources
	if src.EnvSource != "" {
		envs = append(slices.Clone(envs), src.EnvSource)
	}
	for _, ref := range envs {
		s.file(dir, at, ref, lines)
	}
}

func (s *scan) pathOrText(dir string, at place, ref, text string) {
	if ref != "" {
		s.file(dir, at, ref, objects)
	}
	if text != "" {
		s.parseWithin(at, text)
	}
}
