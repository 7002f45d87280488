package chart

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rolled is what a release makes of a template that makes things up.
func rolled(t *testing.T, name, extra string) string {
	t.Helper()
	r := Release{File: "kustomization.yaml", Name: name, Namespace: "shop", Derived: true, Files: Files{
		"Chart.yaml": []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n"),
		"templates/a.yaml": []byte(`{{ randAlpha 6 }} {{ randAlpha 6 }} {{ randAlphaNum 9 }} {{ randNumeric 4 }} {{ randBytes 3 }} {{ randInt 10 20 }} {{ shuffle "abcdefgh" }} {{ uuidv4 }} {{ include "more" . }}
{{- define "more" }}{{ tpl "{{ randAscii 5 | len }}" . }}{{ end }}` + extra),
	}}
	list, err := r.Render()
	require.NoError(t, err)
	require.Len(t, list, 1)
	return string(list[0].Text)
}

func TestWhatIsMadeUpFollowsFromTheChart(t *testing.T) {
	t.Parallel()
	first := rolled(t, "one", "")
	require.Regexp(t, `^[A-Za-z]{6} [A-Za-z]{6} [A-Za-z0-9]{9} [0-9]{4} [A-Za-z0-9+/]{4} 1[0-9] [a-h]{8} `+
		`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12} 5$`, first)
	require.Equal(t, "LBISMf", strings.Fields(first)[0], "hosts of any version make up the same")
	words := strings.Fields(first)
	require.NotEqual(t, words[0], words[1], "each call gets something else")
	for range 10 {
		require.Equal(t, first, rolled(t, "one", ""))
	}
	require.NotEqual(t, first, rolled(t, "two", ""), "another release")
	require.NotEqual(t, first, rolled(t, "one", "{{/* mended */}}"), "another chart")
}
