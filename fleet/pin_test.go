package fleet_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const tagged = "0123456789012345678901234567890123456789"

// pins knows one pin.
type pins struct {
	fs.FS
	asked int
}

func (p *pins) At(tag, commit string) (fs.FS, error) {
	p.asked++
	if tag != "v1.2.0" || commit != tagged {
		return nil, errors.New("the commit is not on the line")
	}
	return p.FS, nil
}

func pinnedSite(profile string) string {
	return head + "Site\nspec:\n  profile: " + profile + "\n  variables: {STORE_ID: a}\n"
}

func TestAPinnedProfileIsReadFromItsCommit(t *testing.T) {
	t.Parallel()
	old := edited(nil)
	old["profiles/shop/content.lock"] = edited(map[string]string{"x": head + "ContentLock\nspec: {images: {a: \"sha256:" + strings.Repeat("0a", 32) + "\"}}\n"})["x"]
	pin := "{name: shop, tag: v1.2.0, commit: \"" + tagged + "\"}"
	without := edited(map[string]string{
		"profiles/shop/profile.yaml": head + "Profile\nspec: {layers: []}\n",
		s1:                           pinnedSite(pin),
		"sites/s2/site.yaml":         pinnedSite(pin),
		"sites/s3/site.yaml":         head + "Site\nspec: {profile: shop}\n",
	})
	p := &pins{FS: old}
	f, err := fleet.LoadWith(without, fleet.Options{Pins: p})
	require.NoError(t, err)
	require.Equal(t, 1, p.asked, "each pin is found once")
	got := f.Sites[0].Profile
	require.Same(t, got, f.Sites[1].Profile)
	require.Equal(t, fleet.Pin{Tag: "v1.2.0", Commit: tagged}, got.Pin)
	require.Len(t, got.Layers, 2)
	require.Len(t, got.Lock.Images, 1, "the pin brings its own lock")
	require.Equal(t, fs.FS(old), got.FS)
	require.Equal(t, map[string]any{"STORE_ID": "a", "REPLICAS": int64(2)}, f.Sites[0].Variables)
	require.Same(t, f.Profiles["shop"], f.Sites[2].Profile)
	require.True(t, f.Sites[2].Profile.Pin.IsZero())
	require.Empty(t, f.Sites[2].Profile.Layers)
	require.Equal(t, fs.FS(without), f.Sites[2].Profile.FS)
}

func TestPinsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := "{name: shop, tag: v1.2.0, commit: \"" + tagged + "\"}"
	for _, tt := range []struct {
		name, profile string
		old           map[string]string
		want          []string
	}{
		{"a tag without a commit", "{name: shop, tag: v1.2.0}", nil, []string{s1 + ":4: the pin of profile shop has a tag or a commit, but not both"}},
		{"a commit without a tag", "{name: shop, commit: \"" + tagged + "\"}", nil, []string{s1 + ":4: the pin of profile shop has a tag or a commit, but not both"}},
		{"a short commit", "{name: shop, tag: v1, commit: \"0123456\"}", nil, []string{s1 + ":4: \"0123456\" is not the whole name of a commit"}},
		{"a tag that is none", "{name: shop, tag: -v1, commit: \"" + tagged + "\"}", nil, []string{s1 + ":4: \"-v1\" is not a tag"}},
		{"a tag with dots", "{name: shop, tag: a..b, commit: \"" + tagged + "\"}", nil, []string{s1 + ":4: \"a..b\" is not a tag"}},
		{"another tag", "{name: shop, tag: v1.3.0, commit: \"" + tagged + "\"}", nil, []string{s1 + ":4: profile shop at tag v1.3.0: the commit is not on the line"}},
		{"a name alone is no pin", "{name: shop}", nil, nil},
		{"no name", "{tag: v1.2.0, commit: \"" + tagged + "\"}", nil, []string{s1 + ":4: profile lacks the field name"}},
		{"an unknown field", "{name: shop, ref: v1}", nil, []string{s1 + ":4: unknown field ref in profile"}},
		{"a profile that was not there", "{name: ship, tag: v1.2.0, commit: \"" + tagged + "\"}", nil,
			[]string{s1 + ":4: profile ship at tag v1.2.0: commit 012345678901 has no profile ship"}},
		{"a profile that does not load", good, map[string]string{"profiles/shop/addons/web/kustomization.yaml": ""},
			[]string{s1 + ":4: profile shop at tag v1.2.0: profiles/shop/profile.yaml:6: layer web has no kustomization in profiles/shop/addons/web"}},
		{"an overlay of no layer of the pin", good, map[string]string{"profiles/shop/profile.yaml": strings.Replace(small()["profiles/shop/profile.yaml"], "name: web", "name: wob", 1) + "\n",
			"profiles/shop/addons/wob/kustomization.yaml": "resources: []\n"}, []string{"sites/emea/s1/addons/web: web is not a layer of profile shop"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.LoadWith(edited(map[string]string{s1: pinnedSite(tt.profile)}), fleet.Options{Pins: &pins{FS: edited(tt.old)}})
			require.Equal(t, tt.want, messages(err))
		})
	}
}

func TestAPinNeedsARepository(t *testing.T) {
	t.Parallel()
	_, err := fleet.Load(edited(map[string]string{s1: pinnedSite("{name: shop, tag: v1.2.0, commit: \"" + tagged + "\"}")}))
	require.Equal(t, []string{s1 + ":4: profile shop at tag v1.2.0: pins are found in a Git repository, and this is none"}, messages(err))
}

func TestAGroupPinsTheProfileOfItsSites(t *testing.T) {
	t.Parallel()
	edits := map[string]string{
		"sites/emea/group.yaml":   head + "Group\nspec:\n  profile:\n    name: shop\n    tag: v1.2.0\n    commit: \"" + tagged + "\"\n",
		s1:                        head + "Site\nspec: {variables: {STORE_ID: a}}\n",
		"sites/emea/s2/site.yaml": pinnedSite("shop"),
	}
	f, err := fleet.LoadWith(edited(edits), fleet.Options{Pins: &pins{FS: edited(nil)}})
	require.NoError(t, err)
	require.Equal(t, "v1.2.0", f.Sites[0].Profile.Pin.Tag)
	require.Equal(t, "sites/emea/group.yaml", f.Sites[0].ChosenIn)
	require.True(t, f.Sites[1].Profile.Pin.IsZero(), "who names a profile without a pin has none")
	_, err = fleet.Load(edited(edits))
	require.Equal(t, []string{"sites/emea/group.yaml:5: profile shop at tag v1.2.0: pins are found in a Git repository, and this is none"}, messages(err))
}
