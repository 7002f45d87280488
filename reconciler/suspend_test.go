package reconciler_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

const siteFile = "sites/store/site.yaml"

// site is the site's file, with more in its spec.
func site(more string) map[string]string {
	return map[string]string{siteFile: object("Site", "store", "spec:\n  profile: shop\n"+more)}
}

func suspended(layers string, until time.Time) string {
	return fmt.Sprintf("  suspend: {reason: stocktaking, until: %s%s}\n", until.UTC().Format(time.RFC3339), layers)
}

// window is one that is open now, or opens in two hours.
func window(open bool) string {
	start := time.Now().UTC().Add(-time.Hour)
	if !open {
		start = start.Add(3 * time.Hour)
	}
	return fmt.Sprintf("  maintenance: {windows: [{start: %q, end: %q}]}\n", start.Format("15:04"), start.Add(2*time.Hour).Format("15:04"))
}

// both are the files of two maps.
func both(a, b map[string]string) map[string]string {
	for name, text := range b {
		a[name] = text
	}
	return a
}

func TestACommitSuspendsASiteUntilItIsOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	s.commit(site(suspended("", time.Now().Add(time.Hour))))
	st := s.until("is suspended", func(st reconciler.Status) bool { return len(st.Paused) == 1 })
	require.Contains(t, st.Paused[0].String(), "suspended by sites/store/site.yaml:6 until ")
	require.Equal(t, "stocktaking", st.Paused[0].Reason)

	said := len(s.cluster.said())
	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.until("verifies all the same", func(st reconciler.Status) bool { return st.Accepted.Revision == second })
	s.end()
	s.start()
	st = s.until("knows it after a restart", func(st reconciler.Status) bool { return len(st.Paused) == 1 && st.Accepted != nil })
	require.Equal(t, first, st.Confirmed.Revision)
	require.Len(t, s.cluster.said(), said, "nothing may be touched")

	over := s.commit(site(suspended("", time.Now().Add(2*time.Second))))
	s.until("goes on by itself", runs(over))
	require.True(t, s.cluster.has("ConfigMap/more"))
}

func TestACommitSuspendsALayerAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text", "alone": "|other"})
	s.start()
	s.until("runs", runs(first))
	s.commit(both(s.layers(map[string]string{"base": "|text more", "alone": "|other fine"}), site(suspended(", layers: [base]", time.Now().Add(time.Hour)))))
	st := s.until("says what stays", fails(reconciler.PhaseConfirm, "layer base stays as last confirmed: suspended by sites/store/site.yaml:6"))
	require.True(t, s.cluster.has("ConfigMap/fine"), "other layers go on")
	require.False(t, s.cluster.has("ConfigMap/more"))
	i := slices.IndexFunc(st.Failures, func(f reconciler.Failure) bool { return f.Phase == reconciler.PhaseConfirm })
	require.Contains(t, st.Failures[i].Hint, "goes on by itself")

	lifted := s.commit(site(""))
	s.until("goes on once a commit says so", runs(lifted))
	require.True(t, s.cluster.has("ConfigMap/more"))
}

func TestAChangeWaitsForTheMaintenanceWindow(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"base": "|text"})
	first := s.commit(site(window(false)))
	s.start()
	s.until("a new host waits for no window", runs(first))

	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	waits := func(st reconciler.Status) bool {
		return st.Waiting != nil && st.Waiting.Revision == second && st.Healthy()
	}
	st := s.until("waits", waits)
	require.WithinDuration(t, time.Now().Add(2*time.Hour), st.Waiting.Opens, 2*time.Minute)
	require.False(t, st.Settled)
	s.cluster.drift <- reconciler.Drift{Layer: "base"}
	s.until("what runs is still put right", func(st reconciler.Status) bool {
		return waits(st) && len(st.Layers) == 1 && st.Layers[0].State == reconciler.LayerReady
	})
	require.Equal(t, first, st.Confirmed.Revision)
	require.False(t, s.cluster.has("ConfigMap/more"))

	third := s.commit(site(window(true)))
	s.until("goes on in the window", func(st reconciler.Status) bool { return runs(third)(st) && st.Waiting == nil })
	require.True(t, s.cluster.has("ConfigMap/more"))
}

func TestWhatChangesNothingOfAHostWaitsForNoWindow(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"base": "|text"})
	s.commit(site(window(false)))
	s.start()
	commit := s.commit(map[string]string{"README.md": "for people\n"})
	s.until("runs", func(st reconciler.Status) bool { return runs(commit)(st) && st.Settled && st.Waiting == nil })
}

func TestWhatWasBegunInAWindowGoesOnAfterIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text", "bad": "|x"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.failing["bad"] = fmt.Errorf("no") })
	s.commit(both(s.layers(map[string]string{"base": "|text more", "bad": "|x pen"}), site(window(true))))
	s.until("is begun", fails(reconciler.PhaseApply, "layer bad"))
	require.True(t, s.cluster.has("ConfigMap/more"))

	s.commit(both(s.layers(map[string]string{"base": "|text more less", "bad": "|x pen"}), site(window(false))))
	s.until("the next one waits", func(st reconciler.Status) bool { return st.Waiting != nil })
	s.end()
	s.cluster.set(func(c *fakeCluster) { clear(c.failing) })
	s.start()
	s.until("what was begun is finished, after a restart too", func(st reconciler.Status) bool {
		return st.Waiting != nil && st.Confirmed.Revision != first && s.cluster.has("ConfigMap/pen")
	})
	require.False(t, s.cluster.has("ConfigMap/less"))
}

func TestAnUrgentCommitWaitsForNoWindow(t *testing.T) {
	t.Parallel()
	for trailer, waits := range map[string]bool{
		"Urgent: all":                        false,
		"Urgent: site store":                 false,
		"Urgent: site bank, profile shop":    false,
		"Urgent: site bank":                  true,
		"Urgent: group store":                true,
		"Urgent: yes":                        true,
		"Not in the last paragraph\n\nthese": true,
	} {
		t.Run(trailer, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.begin(map[string]string{"base": "|text"})
			first := s.commit(site(window(false)))
			s.start()
			s.until("runs", runs(first))
			commit := s.repo.Commit(gitsourcetest.Commit{By: s.key, Files: s.layers(map[string]string{"base": "|text more"}), Message: "Close a hole\n\n" + trailer + "\n"})
			s.until("is seen", func(st reconciler.Status) bool {
				return waits && st.Waiting != nil && st.Waiting.Revision == commit || !waits && runs(commit)(st) && st.Waiting == nil
			})
			require.Equal(t, !waits, s.cluster.has("ConfigMap/more"))
		})
	}
}
