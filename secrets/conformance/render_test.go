package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// What sops wrote into a layer is carried sealed, and opened on the host.
func TestALayerOpensWhatSopsWrote(t *testing.T) {
	t.Parallel()
	person, host := recipients(t)
	dir := t.TempDir()
	const head, layer = "apiVersion: holdfast.dev/v1alpha1\nkind: ", "profiles/p/addons/db/"
	for name, text := range map[string]string{
		".sops.yaml": "creation_rules:\n  - path_regex: secret\\.yaml$\n    encrypted_regex: ^(data|stringData)$\n    age: " + person + "," + host +
			"\n  - age: " + person + "," + host + "\n",
		"fleet.yaml":              head + "Fleet\nmetadata: {name: shops}\n",
		"profiles/p/profile.yaml": head + "Profile\nspec: {layers: [{name: db}]}\n",
		"profiles/p/distribution/kustomization.yaml": "resources: [d.yaml]\n",
		"profiles/p/distribution/d.yaml":             head + "Distribution\nmetadata: {name: d}\nspec: {type: embedded, version: v1.36.3}\n",
		"sites/s/site.yaml":                          head + "Site\nspec: {profile: p}\n",
		layer + "kustomization.yaml":                 "namespace: shop\nresources: [secret.yaml]\nsecretGenerator: [{name: all, files: [tls.key, conf.json], envs: [lines.env], options: {disableNameSuffixHash: true}}]\n",
		layer + "secret.yaml":                        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  # of the tills\n  password: hunter2\n",
		layer + "tls.key":                            "hunter3",
		layer + "conf.json":                          "{\"password\":\"hunter4\"}",
		layer + "lines.env":                          "TOKEN=hunter5\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		write(t, filepath.Join(dir, name), []byte(text))
	}
	for _, name := range []string{"secret.yaml", "tls.key", "conf.json", "lines.env"} {
		must(t, ageKey, dir, "encrypt", "-i", layer+name)
	}
	fsys := os.DirFS(dir)
	f, err := fleet.Load(fsys)
	require.NoError(t, err)
	c, err := render.Site(fsys, f.Sites[0])
	require.NoError(t, err)
	for which := range keyFiles {
		opened, _, err := c.Layers[0].Open(identity(t, which)...)
		require.NoError(t, err)
		text, err := opened.YAML()
		require.NoError(t, err)
		for _, want := range []string{"password: hunter2", "tls.key: aHVudGVyMw==", "TOKEN: aHVudGVyNQ==", "conf.json: ewoJInBhc3N3b3JkIjogImh1bnRlcjQiCn0K"} {
			require.Contains(t, string(text), want)
		}
	}
}
