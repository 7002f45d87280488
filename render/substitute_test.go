package render

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func someVariables(text string) variables {
	p := &fleet.Profile{Name: "p", Dir: "profiles/p", Variables: []fleet.Variable{
		{Name: "TEXT", Type: fleet.String}, {Name: "COUNT", Type: fleet.Integer}, {Name: "OPEN", Type: fleet.Boolean},
		{Name: "UNSET", Type: fleet.String}, {Name: "UNSETCOUNT", Type: fleet.Integer},
	}}
	return newVariables(&fleet.Site{Name: "s1", Dir: "sites/s1", Profile: p,
		Variables: map[string]any{"TEXT": text, "COUNT": int64(3), "OPEN": true}})
}

func TestText(t *testing.T) {
	t.Parallel()
	v := someVariables("hello")
	for _, tt := range []struct {
		in   string
		want any
	}{
		{"", ""}, {"plain", "plain"}, {"$TEXT $(TEXT) $", "$TEXT $(TEXT) $"},
		{"${TEXT}", "hello"}, {"${COUNT}", int64(3)}, {"${OPEN}", true},
		{"a ${TEXT} b ${COUNT} c ${OPEN}", "a hello b 3 c true"},
		{" ${COUNT}", " 3"}, {"${COUNT}\n", "3\n"}, {"${COUNT}${COUNT}", "33"}, {"${TEXT}${COUNT}", "hello3"},
		{"${UNSET:=other}", "other"}, {"${UNSET:=}", ""}, {"${UNSETCOUNT:=7}", int64(7)}, {"${TEXT:=other}", "hello"}, {"${UNSET:=a:=b}", "a:=b"},
		{"$${TEXT}", "${TEXT}"}, {"$${", "${"}, {"a $${TEXT} ${TEXT}", "a ${TEXT} hello"}, {"$$${TEXT}", "$${TEXT}"}, {"$$ {", "$$ {"},
		{"$${COUNT}${COUNT}", "${COUNT}3"}, {"ünï${TEXT}→", "ünïhello→"},
	} {
		got, err := v.text(tt.in)
		require.NoError(t, err, tt.in)
		require.Equal(t, tt.want, got, tt.in)
	}
	for in, want := range map[string]string{
		"${NOBODY}":            "variable NOBODY is not declared by profile p",
		"${NOBODY:=x}":         "variable NOBODY is not declared by profile p",
		"${UNSET}":             "variable UNSET has no value",
		"${UNSETCOUNT:=seven}": "the default of UNSETCOUNT, which is of type integer: \"seven\" is not an integer",
		"${TEXT":               "${ without } in \"${TEXT\"",
		"${}":                  "${} is not a variable",
		"${TEXT:-x}":           "${TEXT:-x} is not a variable",
		"${a b}":               "${a b} is not a variable",
		"${${TEXT}}":           "${${TEXT} is not a variable",
		"${1}":                 "${1} is not a variable",
	} {
		_, err := v.text(in)
		require.EqualError(t, err, want, in)
	}
}

// A value stays one scalar, whatever is in it.
func TestValuesAddNoStructure(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"line\nother: value", "key: value", "- item", "a: b\n---\nkind: Secret", "\"", "'", "`", "\\", "\\n", "{a: b}", "[a]", "#no comment", "*alias", "&anchor", "!!int 3",
		"${TEXT}", "${COUNT}", "$${TEXT}", "$", "}", "1", "0x10", "1e3", "010", "true", "yes", "n", "null", "~", "", " ", "\t", "2020-01-01", "日本語 🎉 é", "\u2028\u0085", "<&>", "|", ">",
	} {
		one := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n  namespace: default\ndata:\n  whole: ${TEXT}\n  part: <${TEXT}>\n  block: |\n    first\n    ${TEXT}\n"
		fsys := edited(map[string]string{
			web + "one.yaml":     one,
			"sites/s1/site.yaml": head + "Site\nspec:\n  profile: p\n  variables:\n    TEXT: " + strconv.QuoteToASCII(value) + "\n",
		})
		c, err := site(t, fsys, "s1")
		require.NoError(t, err, value)
		require.Len(t, c.Layers[0].Objects, 1, value)
		var got map[string]any
		require.NoError(t, json.Unmarshal(c.Layers[0].Objects[0], &got))
		require.Equal(t, map[string]any{"whole": value, "part": "<" + value + ">", "block": "first\n" + value + "\n"}, got["data"])
		require.Len(t, got, 4)

		text, err := c.Layers[0].YAML()
		require.NoError(t, err)
		docs, err := fleet.ParseYAML("", text, yamlLimits())
		require.NoError(t, err)
		require.Len(t, docs, 1)
		back, err := parsed(docs[0])
		require.NoError(t, err, "%s", text)
		again, err := canonical(back)
		require.NoError(t, err)
		require.JSONEq(t, string(c.Layers[0].Objects[0]), string(again))
	}
}

func TestTypesFollowTheField(t *testing.T) {
	t.Parallel()
	deployment := `apiVersion: apps/v1
kind: Deployment
metadata:
  name: one
  namespace: default
  labels:
    ${TEXT}: ${COUNT}
spec:
  replicas: ${COUNT}
  paused: ${OPEN}
  selector: {matchLabels: {app: one}}
  template:
    metadata:
      annotations:
        count: ${COUNT}
    spec:
      containers:
        - name: one
          image: example:${COUNT}
          args: ["${OPEN}"]
          env:
            - name: COUNT
              value: ${COUNT}
          livenessProbe:
            httpGet:
              port: ${COUNT}
`
	custom := "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x, annotations: {a: \"${OPEN}\"}}\nspec:\n  count: ${COUNT}\n  open: ${OPEN}\n"
	c, err := site(t, edited(map[string]string{web + "one.yaml": deployment + "---\n" + custom}), "s1")
	require.NoError(t, err)
	out := objectsOf(c)
	for _, want := range []string{`"replicas":3`, `"paused":true`, `"args":["true"]`, `{"name":"COUNT","value":"3"}`, `"annotations":{"count":"3"}`, `"port":3`,
		`"labels":{"${TEXT}":"3"}`, `"image":"example:3"`, `"spec":{"count":3,"open":true}`, `"annotations":{"a":"true"}`} {
		require.Contains(t, out, want)
	}
}

func TestObjectsCanOptOut(t *testing.T) {
	t.Parallel()
	with := func(value string) map[string]string {
		return map[string]string{web + "one.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n  annotations:\n    holdfast.dev/substitute: " + value + "\ndata:\n  script: echo ${HOME}\n"}
	}
	c, err := site(t, edited(with("disabled")), "s1")
	require.NoError(t, err)
	require.Contains(t, objectsOf(c), "echo ${HOME}")
	_, err = site(t, edited(with("never")), "s1")
	require.Equal(t, []string{web + "kustomization.yaml: ConfigMap default/one: the annotation holdfast.dev/substitute can only be disabled"}, messages(err))
	_, err = site(t, edited(map[string]string{web + "one.yaml": strings.Replace(configMap, "hello", "echo ${HOME}", 1)}), "s1")
	require.Equal(t, []string{web + "one.yaml:7: variable HOME is not declared by profile p (site s1, ConfigMap default/one)"}, messages(err))
}

func TestTheDistributionTakesVariables(t *testing.T) {
	t.Parallel()
	fsys := edited(map[string]string{"profiles/p/distribution/d.yaml": head + "Distribution\nmetadata:\n  name: d\nspec:\n  type: embedded\n  version: v1.36.${COUNT}\n  controlPlane: ${OPEN}\n"})
	f := load(t, fsys)
	got, err := Host(fsys, f.Sites[0].Hosts[0])
	require.NoError(t, err)
	d, err := fleet.ParseDistribution(got.Node.Distribution)
	require.NoError(t, err)
	require.Equal(t, "v1.36.3", d.Version)
	require.True(t, d.ControlPlane)
}

func FuzzText(f *testing.F) {
	f.Fuzz(func(t *testing.T, in, value string) {
		want, err := json.Marshal(value)
		require.NoError(t, err)
		encoded, err := appendJSON(nil, value)
		require.NoError(t, err)
		require.Equal(t, string(want), string(encoded))
		got, err := someVariables(value).text(in)
		if err != nil {
			require.Nil(t, got)
			return
		}
		out, isText := got.(string)
		if !isText {
			require.True(t, strings.HasPrefix(in, "${") && strings.HasSuffix(in, "}"))
			return
		}
		if !strings.Contains(in, "${") {
			require.Equal(t, in, out)
		}
	})
}

// FuzzKustomization gives one text to the kustomization and the resource of a layer.
func FuzzKustomization(f *testing.F) {
	f.Fuzz(func(t *testing.T, kustomization, resource string) {
		fsys := edited(map[string]string{web + "kustomization.yaml": kustomization + "\n", web + "one.yaml": resource + "\n", "sites/s2/addons/web/kustomization.yaml": ""})
		c, err := site(t, fsys, "s1")
		if err != nil {
			require.NotEmpty(t, messages(err), "%v", err)
			return
		}
		require.NotEmpty(t, c.Layers[0].Objects)
		again, err := site(t, fsys, "s1")
		require.NoError(t, err)
		require.Equal(t, c.Digest, again.Digest)
	})
}

func TestCorpusIsNotEmpty(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FuzzText", "FuzzKustomization", "FuzzChart", "FuzzPolicies"} {
		seeds, err := os.ReadDir("testdata/fuzz/" + name)
		require.NoError(t, err)
		require.NotEmpty(t, seeds)
	}
}
