package fleet

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestWhatHasNoProblemIsUsableBesideWhatHas(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: holdfast.dev/v1alpha1\nkind: "
	files := map[string]string{
		"fleet.yaml":                    head + "Fleet\nmetadata:\n  name: f\n",
		"sites/good/site.yaml":          head + "Site\nspec:\n  profile: good\n",
		"sites/bad/site.yaml":           head + "Site\nspec:\n  profil: good\n",
		"sites/of-bad/site.yaml":        head + "Site\nspec:\n  profile: bad\n",
		"sites/of-none/site.yaml":       head + "Site\nspec:\n  profile: none\n",
		"sites/group/group.yaml":        head + "Group\nspec:\n  nonsense: 1\n",
		"sites/group/below/site.yaml":   head + "Site\nspec:\n  profile: good\n",
		"sites/good/hosts/h.yaml":       head + "Host\nspec:\n  identity: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"profiles/good/profile.yaml":    head + "Profile\nspec:\n  layers: [{name: web}]\n",
		"profiles/bad/profile.yaml":     head + "Profile\nspec:\n  layers: [{name: web, dependsOn: [nothing]}]\n",
		"profiles/bad/addons/web/x":     "",
		"profiles/good/addons/web/note": "",
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for _, p := range []string{"good", "bad"} {
		for _, dir := range []string{"distribution", "addons/web"} {
			fsys["profiles/"+p+"/"+dir+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: []\n")}
		}
	}
	f, err := LoadUsable(fsys, Options{})
	var bad []string
	for _, p := range Problems(err) {
		bad = append(bad, p.File)
	}
	require.Equal(t, []string{"profiles/bad/profile.yaml", "sites/bad/site.yaml", "sites/group/group.yaml", "sites/of-none/site.yaml"}, bad)
	require.Len(t, f.Sites, 1)
	require.Equal(t, "sites/good", f.Sites[0].Dir)
	require.Len(t, f.Profiles, 1)
}
