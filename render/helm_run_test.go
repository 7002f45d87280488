package render

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/render/chart"
)

// Layers of many sites may hold the same chart: it is rendered once, and a machine
// that can run no other process renders it all the same.
func TestAChartIsRenderedOnce(t *testing.T) {
	t.Parallel()
	store, err := memo.Open(t.TempDir(), "1", 1<<20)
	require.NoError(t, err)
	defer store.Close()
	started := 0
	worker := func() *exec.Cmd { started++; return workerCommand() }
	none := func() *exec.Cmd { started++; return exec.Command("/nowhere") }
	other := func() *exec.Cmd { started++; return exec.Command("/bin/echo", "hello") }
	var digests []string
	for _, tt := range []struct {
		worker func() *exec.Cmd
		memo   Memo
		edits  map[string]string
		want   int
	}{
		{worker, store, nil, 1},
		{worker, store, map[string]string{web + "kustomization.yaml": "# other\n" + chartedFile}, 0},
		{worker, store, map[string]string{web + "kustomization.yaml": chartedFile + "nameSuffix: -x\n"}, 0},
		{worker, store, map[string]string{webChart + "values.yaml": "text: other\n"}, 1},
		{none, forgetful{}, nil, 1},
		{other, forgetful{}, nil, 1},
	} {
		started = 0
		fsys := charted(value(".Values.text"), tt.edits)
		r := New(fsys, Options{Memo: tt.memo, Worker: tt.worker})
		c, err := r.Site(load(t, fsys).Sites[0])
		require.NoError(t, err)
		require.Equal(t, tt.want, started)
		digests = append(digests, c.Digest)
		r.Close()
	}
	require.Equal(t, digests[0], digests[1])
	require.NotEqual(t, digests[0], digests[2])
	require.NotEqual(t, digests[0], digests[3])
	require.Equal(t, digests[0], digests[4])
	require.Equal(t, digests[0], digests[5])
}

// A site gives the chart of its profile other values, or takes one from bases/.
func TestASiteGivesAChartOtherValues(t *testing.T) {
	t.Parallel()
	const overlay = "sites/s2/addons/web/"
	home := func(dir string) map[string]string {
		return map[string]string{
			overlay + "kustomization.yaml": "helmGlobals: {chartHome: " + dir + "}\n" + chartedFile + "    additionalValuesFiles: [values.yaml]\n",
			overlay + "values.yaml":        "text: other\n",
			"bases/charts/c/Chart.yaml":    "apiVersion: v2\nname: c\nversion: 1.0.0\n", "bases/charts/c/templates/one.yaml": value("print .Values.text \" from bases\""),
		}
	}
	c, err := site(t, charted(value(".Values.text"), home("../../../../profiles/p/addons/web/charts")), "s2")
	require.NoError(t, err)
	require.Contains(t, objectsOf(c), `"text":"other"`)
	c, err = site(t, charted(value(".Values.text"), home("../../../../bases/charts")), "s2")
	require.NoError(t, err)
	require.Contains(t, objectsOf(c), `"text":"other from bases"`)
	_, err = site(t, charted(value(".Values.text"), home("../../../s1/addons/web/charts")), "s2")
	require.ErrorContains(t, err, "out of reach of sites/s2")
}

// A template can fill all memory in one call, or never come to an end. Both end in
// a process of their own.
func TestTemplateBombs(t *testing.T) {
	t.Parallel()
	const twice = `{{ define "a" }}{{ range until 100 }}{{ range until 100 }}{{ range until 100 }}{{ range until 100 }}{{ range until 100 }}{{ range until 100 }}{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}`
	for _, tt := range []struct{ name, action, helper string }{
		{"loops in loops", `include "a" .`, twice},
		{"a text of many gigabytes", `repeat 100000000000 "x"`, ""},
		{"a long list", `len (until 2000000000)`, ""},
		{"texts that double", `$x := "x" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}{{ $x`, ""},
		{"values that hold each other", `$x := list 1 }}{{ range until 40 }}{{ $x = list $x $x }}{{ end }}{{ toYaml $x`, ""},
		{"a value that holds itself", `$x := dict }}{{ $_ := set $x "x" $x }}{{ $x`, ""},
		{"templates that go deeper than the stack", `include "a" .`, `{{ define "a" }}{{ template "b" (dict "n" 50000) }}{{ end }}{{ define "b" }}{{ if .n }}{{ template "b" (dict "n" (sub .n 1)) }}{{ else }}{{ include "a" . }}{{ end }}{{ end }}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := charted(value(tt.action), map[string]string{webChart + "templates/_h.tpl": tt.helper})
			r := New(fsys, Options{Worker: workerCommand})
			defer r.Close()
			_, err := r.Site(load(t, fsys).Sites[0])
			got := fleet.Problems(err)
			require.Len(t, got, 1)
			require.Contains(t, got[0].Error(), webFile+":2: release r takes more than 10 s or 512 MiB to render")
			require.Contains(t, got[0].Tip, "includes itself")
		})
	}
}

func TestAChartIsRenderedTheSameEverywhere(t *testing.T) {
	t.Parallel()
	corpus, err := filepath.Glob("testdata/charts/*.txtar")
	require.NoError(t, err)
	for _, file := range corpus {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			root := unpack(t, file)
			r := New(nil, Options{Worker: workerCommand})
			defer r.Close()
			at := reach{profile: "profiles/p"}
			in, err := scanInput("bases/corpus", at, files{os.DirFS(root), os.DirFS(root), at, nil})
			require.NoError(t, err)
			want := textsSorted(buildCorpus(t, root))
			for range 10 {
				again, err := scanInput("bases/corpus", at, files{shuffled{os.DirFS(root)}, shuffled{os.DirFS(root)}, at, nil})
				require.NoError(t, err)
				require.Equal(t, in.key, again.key)
				j, err := r.job(again)
				require.NoError(t, err)
				got, err := j.run()
				require.NoError(t, err)
				require.Equal(t, want, textsSorted(got))
			}
		})
	}
}

// Whatever stands in a chart, it renders into objects or says in one line what is
// wrong; and does the same again.
func FuzzChart(f *testing.F) {
	f.Add(value(".Values.text"), "text: hello\n")
	f.Add("{{ range $k, $v := .Values }}{{ $k }}: {{ $v | toYaml | nindent 2 }}\n{{ end }}", "a: {b: [1, 2]}\nc: ${TEXT}\n")
	f.Add("{{ include \"x\" . | sha256sum }}{{ define \"x\" }}{{ tpl .Values.t . }}{{ end }}", "t: \"{{ .Release.Name }}\"\n")
	f.Add("kind: List\nitems:\n  - {kind: A, metadata: {name: a, annotations: {helm.sh/hook: test}}}\n", "")
	f.Add("---\n--- # {{ .Chart.Name }}\na: &a [x]\nkind: *a\n", "[]")
	f.Fuzz(func(t *testing.T, template, values string) {
		if len(template)+len(values) > 2000 || strings.Contains(template, "until") || strings.Contains(template, "repeat") || strings.Count(template, "define") > 1 {
			t.Skip("may take long")
		}
		r := chart.Release{File: "k", Line: 1, Dir: "c", Name: "r", Namespace: "shop", KubeVersion: "v1.36.3", Values: [][]byte{[]byte(values)},
			Files: chart.Files{"Chart.yaml": []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n"), "templates/a.yaml": []byte(template)}}
		var first string
		for range 2 {
			var said []string
			manifests, err := newPool(nil).render(r)
			said = append(said, messages(err)...)
			require.True(t, err == nil || len(said) > 0, "%v", err)
			for _, m := range manifests {
				data, err := manifest(r, m)
				said = append(said, messages(err)...)
				require.True(t, err == nil || len(said) > 0, "%v", err)
				if err == nil {
					_, err := fleet.ParseYAML("m", data, yamlLimits())
					require.NoError(t, err)
				}
				said = append(said, string(data))
			}
			text, err := json.Marshal(said)
			require.NoError(t, err)
			if first == "" {
				first = string(text)
			}
			require.Equal(t, first, string(text))
		}
	})
}
