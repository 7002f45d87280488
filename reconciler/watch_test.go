package reconciler_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

func TestAChangeThatGoesWrongBeforeItIsConfirmedIsPutBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"base": ", timeout: 1s|text"})
	watched := func(objects string) map[string]string {
		files := s.layers(map[string]string{"base": ", timeout: 1s|" + objects})
		const file = "profiles/shop/profile.yaml"
		files[file] = strings.Replace(files[file], "spec:\n", "spec:\n  confirm: 1s\n", 1)
		return files
	}
	first := s.commit(watched("text"))
	s.start()
	s.until("runs", runs(first))

	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith, c.healthyTimes = "ConfigMap/worse", 1 })
	s.commit(watched("text worse"))
	st := s.until("is put back", fails(reconciler.PhaseConfirm, "layer base stays as last confirmed: healthy at first, not 1s later: ConfigMap text: not healthy"))
	require.Equal(t, first, st.Confirmed.Revision, "it was never confirmed")
	require.Len(t, st.Verdicts, 1)

	better := s.commit(watched("text better"))
	s.until("a changed layer is tried", runs(better))
}
