package render

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// A chart's Secret takes a value as it is, and in base64.
const chartSecret = `apiVersion: v1
kind: Secret
metadata:
  name: db
  annotations: {checksum: {{ .Values.password | sha256sum }}}
stringData:
  user: {{ .Values.user | quote }}
  password: {{ .Values.password | quote }}
data:
  again: {{ .Values.password | b64enc }}
  file: {{ .Files.Get "files/tls.key" | b64enc }}
`

func chartedSecret(t *testing.T, template string) (edits map[string]string, open func(Layer) string) {
	id, to := hostKey(t, 'a')
	edits = map[string]string{
		webFile:                    "helmCharts:\n  - {name: c, releaseName: r, namespace: shop, additionalValuesFiles: [secret.yaml]}\n",
		webTemplate:                template,
		web + "secret.yaml":        sealedFile(t, "secret.yaml", "user: shop\npassword: hunter2\n", "^password$", to),
		webChart + "files/tls.key": sealedFile(t, "tls.key", "hunter3", "", to),
	}
	return edits, func(l Layer) string {
		opened, hidden, err := l.Open(id)
		require.NoError(t, err)
		require.Contains(t, hidden, "hunter2")
		return string(opened.Objects[0])
	}
}

func TestAChartCarriesSecretsSealed(t *testing.T) {
	t.Parallel()
	edits, open := chartedSecret(t, chartSecret)
	c, err := site(t, charted("", edits), "s1")
	require.NoError(t, err)
	require.NotContains(t, objectsOf(c), "hunter")
	require.NotContains(t, objectsOf(c), base64.StdEncoding.EncodeToString([]byte("hunter2")))
	var got struct{ Data, StringData map[string]string }
	require.NoError(t, json.Unmarshal([]byte(open(c.Layers[0])), &got))
	require.Equal(t, map[string]string{"user": "shop", "password": "hunter2"}, got.StringData)
	base := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	require.Equal(t, map[string]string{"again": base("hunter2"), "file": base("hunter3")}, got.Data)
}

func TestAChartMayNotLookIntoSecrets(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\n"
	for _, tt := range []struct{ name, template, want string }{
		{"in base64, with more around it", head + "data:\n  url: {{ printf \"shop:%s\" .Values.password | b64enc }}\n", webTemplate + ":5: b64enc cannot see what is encrypted"},
		{"cut", head + "stringData:\n  url: {{ trunc 8 .Values.password }}\n", webTemplate + ":5: trunc cannot see what is encrypted"},
		{"compared", "{{ if eq .Values.password \"\" }}{{ end }}" + head, webTemplate + ":1: eq cannot see what is encrypted"},
		{"with more around it", head + "stringData:\n  url: postgres://shop:{{ .Values.password }}@db\n", webFile + ": Secret shop/db: stringData has what is encrypted within a text"},
		{"in a file in a file", head + "data: {{ dict \"a.json\" (toJson .Values) | toYaml | b64enc | quote }}\n", webTemplate + ":4: b64enc cannot see what is encrypted"},
		{"in base64 by other ways", head + "data:\n  {{ (.Files.Glob \"files/*\").AsSecrets }}\n  b: eDpob2xkZmFzdC9zZWFsZWQv\n", webFile + ": Secret shop/db: data.b has what is encrypted within a text"},
		{"in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\ndata:\n  a: {{ .Values.password }}\n", webFile + ": ConfigMap shop/db: data would hold a secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			edits, _ := chartedSecret(t, tt.template)
			_, err := site(t, charted("", edits), "s1")
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter")
		})
	}
}
