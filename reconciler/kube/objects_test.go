package kube

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}`
	for _, tt := range []struct {
		name, object, want string
	}{
		{"a name that YAML read as a boolean", `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": false}}`,
			"read object 2 of layer l: ConfigMap: metadata.name must be a non-empty string, not false"},
		{"no name", `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}`, "metadata.name must be a non-empty string"},
		{"a name to be generated", `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}`, "metadata.name must be a non-empty string"},
		{"a namespace that is a number", `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": 7}}`, "metadata.namespace must be a string, not 7"},
		{"no metadata", `{"apiVersion": "v1", "kind": "ConfigMap"}`, "an object needs apiVersion, kind and metadata"},
		{"no kind", `{"apiVersion": "v1", "metadata": {"name": "a"}}`, "an object needs apiVersion, kind and metadata"},
		{"a strange apiVersion", `{"apiVersion": "a/b/c", "kind": "ConfigMap", "metadata": {"name": "a"}}`, `apiVersion "a/b/c"`},
		{"a list", `{"apiVersion": "v1", "kind": "List", "metadata": {"name": "a"}, "items": []}`, "List a: a list must be split into its items"},
		{"a duplicate", good, "layer l declares ConfigMap a twice"},
		{"a duplicate by the default namespace", strings.Replace(good, `"a"`, `"a", "namespace": "default"`, 1), "layer l declares ConfigMap default/a twice"},
		{"our own inventory", strings.Replace(good, `"a"`, `"inventory", "namespace": "holdfast-system"`, 1), "ConfigMap holdfast-system/inventory is Holdfast's own"},
		{"no JSON", `{`, "unexpected end of JSON input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			items, err := decode(render.Layer{Name: "l", Objects: []json.RawMessage{[]byte(good), []byte(tt.object)}})
			require.ErrorContains(t, err, tt.want)
			require.Len(t, items, 1)
		})
	}
}

func TestDecodeTakesOffWhatTheServerSays(t *testing.T) {
	t.Parallel()
	it, err := decodeObject([]byte(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "y"}, "annotations": {"n": "1"},
		"uid": "u", "resourceVersion": "7", "creationTimestamp": null, "managedFields": []}, "data": {"big": "12345678901234567890"}}`))
	require.NoError(t, err)
	u, err := it.value(map[string]string{fleet.SiteLabel: "s"})
	require.NoError(t, err)
	sent, err := u.MarshalJSON()
	require.NoError(t, err)
	require.JSONEq(t, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"n": "1"},
		"labels": {"x": "y", "holdfast.dev/site": "s"}}, "data": {"big": "12345678901234567890"}}`, string(sent))
}

func TestInventoryDamage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		data   map[string]string
		binary map[string][]byte
		want   string
	}{
		{"nothing", nil, nil, "parse inventory: unexpected end of JSON input"},
		{"no gzip", nil, map[string][]byte{packedKey: []byte("x")}, "unpack inventory.json.gz: "},
		{"another site inside", map[string]string{"site": "a", plainKey: `{"site": "b"}`}, nil, `it is of site "b", its ConfigMap of "a"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := decodeInventory(tt.data, tt.binary)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func FuzzDecodeObject(f *testing.F) {
	labels := map[string]string{fleet.SiteLabel: "s", fleet.LayerLabel: "l"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		it, err := decodeObject(raw)
		if err != nil {
			return
		}
		require.NotEmpty(t, it.object.Name)
		u, err := it.value(labels)
		if err != nil {
			return
		}
		sent, err := json.Marshal(u.Object)
		require.NoError(t, err)
		again, err := decodeObject(sent)
		require.NoError(t, err)
		require.Equal(t, it.object, again.object)
		same, err := again.value(labels)
		require.NoError(t, err)
		resent, err := json.Marshal(same.Object)
		require.NoError(t, err)
		require.JSONEq(t, string(sent), string(resent), "what is sent does not depend on how often it was read")
	})
}

func FuzzDecodeInventory(f *testing.F) {
	f.Fuzz(func(t *testing.T, plain string, packed []byte) {
		binary := map[string][]byte{packedKey: packed}
		if len(packed) == 0 {
			binary = nil
		}
		inv, err := decodeInventory(map[string]string{"site": "shop", plainKey: plain}, binary)
		if err != nil {
			return
		}
		data, binary, err := encodeInventory(inv)
		require.NoError(t, err)
		again, err := decodeInventory(data, binary)
		require.NoError(t, err)
		require.Equal(t, inv, again)
	})
}

func TestFuzzCorpora(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"FuzzDecodeObject", "FuzzDecodeInventory"} {
		seeds, err := os.ReadDir("testdata/fuzz/" + target)
		require.NoError(t, err)
		require.NotEmpty(t, seeds)
	}
}

func TestInventoryIsOneText(t *testing.T) {
	t.Parallel()
	data, binary, err := encodeInventory(reconciler.Inventory{Site: "shop", Revision: "abc"})
	require.NoError(t, err)
	require.Empty(t, binary)
	require.Equal(t, map[string]string{"site": "shop", plainKey: `{"site":"shop","revision":"abc","layers":null}`}, data)
}
