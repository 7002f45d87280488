package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

const many = 5000 // objects of one layer

// largeLayer has ConfigMaps alone.
func (s *stand) largeLayer(t testing.TB) (layer render.Layer, objects []reconciler.Object) {
	t.Helper()
	docs := make([]string, many)
	for n := range docs {
		name := fmt.Sprintf("one-of-many-%04d", n)
		docs[n] = configMap(name, "value", "1")
		objects = append(objects, s.configMapName(name))
	}
	layer = s.layer(t, "large", docs...)
	layer.Digest = "sha256:large"
	return layer, objects
}

// BenchmarkLargeLayer measures one layer of 5,000 ConfigMaps: applied, looked at
// as a whole, applied again, and pruned. The floor of the first is a bare server-side
// apply of equal objects.
func BenchmarkLargeLayer(b *testing.B) {
	server := startAPIServer(b)
	warm(b, server)
	for n := range b.N {
		ms := func(unit string, do func()) {
			began := time.Now()
			do()
			b.ReportMetric(float64(time.Since(began).Milliseconds()), unit)
		}
		bare := &stand{site: fmt.Sprintf("bare-large-%d", n)}
		same, _ := bare.largeLayer(b)
		b.ReportMetric(float64(bareApplyOf(b, server, bare.site, []render.Layer{same}).Milliseconds()), "5000-bare-ms")
		s := newBench(b, server, fmt.Sprintf("large-%d", n))
		layer, objects := s.largeLayer(b)
		ms("5000-ours-ms", func() { require.Len(b, s.mustApply(b, layer), many) })
		ms("5000-verify-ms", func() { s.verified(b, layer, 0) })
		cpu := cpuTime(b)
		ms("5000-unchanged-ms", func() { require.Empty(b, s.mustApply(b, layer)) })
		b.ReportMetric(float64((cpuTime(b) - cpu).Milliseconds()), "5000-unchanged-cpu-ms")
		ms("5000-prune-ms", func() { s.pruned(b, objects) })
	}
	b.ReportMetric(0, "ns/op")
}

// verified looks at all of a layer, of which so many objects differ.
func (s *stand) verified(t testing.TB, layer render.Layer, differ int) {
	t.Helper()
	found, err := s.Verify(t.Context(), s.site, []render.Layer{layer})
	require.NoError(t, err)
	objects := 0
	for _, d := range found {
		objects += len(d.Objects)
	}
	require.Equal(t, differ, objects)
}

func (s *stand) pruned(t testing.TB, objects []reconciler.Object) {
	t.Helper()
	changes, err := s.Delete(t.Context(), s.site, objects)
	require.NoError(t, err)
	require.Len(t, changes, len(objects))
	for _, c := range changes {
		require.Equal(t, reconciler.Deleted, c.Action, c.Object)
	}
}

func testLargeLayer(t *testing.T, s *stand) {
	layer, objects := s.largeLayer(t)
	require.Len(t, s.mustApply(t, layer), many)
	s.edit(t, "one-of-many-2500", "somebody", "value", "2")
	s.verified(t, layer, 1)
	require.Equal(t, []string{"updated ConfigMap one-of-many-2500"}, s.mustApply(t, layer))
	s.verified(t, layer, 0)
	s.pruned(t, objects)
	s.verified(t, layer, many)
}
