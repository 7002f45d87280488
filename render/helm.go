package render

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	sigs "sigs.k8s.io/yaml"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render/chart"
)

// inflation is what takes the place of helmCharts in a kustomization.
type inflation struct {
	dir, file string
	k         *types.Kustomization
	releases  []chart.Release
}

// charts scans the helmCharts of a kustomization.
func (s *scan) charts(dir string, at place, k *types.Kustomization) {
	if len(k.HelmCharts) == 0 {
		return
	}
	lookup := s.allowed(at, k, chart.LookupAnnotation, "empty")
	derived := s.allowed(at, k, chart.RandomAnnotation, "derived")
	if derived {
		s.derived = append(s.derived, Position{at.file, lineOf(at.root, chart.RandomAnnotation)})
	}
	in := inflation{dir: dir, file: at.file, k: k}
	entries := valueOf(at.root.Content[0], "helmCharts")
	for i, c := range k.HelmCharts {
		entry := place{file: at.file, root: at.root, line: lineOf(at.root, "helmCharts")}
		if entries != nil && i < len(entries.Content) {
			entry.root = followed(entries.Content[i])
			entry.line = entry.root.Line
		}
		if c.Namespace == "" {
			c.Namespace = k.Namespace
		}
		home := types.HelmDefaultHome
		if k.HelmGlobals != nil && k.HelmGlobals.ChartHome != "" {
			home = k.HelmGlobals.ChartHome
		}
		if r, ok := s.release(dir, home, entry, &c); ok {
			r.Lookup, r.Derived = lookup, derived
			in.releases = append(in.releases, r)
		}
	}
	s.inflations = append(s.inflations, in)
}

// allowed tells whether a kustomization lets its charts call what they may not
// otherwise, by an annotation of one value.
func (s *scan) allowed(at place, k *types.Kustomization, annotation, value string) bool {
	if k.MetaData == nil {
		return false
	}
	how, ok := k.MetaData.Annotations[annotation]
	if ok && how != value {
		s.problem(at, how, "the annotation is "+value+", or not there", "%s cannot be %q", annotation, how)
	}
	return ok && how == value
}

// release reads what one of helmCharts, at in the kustomization of dir, is made of.
func (s *scan) release(dir, home string, at place, c *types.HelmChart) (chart.Release, bool) {
	r := chart.Release{File: at.file, Line: at.line, Name: c.ReleaseName, Namespace: c.Namespace, Version: c.Version,
		KubeVersion: c.KubeVersion, APIVersions: c.ApiVersions, NoHooks: c.SkipHooks}
	for _, field := range []struct {
		wrong bool
		value string
		msg   string
		tip   string
	}{
		{c.Name == "", "", "a chart has no name", "give it the name of its folder"},
		{c.NameTemplate != "", c.NameTemplate, "nameTemplate is a template, and a release needs one name", "write the name as releaseName"},
		{c.ReleaseName == "", c.Name, "the chart has no releaseName, and helm would make one up from the time", "give it a releaseName"},
		{c.Namespace == "", c.Name, "the chart has no namespace, and would be in that of whoever includes it", "give it a namespace, or the kustomization"},
		{!slices.Contains([]string{"", "merge", "override", "replace"}, c.ValuesMerge), c.ValuesMerge, "valuesMerge cannot be " + c.ValuesMerge, "write override, merge or replace"},
	} {
		if field.wrong {
			s.problem(at, field.value, field.tip, "%s", field.msg).Rule = fleet.RuleChart
			return r, false
		}
	}
	if valueOf(at.root, "includeCRDs") != nil || c.IncludeCRDs {
		r.CRDs = &c.IncludeCRDs
	}
	ref := path.Join(home, c.Name)
	if c.Repo != "" && c.Version != "" {
		ref = path.Join(home, c.Name+"-"+c.Version, c.Name) // where kustomize puts what it downloads
	}
	if path.IsAbs(home) {
		ref = home
	}
	var ok bool
	if r.Dir, ok = s.resolveAs(dir, at, ref, c.Name); !ok {
		return r, false
	}
	if r.Files, ok = s.chartFiles(at, r.Dir, c); !ok {
		return r, false
	}
	r.Values, ok = s.values(dir, at, c, r.Files["values.yaml"])
	return r, ok
}

// chartFiles reads the folder of a chart, but for what its .helmignore names.
func (s *scan) chartFiles(at place, dir string, c *types.HelmChart) (chart.Files, bool) {
	if _, err := s.lstat(path.Join(dir, "Chart.yaml")); errors.Is(err, fs.ErrNotExist) {
		pull := "put the chart there as a folder with a Chart.yaml; that of an archive: tar -xzf ARCHIVE -C " + path.Dir(dir)
		if c.Repo != "" {
			pull = "take a copy into the tree and commit it: \"helm pull\" with --untar --untardir " + path.Dir(dir)
		}
		s.problem(at, c.Name, pull, "there is no chart in %s; a fleet holds all that it runs", dir).Rule = fleet.RuleChart
		return nil, false
	}
	var rules []byte
	if _, err := s.lstat(path.Join(dir, chart.IgnoreFile)); err == nil {
		var ok bool
		if rules, ok = s.read(path.Join(dir, chart.IgnoreFile), at, c.Name, content); !ok {
			return nil, false
		}
	}
	ignored, err := chart.Ignored(rules)
	if err != nil {
		s.problems = append(s.problems, &fleet.Problem{File: path.Join(dir, chart.IgnoreFile), Msg: oneLine(err), Tip: "remove the pattern", Rule: fleet.RuleChart})
		return nil, false
	}
	before := len(s.problems)
	files := chart.Files{}
	s.chartFolder(at, dir, "", ignored, files)
	return files, len(s.problems) == before
}

func (s *scan) chartFolder(at place, dir, below string, ignored func(string, fs.FileInfo) bool, into chart.Files) {
	s.folders[dir] = true
	entries, err := fs.ReadDir(s.fsys, path.Join(dir, below))
	if err != nil {
		s.problem(at, path.Base(dir), "", "%s", oneLine(err))
		return
	}
	for _, e := range entries {
		name := path.Join(below, e.Name())
		full := path.Join(dir, name)
		info, err := s.lstat(full)
		switch {
		case err != nil:
			s.problem(at, path.Base(dir), "put a copy there", "%s", oneLine(err)).Rule = fleet.RuleIrregularFile
		case ignored(name, info):
		case info.IsDir():
			s.chartFolder(at, dir, name, ignored, into)
		case path.Base(below) == "charts" && path.Ext(name) == ".tgz":
			s.problems = append(s.problems, &fleet.Problem{File: full, Msg: "a subchart is an archive, which nobody can review", Tip: "unpack it beside itself with tar -xzf, and delete it", Rule: fleet.RuleChart})
		default:
			as := content
			if base := path.Base(name); (base == "values.yaml" || base == "Chart.yaml") && !strings.Contains(name, "templates/") {
				as = objects
			}
			data, ok := s.read(full, at, path.Base(dir), as)
			if ok && as == objects {
				s.parse(full, data)
			}
			into[name] = data
		}
	}
}

// values reads what goes into a chart, whose own values are given.
func (s *scan) values(dir string, at place, c *types.HelmChart, base []byte) ([][]byte, bool) {
	before := len(s.problems)
	file := func(ref string) []byte {
		full, ok := s.resolve(dir, at, ref)
		if !ok {
			return nil
		}
		data, ok := s.read(full, at, ref, objects)
		if ok {
			s.parse(full, data)
		}
		return data
	}
	if c.ValuesFile != "" {
		base = file(c.ValuesFile)
	}
	if len(c.ValuesInline) > 0 && len(s.problems) == before {
		merged, err := mergeValues(base, c.ValuesInline, c.ValuesMerge)
		if err != nil {
			s.problem(at, "valuesInline", "values are a mapping", "valuesInline: %s", oneLine(err))
		}
		base = merged
	}
	list := [][]byte{base}
	for _, ref := range c.AdditionalValuesFiles {
		list = append(list, file(ref))
	}
	return list, len(s.problems) == before
}

// mergeValues puts inline values to those of a file as kustomize does.
func mergeValues(file []byte, inline map[string]any, how string) ([]byte, error) {
	theirs, err := kyaml.Parse(string(file))
	if how == "replace" || errors.Is(err, io.EOF) {
		return sigs.Marshal(inline)
	}
	if err != nil {
		return nil, err
	}
	ours, err := kyaml.FromMap(inline)
	if err != nil {
		return nil, err
	}
	if how == "merge" {
		ours, theirs = theirs, ours
	}
	merged, err := merge2.Merge(ours, theirs, kyaml.MergeOptions{})
	if err != nil {
		return nil, err
	}
	values, err := merged.Map()
	if err != nil {
		return nil, err
	}
	return sigs.Marshal(values)
}
