// Package chart renders Helm charts that stand in the tree. It is pure: a
// function that would give another result elsewhere or tomorrow is an error.
package chart

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	helm "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/ignore"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// maxOutput limits what one release renders, in bytes.
const maxOutput = 32 << 20

// Release is a chart and what is put into it.
type Release struct {
	File  string `json:"file"` // that names the chart, and where, for errors
	Line  int    `json:"line"`
	Dir   string `json:"dir"` // of the chart, in the tree
	Files Files  `json:"files"`

	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	Version     string   `json:"version,omitempty"`     // of the chart, or empty if any will do
	Values      [][]byte `json:"values"`                // YAML; each goes over those before it
	KubeVersion string   `json:"kubeVersion,omitempty"` // needed if the chart asks for it
	APIVersions []string `json:"apiVersions,omitempty"` // that the cluster has besides Kubernetes' own
	CRDs        *bool    `json:"crds,omitempty"`        // whether those in crds/ belong to it; needed if there are any
	NoHooks     bool     `json:"noHooks,omitempty"`     // leave them out, instead of refusing them
	Lookup      bool     `json:"lookup,omitempty"`      // the function finds nothing, instead of being refused
	Derived     bool     `json:"derived,omitempty"`     // functions of chance give what follows from the files, instead of being refused
}

// IgnoreFile says in the folder of a chart what does not belong to it.
const IgnoreFile = ".helmignore"

// Ignored reads an [IgnoreFile], and tells whether a file of the chart is left out.
func Ignored(data []byte) (func(name string, info fs.FileInfo) bool, error) {
	rules, err := ignore.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	rules.AddDefaults()
	return rules.Ignore, nil
}

// Files are those of a chart, by their path in its folder.
type Files map[string][]byte

// Manifest is what became of one file of a chart.
type Manifest struct {
	Source string `json:"source"` // as helm calls it, such as web/templates/service.yaml
	File   string `json:"file"`   // in the tree
	Text   []byte `json:"text"`   // YAML documents
}

// Render puts the values into the chart. Its error joins [fleet.Problem]s.
func (r Release) Render() ([]Manifest, error) {
	c, err := r.load()
	if err != nil {
		return nil, err
	}
	values, err := r.values(c)
	if err != nil {
		return nil, err
	}
	funcs := newFunctions(r)
	files, err := engine.Engine{CustomTemplateFuncs: funcs.all()}.Render(c, values) //nolint:staticcheck // only lookup heeds a context
	if err != nil {
		return nil, r.templateProblem(err, funcs)
	}
	var out []Manifest
	if r.CRDs != nil && *r.CRDs {
		for _, crd := range c.CRDObjects() {
			out = append(out, Manifest{Source: crd.Filename, File: r.fileOf(crd.Filename), Text: crd.File.Data})
		}
	}
	total := 0
	for _, source := range slices.Sorted(maps.Keys(files)) {
		text := files[source]
		if total += len(text); total > maxOutput {
			return nil, &fleet.Problem{File: r.File, Line: r.Line, Msg: fmt.Sprintf("release %s renders more than %d MiB", r.Name, maxOutput>>20),
				Tip: "make less of it, or split the chart", Rule: fleet.RuleTooLarge}
		}
		if strings.TrimSpace(text) != "" && path.Base(source) != "NOTES.txt" {
			out = append(out, Manifest{Source: source, File: r.fileOf(source), Text: []byte(text)})
		}
	}
	return out, nil
}

// load reads the chart, and refuses what helm would not install.
func (r Release) load() (*helm.Chart, error) {
	if err := chartutil.ValidateReleaseName(r.Name); err != nil {
		return nil, r.problem("name it with a-z, 0-9 and -, in at most 53, and without variables", "a release cannot be called %q", r.Name)
	}
	var files []*archive.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		files = append(files, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(r.Files[name], []byte("\uFEFF"))})
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, r.chartProblem("mend the chart, or take it anew", "the chart does not load: %s", oneLine(err))
	}
	inOrder(c)
	if c.Metadata.Type == "library" {
		return nil, r.problem("name a chart that uses it", "%s is a library, which renders nothing by itself", c.Name())
	}
	if r.Version != "" && r.Version != c.Metadata.Version {
		return nil, r.problem("correct the version, or put that version of the chart into the tree", "version %s is not that of the chart in %s, which is %s", r.Version, r.Dir, c.Metadata.Version)
	}
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(sub *helm.Chart) bool { return sub.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		return nil, r.chartProblem("put them there as folders: helm dependency update, then unpack each archive", "it depends on charts that are not in its folder charts/: %s", strings.Join(missing, ", "))
	}
	if r.CRDs == nil && len(c.CRDObjects()) > 0 {
		return nil, r.problem("say includeCRDs: true, or false if another layer brings them", "the chart %s has custom resource definitions", c.Name())
	}
	return c, nil
}

// inOrder undoes that the loader goes through a map.
func inOrder(c *helm.Chart) {
	subs := slices.SortedFunc(slices.Values(c.Dependencies()), func(a, b *helm.Chart) int { return strings.Compare(a.Name(), b.Name()) })
	c.SetDependencies(subs...)
	for _, sub := range subs {
		inOrder(sub)
	}
}
