package fleet_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const (
	world = "sites/group.yaml"
	emea  = "sites/emea/group.yaml"
	s1    = "sites/emea/s1/site.yaml"
	other = "profiles/other/profile.yaml"
)

// grouped is the small fleet with a second profile, and a group in a group.
func grouped(edits map[string]string) map[string]string {
	all := map[string]string{
		other: head + "Profile\nspec:\n  layers: []\n  variables:\n    - {name: NTP, type: address, required: true}\n",
		"profiles/other/distribution/kustomization.yaml": "resources: []\n",
		world:                     head + "Group\nspec:\n  profile: shop\n  variables: {REPLICAS: 5, STORE_ID: world}\n  labels: {ring: \"1\", planet: earth}\n",
		emea:                      head + "Group\nmetadata: {name: emea}\nspec:\n  variables:\n    STORE_ID: emea\n    NTP: 10.0.0.1\n  labels: {ring: \"2\"}\n",
		s1:                        head + "Site\nspec:\n  variables: {STORE_ID: own}\n  labels: {country: de}\n",
		"sites/emea/s2/site.yaml": head + "Site\n",
		"sites/emea/s3/site.yaml": head + "Site\nspec: {profile: other}\n",
		"sites/s4/site.yaml":      head + "Site\nspec:\n  labels: {planet: mars}\n",
	}
	for file, text := range edits {
		all[file] = text
	}
	return all
}

func TestTheNearestGroupWins(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(grouped(nil)))
	require.NoError(t, err)
	require.Len(t, f.Sites, 4)
	for i, want := range []struct {
		profile, chosen string
		groups          []string
		variables       map[string]any
		labels          map[string]string
	}{
		{"shop", world, []string{"sites", "sites/emea"}, map[string]any{"STORE_ID": "own", "REPLICAS": int64(5)},
			map[string]string{"country": "de", "ring": "2", "planet": "earth"}},
		{"shop", world, []string{"sites", "sites/emea"}, map[string]any{"STORE_ID": "emea", "REPLICAS": int64(5)},
			map[string]string{"ring": "2", "planet": "earth"}},
		{"other", "sites/emea/s3/site.yaml", []string{"sites", "sites/emea"}, map[string]any{"NTP": "10.0.0.1"},
			map[string]string{"ring": "2", "planet": "earth"}},
		{"shop", world, []string{"sites"}, map[string]any{"STORE_ID": "world", "REPLICAS": int64(5)},
			map[string]string{"ring": "1", "planet": "mars"}},
	} {
		s := f.Sites[i]
		require.Equal(t, want.profile, s.Profile.Name, s.Dir)
		require.Equal(t, want.chosen, s.ChosenIn, s.Dir)
		require.Equal(t, want.groups, s.Groups, s.Dir)
		require.Equal(t, want.variables, s.Variables, s.Dir)
		require.Equal(t, want.labels, s.Labels, s.Dir)
	}
}

func TestGroupsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		edits map[string]string
		want  []string
	}{
		{"no group", map[string]string{emea: "x"}, []string{emea + ":1: the Group must be a mapping, not text",
			"sites/emea/s3/site.yaml: variable NTP is required by profile other"}},
		{"another name than its folder", map[string]string{world: head + "Group\nmetadata: {name: world}\nspec: {profile: shop}\n", "sites/s4/site.yaml": ""},
			[]string{world + ":3: metadata.name is world, but the path says sites"}},
		{"a variable that no site below has any use for", map[string]string{"sites/emea/s3/site.yaml": ""},
			[]string{emea + ":7: variable NTP is declared by no profile below"}},
		{"a wrong value, said once, where it is given", map[string]string{world: head + "Group\nspec:\n  profile: shop\n  variables:\n    REPLICAS: many\n    STORE_ID: x\n"},
			[]string{world + ":6: variable REPLICAS: must be of type integer, not text"}},
		{"an unknown profile, said once", map[string]string{world: head + "Group\nspec: {profile: ship, variables: {}}\n"}, []string{
			emea + ":6: variable STORE_ID is declared by no profile below", world + ":3: unknown profile ship"}},
		{"a group among a site's files", map[string]string{"sites/emea/s1/group.yaml": "x"}, []string{"sites/emea/s1/group.yaml: a site is no group"}},
		{"an unknown field", map[string]string{world: head + "Group\nspec: {profile: shop, profiles: shop}\n", "sites/s4/site.yaml": ""},
			[]string{world + ":3: unknown field profiles in spec"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.Load(edited(grouped(tt.edits)))
			require.Equal(t, tt.want, messages(err))
		})
	}
}

func TestAGroupWithoutSitesIsFine(t *testing.T) {
	t.Parallel()
	_, err := fleet.Load(edited(grouped(map[string]string{"sites/apac/group.yaml": head + "Group\nspec: {variables: {ANY: thing}}\n"})))
	require.NoError(t, err)
}

func TestTheExampleChangesARegionInOneFile(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(os.DirFS("../fleet-example"))
	require.NoError(t, err)
	for _, s := range f.Sites[1:] {
		require.Equal(t, "sites/emea", s.Groups[len(s.Groups)-1])
		require.Equal(t, "10.10.0.123", s.Variables["NTP"])
		require.Equal(t, "emea", s.Labels["region"])
	}
}
