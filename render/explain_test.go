package render

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func explained(t *testing.T, fsys map[string]string, siteName, kind, name string) []string {
	t.Helper()
	tree := edited(fsys)
	for _, s := range load(t, tree).Sites {
		if s.Name != siteName {
			continue
		}
		r := New(tree, Options{})
		defer r.Close()
		o := Object{"v1", kind, "default", name}
		if kind == "Deployment" {
			o.APIVersion = "apps/v1"
		}
		e, err := r.Explain(s, s.Profile.Layers[0], o)
		require.NoError(t, err)
		return linesOf(e)
	}
	require.Fail(t, "no such site")
	return nil
}

func linesOf(e Explanation) []string {
	lines := []string{fmt.Sprintf("from %s:%d", e.Origin.File, e.Origin.Line)}
	for _, part := range []struct {
		name string
		list []Step
	}{{"through", e.Through}, {"by", e.Steps}} {
		for _, s := range part.list {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s:%d %s %s", part.name, s.File, s.Line, s.Field, s.Value)))
		}
	}
	return append(lines, e.Variables...)
}

func TestAnExplanationNamesWhatMadeAnObjectAndNothingElse(t *testing.T) {
	t.Parallel()
	const layer, overlay, base = "profiles/p/addons/web/", "sites/s2/addons/web/", "bases/b/"
	for _, tt := range []struct {
		name, site, kind, object string
		edits                    map[string]string
		want                     []string
	}{
		{"a file of a layer", "s1", "ConfigMap", "one", nil, []string{"from " + layer + "one.yaml:1", "through " + layer + "kustomization.yaml:2 resources one.yaml"}},
		{"an overlay that gives it another name", "s2", "ConfigMap", "one-s2", nil, []string{"from " + layer + "one.yaml:1",
			"through " + layer + "kustomization.yaml:2 resources one.yaml", "through " + overlay + "kustomization.yaml:2 resources ../../../../profiles/p/addons/web",
			"by " + overlay + "kustomization.yaml:3 nameSuffix -s2"}},
		{"patches for it, not those for others", "s1", "ConfigMap", "one", map[string]string{
			layer + "kustomization.yaml": "resources: [one.yaml, ../../../../bases/b]\npatches:\n  - path: patch.yaml\n  - target: {kind: Service}\n    patch: '[{\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\"a\": \"b\"}}]'\n  - target: {kind: ConfigMap, name: one}\n    patch: '[{\"op\": \"add\", \"path\": \"/data/x\", \"value\": \"1\"}]'\nimages:\n  - {name: web, newTag: \"2\"}\n",
			layer + "patch.yaml":         "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n  namespace: default\ndata:\n  more: ${TEXT} $${COUNT} ${COUNT:=4}\n",
		}, []string{"from " + layer + "one.yaml:1", "through " + layer + "kustomization.yaml:1 resources one.yaml", "by " + layer + "kustomization.yaml:3 patches patch.yaml",
			"by " + layer + "kustomization.yaml:6 patches ConfigMap one", "COUNT", "TEXT"}},
		{"a base, components, labels, images; what changes nothing is left out", "s1", "Deployment", "web", map[string]string{
			layer + "kustomization.yaml":                 "resources:\n  - ../../../../bases/b\ncomponents:\n  - ../../components/x\n  - ../../components/y\nlabels:\n  - pairs: {a: b}\nimages:\n  - {name: web, newTag: \"2\"}\n  - {name: other, newTag: \"3\"}\nnamespace: default\n",
			base + "b.yaml":                              deployment,
			"profiles/p/components/x/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nreplicas:\n  - {name: web, count: 3}\n",
			"profiles/p/components/y/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nreplicas:\n  - {name: web, count: 3}\n",
		}, []string{"from " + base + "b.yaml:1", "through " + base + "kustomization.yaml:2 resources b.yaml", "through " + layer + "kustomization.yaml:2 resources ../../../../bases/b",
			"by " + layer + "kustomization.yaml:7 labels", "by " + layer + "kustomization.yaml:9 images web"}},
		{"a component that matters", "s1", "Deployment", "web", map[string]string{
			layer + "kustomization.yaml":                 "resources:\n  - ../../../../bases/b\ncomponents:\n  - ../../components/x\n",
			base + "b.yaml":                              deployment,
			"profiles/p/components/x/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nreplicas:\n  - {name: web, count: 3}\n",
		}, []string{"from " + base + "b.yaml:1", "through " + base + "kustomization.yaml:2 resources b.yaml", "through " + layer + "kustomization.yaml:2 resources ../../../../bases/b",
			"by profiles/p/components/x/kustomization.yaml:4 replicas web", "by " + layer + "kustomization.yaml:4 components ../../components/x"}},
		{"generators and built-in transformers", "s1", "ConfigMap", "made", map[string]string{
			layer + "kustomization.yaml": "resources: [one.yaml]\nconfigMapGenerator:\n  - name: made\n    files: [text.txt]\n  - name: other\n    literals: [a=b]\ngeneratorOptions:\n  disableNameSuffixHash: true\ntransformers:\n  - t.yaml\n",
			layer + "text.txt":           "text",
			layer + "t.yaml":             "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: x}\nannotations: {a: b}\nfieldSpecs: [{path: metadata/annotations, create: true, kind: ConfigMap}]\n",
		}, []string{"from " + layer + "kustomization.yaml:3", "by " + layer + "kustomization.yaml:3 configMapGenerator made",
			"by " + layer + "kustomization.yaml:7 generatorOptions", "by " + layer + "kustomization.yaml:10 transformers t.yaml"}},
		{"a chart, in a kustomization whose namespace is not its own", "s1", "ConfigMap", "two", map[string]string{
			layer + "kustomization.yaml":  "resources: [one.yaml]\nnamespace: shop\nhelmCharts:\n  - {name: c, releaseName: r, namespace: default}\n  - {name: d, releaseName: r, namespace: default}\nlabels:\n  - pairs: {a: b}\n",
			layer + "charts/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", layer + "charts/c/templates/two.yaml": strings.Replace(strings.Replace(configMap, "name: one", "name: {{ print \"two\" }}", 1), "  namespace: default\n", "", 1),
			layer + "charts/d/Chart.yaml": "apiVersion: v2\nname: d\nversion: 1.0.0\n",
		}, []string{"from " + layer + "charts/c/templates/two.yaml:2", "by " + layer + "kustomization.yaml:4 helmCharts c", "by " + layer + "kustomization.yaml:7 labels"}},
		{"what is replaced further out", "s2", "ConfigMap", "made", map[string]string{
			layer + "kustomization.yaml":   "resources: [one.yaml]\nconfigMapGenerator:\n  - name: made\n    literals: [a=b]\n    options: {disableNameSuffixHash: true}\n",
			overlay + "kustomization.yaml": "resources: [../../../../profiles/p/addons/web]\nconfigMapGenerator:\n  - name: made\n    behavior: replace\n    literals: [a=c]\n    options: {disableNameSuffixHash: true}\n",
		}, []string{"from " + overlay + "kustomization.yaml:3", "by " + layer + "kustomization.yaml:3 configMapGenerator made", "by " + overlay + "kustomization.yaml:3 configMapGenerator made"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, explained(t, tt.edits, tt.site, tt.kind, tt.object))
		})
	}
}

func TestTheExampleIsExplained(t *testing.T) {
	t.Parallel()
	fsys := os.DirFS("../fleet-example")
	f, err := fleet.Load(fsys)
	require.NoError(t, err)
	r := New(fsys, Options{})
	defer r.Close()
	for _, s := range f.Sites {
		for _, layer := range append(s.Profile.Layers, fleet.Layer{Name: DistributionLayer, Path: s.Profile.Distribution}) {
			got, err := r.Objects(s, layer)
			require.NoError(t, err)
			for _, o := range got {
				e, err := r.Explain(s, layer, o)
				require.NoError(t, err, "%v", o)
				require.NotZero(t, e.Origin.Line, "%v", o)
				require.True(t, len(e.Through)+len(e.Steps) > 0, "%v", o)
			}
		}
	}
}
