package reconciler_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// say commits files with a message.
func (s *stage) say(message string, files map[string]string) string {
	return s.repo.Commit(gitsourcetest.Commit{By: s.key, Message: message, Files: files})
}

func TestWhatIsHeldGoesOnceACommitNamesIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|space text", "extra": "|page"})
	s.start()
	s.until("runs", runs(first))

	second := s.commit(s.layers(map[string]string{"base": "|text"}))
	st := s.until("runs", runs(second))
	require.Len(t, st.Held, 2, "a Namespace, and a lost layer")
	require.True(t, s.cluster.has("Namespace/space"))
	require.True(t, s.cluster.has("ConfigMap/page"))

	s.end()
	third := s.say("Let the space go\n\nAllow-Prune: Namespace space\n", map[string]string{"README": "third"})
	fourth := s.commit(map[string]string{"README": "came before the host saw the one that allows it"})
	s.start()
	st = s.until("runs", runs(fourth))
	require.NotEqual(t, third, st.Confirmed.Revision)
	require.False(t, s.cluster.has("Namespace/space"), "what a commit on the way allowed is deleted")
	require.True(t, s.cluster.has("ConfigMap/page"), "nothing else is")
	require.Len(t, st.Held, 1)

	site := object("Site", "store", "spec:\n  profile: shop\n  prune:\n    allow: [layer extra]\n")
	fifth := s.commit(map[string]string{"sites/store/site.yaml": site})
	st = s.until("runs", runs(fifth))
	require.False(t, s.cluster.has("ConfigMap/page"), "what the site allows is deleted")
	require.Empty(t, st.Held)
}

func TestWhatMovesToAnotherLayerIsNotDeleted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text page", "extra": "|other"})
	s.start()
	s.until("runs", runs(first))
	second := s.commit(s.layers(map[string]string{"base": "|text", "extra": "|other page"}))
	st := s.until("runs", runs(second))
	require.Empty(t, st.Held)
	require.NotContains(t, s.cluster.said(), "delete ConfigMap/page")
}

func TestWhatCannotBeChangedIsMadeAnewOnceACommitNamesIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))

	text := reconciler.Object{Version: "v1", Kind: "ConfigMap", Name: "text"}
	s.cluster.set(func(c *fakeCluster) {
		c.failing["base"] = &reconciler.ImmutableError{Objects: []*reconciler.ObjectError{{Verb: "apply", Object: text, Reason: "field is immutable"}}}
	})
	s.commit(s.layers(map[string]string{"base": "|text more"}))
	st := s.until("says what to do", fails(reconciler.PhaseApply, "field is immutable"))
	require.Contains(t, st.Failures[0].Hint, "Allow-Recreate: ConfigMap text")
	require.NotContains(t, s.cluster.said(), "recreate [ConfigMap text]")

	s.cluster.set(func(c *fakeCluster) { c.onRecreate = func() { delete(c.failing, "base") } })
	allowed := s.say("Make it anew\n\nAllow-Recreate: ConfigMap text\n", map[string]string{"README": "anew"})
	s.until("runs", runs(allowed))
	require.Contains(t, s.cluster.said(), "recreate [ConfigMap text]")
	require.True(t, s.cluster.has("ConfigMap/more"))
}
