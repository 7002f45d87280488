package reconciler_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

func (s *stage) order(o orders.Order) {
	s.t.Helper()
	o.At = time.Now()
	require.NoError(s.t, orders.In(s.dir).Give(o))
}

func (s *stage) resume(layer string) {
	s.t.Helper()
	was, err := orders.In(s.dir).Remove(orders.Pause, layer)
	require.NoError(s.t, err)
	require.True(s.t, was)
}

func TestAPausedHostChangesNothingUntilItIsResumed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))

	s.order(orders.Order{Verb: orders.Pause, For: time.Hour, Reason: "stocktaking"})
	st := s.until("is paused", func(st reconciler.Status) bool { return len(st.Paused) == 1 })
	require.Equal(t, "stocktaking", st.Paused[0].Reason)
	said := len(s.cluster.said())
	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.until("verifies all the same", func(st reconciler.Status) bool { return st.Accepted.Revision == second })
	s.end()
	s.start()
	s.until("knows it after a restart", func(st reconciler.Status) bool { return len(st.Paused) == 1 })
	require.Len(t, s.cluster.said(), said, "nothing may be touched")

	s.resume("")
	st = s.until("goes on", runs(second))
	require.Empty(t, st.Paused)
}

func TestAPauseEndsByItself(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.order(orders.Order{Verb: orders.Pause, For: 2 * time.Second})
	s.start()
	s.until("is paused", func(st reconciler.Status) bool { return len(st.Paused) == 1 })
	s.until("goes on", runs(first))
	list, err := orders.In(s.dir).List()
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestAPausedLayerIsLeftAloneAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text", "alone": "|other", "after": ", dependsOn: [base]|page"})
	s.start()
	s.until("runs", runs(first))

	s.order(orders.Order{Verb: orders.Pause, Layer: "base", For: time.Hour})
	s.until("is paused", func(st reconciler.Status) bool {
		return st.Settled && slices.ContainsFunc(st.Layers, func(l reconciler.LayerStatus) bool { return l.Name == "base" && l.State == reconciler.LayerPaused })
	})
	s.cluster.set(func(c *fakeCluster) { delete(c.objects, "ConfigMap/text") }) // as a person may wish
	second := s.commit(s.layers(map[string]string{"base": "|text more", "alone": "|other fine", "after": ", dependsOn: [base]|page next"}))
	st := s.until("says what stays", fails(reconciler.PhaseConfirm, "layer base stays as last confirmed: paused by a person"))
	require.Equal(t, first, st.Confirmed.Revision)
	require.True(t, s.cluster.has("ConfigMap/fine"), "other layers go on")
	require.False(t, s.cluster.has("ConfigMap/next"), "what depends on it stays too")
	require.False(t, s.cluster.has("ConfigMap/text"), "nothing of the layer is touched")

	s.resume("base")
	s.until("goes on", runs(second))
	require.True(t, s.cluster.has("ConfigMap/text"))
	require.True(t, s.cluster.has("ConfigMap/more"))
}

// putBack is a stage where the layer of the newest commit was bad, and was put back.
func putBack(t *testing.T) (s *stage, bad string, st reconciler.Status) {
	t.Helper()
	s = newStage(t)
	first := s.begin(map[string]string{"base": ", timeout: 1s|text"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "ConfigMap/worse" })
	bad = s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text worse"}))
	return s, bad, s.until("rolls back", fails(reconciler.PhaseConfirm, "layer base stays as last confirmed"))
}

func TestABadLayerIsRememberedUntilAPersonSaysRetry(t *testing.T) {
	t.Parallel()
	s, second, st := putBack(t)
	require.Len(t, st.Verdicts, 1)
	require.Equal(t, second, st.Verdicts[0].Revision)
	s.end()

	tries := func() (n int) {
		for _, call := range s.cluster.said() {
			if call == "wait worse" {
				n++
			}
		}
		return n
	}
	before := tries()
	s.start()
	s.until("still rolled back", func(st reconciler.Status) bool {
		return st.Accepted != nil && st.Accepted.Revision == second && fails(reconciler.PhaseConfirm, "layer base stays")(st)
	})
	require.Equal(t, before, tries(), "a bad layer is not tried again after a restart")

	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "" })
	s.order(orders.Order{Verb: orders.Retry, Layer: "base"})
	st = s.until("is tried again", runs(second))
	require.Empty(t, st.Verdicts)
	list, err := orders.In(s.dir).List()
	require.NoError(t, err)
	require.Empty(t, list, "an order is carried out once")
}

func TestARollbackNeedsNoSource(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": ", timeout: 2s|text"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "ConfigMap/worse" })
	s.commit(s.layers(map[string]string{"base": ", timeout: 2s|text worse"}))
	s.until("waits for health", func(st reconciler.Status) bool { return s.cluster.has("ConfigMap/worse") })
	s.end() // as by a power cut, in the middle
	s.sources = nil
	s.url = "http://127.0.0.1:1/nobody"
	s.start()
	st := s.until("rolls back", fails(reconciler.PhaseConfirm, "layer base stays as last confirmed"))
	require.Equal(t, first, st.Confirmed.Revision)
	require.Len(t, st.Verdicts, 1)
}

func TestASyncAsksTheSourcesAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.interval = time.Hour
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.order(orders.Order{Verb: orders.Sync})
	s.until("runs", runs(second))
}
