package kube

import (
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// next is the layer of which Watch sends drift next.
func next(t testing.TB, drifting <-chan reconciler.Drift) string {
	t.Helper()
	return nextDrift(t, drifting).Layer
}

func nextDrift(t testing.TB, drifting <-chan reconciler.Drift) reconciler.Drift {
	t.Helper()
	select {
	case found := <-drifting:
		return found
	case <-time.After(time.Minute):
		require.FailNow(t, "no drift was seen")
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
	require.Equal(t, "one", next(t, drifting))
	t.Logf("an edit is seen after %s", time.Since(began))
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, layers[0]))

	began = time.Now()
	require.NoError(t, s.other.Delete(t.Context(), s.live(t, "v1", "ConfigMap", "b")))
	require.Equal(t, "two", next(t, drifting))
	t.Logf("a deletion is seen after %s", time.Since(began))
	require.Equal(t, []string{"created ConfigMap b"}, s.mustApply(t, layers[1]))

	s.edit(t, "c", "kubectl-edit", "added", "by hand")
	require.Equal(t, "three", next(t, drifting))
	s.mustApply(t, layers[2])

	d := s.live(t, "v1", "ConfigMap", "d")
	d.SetLabels(map[string]string{fleet.SiteLabel: "elsewhere"})
	require.NoError(t, s.other.Update(t.Context(), d))
	require.Equal(t, "four", next(t, drifting), "an object without our label is out of sight, not forgotten")
	s.mustApply(t, layers[3])
	never(t, drifting, 1500*time.Millisecond)

	s.edit(t, "a", "somebody", "x", "3")
	require.Equal(t, "one", next(t, drifting))
	require.Equal(t, "one", next(t, drifting), "what is not repaired is sent again")
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
	require.Equal(t, "crds", next(t, drifting), "what was never applied may differ")
	s.mustApply(t, crds)
	s.mustApply(t, crs)
	require.NoError(t, s.other.Delete(t.Context(), s.live(t, s.site+".example.com/v1", "Lamp", "a")))
	require.Equal(t, "crs", next(t, drifting))
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
	var drifting <-chan reconciler.Drift
	pprof.Do(ctx, pprof.Labels("site", s.site), func(ctx context.Context) { // inherited by each goroutine that Watch starts
		var err error
		drifting, err = s.Watch(ctx, s.site, []render.Layer{l})
		require.NoError(t, err)
	})
	require.NotEmpty(t, watching(t, s.site))
	never(t, drifting, 500*time.Millisecond)

	a := keyOf(s.configMapName("a"))
	require.Equal(t, there, s.eyes.certain(a).state)
	server.stop()
	within(t, "nothing is certain without a stream", func() bool { return s.eyes.certain(a).state == unseen })
	require.Equal(t, there, s.eyes.look(a).state)
	server.start()
	within(t, "the object is edited", func() bool {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("v1")
		u.SetKind("ConfigMap")
		if s.other.Get(t.Context(), client.ObjectKey{Namespace: s.site, Name: "a"}, u) != nil {
			return false
		}
		return unstructured.SetNestedField(u.Object, "2", "data", "x") == nil && s.other.Update(t.Context(), u) == nil
	})
	began := time.Now()
	require.Equal(t, "l", next(t, drifting))
	t.Logf("drift after a restart of the API server is seen after %s", time.Since(began))
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, l))

	cancel()
	for range drifting { // until it is closed
	}
	within(t, "no goroutine of the watch is left", func() bool { return len(watching(t, s.site)) == 0 })
}

// watching returns the stacks of goroutines that a Watch labelled with the site has
// started, without those of connections that are kept open for later requests.
func watching(t testing.TB, site string) (stacks []string) {
	t.Helper()
	var all strings.Builder
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&all, 1))
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		ours := strings.Contains(stack, "/reconciler/kube.") || strings.Contains(stack, "/client-go/")
		if ours && strings.Contains(stack, fmt.Sprintf("%q:%q", "site", site)) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
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

func testFight(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a", "x", "1"), configMap("b", "x", "1"))
	s.mustApply(t, l)
	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{l})
	require.NoError(t, err)
	s.edit(t, "a", "a-rival", "x", "2")
	found := nextDrift(t, drifting)
	require.Equal(t, []reconciler.Drifted{{Object: s.configMapName("a"), By: "a-rival", Fields: []string{".data.x"}}}, found.Objects)
	began := time.Now()
	for n := 2; n <= fighting; n++ {
		_, err := s.Repair(t.Context(), s.site, l, found.Names())
		require.NoError(t, err)
		s.edit(t, "a", "a-rival", "x", "2")
		found = nextDrift(t, drifting)
	}
	require.Greater(t, time.Since(began), 5*time.Second, "the pauses grow")
	require.Equal(t, "a-rival changes .data.x back again and again (5 times); it is repaired after 16s", found.Objects[0].Fight)
	s.edit(t, "b", "somebody", "x", "2")
	require.Equal(t, s.configMapName("b"), nextDrift(t, drifting).Objects[0].Object, "others do not wait for it")
}
