package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/render"
)

// TestWithControllers runs what needs the controllers of a control plane.
func TestWithControllers(t *testing.T) {
	t.Parallel()
	s := newStand(t, &apiServer{t: t, kubeconfig: embeddedtest.Start(t)})
	inGone := func(doc string) string { return strings.ReplaceAll(doc, "namespace: NS", "namespace: NS-gone") }
	layers := []render.Layer{
		s.layer(t, "space", "{apiVersion: v1, kind: Namespace, metadata: {name: NS-gone}}"),
		s.layer(t, "app", inGone(configMap("a", "x", "1")), inGone(strings.ReplaceAll(deployment("web"), "replicas: 1", "replicas: 0"))),
		s.layer(t, "more", inGone(configMap("b", "x", "1"))),
	}
	for _, l := range layers {
		s.mustApply(t, l)
	}
	began := time.Now()
	require.NoError(t, s.Wait(t.Context(), layers[1]))
	t.Logf("a Deployment without replicas is healthy after %s", time.Since(began))

	drifting, err := s.Watch(t.Context(), s.site, layers)
	require.NoError(t, err)
	never(t, drifting, 500*time.Millisecond)
	began = time.Now()
	require.NoError(t, s.other.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.site + "-gone"}}))
	repaired := func() bool {
		for _, l := range layers {
			if changes, err := s.Apply(t.Context(), s.site, l); err != nil || len(changes) > 0 {
				return false
			}
		}
		return true
	}
	deadline := time.After(3 * time.Minute)
	for quiet := false; !quiet; { // as the reconciler does, with nothing but what Watch says
		select {
		case found := <-drifting:
			for _, l := range layers {
				if l.Name == found.Layer {
					_, _ = s.Repair(t.Context(), s.site, l, found.Names()) // fails until the namespace is gone, and is sent again
				}
			}
		case <-time.After(6 * time.Second):
			quiet = true
		case <-deadline:
			require.FailNow(t, "the layers keep drifting")
		}
	}
	require.Eventually(t, repaired, time.Minute, 100*time.Millisecond, "a deleted namespace comes back with all in it")
	require.NoError(t, s.Wait(t.Context(), layers[1]))
	t.Logf("a deleted namespace is back after less than %s", time.Since(began))
}
