package kube

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// unhealthy waits for a layer until it is not healthy for the reason that is
// wanted: before that it may be that nothing was looked at yet.
func (s *stand) unhealthy(t *testing.T, l render.Layer, want string) (err error) {
	t.Helper()
	for d := 300 * time.Millisecond; d < time.Minute; d *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		err = s.Wait(ctx, l)
		cancel()
		if err != nil && strings.Contains(err.Error(), want) {
			return err
		}
	}
	require.ErrorContains(t, err, want)
	return err
}

func testExpressions(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "crds", strings.ReplaceAll(lamps("v1"), "properties: {spec:", "x-kubernetes-preserve-unknown-fields: true, properties: {spec:")))
	l := s.layer(t, "l", custom("v1", "Lamp", "a", "{size: 1}"), custom("v1", "Lamp", "dark", "{size: 1}"))
	l.Health = []fleet.Health{
		{APIVersion: s.site + ".example.com/v1", Kind: "Lamp", Ready: `object.status.phase == "Lit"`, Failed: `object.status.phase == "Broken"`},
		{APIVersion: s.site + ".example.com/v1", Kind: "Lamp", Name: "dark", Ready: `!has(object.status)`},
	}
	s.mustApply(t, l)
	looks := make(chan []reconciler.Unhealthy, 100)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	require.Error(t, s.Wait(reconciler.WithLooks(ctx, func(left []reconciler.Unhealthy) { looks <- left; cancel() }), l))
	cancel()
	require.NotEmpty(t, looks, "who asks is told at each look")
	require.Equal(t, "a", (<-looks)[0].Object.Name)
	s.unhealthy(t, l, "layer l is not ready: Lamp "+s.site+`/a is InProgress: it is not ready: object.status.phase == "Lit": no such key: status`)

	status := func(values map[string]any) {
		lamp := s.live(t, s.site+".example.com/v1", "Lamp", "a")
		lamp.Object["status"] = values
		require.NoError(t, s.other.Update(t.Context(), lamp))
	}
	status(map[string]any{"phase": "Lit", "observedGeneration": int64(99)})
	s.unhealthy(t, l, "its status is of generation 99, and it is at ")
	status(map[string]any{"phase": "Broken", "conditions": []any{map[string]any{"type": "Wired", "status": "False", "reason": "Loose", "message": "a wire is loose"}}})
	require.ErrorContains(t, s.Wait(t.Context(), l), `Lamp `+s.site+`/a is Failed: it failed: object.status.phase == "Broken"; Wired is False: Loose: a wire is loose`)
	require.NoError(t, t.Context().Err(), "what failed for good is not waited for")
	status(map[string]any{"phase": "Lit"})
	require.NoError(t, s.Wait(t.Context(), l))
}

func testProbes(t *testing.T, s *stand) {
	answer := http.StatusServiceUnavailable
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		w.WriteHeader(answer)
		_, _ = w.Write([]byte("the till is closed"))
	}))
	defer web.Close()
	nobody := net.JoinHostPort("127.0.0.1", strconv.Itoa(embeddedtest.Ports(t, 1)[0]))

	l := s.layer(t, "l", configMap("a"))
	s.mustApply(t, l)
	l.Probes = []fleet.Probe{{HTTP: web.URL + "/"}, {TCP: strings.TrimPrefix(web.URL, "http://")}, {TCP: nobody}, {HTTP: web.URL + "/elsewhere", Status: 302}}
	err := s.unhealthy(t, l, "layer l is not ready: probe "+web.URL+"/: it answers 503 Service Unavailable: the till is closed; "+
		"probe "+nobody+": dial tcp "+nobody+": connect: connection refused")
	var unhealthy *reconciler.UnhealthyError
	require.ErrorAs(t, err, &unhealthy)
	require.Len(t, unhealthy.Probes, 2)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	answer = http.StatusOK
	l.Probes = l.Probes[:2]
	require.NoError(t, s.Wait(t.Context(), l))

	// Before its rules are there, a Service may lead to where it led before.
	var asked atomic.Int32
	stale := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n := asked.Add(1); n == 2 || n == 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer stale.Close()
	l.Probes = []fleet.Probe{{HTTP: stale.URL}}
	require.NoError(t, s.Wait(t.Context(), l))
	require.EqualValues(t, 3+4, asked.Load(), "a probe counts once it succeeded four times in a row")
}

func testJobRuns(t *testing.T, s *stand) {
	l := s.layer(t, "l", job("j", "1"))
	s.mustApply(t, l)
	live := s.live(t, "batch/v1", "Job", "j")
	now := metav1.Now().UTC().Format(time.RFC3339)
	require.NoError(t, unstructured.SetNestedMap(live.Object, map[string]any{"startTime": now, "active": int64(1)}, "status"))
	require.NoError(t, s.other.Status().Update(t.Context(), live))
	s.unhealthy(t, l, "Job "+s.site+"/j is InProgress: Job in progress. success:0, active: 1, failed: 0")
	require.NoError(t, unstructured.SetNestedMap(live.Object, map[string]any{"startTime": now, "completionTime": now, "succeeded": int64(1), "conditions": []any{
		map[string]any{"type": "SuccessCriteriaMet", "status": "True"}, map[string]any{"type": "Complete", "status": "True"}}}, "status"))
	require.NoError(t, s.other.Status().Update(t.Context(), live))
	require.NoError(t, s.Wait(t.Context(), l))
}

func testFleeting(t *testing.T, s *stand) {
	l := s.layer(t, "l", strings.ReplaceAll(job("j", "1"), "spec: {template", "spec: {ttlSecondsAfterFinished: 60, template"))
	s.mustApply(t, l)
	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{l})
	require.NoError(t, err)
	never(t, drifting, 300*time.Millisecond)
	live := s.live(t, "batch/v1", "Job", "j")
	require.NoError(t, s.other.Delete(t.Context(), live, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	never(t, drifting, 500*time.Millisecond)
	require.NoError(t, s.Wait(t.Context(), l), "it has done its work")
}
