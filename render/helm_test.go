package render

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const (
	webFile     = web + "kustomization.yaml"
	webChart    = web + "charts/c/"
	webTemplate = webChart + "templates/one.yaml"
	chartedFile = "helmCharts:\n  - name: c\n    releaseName: r\n    namespace: shop\n"
	derivedFile = "metadata:\n  annotations:\n    holdfast.dev/chart-random: derived\n" + chartedFile
)

// charted is the small fleet with a chart of one template in its layer.
func charted(template string, edits map[string]string) fstest.MapFS {
	all := map[string]string{
		webFile:                  chartedFile,
		webChart + "Chart.yaml":  "apiVersion: v2\nname: c\nversion: 1.2.3\n",
		webChart + "values.yaml": "count: 1\ntext: hello\n",
		webTemplate:              template,
	}
	for name, text := range edits {
		all[name] = text
	}
	return edited(all)
}

// value is a template of one object with the action in it.
func value(action string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  text: {{ " + action + " }}\n"
}

func TestChartsAreGolden(t *testing.T) {
	t.Parallel()
	corpus, err := filepath.Glob("testdata/charts/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, corpus)
	for _, file := range corpus {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			list := buildCorpus(t, unpack(t, file))
			sortTemplates(list)
			l := Layer{Name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
			for _, t := range list {
				l.Objects = append(l.Objects, t.Text)
			}
			text, err := l.YAML()
			require.NoError(t, err)
			golden := strings.TrimSuffix(file, ".txtar") + ".yaml"
			if *update {
				require.NoError(t, os.WriteFile(golden, text, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(text), "run the test with -update if this is meant")
		})
	}
}

func TestChartsAreRefused(t *testing.T) {
	t.Parallel()
	fields := func(more string) map[string]string {
		return map[string]string{webFile: chartedFile + more}
	}
	plain := value(".Values.text")
	const hook = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations:\n    helm.sh/hook: pre-install\n"
	for _, tt := range []struct {
		name, template string
		edits          map[string]string
		want, tip      string
	}{
		{"a chart that is not in the tree", plain, fields("    repo: https://example.com\n    version: 1.2.3\n"), webFile + ":2: there is no chart in profiles/p/addons/web/charts/c-1.2.3/c", "--untardir profiles/p/addons/web/charts/c-1.2.3"},
		{"a chart that is not in the tree, and from nowhere", plain, map[string]string{webFile: "helmCharts:\n  - {name: other, releaseName: r, namespace: shop}\n"}, webFile + ":2: there is no chart in profiles/p/addons/web/charts/other", "tar -xzf ARCHIVE -C profiles/p/addons/web/charts"},
		{"another version than that in the tree", plain, fields("    version: 2.0.0\n"), webFile + ":2: version 2.0.0 is not that of the chart", "correct the version"},
		{"a chart out of reach", plain, map[string]string{webFile: "helmGlobals: {chartHome: ../../../q}\nhelmCharts:\n  - {name: c, releaseName: r, namespace: shop}\n"}, webFile + ":3: profiles/q/c is out of reach of profiles/p", "its own folder"},
		{"a chart by an absolute path", plain, map[string]string{webFile: "helmGlobals: {chartHome: /usr/share}\nhelmCharts:\n  - {name: c, releaseName: r, namespace: shop}\n"}, webFile + ":3: \"/usr/share\" is not a relative path", "relative"},
		{"a remote values file", plain, fields("    valuesFile: https://example.com/v.yaml\n"), webFile + ":5: https://example.com/v.yaml is remote", "commit a copy"},
		{"a missing values file", plain, fields("    additionalValuesFiles: [more.yaml]\n"), webFile + ":5: profiles/p/addons/web/more.yaml does not exist", "create it"},
		{"a bomb in a values file", plain, map[string]string{webFile: fields("    valuesFile: v.yaml\n")[webFile], web + "v.yaml": bomb()}, web + "v.yaml:1: too many values", "write the values out"},
		{"no name", plain, map[string]string{webFile: "helmCharts:\n  - releaseName: r\n"}, webFile + ":2: a chart has no name", "folder"},
		{"no release name", plain, map[string]string{webFile: "helmCharts:\n  - name: c\n    namespace: shop\n"}, webFile + ":2: the chart has no releaseName", "give it"},
		{"no namespace", plain, map[string]string{webFile: "helmCharts:\n  - name: c\n    releaseName: r\n"}, webFile + ":2: the chart has no namespace", "give it"},
		{"a template of a name", plain, fields("    nameTemplate: \"{{ now }}\"\n"), webFile + ":5: nameTemplate is a template", "releaseName"},
		{"an unknown way to merge", plain, fields("    valuesMerge: perhaps\n"), webFile + ":5: valuesMerge cannot be perhaps", "override"},
		{"an unknown way to look up", plain, map[string]string{webFile: "metadata:\n  annotations:\n    holdfast.dev/chart-lookup: live\nhelmCharts:\n  - {name: c, releaseName: r, namespace: shop}\n"}, webFile + ":3: holdfast.dev/chart-lookup cannot be \"live\"", "empty"},
		{"an unknown way to make things up", plain, map[string]string{webFile: "metadata:\n  annotations:\n    holdfast.dev/chart-random: yes please\nhelmCharts:\n  - {name: c, releaseName: r, namespace: shop}\n"}, webFile + ":3: holdfast.dev/chart-random cannot be \"yes please\"", "derived"},
		{"a certificate where things may be made up", value("genPrivateKey \"rsa\" | quote"), map[string]string{webFile: derivedFile}, webTemplate + ":6: genPrivateKey makes up something else", "secret of the fleet"},
		{"a length that is none", value("randAlpha -1"), map[string]string{webFile: derivedFile}, webTemplate + ":6: -1 is no length", "helm template"},
		{"nothing to choose from", value("randInt 3 3"), map[string]string{webFile: derivedFile}, webTemplate + ":6: there is nothing to choose from", "helm template"},
		{"a variable that would be shuffled", value("shuffle .Values.text"), map[string]string{webFile: derivedFile + "    valuesInline: {text: \"${TEXT}\"}\n"}, webTemplate + ":6: shuffle cannot see what the variable", "after the chart is rendered"},
		{"a random number without a word on it", value("randInt 1 9"), nil, webTemplate + ":6: randInt makes up something else", "holdfast.dev/chart-random: derived"},
		{"custom resource definitions without a word on them", plain, map[string]string{webChart + "crds/a.yaml": "a: b\n"}, webFile + ":2: the chart c has custom resource definitions", "includeCRDs: true"},
		{"a version of Kubernetes that is asked for", value(".Capabilities.KubeVersion.Version"), nil, webFile + ":2: the chart c asks for the version of Kubernetes", "kubeVersion: v1.36.3"},
		{"a version of Kubernetes that is none", plain, fields("    kubeVersion: new\n"), webFile + ":2: kubeVersion new: ", "v1.36.3"},
		{"a version of Kubernetes that the chart does not take", plain, map[string]string{webFile: fields("    kubeVersion: v1.20.0\n")[webFile], webChart + "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.2.3\nkubeVersion: \">=1.30\"\n"}, webFile + ":2: the chart c is for Kubernetes >=1.30", "take a version"},
		{"a library", plain, map[string]string{webChart + "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.2.3\ntype: library\n"}, webFile + ":2: c is a library", "uses it"},
		{"a chart without a version", plain, map[string]string{webChart + "Chart.yaml": "apiVersion: v2\nname: c\n"}, webChart + "Chart.yaml: the chart does not load: ", "mend"},
		{"a chart that is no YAML", plain, map[string]string{webChart + "Chart.yaml": "a: [\n"}, webChart + "Chart.yaml:1: not YAML", ""},
		{"a missing subchart", plain, map[string]string{webChart + "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.2.3\ndependencies: [{name: db, version: 1.0.0}]\n"}, webChart + "Chart.yaml: it depends on charts that are not in its folder charts/: db", "helm dependency update"},
		{"a packed subchart", plain, map[string]string{webChart + "charts/db-1.0.0.tgz": "x"}, webChart + "charts/db-1.0.0.tgz: a subchart is an archive", "tar -xzf"},
		{"a pattern that helm does not take", plain, map[string]string{webChart + ".helmignore": "a/**\n"}, webChart + ".helmignore: double-star", "remove"},
		{"values that do not fit", plain, map[string]string{webChart + "values.schema.json": `{"properties": {"text": {"type": "integer"}}}`}, webFile + ":2: values do not fit values.schema.json: c: - at '/text': got string, want integer", "mend the values"},
		{"a variable where a number must be", plain, map[string]string{webFile: fields("    valuesInline: {count: \"${COUNT}\"}\n")[webFile], webChart + "values.schema.json": `{"properties": {"count": {"type": "integer"}}}`}, webFile + ":2: values do not fit values.schema.json: c: - at '/count': got string, want integer", "after the chart is rendered"},
		{"a schema on the network", plain, map[string]string{webChart + "values.schema.json": `{"properties": {"text": {"$ref": "https://example.com/s"}}}`}, webChart + "Chart.yaml: a values.schema.json refers to https://example.com/s", "$defs"},
		{"a schema of a kind that must be fetched", plain, map[string]string{webChart + "values.schema.json": `{"$schema": "https://example.com/kind"}`}, webChart + "Chart.yaml: a values.schema.json refers to https://example.com/kind", "$defs"},
		{"a schema in a file", plain, map[string]string{webChart + "values.schema.json": `{"allOf": [{"$dynamicRef": "/etc/passwd"}]}`}, webChart + "Chart.yaml: a values.schema.json refers to /etc/passwd", "$defs"},
		{"a random password", value("randAlphaNum 16 | quote"), nil, webTemplate + ":6: randAlphaNum makes up something else each time", "secret of the fleet"},
		{"a certificate", "{{ $ca := genCA \"x\" 365 }}\n" + plain, nil, webTemplate + ":1: genCA makes up something else", "secret of the fleet"},
		{"the time", value("now | date \"2006\""), nil, webTemplate + ":6: now goes by the clock", "its template"},
		{"the environment", value("env \"HOME\""), nil, webTemplate + ":6: env asks the machine", "its template"},
		{"a host name", value("getHostByName \"example.com\""), nil, webTemplate + ":6: getHostByName asks the machine", "its template"},
		{"a look into the cluster", value("lookup \"v1\" \"Secret\" \"a\" \"b\" | toJson"), nil, webTemplate + ":6: lookup asks the cluster", "holdfast.dev/chart-lookup: empty"},
		{"a refused function in a helper", value("include \"pw\" ."), map[string]string{webChart + "templates/_h.tpl": "\n{{ define \"pw\" }}\n{{ randAlpha 3 }}{{ end }}\n"}, webChart + "templates/_h.tpl:3: randAlpha makes up", "secret of the fleet"},
		{"a refused function in a text", value("tpl \"{{ uuidv4 }}\" ."), nil, webTemplate + ":", "secret of the fleet"},
		{"a refused function in a subchart", plain, map[string]string{webChart + "charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n", webChart + "charts/db/templates/db.yaml": "{{ now }}"}, webChart + "charts/db/templates/db.yaml:1: now goes by the clock", "its template"},
		{"a refused function in a subchart in another folder", plain, map[string]string{webChart + "charts/x/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n", webChart + "charts/x/templates/db.yaml": "{{ now }}"}, web + "charts/c: c/charts/db/templates/db.yaml:1: now goes by the clock", "its template"},
		{"a variable that is counted with", value("int .Values.count"), fields("    valuesInline: {count: \"${COUNT}\"}\n"), webTemplate + ":6: int cannot see what the variable in \"${COUNT}\" will be", "after the chart is rendered"},
		{"a variable that would be hidden", value("printf \"user:%s\" .Values.text | b64enc"), fields("    valuesInline: {text: \"${TEXT}\"}\n"), webTemplate + ":6: b64enc cannot see what the variable in \"user:${TEXT}\" will be", "after the chart is rendered"},
		{"a variable that is cut", value("trunc 4 .Values.text"), fields("    valuesInline: {text: \"${TEXT}\"}\n"), webTemplate + ":6: trunc cannot see", "after the chart is rendered"},
		{"a variable that is compared", value("eq .Values.text \"x\""), fields("    valuesInline: {text: \"${TEXT}\"}\n"), webTemplate + ":6: eq cannot see what the variable in \"${TEXT}\" will be", "after the chart is rendered"},
		{"a variable that something is looked up by", value("index .Values .Values.text"), fields("    valuesInline: {text: \"${TEXT}\"}\n"), webTemplate + ":6: index cannot see", "after the chart is rendered"},
		{"things that cannot be compared", value("lt 1 \"a\""), nil, webTemplate + ":6: incompatible types for comparison", "helm template"},
		{"a name that no release may have", plain, map[string]string{webFile: "helmCharts:\n  - {name: c, releaseName: \"web-${TEXT}\", namespace: shop}\n"}, webFile + ":2: a release cannot be called \"web-${TEXT}\"", "without variables"},
		{"a variable that decides about a subchart", plain, map[string]string{
			webFile: chartedFile + "    valuesInline: {db: {enabled: \"${TEXT}\"}}\n", webChart + "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.2.3\ndependencies: [{name: db, version: 1.0.0, condition: \"x.enabled, db.enabled\"}]\n",
			webChart + "charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n",
		}, webFile + ":2: whether a subchart is there is decided by db.enabled", "after the chart is rendered"},
		{"a variable that decides about a subchart of a subchart", plain, map[string]string{
			webFile: chartedFile + "    valuesInline: {store: {db: {enabled: \"${TEXT}\"}}}\n", webChart + "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.2.3\ndependencies: [{name: sub, alias: store, version: 1.0.0}]\n",
			webChart + "charts/sub/Chart.yaml":           "apiVersion: v2\nname: sub\nversion: 1.0.0\ndependencies: [{name: db, version: 1.0.0, condition: db.enabled}]\n",
			webChart + "charts/sub/charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n",
		}, webFile + ":2: whether a subchart is there is decided by store.db.enabled", "after the chart is rendered"},
		{"a variable that is a tag", plain, map[string]string{
			webFile: chartedFile + "    valuesInline: {tags: {data: \"${TEXT}\"}}\n", webChart + "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.2.3\ndependencies: [{name: db, version: 1.0.0, tags: [data]}]\n",
			webChart + "charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n",
		}, webFile + ":2: whether a subchart is there is decided by tags.data", "after the chart is rendered"},
		{"a required value", value("required \"give a name\" .Values.name"), nil, webTemplate + ":6: give a name (release r)", "helm template"},
		{"a template that does not parse", "a\n{{ if }}\n", nil, webTemplate + ":2: ", "helm template"},
		{"a function that there is not", value("nothing 1"), nil, webTemplate + ":6: function \"nothing\" not defined", "helm template"},
		{"a field of nothing", value(".Values.a.b"), nil, webTemplate + ":6: nil pointer evaluating interface {}.b", "helm template"},
		{"a template that includes itself", value("include \"a\" ."), map[string]string{webChart + "templates/_h.tpl": "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}"}, webChart + "templates/_h.tpl:1: rendering template has a nested reference name: a", "helm template"},
		{"a hook", plain + "---\n" + hook, nil, webTemplate + ":13: Job migrate is a hook (pre-install), which helm alone would run (release r)", "skipHooks: true"},
		{"a test that is more than that", plain + "---\n" + strings.Replace(hook, "pre-install", "test, post-install", 1), nil, webTemplate + ":13: Job migrate is a hook (test, post-install)", "layer"},
		{"something else than objects", "hello\n", nil, webTemplate + ": release r: a document is not an object", "apiVersion"},
		{"an object without a name", "kind: ConfigMap\nmetadata: {}\n", nil, webTemplate + ": release r: ConfigMap has no name", "apiVersion"},
		{"broken YAML", "a: b\n  c: {{ .Values.text }}\n", nil, webTemplate + ": release r renders c/templates/one.yaml into something else than objects: not YAML: mapping values are not allowed in this context in line 2 of it: \"c: hello\"", "values"},
		{"a key that is there twice", plain + "  text: again\n", nil, webTemplate + ": release r: data: key text is given twice", "apiVersion"},
		{"a symbolic name of a truth", strings.Replace(plain, "{{ .Values.text }}", "on", 1), nil, webTemplate + ": release r: data: text: on is true or false to some", "apiVersion"},
		{"a layer of nothing", "{{ if false }}x{{ end }}", nil, webFile + ": layer web of site s1 has no objects", "profile.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := site(t, charted(tt.template, tt.edits), "s1")
			require.Error(t, err)
			got := fleet.Problems(err)
			require.Len(t, got, 1, "%v", err)
			require.True(t, strings.HasPrefix(got[0].Error(), tt.want), "got %s", got[0])
			require.Contains(t, got[0].Tip, tt.tip)
			require.NotContains(t, got[0].Error(), "\n")
			require.NotEmpty(t, got[0].Rule)
		})
	}
}

func TestChartsAreTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, template string
		edits          map[string]string
		want           string
	}{
		{"an object without a namespace is in that of the release", value(".Values.text"), nil, `"metadata":{"name":"one","namespace":"shop"}`},
		{"an object that is in no namespace stays so", "apiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n", nil, `"metadata":{"name":"one"}`},
		{"variables get their values later", value(".Values.text | quote"), map[string]string{webFile: "namespace: shop\nhelmCharts:\n  - {name: c, releaseName: r, valuesInline: {text: \"a ${TEXT} ${COUNT}\"}}\n"}, `{"text":"a hello 3"}`},
		{"a variable keeps its type", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: one}\nspec:\n  replicas: {{ .Values.count }}\n", map[string]string{webFile: "namespace: shop\nhelmCharts:\n  - {name: c, releaseName: r, valuesInline: {count: \"${COUNT}\"}}\n"}, `"replicas":3`},
		{"what a chart would make up is given", value("default (randAlphaNum 3) .Values.text"), nil, `"text":"hello"`},
		{"tests are left out", value(".Values.text"), map[string]string{webChart + "templates/test.yaml": "kind: Pod\nmetadata:\n  name: t\n  annotations: {helm.sh/hook: \"test-success,test\"}\n"}, `"text":"hello"`},
		{"keys are in order", value("keys (dict \"c\" 1 \"a\" 2 \"b\" 3) | join \",\""), nil, `"text":"a,b,c"`},
		{"values are in the order of their keys", value("values (dict \"c\" 1 \"a\" 2 \"b\" 3) | join \",\" | quote"), nil, `"text":"2,3,1"`},
		{"a list with variables is counted and taken from", value("index .Values.list (sub (len .Values.list) 1) | quote"), map[string]string{webFile: "helmCharts:\n  - {name: c, releaseName: r, namespace: shop, valuesInline: {list: [a, \"${TEXT}\"]}}\n"}, `{"text":"hello"}`},
		{"what is not there is compared", value("index (dict \"a\" 1) \"b\" | eq nil | not"), nil, `{"text":false}`},
		{"a name that is not cut may have variables", value("printf \"%s-c\" .Values.text | trunc 63 | trimSuffix \"-\""), map[string]string{webFile: "helmCharts:\n  - {name: c, releaseName: r, namespace: shop, valuesInline: {text: \"${TEXT}\"}}\n"}, `"text":"hello-c"`},
		{"an ignored file is not read", value(".Values.text"), map[string]string{webChart + ".helmignore": "*.bad\n", webChart + "templates/x.bad": "{{"}, `"text":"hello"`},
		{"characters that kustomize's helm loses", strings.Replace(value(""), "{{  }}", `"a\x85b\u2028c\x7fd"`, 1), nil, "\"text\":\"a\u0085b\\u2028c\x7fd\""},
		{"a file whose name kustomize does not take", value(".Values.text"), map[string]string{webChart + "docs/a b.txt": "x"}, `"text":"hello"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(tt.template, "randAlphaNum") {
				tt.template = value("if .Values.text }}{{ .Values.text }}{{ else }}{{ randAlphaNum 3 }}{{ end")
			}
			c, err := site(t, charted(tt.template, tt.edits), "s1")
			require.NoError(t, err)
			require.Contains(t, objectsOf(c), tt.want)
			require.NotContains(t, objectsOf(c), "internal.")
		})
	}
}

// Every file of a chart, and every one that may belong to it, decides what it renders.
func TestAChartsFilesAreAmongTheInputs(t *testing.T) {
	t.Parallel()
	key := func(edits map[string]string) string {
		fsys := charted(value(".Values.text"), edits)
		at := reach{profile: "profiles/p"}
		in, err := scanInput("profiles/p/addons/web", at, files{fsys, fsys, at, nil})
		require.NoError(t, err)
		return in.key
	}
	seen := map[string]string{key(nil): "as it is"}
	for _, name := range []string{webTemplate, webChart + "Chart.yaml", webChart + "values.yaml", webChart + "templates/two.yaml", webChart + "files/a", webChart + ".helmignore",
		webChart + "charts/db/Chart.yaml", webChart + "crds/x.yaml"} {
		k := key(map[string]string{name: "# " + name + "\n"})
		require.Empty(t, seen[k], name)
		seen[k] = name
	}
}
