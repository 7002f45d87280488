package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	sigs "sigs.k8s.io/yaml"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render/chart"
)

// job renders the charts of an input, and puts what they make into the place of
// the fields that name them.
func (r *Renderer) job(in *input) (job, error) {
	j := job{Dir: in.dir, File: in.file, Files: maps.Clone(in.scan.mem), OpenAPI: in.scan.openapi, StandIns: in.scan.standIns, Rendered: map[string]string{}}
	var errs []error
	for i := range in.scan.inflations {
		errs = append(errs, r.inflate(&in.scan.inflations[i], &j))
	}
	return j, errors.Join(errs...)
}

// inflate gives a job a kustomization without its charts, and the files that it names instead.
func (r *Renderer) inflate(in *inflation, into *job) error {
	k := *in.k
	k.HelmCharts, k.HelmGlobals, k.HelmChartInflationGenerator = nil, nil, nil
	k.Resources = slices.Clone(k.Resources)
	var errs []error
	add := func(data []byte, source, format string, args ...any) {
		ref := fmt.Sprintf(format, args...)
		full := path.Join(in.dir, ref)
		k.Resources, into.Files[full], into.Rendered[full] = append(k.Resources, ref), data, source
	}
	for i, release := range in.releases {
		add([]byte("# nothing else\n"), in.file, ".release-%d/none.yaml", i) // no objects are no error
		manifests, err := r.manifests(release)
		errs = append(errs, err)
		for n, m := range manifests {
			data, err := manifest(release, m)
			errs = append(errs, err)
			add(data, m.File, ".release-%d/%d.yaml", i, n)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var err error
	into.Files[in.file], err = sigs.Marshal(k)
	return err
}

// manifests are what a release renders, which is remembered: layers of many sites
// may have the same.
func (r *Renderer) manifests(of chart.Release) ([]chart.Manifest, error) {
	what := of
	what.File, what.Line = "", 0
	data, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("release %x", sha256.Sum256(data))
	if kept, ok := r.memo.Get(name); ok {
		var list []chart.Manifest
		if json.Unmarshal(kept, &list) == nil {
			return list, nil
		}
	}
	list, err := r.pool.render(of)
	if err != nil {
		return nil, err
	}
	if data, err := json.Marshal(list); err == nil {
		r.memo.Put(name, data)
	}
	return list, nil
}

// manifest turns what a chart rendered into what kustomize would have taken
// from helm: objects that are marked, one JSON document each.
func manifest(r chart.Release, m chart.Manifest) ([]byte, error) {
	docs, err := r.Documents(m, yamlLimits())
	errs := []error{err}
	out := bytes.NewBufferString("# rendered\n")
	for _, doc := range docs {
		objects, err := marked(doc, r.Namespace)
		if err != nil {
			errs = append(errs, &fleet.Problem{File: m.File, Msg: fmt.Sprintf("release %s: %s", r.Name, oneLine(err)), Tip: objectTip, Rule: fleet.RuleBadObject})
		}
		for _, o := range objects {
			data, err := canonical(o)
			errs = append(errs, err)
			out.WriteString("---\n")
			out.Write(printable(data))
			out.WriteByte('\n')
		}
	}
	return out.Bytes(), errors.Join(errs...)
}

// marked returns the objects of a document with kustomize's mark of what helm
// makes, which its namespace transformer leaves alone, and with ours.
func marked(doc *yaml.Node, namespace string) ([]map[string]any, error) {
	if msg := notAnObject(doc.Content[0]); msg != "" {
		return nil, errors.New(msg)
	}
	value, err := parsed(doc)
	if err != nil {
		return nil, err
	}
	list := []any{value}
	top, _ := value.(map[string]any)
	kind, _ := top["kind"].(string)
	if items, ok := top["items"].([]any); ok && strings.HasSuffix(kind, "List") {
		list = items
	}
	var out []map[string]any
	for _, item := range list {
		o, _ := item.(map[string]any)
		meta, _ := o["metadata"].(map[string]any)
		if meta == nil {
			return nil, fmt.Errorf("%s has no metadata", kind)
		}
		annotations, ok := meta["annotations"].(map[string]any)
		if !ok && meta["annotations"] != nil {
			return nil, fmt.Errorf("%s %v has annotations that are no mapping", kind, meta["name"])
		}
		if annotations == nil {
			annotations = map[string]any{}
			meta["annotations"] = annotations
		}
		annotations[konfig.HelmGeneratedAnnotation], annotations[releaseNamespace] = "true", namespace
		out = append(out, o)
	}
	return out, nil
}

// printable escapes in JSON what YAML does not take, or folds.
func printable(data []byte) []byte {
	if !bytes.ContainsFunc(data, unprintable) {
		return data
	}
	var out bytes.Buffer
	for _, c := range string(data) {
		if unprintable(c) {
			fmt.Fprintf(&out, `\u%04x`, c)
		} else {
			out.WriteRune(c)
		}
	}
	return out.Bytes()
}

func unprintable(c rune) bool {
	return c >= 0x7f && c < 0xa0 || c == 0xfeff || c == 0xfffe || c == 0xffff
}
