package kube

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

func testExamine(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a", "x", "1", "z", "1"), deployment("web"))
	l.Ignore = []fleet.Ignore{{Kind: "ConfigMap", Fields: []string{"/data/z", "/metadata/annotations/a~1b"}}}
	missing, err := s.Examine(t.Context(), l, s.configMapName("a"))
	require.NoError(t, err)
	require.Equal(t, "NotFound", missing.Status)
	s.mustApply(t, l)

	well, err := s.Examine(t.Context(), l, s.configMapName("a"))
	require.NoError(t, err)
	require.True(t, well.Healthy())
	require.Empty(t, well.Why)
	require.Empty(t, well.Others)
	require.Equal(t, []string{"/data/z", "/metadata/annotations/a~1b"}, well.Ignored)
	require.False(t, well.Made.IsZero())

	s.edit(t, "a", "rival", "x", "2")
	s.edit(t, "a", "neighbour", "its-own", "1")
	fought, err := s.Examine(t.Context(), l, s.configMapName("a"))
	require.NoError(t, err)
	require.Len(t, fought.Others, 2)
	for _, m := range fought.Others {
		switch m.Name {
		case "rival":
			require.Equal(t, []string{".data.x"}, m.Took)
		default:
			require.Equal(t, "neighbour", m.Name)
			require.Empty(t, m.Took)
			require.Equal(t, 1, m.Other)
		}
	}

	sick, err := s.Examine(t.Context(), l, reconciler.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: s.site, Name: "web"})
	require.NoError(t, err)
	require.Equal(t, "InProgress", sick.Status, "no controller makes its pods")
	require.NotEmpty(t, sick.Why)
	_, err = s.Examine(t.Context(), l, s.configMapName("none"))
	require.ErrorContains(t, err, "layer l has no ConfigMap")
}
