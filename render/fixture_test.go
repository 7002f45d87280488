package render

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const head = "apiVersion: holdfast.dev/v1alpha1\nkind: "

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n  namespace: default\ndata:\n  text: hello\n"

// small is a fleet with one profile of one layer, and two sites; the second
// has an overlay of the layer.
func small() map[string]string {
	return map[string]string{
		"fleet.yaml": head + "Fleet\nmetadata:\n  name: small\n",
		"profiles/p/profile.yaml": head + "Profile\nspec:\n  layers:\n    - name: web\n  variables:\n    - {name: TEXT, type: string, default: hello}\n" +
			"    - {name: COUNT, type: integer, default: 3}\n    - {name: OPEN, type: boolean, default: true}\n    - {name: UNSET, type: string}\n    - {name: UNSETCOUNT, type: integer}\n",
		"profiles/p/distribution/kustomization.yaml": "resources: [d.yaml]\n",
		"profiles/p/distribution/d.yaml":             head + "Distribution\nmetadata:\n  name: d\nspec:\n  type: embedded\n  version: v1.36.3\n",
		"profiles/p/addons/web/kustomization.yaml":   "resources:\n  - one.yaml\n",
		"profiles/p/addons/web/one.yaml":             configMap,
		"bases/b/kustomization.yaml":                 "resources:\n  - b.yaml\n",
		"bases/b/b.yaml":                             "apiVersion: v1\nkind: Service\nmetadata:\n  name: b\n",
		"sites/s1/site.yaml":                         head + "Site\nspec:\n  profile: p\n",
		"sites/s1/hosts/h1.yaml":                     head + "Host\nspec:\n  identity: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"sites/s2/site.yaml":                         head + "Site\nspec:\n  profile: p\n",
		"sites/s2/addons/web/kustomization.yaml":     "resources:\n  - ../../../../profiles/p/addons/web\nnameSuffix: -s2\n",
	}
}

func edited(edits map[string]string) fstest.MapFS {
	files := small()
	for name, text := range edits {
		files[name] = text
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		if text != "" {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

func load(t testing.TB, fsys fs.FS) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Load(fsys)
	require.NoError(t, err)
	return f
}

// site renders a site by name.
func site(t testing.TB, fsys fs.FS, name string) (Cluster, error) {
	t.Helper()
	for _, s := range load(t, fsys).Sites {
		if s.Name == name {
			return Site(fsys, s)
		}
	}
	require.Fail(t, "no such site", name)
	return Cluster{}, nil
}

func messages(err error) []string {
	var out []string
	for _, p := range fleet.Problems(err) {
		out = append(out, p.Error())
	}
	return out
}

func objectsOf(c Cluster) string {
	var out string
	for _, l := range c.Layers {
		for _, o := range l.Objects {
			out += string(o) + "\n"
		}
	}
	return out
}
