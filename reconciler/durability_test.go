package reconciler_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable/durabletest"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// readKept reads one of the agent's files; v stays as it is if there is none.
func readKept(t *testing.T, dir, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, v), "%s: %s", name, data)
}

type kept struct {
	Commit reconciler.Commit `json:"commit"`
}

// TestWhatIsKeptIsOnDiskBeforeTheClusterIsTouched cuts the power at each change of
// the cluster, with all that was not synced lost, and at each change of a file.
func TestWhatIsKeptIsOnDiskBeforeTheClusterIsTouched(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	noted, base := durabletest.NewJournal(s.dir), t.TempDir()
	s.disk = noted.Disk()
	type moment struct {
		call    string
		changes int // of files, before it
	}
	var moments []moment
	s.cluster.onCall = func(call string) { moments = append(moments, moment{call, noted.Len()}) }
	first := s.begin(map[string]string{"base": ", timeout: 1s|text old", "alone": "|other"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "ConfigMap/worse" })
	s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text worse", "alone": "|other"}))
	s.until("rolls back", fails(reconciler.PhaseConfirm, "layer base stays as last confirmed"))
	third := s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text new", "alone": "|other"}))
	s.until("runs", runs(third))
	s.end()

	// cut returns what is on disk if the power fails then.
	cut := func(n int, loss durabletest.Loss) string {
		dir := filepath.Join(t.TempDir(), "cut")
		require.NoError(t, noted.Cut(base, dir, n, loss))
		return dir
	}
	applied, doomed, confirmed := 0, 0, ""
	for _, m := range moments {
		dir := cut(m.changes, durabletest.Names)
		inv, err := reconciler.ReadInventory(dir)
		require.NoError(t, err)
		names := map[string]bool{}
		for _, list := range inv.Layers {
			for _, o := range list {
				names[o.Name] = true
			}
		}
		var last kept
		var verdicts []reconciler.Verdict
		attempts := map[string]int{}
		readKept(t, dir, "confirmed.json", &last)
		readKept(t, dir, "verdicts.json", &verdicts)
		readKept(t, dir, "attempts.json", &attempts)
		switch m.call {
		case "apply base", "update base":
			applied++
			require.True(t, names["text"], "what is applied is in the inventory before")
			switch applied {
			case 1:
				require.Empty(t, attempts, "there is nothing to put the first back to")
			case 2:
				require.Equal(t, "update base", m.call)
				require.True(t, names["worse"])
				require.Len(t, attempts, 1, "a change is noted before it is tried")
				require.Equal(t, first, last.Commit.Revision)
			case 3:
				require.Equal(t, "apply base", m.call, "what failed may be there in part, so all of it is sent")
				require.Len(t, verdicts, 1, "the verdict is kept before the layer is put back")
				require.Equal(t, "base", verdicts[0].Layer)
			}
		case "delete ConfigMap/old", "delete ConfigMap/worse":
			doomed++
			require.Equal(t, third, last.Commit.Revision, "the new one is kept before the old goes")
			require.True(t, names["old"] && names["worse"], "and what goes is known until it is gone")
		}
		confirmed = last.Commit.Revision
	}
	require.GreaterOrEqual(t, applied, 4)
	require.Equal(t, 2, doomed)
	require.Equal(t, third, confirmed)

	for n := range noted.Len() + 1 {
		for _, loss := range []durabletest.Loss{durabletest.Names, durabletest.Data, durabletest.Half} {
			dir := cut(n, loss)
			_, err := reconciler.ReadInventory(dir)
			require.NoError(t, err, "after %s, of which %s is lost", noted.Change(n-1), loss)
			if _, err := reconciler.ReadStatus(dir); !errors.Is(err, fs.ErrNotExist) {
				require.NoError(t, err)
			}
			for _, name := range []string{"confirmed.json", "verdicts.json", "attempts.json", "news.json", "sources.json"} {
				var v any
				readKept(t, dir, name, &v)
			}
		}
	}
}
