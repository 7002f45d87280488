package kube

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// next is the layer of which Watch sends drift within the time.
func next(t testing.TB, drifting <-chan reconciler.Drift, d time.Duration) string {
	t.Helper()
	return nextDrift(t, drifting, d).Layer
}

func nextDrift(t testing.TB, drifting <-chan reconciler.Drift, d time.Duration) reconciler.Drift {
	t.Helper()
	select {
	case found := <-drifting:
		return found
	case <-time.After(d):
		require.FailNow(t, "no drift was seen", "within %s", d)
		return reconciler.Drift{}
	}
}

// never fails if Watch sends something within the time.
func never(t testing.TB, drifting <-chan reconciler.Drift, d time.Duration) {
	t.Helper()
	select {
	case found, open := <-drifting:
		require.FailNow(t, "drift was seen", "%+v, open %t", found, open)
	case <-time.After(d):
	}
}

func testDrift(t *testing.T, s *stand) {
	layers := []render.Layer{
		s.layer(t, "one", configMap("a", "x", "1"), deployment("web")),
		s.layer(t, "two", configMap("b", "x", "1")),
		s.layer(t, "three", configMap("c", "x", "1")),
		s.layer(t, "four", configMap("d", "x", "1")),
	}
	for _, l := range layers {
		s.mustApply(t, l)
	}
	drifting, err := s.Watch(t.Context(), s.site, layers)
	require.NoError(t, err)
	never(t, drifting, 700*time.Millisecond)

	began := time.Now()
	s.edit(t, "a", "somebody", "x", "2")
	require.Equal(t, "one", next(t, drifting, time.Second))
	t.Logf("an edit is seen after %s", time.Since(began))
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, layers[0]))

	began = time.Now()
	require.NoError(t, s.other.Delete(t.Context(), s.live(t, "v1", "ConfigMap", "b")))
	require.Equal(t, "two", next(t, drifting, time.Second))
	t.Logf("a deletion is seen after %s", time.Since(began))
	require.Equal(t, []string{"created ConfigMap b"}, s.mustApply(t, layers[1]))

	s.edit(t, "c", "kubectl-edit", "added", "by hand")
	require.Equal(t, "three", next(t, drifting, time.Second))
	s.mustApply(t, layers[2])

	d := s.live(t, "v1", "ConfigMap", "d")
	d.SetLabels(map[string]string{SiteLabel: "elsewhere"})
	require.NoError(t, s.other.Update(t.Context(), d))
	require.Equal(t, "four", next(t, drifting, time.Second), "an object without our label is out of sight, not forgotten")
	s.mustApply(t, layers[3])
	never(t, drifting, 1500*time.Millisecond)

	s.edit(t, "a", "somebody", "x", "3")
	require.Equal(t, "one", next(t, drifting, 2*time.Second))
	require.Equal(t, "one", next(t, drifting, 5*time.Second), "what is not repaired is sent again")
}

func testNoDrift(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a", "x", "1"), strings.ReplaceAll(deployment("web"), "replicas: 1,", ""))
	s.mustApply(t, l)
	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{l})
	require.NoError(t, err)

	s.edit(t, "a", "an-operator", "more", "of its own")
	web := s.live(t, "apps/v1", "Deployment", "web")
	require.NoError(t, unstructured.SetNestedField(web.Object, int64(7), "spec", "replicas"))
	require.NoError(t, s.other.Update(t.Context(), web, client.FieldOwner("autoscaler")))
	require.NoError(t, unstructured.SetNestedField(web.Object, int64(7), "status", "replicas"))
	require.NoError(t, s.other.Status().Update(t.Context(), web))
	l2 := s.layer(t, "l", configMap("a", "x", "2"), strings.ReplaceAll(deployment("web"), "replicas: 1,", "paused: true,"))
	s.mustApply(t, l2) // our own writes are no drift either
	_, err = s.Delete(t.Context(), s.site, nil)
	require.NoError(t, err)
	never(t, drifting, 1500*time.Millisecond)
}

func testLateDefinition(t *testing.T, s *stand) {
	crs := s.layer(t, "crs", custom("v1", "Lamp", "a", "{size: 1}"))
	crds := s.layer(t, "crds", lamps("v1"))
	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{crds, crs})
	require.NoError(t, err)
	require.Equal(t, "crds", next(t, drifting, 5*time.Second), "what was never applied may differ")
	s.mustApply(t, crds)
	s.mustApply(t, crs)
	require.NoError(t, s.other.Delete(t.Context(), s.live(t, s.site+".example.com/v1", "Lamp", "a")))
	require.Equal(t, "crs", next(t, drifting, 5*time.Second))
}

// TestWatchThroughRestart also checks that nothing of Watch is left when its context ends.
func TestWatchThroughRestart(t *testing.T) {
	server := startAPIServer(t)
	s := newStand(t, server)
	s.eyes.linger = 0
	l := s.layer(t, "l", configMap("a", "x", "1"))
	s.mustApply(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	drifting, err := s.Watch(ctx, s.site, []render.Layer{l})
	require.NoError(t, err)
	never(t, drifting, 500*time.Millisecond)

	server.stop()
	server.start()
	within(t, 20*time.Second, "the object is edited", func() bool {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("v1")
		u.SetKind("ConfigMap")
		if s.other.Get(t.Context(), client.ObjectKey{Namespace: s.site, Name: "a"}, u) != nil {
			return false
		}
		return unstructured.SetNestedField(u.Object, "2", "data", "x") == nil && s.other.Update(t.Context(), u) == nil
	})
	began := time.Now()
	require.Equal(t, "l", next(t, drifting, 20*time.Second))
	t.Logf("drift after a restart of the API server is seen after %s", time.Since(began))
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, l))

	cancel()
	for range drifting { // until it is closed
	}
	within(t, 5*time.Second, "no goroutine of a watch is left", func() bool {
		stacks := make([]byte, 4<<20)
		all := string(stacks[:runtime.Stack(stacks, true)])
		return !strings.Contains(all, "kindWatch") && !strings.Contains(all, "Reflector") && !strings.Contains(all, ").report(")
	})
}

func testVerify(t *testing.T, s *stand) {
	layers := []render.Layer{
		s.layer(t, "one", configMap("a", "x", "1"), configMap("b", "x", "1")),
		s.layer(t, "two", configMap("c", "x", "1"), custom("v1", "Nothing", "none", "{}")),
	}
	s.mustApply(t, layers[0])
	s.mustApply(t, s.layer(t, "two", configMap("c", "x", "1")))
	s.edit(t, "b", "somebody", "x", "2")
	require.NoError(t, s.other.Delete(t.Context(), s.live(t, "v1", "ConfigMap", "c")))
	found, err := s.Verify(t.Context(), s.site, layers)
	require.NoError(t, err)
	slices.SortFunc(found, func(a, b reconciler.Drift) int { return strings.Compare(a.Layer, b.Layer) })
	require.Equal(t, []reconciler.Drift{
		{Layer: "one", Objects: []reconciler.Drifted{{Object: s.configMapName("b"), By: "somebody", Fields: []string{".data.x"}}}},
		{Layer: "two", Objects: []reconciler.Drifted{{Object: s.configMapName("c"), Gone: true}, {Object: reconciler.Object{
			Group: s.site + ".example.com", Version: "v1", Kind: "Nothing", Namespace: s.site, Name: "none"}, Gone: true}}},
	}, found)
}
