package render

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const web = "profiles/p/addons/web/"

func TestKustomizationsAreJudgedBeforeTheyRun(t *testing.T) {
	t.Parallel()
	const k = web + "kustomization.yaml"
	plugin := func(config string) map[string]string {
		return map[string]string{k: "resources: [one.yaml]\ntransformers:\n  - t.yaml\n", web + "t.yaml": config}
	}
	for _, tt := range []struct {
		name  string
		edits map[string]string
		want  string
	}{
		{"a remote resource", map[string]string{k: "resources:\n  - one.yaml\n  - https://example.com/a.yaml\n"}, k + ":3: https://example.com/a.yaml is remote"},
		{"a remote base", map[string]string{k: "bases:\n  - github.com/org/repo//base?ref=v1\n"}, k + ":2: github.com/org/repo//base?ref=v1 is remote"},
		{"a host name without a scheme", map[string]string{k: "resources:\n  - GitHub.com/org/repo\n"}, k + ":2: GitHub.com/org/repo is remote"},
		{"ssh", map[string]string{k: "resources: [\"git@example.com:org/repo\"]\n"}, k + ":1: git@example.com:org/repo is remote"},
		{"a local clone", map[string]string{k: "resources: [\"file:///etc\"]\n"}, k + ":1: file:///etc is remote"},
		{"a remote component", map[string]string{k: "components: [\"https://example.com/c\"]\n"}, k + ":1: https://example.com/c is remote"},
		{"a remote crd", map[string]string{k: "resources: [one.yaml]\ncrds:\n  - http://example.com/crd.json\n"}, k + ":3: http://example.com/crd.json is remote"},
		{"a remote configuration", map[string]string{k: "resources: [one.yaml]\nconfigurations:\n  - http://example.com/c\n"}, k + ":3: http://example.com/c is remote"},
		{"a remote schema", map[string]string{k: "resources: [one.yaml]\nopenapi:\n  path: http://example.com/s\n"}, k + ":3: http://example.com/s is remote"},
		{"a remote patch", map[string]string{k: "resources: [one.yaml]\npatches:\n  - path: http://example.com/p\n"}, k + ":3: http://example.com/p is remote"},
		{"a remote strategic patch", map[string]string{k: "resources: [one.yaml]\npatchesStrategicMerge:\n  - http://example.com/p\n"}, k + ":3: http://example.com/p is remote"},
		{"a remote JSON patch", map[string]string{k: "resources: [one.yaml]\npatchesJson6902:\n  - path: http://example.com/p\n    target: {kind: X, name: x}\n"}, k + ":3: http://example.com/p is remote"},
		{"a remote replacement", map[string]string{k: "resources: [one.yaml]\nreplacements:\n  - path: http://example.com/r\n"}, k + ":3: http://example.com/r is remote"},
		{"a remote text", map[string]string{k: "configMapGenerator:\n  - name: a\n    files: [\"k=http://example.com/t\"]\n"}, k + ":3: http://example.com/t is remote"},
		{"remote variables", map[string]string{k: "secretGenerator:\n  - name: a\n    envs: [\"http://example.com/t\"]\n"}, k + ":3: http://example.com/t is remote"},
		{"a remote generator", map[string]string{k: "generators:\n  - http://example.com/g\n"}, k + ":2: http://example.com/g is remote"},
		{"a field in capitals", map[string]string{k: "RESOURCES:\n  - https://example.com/a.yaml\n"}, k + ":2: https://example.com/a.yaml is remote"},
		{"a field behind a merge key", map[string]string{k: "<<: {resources: [\"https://example.com/a.yaml\"]}\n"}, k + ":1: https://example.com/a.yaml is remote"},
		{"a remote resource of a base", map[string]string{k: "resources: [../../../../bases/b]\n", "bases/b/kustomization.yaml": "resources:\n  - https://example.com/a\n"},
			"bases/b/kustomization.yaml:2: https://example.com/a is remote"},
		{"a label that names the program", map[string]string{k: "resources: [one.yaml]\nbuildMetadata: [managedByLabel]\n"}, k + ":2: managedByLabel says which program built an object"},
		{"helm by the back door", map[string]string{k: "generators:\n  - |\n    apiVersion: builtin\n    kind: HelmChartInflationGenerator\n    metadata: {name: x}\n"}, k + ":2: builtin HelmChartInflationGenerator would run"},
		{"a plugin by its kind", plugin("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\n"), web + "t.yaml:2: example.com/v1 Thing would run a program"},
		{"an exec plugin", plugin("apiVersion: v1\nkind: F\nmetadata:\n  name: x\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: ./x}\n"),
			web + "t.yaml:6: v1 F would run a program"},
		{"a container plugin", plugin("apiVersion: builtin\nkind: PatchTransformer\nmetadata:\n  name: x\n  annotations:\n    config.kubernetes.io/function: |\n      container: {image: x}\n"),
			web + "t.yaml:6: builtin PatchTransformer would run a program"},
		{"a list of plugins", plugin("apiVersion: builtin\nkind: PatchTransformerList\nitems: []\n"), web + "t.yaml:2: builtin PatchTransformerList would run"},
		{"a validator", map[string]string{k: "resources: [one.yaml]\nvalidators:\n  - |-\n    apiVersion: v1\n    kind: V\n    metadata: {name: v}\n"}, k + ":3: v1 V would run a program"},
		{"a built-in plugin with a remote file", plugin("apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\nPath: https://example.com/p\n"), web + "t.yaml:4: https://example.com/p is remote"},
		{"a folder of plugins", map[string]string{k: "transformers: [../../../../bases/b]\n"}, k + ":1: bases/b is a folder"},
		{"a path above the repository", map[string]string{k: "resources:\n  - ../../../../../etc/passwd\n"}, k + ":2: ../etc/passwd is out of reach of profiles/p"},
		{"an absolute path", map[string]string{k: "resources:\n  - /profiles/p/addons/web/one.yaml\n"}, k + ":2: \"/profiles/p/addons/web/one.yaml\" is not a relative path"},
		{"another profile", map[string]string{k: "resources:\n  - ../../../q/a.yaml\n"}, k + ":2: profiles/q/a.yaml is out of reach of profiles/p"},
		{"a profile whose name goes on", map[string]string{k: "resources:\n  - ../../../pp/a.yaml\n"}, k + ":2: profiles/pp/a.yaml is out of reach of profiles/p"},
		{"a site, from a profile", map[string]string{k: "resources:\n  - ../../../../sites/s1/a.yaml\n"}, k + ":2: sites/s1/a.yaml is out of reach of profiles/p"},
		{"a profile, from a base", map[string]string{k: "resources: [../../../../bases/b]\n", "bases/b/kustomization.yaml": "resources: [../../profiles/p/addons/web/one.yaml]\n"},
			"bases/b/kustomization.yaml:1: profiles/p/addons/web/one.yaml is out of reach of bases/"},
		{"text out of reach", map[string]string{k: "configMapGenerator:\n  - name: a\n    files: [../../../../fleet.yaml]\n"}, k + ":3: fleet.yaml is out of reach of profiles/p"},
		{"a missing file", map[string]string{k: "resources:\n  - two.yaml\n"}, k + ":2: " + web + "two.yaml does not exist"},
		{"an unknown field", map[string]string{k: "resource: [one.yaml]\n"}, k + ":1: unknown field resource"},
		{"a field of the wrong type", map[string]string{k: "resources: one.yaml\n"}, k + ":1: resources cannot be text"},
		{"a kustomization that is a list", map[string]string{k: "- one.yaml\n"}, k + ": not a kustomization: "},
		{"a patch for nothing", map[string]string{k: "resources: [one.yaml]\npatches:\n  - patch: |\n      {apiVersion: v1, kind: Pod, metadata: {name: x, namespace: y}}\n"}, k + ":4: no object matches the patch for Pod y/x"},
		{"a broken patch", map[string]string{k: "resources: [one.yaml]\npatches:\n  - patch: |\n      a: b\n      c: [\n"}, k + ":5: not YAML: "},
		{"a document that is a list", map[string]string{web + "one.yaml": configMap + "---\n- a\n"}, web + "one.yaml:9: a document is not an object"},
		{"two kustomizations in a folder", map[string]string{web + "kustomization.yml": "resources: [one.yaml]\n"}, "profiles/p/addons/web: more than one kustomization"},
		{"a cycle", map[string]string{k: "resources: [../other]\n", "profiles/p/addons/other/kustomization.yaml": "resources: [../web]\n"}, "profiles/p/addons/other/kustomization.yaml:1: kustomizations refer to each other: profiles/p/addons/web -> profiles/p/addons/other -> profiles/p/addons/web"},
		{"a name kustomize does not take", map[string]string{k: "configMapGenerator:\n  - name: a\n    files: [a b.txt]\n", web + "a b.txt": "x"}, web + "a b.txt: a name that kustomizations of a fleet cannot read"},
		{"a bomb in a resource", map[string]string{web + "one.yaml": bomb()}, web + "one.yaml:1: too many values once aliases are followed"},
		{"a bomb in a patch", map[string]string{k: "resources: [one.yaml]\npatches:\n  - patch: |\n" + indent(bomb())}, k + ":4: too many values once aliases are followed"},
		{"a deep tree in a resource", map[string]string{web + "one.yaml": strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)}, web + "one.yaml: nested too deep"},
		{"a deep tree within YAML's own limit", map[string]string{web + "one.yaml": strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)}, web + "one.yaml:1: nested too deep"},
		{"50 MB", map[string]string{web + "one.yaml": strings.Repeat("# padding\n", 5<<20)}, web + "one.yaml: the file is larger than 4096 KiB"},
		{"a layer without objects", map[string]string{web + "one.yaml": "# nothing\n"}, k + ": layer web of site s1 has no objects"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := site(t, edited(tt.edits), "s1")
			require.Error(t, err)
			got := messages(err)
			require.Len(t, got, 1, "%v", err)
			require.True(t, strings.HasPrefix(got[0], tt.want), "got %s", got[0])
			require.NotContains(t, got[0], "\n")
		})
	}
}

func bomb() string {
	out := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		prev := string(c - 1)
		out += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+",", 8) + "*" + prev + "]\n"
	}
	return out
}

func indent(s string) string {
	return "      " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n      ") + "\n"
}

func TestOverlaysReachTheirProfile(t *testing.T) {
	t.Parallel()
	const k = "sites/s2/addons/web/kustomization.yaml"
	for _, tt := range []struct {
		name, kustomization, want string
	}{
		{"its own folder, its profile and bases", "resources: [../../../../profiles/p/addons/web, ../../../../bases/b, ../../more.yaml]\n", ""},
		{"another site", "resources: [../../../s1/more.yaml]\n", k + ":1: sites/s1/more.yaml is out of reach of sites/s2"},
		{"its hosts", "resources: [../../hosts/h.yaml]\n", k + ":1: sites/s2/hosts/h.yaml is out of reach of sites/s2"},
		{"the trust policy", "resources: [../../../../trust/policy.yaml]\n", k + ":1: trust/policy.yaml is out of reach of sites/s2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := site(t, edited(map[string]string{k: tt.kustomization, "sites/s2/more.yaml": strings.Replace(configMap, "one", "more", 1),
				"sites/s1/more.yaml": configMap, "trust/policy.yaml": configMap}), "s2")
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, []string{tt.want}, messages(err))
		})
	}
}

// Kustomize by itself would ask the server, whatever its restrictions.
func TestNothingGoesOverTheNetwork(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.NotFound(w, nil)
	}))
	t.Cleanup(server.Close)
	text := "resources:\n  - " + server.URL + "/a.yaml\n"
	_, err := site(t, edited(map[string]string{web + "kustomization.yaml": text}), "s1")
	require.Len(t, messages(err), 1)
	require.Zero(t, asked.Load())

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	kustomize.Lock()
	defer kustomize.Unlock()
	_, err = krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.Error(t, err)
	require.NotZero(t, asked.Load(), "the trap is gone: the scan may be simpler now")
}

func TestLinksAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, link, to, kustomization, want string }{
		{"a linked file", "two.yaml", "one.yaml", "resources:\n  - two.yaml\n", web + "kustomization.yaml:2: " + web + "two.yaml is a symbolic link"},
		{"a linked folder used as a base", "base", "../../../../bases/b", "resources:\n  - base\n", web + "kustomization.yaml:2: " + web + "base is a symbolic link"},
		{"a link out of the repository", "out", "/etc", "configMapGenerator:\n  - name: a\n    files: [out/hostname]\n", web + "kustomization.yaml:3: " + web + "out is a symbolic link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			require.NoError(t, os.CopyFS(root, edited(map[string]string{web + "kustomization.yaml": tt.kustomization})))
			f := load(t, os.DirFS(root))
			// Only now: loading refuses links too.
			require.NoError(t, os.Symlink(tt.to, filepath.Join(root, web, tt.link)))
			_, err := Site(os.DirFS(root), f.Sites[0])
			require.Equal(t, []string{tt.want}, messages(err))
		})
	}
}

func TestBuiltInPluginsWork(t *testing.T) {
	t.Parallel()
	c, err := site(t, edited(map[string]string{
		web + "kustomization.yaml": "resources: [one.yaml]\ntransformers: [t.yaml]\ngenerators: [g.yaml]\n",
		web + "t.yaml":             "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\npath: p.yaml\n",
		web + "g.yaml":             "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: gen, namespace: default}\nfiles: [k=text.txt]\n",
		web + "p.yaml":             strings.Replace(configMap, "hello", "patched", 1),
		web + "text.txt":           "generated",
	}), "s1")
	require.NoError(t, err)
	require.Contains(t, objectsOf(c), `"text":"patched"`)
	require.Contains(t, objectsOf(c), `"k":"generated"`)
}

func TestAllSaysEverythingInOrder(t *testing.T) {
	t.Parallel()
	fsys := edited(map[string]string{
		web + "one.yaml":                         strings.Replace(configMap, "hello", "${NOBODY}", 1),
		"sites/s2/addons/web/kustomization.yaml": "resources: [/x]\n",
		"profiles/p/distribution/d.yaml":         head + "Distribution\nmetadata:\n  name: d\nspec:\n  type: embedded\n",
	})
	f := load(t, fsys)
	want := []string{
		"profiles/p/addons/web/one.yaml:7: variable NOBODY is not declared by profile p (site s1, ConfigMap default/one)",
		"profiles/p/distribution/d.yaml:5: spec lacks the field version",
		"sites/s2/addons/web/kustomization.yaml:1: \"/x\" is not a relative path",
	}
	for range 5 {
		require.Equal(t, want, messages(All(fsys, f)))
	}
}
