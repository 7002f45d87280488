package render

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestObjectsThatAreRefused(t *testing.T) {
	t.Parallel()
	const k = web + "kustomization.yaml"
	named := func(name string) string { return strings.Replace(configMap, "name: one", "name: "+name, 1) }
	for _, tt := range []struct{ name, resource, want string }{
		{"a name that YAML 1.1 reads as a boolean", named("n"), "metadata: name: n is true or false to some YAML readers"},
		{"a name that is a number", named("123"), k + ": "},
		{"a name that is a boolean", named("true"), k + ": "},
		{"no name", named("\"\""), web + "one.yaml:1: ConfigMap has no name"},
		{"no kind", strings.Replace(configMap, "kind: ConfigMap\n", "", 1), web + "one.yaml:1: an object has no kind"},
		{"a namespace that is a number", strings.Replace(configMap, "namespace: default", "namespace: 7", 1), k + ": "},
		{"the same object twice", configMap + "---\n" + configMap, web + "one.yaml:9: ConfigMap default/one is there twice"},
		{"the same object in two versions", "apiVersion: example.com/v1\nkind: T\nmetadata: {name: a}\n---\napiVersion: example.com/v2\nkind: T\nmetadata: {name: a}\n", web + "one.yaml:5: T a is there twice (site s1)"},
		{"the same object by a variable", strings.Replace(configMap, "one", "hello", 1) + "---\n" + strings.Replace(configMap, "one", "${TEXT}", 1), web + "one.yaml:1: ConfigMap default/hello is there twice (site s1)"},
		{"the same object without its namespace", configMap + "---\n" + strings.Replace(configMap, "  namespace: default\n", "", 1), web + "one.yaml:9: ConfigMap one is there twice"},
		{"a number that JSON lacks", strings.Replace(configMap, "hello", ".inf", 1), web + "one.yaml:7: data: text: .inf is no number that JSON has"},
		{"a boolean of YAML 1.1", strings.Replace(configMap, "hello", "yes", 1), web + "one.yaml:7: data: text: yes is true or false to some YAML readers"},
		{"a key that is given twice", configMap + "data:\n  text: again\n", web + "one.yaml:8: key data is given twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := site(t, edited(map[string]string{web + "one.yaml": tt.resource}), "s1")
			require.Error(t, err)
			require.Len(t, messages(err), 1)
			require.Contains(t, messages(err)[0], tt.want)
		})
	}
}

// twoLayers is a fleet whose profile has a second layer, other, after web.
func twoLayers(one, other string) map[string]string {
	return map[string]string{
		"profiles/p/profile.yaml":                    head + "Profile\nspec:\n  layers:\n    - name: other\n      dependsOn: [web]\n    - name: web\n",
		web + "one.yaml":                             one,
		"profiles/p/addons/other/kustomization.yaml": "resources: [two.yaml]\n",
		"profiles/p/addons/other/two.yaml":           other,
	}
}

func TestLayersComeAfterWhatTheyDependOn(t *testing.T) {
	t.Parallel()
	c, err := site(t, edited(twoLayers(configMap, strings.Replace(configMap, "one", "two", 1))), "s1")
	require.NoError(t, err)
	require.Equal(t, "web", c.Layers[0].Name)
	require.Equal(t, "other", c.Layers[1].Name)

	_, err = site(t, edited(twoLayers(configMap, configMap)), "s1")
	require.Equal(t, []string{"profiles/p/addons/other/two.yaml:1: ConfigMap default/one is in layer web and in layer other of site s1"}, messages(err))
}

func TestObjectsAreInOrder(t *testing.T) {
	t.Parallel()
	kinds := []string{"Namespace v1", "CustomResourceDefinition apiextensions.k8s.io/v1", "ServiceAccount v1", "ConfigMap v1", "Service v1", "Deployment apps/v1", "Apple example.com/v1", "Zebra example.com/v1",
		"ValidatingWebhookConfiguration admissionregistration.k8s.io/v1"}
	var text string
	for i := len(kinds) - 1; i >= 0; i-- {
		kind, version, _ := strings.Cut(kinds[i], " ")
		for _, name := range []string{"b", "a"} {
			text += "---\napiVersion: " + version + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n"
		}
	}
	c, err := site(t, edited(map[string]string{web + "one.yaml": text}), "s1")
	require.NoError(t, err)
	var got []string
	for _, raw := range c.Layers[0].Objects {
		var o struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		require.NoError(t, json.Unmarshal(raw, &o))
		got = append(got, o.Kind+" "+o.APIVersion+" "+o.Metadata.Name)
	}
	var want []string
	for _, kind := range kinds {
		want = append(want, kind+" a", kind+" b")
	}
	require.Equal(t, want, got)
}

const pods = `apiVersion: apps/v1
kind: Deployment
metadata: {name: one, namespace: default}
spec:
  template:
    spec:
      initContainers: [{name: a, image: "holdfast.dev/a:1"}]
      containers: [{name: b, image: "holdfast.dev/b:1"}, {name: c, image: "holdfast.dev/c@sha256:1111111111111111111111111111111111111111111111111111111111111111"}]
      volumes: [{name: v, image: {reference: "holdfast.dev/v:1"}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: two, namespace: default}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: "holdfast.dev/a:1"}]}}}}}
`

func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("ab", 32)
	lock, err := fleet.Lock{Distribution: map[string]string{"kubernetes": digest},
		Images: map[string]string{"holdfast.dev/a:1": digest, "holdfast.dev/v:1": digest, "holdfast.dev/unused:1": digest}}.Marshal()
	require.NoError(t, err)
	fsys := edited(map[string]string{web + "one.yaml": pods, "profiles/p/content.lock": string(lock), "sites/s2/addons/web/kustomization.yaml": ""})
	f := load(t, fsys)
	d, err := Host(fsys, f.Sites[0].Hosts[0])
	require.NoError(t, err)
	require.Equal(t, map[string]string{"kubernetes": digest}, d.Node.Content)
	require.Equal(t, map[string]string{"holdfast.dev/a:1": digest, "holdfast.dev/b:1": "", "holdfast.dev/v:1": digest,
		"holdfast.dev/c@sha256:" + strings.Repeat("1", 64): "sha256:" + strings.Repeat("1", 64)}, d.Cluster.Images)
	refs, err := Images(d.Cluster.Layers[0].Objects)
	require.NoError(t, err)
	require.Equal(t, []string{"holdfast.dev/a:1@" + digest, "holdfast.dev/b:1", "holdfast.dev/c@sha256:" + strings.Repeat("1", 64), "holdfast.dev/v:1@" + digest}, refs)

	// Sites share what kustomize built: pinning for one leaves the other alone.
	r := New(fsys, Options{})
	defer r.Close()
	for _, s := range f.Sites {
		c, err := r.Site(s)
		require.NoError(t, err)
		require.Equal(t, d.Cluster.Images, c.Images)
		require.Equal(t, d.Cluster.Layers[0].Digest, c.Layers[0].Digest)
	}
}

func TestSchemasOfOneBuildStayInIt(t *testing.T) {
	t.Parallel()
	const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: default}\nspec: {template: {spec: {containers: [{name: main, image: main}]}}}\n"
	const k = "resources: [one.yaml]\npatches:\n  - patch: |\n      apiVersion: apps/v1\n      kind: Deployment\n      metadata: {name: d, namespace: default}\n      spec: {template: {spec: {containers: [{name: sidecar, image: sidecar}]}}}\n"
	plain := edited(map[string]string{web + "one.yaml": deployment, web + "kustomization.yaml": k})
	trimmed := edited(map[string]string{web + "one.yaml": deployment, web + "kustomization.yaml": k + "openapi: {path: schema.json}\n",
		web + "schema.json": `{"definitions": {}}`})
	want, err := site(t, plain, "s1")
	require.NoError(t, err)
	require.Contains(t, objectsOf(want), `"sidecar"`)
	require.Contains(t, objectsOf(want), `"main"`)
	alone, err := site(t, trimmed, "s1")
	require.NoError(t, err)
	require.NotContains(t, objectsOf(alone), `"main"`, "the trimmed schema does not merge lists: the trap would not show")
	// The schema of one build is not there in the next.
	for range 2 {
		r := New(trimmed, Options{})
		_, err = r.Site(load(t, trimmed).Sites[0])
		require.NoError(t, err)
		next := New(plain, Options{})
		got, err := next.Site(load(t, plain).Sites[0])
		require.NoError(t, err)
		require.Equal(t, want.Digest, got.Digest)
		next.Close()
		r.Close()
	}
}

func TestDistributions(t *testing.T) {
	t.Parallel()
	const k = "profiles/p/distribution/kustomization.yaml"
	for _, tt := range []struct{ name, file, want string }{
		{"another kind", configMap, k + ": the distribution makes 1 objects: ConfigMap default/one"},
		{"two of them", small()["profiles/p/distribution/d.yaml"] + "---\n" + strings.Replace(small()["profiles/p/distribution/d.yaml"], "name: d", "name: e", 1),
			k + ": the distribution makes 2 objects: Distribution d, Distribution e"},
		{"an unknown field", small()["profiles/p/distribution/d.yaml"] + "  colour: red\n", "profiles/p/distribution/d.yaml:8: unknown field colour in spec"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := edited(map[string]string{"profiles/p/distribution/d.yaml": tt.file})
			_, err := Host(fsys, load(t, fsys).Sites[0].Hosts[0])
			require.Equal(t, []string{tt.want}, messages(err))
		})
	}
	overlay := edited(map[string]string{"sites/s1/distribution/kustomization.yaml": "resources: [../../../profiles/p/distribution]\npatches:\n" +
		"  - target: {kind: Distribution}\n    patch: '[{\"op\": \"add\", \"path\": \"/spec/apiPort\", \"value\": 7443}]'\n"})
	d, err := Host(overlay, load(t, overlay).Sites[0].Hosts[0])
	require.NoError(t, err)
	got, err := fleet.ParseDistribution(d.Node.Distribution)
	require.NoError(t, err)
	require.Equal(t, 7443, got.APIPort)
}
