package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	apiHead   = "apiVersion: holdfast.dev/v1alpha1\nkind: "
	webLayer  = "profiles/shop/addons/web/"
	webFile   = webLayer + "kustomization.yaml"
	siteFile  = "sites/store/site.yaml"
	otherKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: text\n  namespace: default\ndata:\n  text: ${TEXT}\n"
)

// goodFleet is a fleet with one host, whose key is given.
func goodFleet(key string) map[string]string {
	return map[string]string{
		"fleet.yaml":                 apiHead + "Fleet\nmetadata: {name: shops}\n",
		"profiles/shop/profile.yaml": apiHead + "Profile\nspec:\n  layers:\n    - name: web\n  variables:\n    - {name: TEXT, type: string, required: true}\n",
		"profiles/shop/distribution/kustomization.yaml": "resources: [distribution.yaml]\n",
		"profiles/shop/distribution/distribution.yaml":  apiHead + "Distribution\nmetadata: {name: shop}\nspec: {type: embedded, version: v1.36.3}\n",
		webFile:                    "resources:\n  - text.yaml\n",
		webLayer + "text.yaml":     configMap,
		siteFile:                   apiHead + "Site\nspec:\n  profile: shop\n  variables:\n    TEXT: hello\n",
		"sites/store/hosts/a.yaml": apiHead + "Host\nspec: {identity: " + key + "}\n",
	}
}

// A badInput is what a commit does to a good fleet, and what is said of it, the
// same by lint before the commit and by the host after it.
type badInput struct {
	name  string
	files map[string]string // to write; "" removes
	make  func(t *testing.T, dir string)
	want  string // how the line begins
	host  string // instead of want, where a host says it in other words
	fine  bool   // lint finds nothing: it does not know what host reads it
}

func badInputs() []badInput {
	web := func(text string) map[string]string { return map[string]string{webFile: text} }
	site := func(text string) map[string]string {
		return map[string]string{siteFile: apiHead + "Site\nspec:\n" + text}
	}
	return []badInput{
		{name: "no fleet.yaml", files: map[string]string{"fleet.yaml": ""}, want: "fleet.yaml: the file is missing"},
		{name: "broken YAML", files: site("  profile: [\n"), want: siteFile + ":4: not YAML: did not find expected node content"},
		{name: "an unknown field", files: site("  profile: shop\n  variables: {TEXT: a}\n  variable: {}\n"), want: siteFile + ":6: unknown field variable in spec"},
		{name: "a YAML bomb", files: map[string]string{siteFile: yamlBomb()}, want: siteFile + ":1: too many values once aliases are followed"},
		{name: "a YAML bomb in a layer", files: map[string]string{webLayer + "text.yaml": yamlBomb()}, want: webLayer + "text.yaml:1: too many values once aliases are followed"},
		{name: "a file of 50 MB", files: map[string]string{siteFile: strings.Repeat("# padding\n", 5<<20)}, want: siteFile + ": the file is larger than 1024 KiB"},
		{name: "a layer of 50 MB", files: map[string]string{webLayer + "text.yaml": strings.Repeat("# padding\n", 5<<20)}, want: webLayer + "text.yaml: the file is larger than 4096 KiB"},
		{name: "10,000 levels of YAML", files: map[string]string{siteFile: strings.Repeat("[", 10_001)}, want: siteFile + ": nested too deep"},
		{name: "9,000 levels of YAML", files: map[string]string{siteFile: strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)}, want: siteFile + ":1: nested too deep"},
		{name: "10,000 folders in each other", make: deepFolders, want: "sites" + strings.Repeat("/d", 32) + ": folders are nested deeper than 32"},
		{name: "a symbolic link", make: link("/etc/passwd", webLayer+"passwd"), want: webLayer + "passwd: a symbolic link, which a fleet may not have",
			host: webLayer + "passwd: symbolic links are not allowed in a fleet"},
		{name: "a linked folder", make: link("../../bases", "sites/store/addons"), want: "sites/store/addons: a symbolic link, which a fleet may not have",
			host: "sites/store/addons: symbolic links are not allowed in a fleet"},
		{name: "a remote base", files: web("resources:\n  - https://example.com/base.yaml\n"), want: webFile + ":2: https://example.com/base.yaml is remote"},
		{name: "a remote base without a scheme", files: web("resources:\n  - github.com/org/repo//base?ref=v1\n"), want: webFile + ":2: github.com/org/repo//base?ref=v1 is remote"},
		{name: "an exec plugin", files: web("resources: [text.yaml]\ntransformers:\n  - |-\n    apiVersion: v1\n    kind: Run\n    metadata:\n      name: x\n      annotations:\n        config.kubernetes.io/function: |\n          exec: {path: ./x}\n"),
			want: webFile + ":3: v1 Run would run a program or a container"},
		{name: "a helm chart without a name for its release", files: web("resources: [text.yaml]\nhelmCharts:\n  - name: x\n    repo: https://example.com\n"), want: webFile + ":3: the chart has no releaseName"},
		{name: "a path outside of its reach", files: web("resources:\n  - ../../../../sites/store/site.yaml\n"), want: webFile + ":2: sites/store/site.yaml is out of reach of profiles/shop"},
		{name: "a path outside of the fleet", files: web("resources:\n  - ../../../../../etc/passwd\n"), want: webFile + ":2: ../etc/passwd is out of reach of profiles/shop"},
		{name: "a file that is missing", files: web("resources:\n  - none.yaml\n"), want: webFile + ":2: " + webLayer + "none.yaml does not exist"},
		{name: "a mistyped field of a kustomization", files: web("resources: [text.yaml]\nresource: [x]\n"), want: webFile + ":2: unknown field resource"},
		{name: "a patch for nothing", files: web("resources: [text.yaml]\npatches:\n  - patch: |\n      apiVersion: v1\n      kind: ConfigMap\n      metadata: {name: none}\n"), want: webFile + ":4: no object matches the patch for ConfigMap none"},
		{name: "bases that need each other", files: map[string]string{webFile: "resources: [../more]\n", "profiles/shop/addons/more/kustomization.yaml": "resources: [../web]\n"}, want: "profiles/shop/addons/more/kustomization.yaml:1: kustomizations refer to each other"},
		{name: "an object without a name", files: map[string]string{webLayer + "text.yaml": "apiVersion: v1\nkind: ConfigMap\n"}, want: webLayer + "text.yaml:1: ConfigMap has no metadata"},
		{name: "an object that is no mapping", files: map[string]string{webLayer + "text.yaml": "- a\n- b\n"}, want: webLayer + "text.yaml:1: a document is not an object"},
		{name: "a missing variable", files: site("  profile: shop\n  variables: {}\n"), want: siteFile + ":5: variable TEXT is required by profile shop"},
		{name: "an undeclared variable", files: map[string]string{webLayer + "text.yaml": strings.Replace(configMap, "TEXT", "TXT", 1)}, want: webLayer + "text.yaml:7: variable TXT is not declared by profile shop"},
		{name: "a value for no variable", files: site("  profile: shop\n  variables: {TEXT: a, TXT: b}\n"), want: siteFile + ":5: variable TXT is not declared by profile shop"},
		{name: "a value of another type", files: site("  profile: shop\n  variables: {TEXT: [a]}\n"), want: siteFile + ":5: variable TEXT: must be of type string, not a list"},
		{name: "a profile that is not there", files: site("  profile: shoppe\n"), want: siteFile + ":4: unknown profile shoppe"},
		{name: "two hosts with one key", make: secondHost, want: "sites/store-2/hosts/b.yaml:3: sites/store/hosts/a.yaml has the same identity"},
		{name: "a host whose key matches nothing", files: map[string]string{"sites/store/hosts/a.yaml": apiHead + "Host\nspec: {identity: " + otherKey + "}\n"}, fine: true,
			host: "the fleet does not list this host any more"},
	}
}

func yamlBomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		text += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat("*"+string(c-1)+",", 8), c-1)
	}
	return text
}

// deepFolders makes them one in the other: no system call takes a path of 10,000 parts.
func deepFolders(t *testing.T, dir string) {
	at, err := os.OpenRoot(filepath.Join(dir, "sites"))
	require.NoError(t, err)
	for range 10_000 {
		require.NoError(t, at.Mkdir("d", 0o755))
		next, err := at.OpenRoot("d")
		require.NoError(t, err)
		require.NoError(t, at.Close())
		at = next
	}
	require.NoError(t, at.WriteFile("f", nil, 0o644))
	require.NoError(t, at.Close())
}

func link(to, name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
	}
}

func secondHost(t *testing.T, dir string) {
	host, err := os.ReadFile(filepath.Join(dir, "sites/store/hosts/a.yaml"))
	require.NoError(t, err)
	writeFiles(t, dir, map[string]string{
		"sites/store-2/site.yaml":    apiHead + "Site\nspec: {profile: shop, variables: {TEXT: hello}}\n",
		"sites/store-2/hosts/b.yaml": string(host),
	})
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if text == "" {
			require.NoError(t, os.Remove(path))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// ugly is what nobody should have to read: Go's syntax, doubled beginnings,
// paths of the machine instead of the fleet's, and words about words.
var ugly = regexp.MustCompile(`[&*]\{|map\[|%!|0x[0-9a-f]{6}|panic|goroutine|PathError|[Ff]ailed to|accumulat|nil pointer|` + os.TempDir() + `| json: | yaml: |\t`)

// requireReadable checks the form of one message.
func requireReadable(t *testing.T, text string) {
	t.Helper()
	require.NotRegexp(t, ugly, text)
	require.NotContains(t, text, "\n")
	require.LessOrEqual(t, len(text), 300, "%s", text)
	parts := strings.Split(text, ": ")
	for i := range parts {
		require.NotContains(t, parts[i+1:], parts[i], "said twice: %s", text)
	}
}

func TestLintSaysWhatIsWrongOnOneLine(t *testing.T) {
	t.Parallel()
	for _, tt := range badInputs() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFiles(t, dir, goodFleet("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHDshBYRVkN4TPBYhBvGrXQsDDF2W9Op8B1UPMHMkkkk"))
			writeFiles(t, dir, tt.files)
			if tt.make != nil {
				tt.make(t, dir)
			}
			var out, stderr strings.Builder
			cmd := newRootCmd()
			cmd.SetArgs([]string{"lint", dir})
			cmd.SetOut(&out)
			cmd.SetErr(&stderr)
			code := report(&stderr, cmd.ExecuteContext(context.Background()))
			if tt.fine {
				require.Zero(t, code, stderr.String())
				return
			}
			require.Equal(t, 1, code)
			require.Regexp(t, `^([^\n]*: )?1 error\n$`, out.String(), "a count, and nothing else")
			lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
			require.Len(t, lines, 2, "%s", stderr.String())
			require.True(t, strings.HasPrefix(lines[0], "holdfast: "+tt.want), "%s", stderr.String())
			require.Regexp(t, `^hint: \S`, lines[1])
			requireReadable(t, strings.TrimPrefix(lines[0], "holdfast: "))
			requireReadable(t, strings.TrimPrefix(lines[1], "hint: "))
		})
	}
}

// A value with line breaks and a key stays a value.
func TestAValueAddsNoStructure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, goodFleet(otherKey))
	writeFiles(t, dir, map[string]string{siteFile: apiHead + "Site\nspec:\n  profile: shop\n  variables:\n    TEXT: \"hello\\nextra: value\\n---\\nkind: Secret\"\n"})
	var out strings.Builder
	cmd := newRootCmd()
	cmd.SetArgs([]string{"render", "a", "--fleet", dir, "-o", "json"})
	cmd.SetOut(&out)
	require.NoError(t, cmd.ExecuteContext(context.Background()))
	require.Contains(t, out.String(), `"text": "hello\nextra: value\n---\nkind: Secret"`)
	require.Equal(t, 1, strings.Count(out.String(), `"kind": "ConfigMap"`))
	require.NotContains(t, out.String(), `"extra"`)
}
