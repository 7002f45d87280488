package render_test

import (
	"encoding/json"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

func policyTree(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func TestPoliciesAreTheObjectsOfTheirFolder(t *testing.T) {
	t.Parallel()
	layer, origins, err := render.Policies(policyTree(map[string]string{
		"policies/b.yml":    "# why\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {x: \"${NOT_A_VARIABLE}\"}\n",
		"policies/a.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n",
		"policies/README":   "no object",
		"policies/x/y.yaml": "no object",
	}))
	require.NoError(t, err)
	require.Equal(t, "policies", layer.Name)
	require.Len(t, layer.Objects, 3)
	require.JSONEq(t, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}`, string(layer.Objects[0]))
	require.JSONEq(t, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "default"}, "data": {"x": "${NOT_A_VARIABLE}"}}`, string(layer.Objects[1]))
	at := origins.Of("v1", "Namespace", "", "ns")
	require.Equal(t, "policies/a.yaml", at.File)
	require.Equal(t, 5, at.Line)
}

func TestAFleetNeedsNoPolicies(t *testing.T) {
	t.Parallel()
	layer, _, err := render.Policies(policyTree(nil))
	require.NoError(t, err)
	require.Empty(t, layer.Objects)
}

func TestPoliciesThatAreRefused(t *testing.T) {
	t.Parallel()
	_, _, err := render.Policies(policyTree(map[string]string{
		"policies/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\n- 1\n",
		"policies/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\napiVersion: v1\nkind: ConfigMapList\nmetadata: {name: l}\n",
		"policies/c.yaml": "a: [\n",
	}))
	var got []string
	for _, p := range fleet.Problems(err) {
		got = append(got, p.Error())
		require.NotEmpty(t, p.Tip+p.Msg)
	}
	require.Len(t, got, 4, got)
	require.Equal(t, "policies/a.yaml:5: a document is not an object", got[0])
	require.Equal(t, "policies/b.yaml:1: ConfigMap default/b is there twice", got[1])
	require.Equal(t, "policies/b.yaml:5: ConfigMapList is a list", got[2])
	require.Contains(t, got[3], "policies/c.yaml")
}

func FuzzPolicies(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		tree := policyTree(map[string]string{"policies/a.yaml": text})
		layer, origins, err := render.Policies(tree)
		if err != nil {
			for _, p := range fleet.Problems(err) {
				require.Equal(t, "policies/a.yaml", p.File, "%v", err)
				require.NotEmpty(t, p.Msg)
			}
			return
		}
		for _, raw := range layer.Objects {
			var o struct {
				APIVersion, Kind string
				Metadata         struct{ Namespace, Name string }
			}
			require.NoError(t, json.Unmarshal(raw, &o))
			require.NotEmpty(t, o.Metadata.Name)
			require.Positive(t, origins.Of(o.APIVersion, o.Kind, o.Metadata.Namespace, o.Metadata.Name).Line)
		}
		again, _, err := render.Policies(tree)
		require.NoError(t, err)
		require.Equal(t, layer.Digest, again.Digest)
	})
}
