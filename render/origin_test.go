package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: default
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: web
          image: web:1
`

func TestAnObjectIsTracedToWhereItIsWritten(t *testing.T) {
	t.Parallel()
	const layer, overlay = "profiles/p/addons/web/", "sites/s2/addons/web/"
	for _, tt := range []struct {
		name   string
		edits  map[string]string
		site   string
		object string // kind and name
		field  string
		want   string // where the object is, and where its field is
	}{
		{"in a file of the layer", nil, "s1", "ConfigMap one", "data.text", layer + "one.yaml:1 " + layer + "one.yaml:7"},
		{"whose name got a suffix since", nil, "s2", "ConfigMap one-s2", "data.text", layer + "one.yaml:1 " + layer + "one.yaml:7"},
		{"a field that is not written is put down to what would hold it", nil, "s1", "ConfigMap one", "data.more.yet", layer + "one.yaml:1 " + layer + "one.yaml:6"},
		{"the second of a file in bases/", map[string]string{
			layer + "kustomization.yaml": "resources:\n  - ../../../../bases/b\n", "bases/b/b.yaml": configMap + "---\n" + deployment,
		}, "s1", "Deployment web", "spec.template.spec.containers.0.image", "bases/b/b.yaml:9 bases/b/b.yaml:20"},
		{"a name that a variable decides", map[string]string{
			layer + "one.yaml": strings.Replace(configMap, "name: one", "name: ${TEXT}-one", 1),
		}, "s1", "ConfigMap hello-one", "metadata.name", layer + "one.yaml:1 " + layer + "one.yaml:4"},
		{"in a list", map[string]string{
			layer + "one.yaml": "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: Service\n    metadata:\n      name: s\n",
		}, "s1", "Service s", "metadata.name", layer + "one.yaml:4 " + layer + "one.yaml:7"},
		{"generated", map[string]string{
			layer + "kustomization.yaml": "resources: [one.yaml]\nconfigMapGenerator:\n  - name: other\n    literals: [a=b]\n  - name: made\n    literals: [a=b]\n    options: {disableNameSuffixHash: true}\n",
		}, "s1", "ConfigMap made", "data.a", layer + "kustomization.yaml:5 " + layer + "kustomization.yaml:5"},
		{"a field of a patch in a file", map[string]string{
			layer + "kustomization.yaml": "resources: [one.yaml]\npatches:\n  - path: patch.yaml\n",
			layer + "patch.yaml":         "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n  namespace: default\ndata:\n  more: text\n",
		}, "s1", "ConfigMap one", "data.more", layer + "one.yaml:1 " + layer + "patch.yaml:7"},
		{"a field of a site's patch, within its kustomization", map[string]string{
			overlay + "kustomization.yaml": "resources: [../../../../profiles/p/addons/web]\npatches:\n  - patch: |-\n      apiVersion: v1\n      kind: ConfigMap\n      metadata:\n        name: one\n        namespace: default\n      data:\n        text: other\n",
		}, "s2", "ConfigMap one", "data.text", layer + "one.yaml:1 " + overlay + "kustomization.yaml:10"},
		{"rendered from a template of a chart", map[string]string{
			layer + "kustomization.yaml": "resources: [one.yaml]\nhelmCharts:\n  - {name: c, releaseName: r, namespace: default}\n", layer + "charts/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
			layer + "charts/c/templates/d.yaml": "{{ if true }}\n" + deployment + "{{ end }}\n",
		}, "s1", "Deployment web", "spec.replicas", layer + "charts/c/templates/d.yaml:3 " + layer + "charts/c/templates/d.yaml:3"},
		{"rendered, and patched by a site", map[string]string{
			layer + "kustomization.yaml": "resources: [one.yaml]\nhelmCharts:\n  - {name: c, releaseName: r, namespace: default}\n", layer + "charts/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
			layer + "charts/c/templates/d.yaml": "{{ if true }}\n" + deployment + "{{ end }}\n",
			overlay + "kustomization.yaml":      "resources: [../../../../profiles/p/addons/web]\npatches:\n  - path: d.yaml\n", overlay + "d.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: default\nspec:\n  replicas: 2\n",
		}, "s2", "Deployment web", "spec.replicas", layer + "charts/c/templates/d.yaml:3 " + overlay + "d.yaml:7"},
		{"one that is not of the layer is put down to its kustomization", nil, "s1", "ConfigMap none", "data", layer + "kustomization.yaml:0 " + layer + "kustomization.yaml:0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := edited(tt.edits)
			for _, s := range load(t, fsys).Sites {
				if s.Name != tt.site {
					continue
				}
				r := New(fsys, Options{})
				defer r.Close()
				origins, err := r.Origins(s, s.Profile.Layers[0])
				require.NoError(t, err)
				kind, name, _ := strings.Cut(tt.object, " ")
				apiVersion := "v1"
				if kind == "Deployment" {
					apiVersion = "apps/v1"
				}
				o := origins.Of(apiVersion, kind, "default", name)
				file, line := o.Field(strings.Split(tt.field, ".")...)
				require.Equal(t, tt.want, fmt.Sprintf("%s:%d %s:%d", o.File, o.Line, file, line))
				return
			}
			require.Fail(t, "no such site")
		})
	}
}

// What kustomize notes while an object is traced is not in what hosts run.
func TestTracingLeavesObjectsAsTheyAre(t *testing.T) {
	t.Parallel()
	fsys := edited(map[string]string{"profiles/p/addons/web/kustomization.yaml": "resources: [one.yaml]\nBuildMetadata: [originAnnotations]\n"})
	s := load(t, fsys).Sites[0]
	before, err := Site(fsys, s)
	require.NoError(t, err)
	require.Contains(t, objectsOf(before), originKey, "asked for by the fleet itself, it stays")
	r := New(fsys, Options{})
	defer r.Close()
	origins, err := r.Origins(s, s.Profile.Layers[0])
	require.NoError(t, err)
	require.Equal(t, "profiles/p/addons/web/one.yaml", origins.Of("v1", "ConfigMap", "default", "one").File)
	after, err := r.Site(s)
	require.NoError(t, err)
	require.Equal(t, before.Digest, after.Digest)
}
