package fleet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestAPermitNamesAnObjectOrALayer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fleet.Permit{
		"Namespace shop":                             {Kind: "Namespace", Name: "shop"},
		"PersistentVolumeClaim  shop/data-0":         {Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "data-0"},
		"CustomResourceDefinition lamps.example.com": {Kind: "CustomResourceDefinition", Name: "lamps.example.com"},
		"Lamp.example.com shop/hall":                 {Kind: "Lamp", Group: "example.com", Namespace: "shop", Name: "hall"},
		"ClusterRole system:lamps":                   {Kind: "ClusterRole", Name: "system:lamps"},
		"layer shop":                                 {Layer: "shop"},
		"":                                           {},
		"Namespace":                                  {},
		"Namespace shop and bank":                    {},
		"Namespace *":                                {},
		"namespace shop":                             {},
		"Lamp. shop/hall":                            {},
		"Pod /web":                                   {},
		"Pod shop/":                                  {},
		"Pod a/b/c":                                  {},
		"layer Shop":                                 {},
		"layer shop/web":                             {},
		"Namespace shop\x1b[2J":                      {},
		"Namespace 0123456789012345678901234567890123456-": {},
	} {
		got, err := fleet.ParsePermit(text)
		require.Equal(t, want, got, text)
		if want == (fleet.Permit{}) {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
	}
}

func FuzzParsePermit(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		permit, err := fleet.ParsePermit(text)
		if err != nil {
			return
		}
		again, err := fleet.ParsePermit(permit.String())
		require.NoError(t, err)
		require.Equal(t, permit, again)
	})
}

func TestHowMuchASiteLetsGo(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(grouped(map[string]string{
		emea: head + "Group\nspec:\n  variables: {STORE_ID: emea, NTP: 10.0.0.1}\n  prune: {share: 50, allow: [layer web]}\n",
		s1:   head + "Site\nspec:\n  prune: {allow: [Namespace shop]}\n",
	})))
	require.NoError(t, err)
	require.Equal(t, fleet.Prune{Share: 30, Allow: []fleet.Permit{{Kind: "Namespace", Name: "shop"}}}, f.Sites[0].Prune, "its own, all of it")
	require.Equal(t, fleet.Prune{Share: 50, Allow: []fleet.Permit{{Layer: "web"}}}, f.Sites[1].Prune, "its group's")
	require.Equal(t, fleet.Prune{Share: 30}, f.Sites[3].Prune, "the default")

	_, err = fleet.Load(edited(grouped(map[string]string{s1: head + "Site\nspec:\n  prune:\n    share: 101\n    allow: [everything]\n"})))
	require.Len(t, messages(err), 2)
	require.ErrorContains(t, err, "site.yaml:5: share must be a number from 0 to 100")
	require.ErrorContains(t, err, `site.yaml:6: "everything" permits nothing`)
}

func TestHowLongAProfileIsWatchedBeforeItIsConfirmed(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(grouped(map[string]string{other: head + "Profile\nspec:\n  layers: []\n  confirm: 2m\n  variables: [{name: NTP, type: address, required: true}]\n"})))
	require.NoError(t, err)
	require.Equal(t, 2*time.Minute, f.Profiles["other"].Confirm)
	require.Zero(t, f.Profiles["shop"].Confirm)
}
