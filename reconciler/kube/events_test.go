package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

func testEvents(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "l", configMap("a")))
	e := reconciler.Event{Object: s.configMapName("a"), Warning: true, Reason: "DriftRepaired", Message: "somebody changed .data.x"}
	s.Event(e)
	var told []eventsv1.Event
	within(t, "the event is there", func() bool {
		var list eventsv1.EventList
		require.NoError(t, s.other.List(t.Context(), &list, client.InNamespace(s.site)))
		told = list.Items
		return len(told) == 1
	})
	require.Equal(t, s.live(t, "v1", "ConfigMap", "a").GetUID(), told[0].Regarding.UID)
	require.Equal(t, []string{"Warning", "DriftRepaired", "somebody changed .data.x"}, []string{told[0].Type, told[0].Reason, told[0].Note})

	s.events.mu.Lock()
	s.events.sent[e].told = time.Now().Add(-eventRepeat)
	s.events.mu.Unlock()
	s.Event(e)
	within(t, "a repeated event is counted", func() bool {
		require.NoError(t, s.other.Get(t.Context(), client.ObjectKeyFromObject(&told[0]), &told[0]))
		return told[0].Series != nil && told[0].Series.Count == 2
	})
	asked := &asked{next: s.http.Transport}
	s.http.Transport = asked
	s.Event(reconciler.Event{Object: s.configMapName("a"), Reason: "Applied", Message: "created"})
	within(t, "what was just applied is told", func() bool {
		var list eventsv1.EventList
		require.NoError(t, s.other.List(t.Context(), &list, client.InNamespace(s.site)))
		told = list.Items
		return len(told) == 2
	})
	for _, event := range told {
		require.Equal(t, s.live(t, "v1", "ConfigMap", "a").GetUID(), event.Regarding.UID)
	}
	require.EqualValues(t, 1, asked.times.Load(), "nothing was read for it")
	s.Event(reconciler.Event{Object: reconciler.Object{Version: "v1", Kind: "Namespace", Name: s.site}, Reason: "Held", Message: "on a cluster-wide object"})
	within(t, "the event is there", func() bool {
		var list eventsv1.EventList
		require.NoError(t, s.other.List(t.Context(), &list, client.InNamespace("default"), client.MatchingFields{"regarding.name": s.site}))
		return len(list.Items) == 1
	})
}

func TestEventsAreFew(t *testing.T) {
	t.Parallel()
	q := newEvents()
	now := time.Now()
	starts, taken := 0, 0
	for n := range 1000 {
		if q.take(reconciler.Event{Warning: true, Reason: "ApplyFailed", Message: string(rune(n))}, now) {
			starts++
		}
	}
	for _, _, ok := q.next(); ok; _, _, ok = q.next() {
		taken++
	}
	require.Equal(t, 1, starts, "one goroutine sends them")
	require.Equal(t, eventBurst, taken)
	require.False(t, q.take(reconciler.Event{Warning: true}, now), "it is too much")
	require.True(t, q.take(reconciler.Event{Warning: true}, now.Add(eventEvery)))
}

func TestAThousandAppliedObjectsLeaveRoomForAWarning(t *testing.T) {
	t.Parallel()
	q := newEvents()
	now := time.Now()
	for n := range 1000 {
		q.take(reconciler.Event{Reason: "Applied", Message: string(rune(n))}, now)
	}
	require.Len(t, q.waiting, eventBurst/2)
	q.take(reconciler.Event{Warning: true, Reason: "RolledBack"}, now)
	require.Equal(t, "RolledBack", q.waiting[len(q.waiting)-1].Reason)
}

func TestEventsWaitWhileALayerIsApplied(t *testing.T) {
	t.Parallel()
	q := newEvents()
	now := time.Now()
	q.hold()
	q.hold()
	require.False(t, q.take(reconciler.Event{Reason: "Applied", Message: "a"}, now))
	require.False(t, q.release(), "another layer is still applied")
	require.True(t, q.release(), "now it is sent")
	q.hold()
	_, _, ok := q.next()
	require.False(t, ok, "what is left waits for the next layer")
	require.True(t, q.release())
	e, _, ok := q.next()
	require.True(t, ok)
	require.Equal(t, "a", e.Message)
	_, _, ok = q.next()
	require.False(t, ok)
}
