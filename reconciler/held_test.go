package reconciler_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

func TestABlockedLayerIsHeldAsItWasConfirmed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|first", "after": ", dependsOn: [base]|later", "more": ", dependsOn: [base]|next"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.failing["base"] = errors.New("no") })
	s.commit(s.layers(map[string]string{"base": "|first other", "after": ", dependsOn: [base]|later", "more": ", dependsOn: [base]|next another"}))
	s.until("fails", fails(reconciler.PhaseApply, "layer base (2 more wait for it): no"))
	require.Eventually(t, func() bool { return slices.Equal(s.cluster.holds(), []string{"after", "base"}) }, time.Minute, 5*time.Millisecond,
		"as it was confirmed is held; what would change is not")
}

func TestNothingIsRepairedThatTheInventoryDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|first", "same": "|second"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.saveFails = errors.New("etcd is full") })
	second := s.commit(s.layers(map[string]string{"base": "|first more", "same": "|second"}))
	s.until("fails", fails(reconciler.PhaseApply, "etcd is full"))
	require.Eventually(t, func() bool { return slices.Equal(s.cluster.holds(), []string{"same"}) }, time.Minute, 5*time.Millisecond)
	s.cluster.set(func(c *fakeCluster) { c.saveFails = nil })
	s.until("goes on", runs(second))
}

func TestWhatFinalizersHoldIsLookedAfter(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text old"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.finalizers = "held by example.com/stuck" })
	second := s.commit(s.layers(map[string]string{"base": "|text"}))
	st := s.until("holds", func(st reconciler.Status) bool { return runs(second)(st) && len(st.Held) == 1 })
	require.Equal(t, "held by example.com/stuck", st.Held[0].Why)
	s.cluster.set(func(c *fakeCluster) { c.finalizers = "" })
	s.until("has gone, without another look at every object", func(st reconciler.Status) bool { return runs(second)(st) && len(st.Held) == 0 })

	s.cluster.set(func(c *fakeCluster) { c.finalizers = "held by example.com/stuck" })
	third := s.commit(s.layers(map[string]string{"base": "|next"}))
	s.until("holds", func(st reconciler.Status) bool { return runs(third)(st) && len(st.Held) == 1 })
	s.cluster.set(func(c *fakeCluster) { c.unhealthy["base"] = true })
	s.commit(s.layers(map[string]string{"base": ", timeout: 1s|next newer"}))
	s.until("fails", fails(reconciler.PhaseApply, "not healthy"))
	s.cluster.set(func(c *fakeCluster) { clear(c.unhealthy); c.finalizers = "" })
	last := s.commit(s.layers(map[string]string{"base": "|next newest"}))
	s.until("has gone", func(st reconciler.Status) bool { return runs(last)(st) && len(st.Held) == 0 })
	require.NotContains(t, s.cluster.said(), "delete ConfigMap/next")
}

func TestWhatIsBeingDeletedIsNotHeldAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text space"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.finalizers = "held by example.com/stuck" })
	s.say("Let it go\n\nAllow-Prune: Namespace space", s.layers(map[string]string{"base": "|text"}))
	deleting := func(st reconciler.Status) bool {
		return len(st.Held) == 1 && st.Held[0].Why == "held by example.com/stuck"
	}
	s.until("is being deleted", deleting)

	second := s.commit(s.layers(map[string]string{"base": "|text more"})) // which says nothing of it
	st := s.until("goes on", runs(second))
	require.True(t, deleting(st), "it needs nobody's word any more: %+v", st.Held)
	s.cluster.set(func(c *fakeCluster) { c.finalizers = "" })
	s.until("has gone, without another commit", func(st reconciler.Status) bool { return runs(second)(st) && len(st.Held) == 0 })
}

func TestWhatWasDeletedByHandIsNotHeld(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text space"})
	s.start()
	s.until("runs", runs(first))
	s.commit(s.layers(map[string]string{"base": "|text"}))
	s.until("holds", func(st reconciler.Status) bool { return len(st.Held) == 1 })
	s.cluster.set(func(c *fakeCluster) { delete(c.objects, "Namespace/space") })
	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.until("holds it no longer", func(st reconciler.Status) bool { return runs(second)(st) && len(st.Held) == 0 })
	require.NotContains(t, s.cluster.said(), "delete Namespace/space")
	s.cluster.set(func(c *fakeCluster) { require.Len(t, c.inventory.Layers["base"], 2, "%v", c.inventory.Layers) })
}

func TestDriftIsRepairedBeforeTheConfirmation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	files := s.layers(map[string]string{"base": "|text"})
	files["profiles/shop/profile.yaml"] = strings.Replace(files["profiles/shop/profile.yaml"], "spec:\n", "spec:\n  confirm: 1h\n", 1)
	s.begin(map[string]string{"base": "|text"})
	s.commit(files)
	s.start()
	s.until("waits for its confirmation", func(st reconciler.Status) bool { return st.Phase == reconciler.PhaseConfirm })
	s.cluster.set(func(c *fakeCluster) { delete(c.objects, "ConfigMap/text") })
	s.cluster.drift <- reconciler.Drift{Layer: "base"}
	st := s.until("repairs", func(st reconciler.Status) bool { return st.Repairs > 0 })
	require.True(t, s.cluster.has("ConfigMap/text"))
	require.Nil(t, st.Confirmed)
}

func TestAWebhookThatIsToGoDoesNotRefuseItsOwnEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text old", "hook": "|guard page"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.guarded = "base" })
	s.commit(s.layers(map[string]string{"base": "|text more", "hook": "|guard page"}))
	s.until("is refused", fails(reconciler.PhaseApply, "the webhook says no"))
	require.True(t, s.cluster.has("ValidatingWebhookConfiguration/guard"), "the fleet wants it")

	s.cluster.set(func(c *fakeCluster) { c.history = nil })
	last := s.commit(s.layers(map[string]string{"base": "|text more", "hook": "|page"}))
	s.until("goes on", runs(last))
	said := s.cluster.said()
	guard, applied, old := slices.Index(said, "delete ValidatingWebhookConfiguration/guard"), slices.Index(said, "apply base"), slices.Index(said, "delete ConfigMap/old")
	require.True(t, guard >= 0 && guard < applied && applied < old, "all else goes only when it is confirmed: %q", said)
}

func TestAWebhookWhoseLayerIsGoneIsHeldThoughItRefuses(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text", "hook": "|guard"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.guarded = "base" })
	files := s.layers(map[string]string{"base": "|text more"})
	s.commit(files)
	st := s.until("says what keeps it", func(st reconciler.Status) bool {
		return fails(reconciler.PhaseApply, "the webhook says no")(st) && len(st.Held) > 0
	})
	require.Equal(t, "ValidatingWebhookConfiguration guard", st.Held[0].String())
	require.Equal(t, `commit with the trailer "Allow-Prune: layer hook"`, st.Held[0].Do)
	require.True(t, s.cluster.has("ValidatingWebhookConfiguration/guard"))

	last := s.say("Let it go\n\nAllow-Prune: layer hook", files)
	s.until("goes on", runs(last))
	require.False(t, s.cluster.has("ValidatingWebhookConfiguration/guard"))
}

// What is waited for is watched for drift meanwhile, so a watch tells of a wait.
func TestABadLayerIsPutBackWithoutAWait(t *testing.T) {
	t.Parallel()
	s, _, _ := putBack(t)
	s.cluster.set(func(c *fakeCluster) {
		found := slices.Index(c.history, "wait worse")
		require.Equal(t, "apply base", c.history[found+1], "%q", c.history)
		require.NotContains(t, c.watchedAt, found+1, "it waited before it put the layer back")
		require.NotEmpty(t, c.watchedAt)
	})
}
