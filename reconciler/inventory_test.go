package reconciler

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	web   = Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	webV2 = Object{Group: "apps", Version: "v2", Kind: "Deployment", Namespace: "shop", Name: "web"}
	text  = Object{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "text"}
	space = Object{Version: "v1", Kind: "Namespace", Name: "shop"}
)

func inventory(layers map[string][]Object, kept ...string) Inventory {
	return Inventory{Site: "store-042", Layers: layers, Kept: kept}
}

func TestWhatLeftTheInventory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		old, new Inventory
		want     []leftover
	}{
		{"an object that no layer lists any more is left over",
			inventory(map[string][]Object{"shop": {web, text}}), inventory(map[string][]Object{"shop": {web}}), []leftover{{text, "shop"}}},
		{"an object that moved to another layer is not",
			inventory(map[string][]Object{"shop": {web}}), inventory(map[string][]Object{"front": {web}}), nil},
		{"another version of an object is the same object",
			inventory(map[string][]Object{"shop": {web}}), inventory(map[string][]Object{"shop": {webV2}}), nil},
		{"a lost layer's objects are left over",
			inventory(map[string][]Object{"shop": {web}, "extra": {text}}), inventory(map[string][]Object{"shop": {web}}), []leftover{{text, "extra"}}},
		{"a layer that is not pruned keeps its objects, also when it is lost",
			inventory(map[string][]Object{"shop": {web}, "extra": {text}}, "extra"), inventory(map[string][]Object{"shop": {web}}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.old.without(tt.new))
		})
	}
}

func TestUnionForgetsNothing(t *testing.T) {
	t.Parallel()
	old := inventory(map[string][]Object{"shop": {web, text}, "gone": {space}}, "gone")
	desired := inventory(map[string][]Object{"shop": {webV2}})
	union := desired.union(old)
	require.Equal(t, map[string][]Object{"shop": {webV2, text}, "gone": {space}}, union.Layers)
	require.Equal(t, []string{"gone"}, union.Kept)
	require.Equal(t, map[string][]Object{"shop": {webV2}}, desired.Layers, "union must not change what it was called on")
	require.True(t, union.equal(desired.union(old)))
	require.False(t, union.equal(desired))
}
