package reconciler_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

var update = flag.Bool("update", false, "keep the files of this version's agent for later ones to read")

// keptFiles are those by which an agent decides after a restart.
var keptFiles = []string{"confirmed.json", "inventory.json", "verdicts.json", "attempts.json", "news.json"}

func TestAFleetOfALaterVersionIsRefusedWhole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	said := len(s.cluster.said())

	files := s.layers(map[string]string{"base": "|text more"})
	const profile = "profiles/shop/profile.yaml"
	good := files[profile]
	files[profile] = strings.Replace(good, "spec:\n", "spec:\n  canary: 10%\n", 1)
	s.commit(files)
	st := s.until("says what it does not know, and where", fails(reconciler.PhaseLoad, profile+":5: unknown field canary in spec"))
	require.Equal(t, first, st.Confirmed.Revision)

	s.commit(map[string]string{profile: strings.Replace(good, "v1alpha1", "v1", 1)})
	s.until("says which format it reads", fails(reconciler.PhaseLoad, profile+":1: apiVersion is holdfast.dev/v1, not holdfast.dev/v1alpha1"))
	require.Len(t, s.cluster.said(), said, "nothing may be touched")

	s.commit(map[string]string{
		profile: good, "waves/spring.yaml": "apiVersion: holdfast.dev/v1\nkind: Wave\n", "sites/store/README.md": "hours: 9 to 5\n",
		"profiles/shop/notes.yaml": "{",
	})
	s.until("passes over files that it has no use for", runs(s.repo.Head()))
}

// later adds what nobody knows yet to each object of a file.
func later(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	add := func(m map[string]any) { m["later"] = map[string]any{"answer": 42} }
	switch v := v.(type) {
	case map[string]any:
		add(v)
		for _, part := range []string{"commit", "desired", "prune"} {
			if m, ok := v[part].(map[string]any); ok {
				add(m)
			}
		}
	case []any:
		for _, one := range v {
			add(one.(map[string]any))
		}
	}
	data, err = json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

// TestFilesOfALaterAgentAreRead is for an agent that takes over again from one that
// did not prove itself.
func TestFilesOfALaterAgentAreRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	log := &lines{}
	s.log = slog.New(slog.NewTextHandler(log, nil))
	first := s.begin(map[string]string{"base": ", timeout: 1s|text"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "ConfigMap/worse" })
	s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text worse"}))
	s.until("rolls back", fails(reconciler.PhaseConfirm, "layer base stays"))
	s.end()
	for _, name := range keptFiles {
		if _, err := os.Stat(filepath.Join(s.dir, name)); err == nil && name != "attempts.json" { // which has no fields
			later(t, filepath.Join(s.dir, name))
		}
	}
	tries := strings.Count(strings.Join(s.cluster.said(), "\n"), "wait worse")
	s.start()
	st := s.until("goes on as before", fails(reconciler.PhaseConfirm, "layer base stays"))
	require.Equal(t, first, st.Confirmed.Revision)
	require.Equal(t, tries, strings.Count(strings.Join(s.cluster.said(), "\n"), "wait worse"), "the verdict stands")
	require.False(t, log.has("not readable")())
}

// TestFilesOfAnEarlierAgentAreRead starts an agent from what one of the first
// versions kept. These files are never changed; a new version may add a folder.
func TestFilesOfAnEarlierAgentAreRead(t *testing.T) {
	t.Parallel()
	if *update {
		keepFiles(t, filepath.Join("testdata", "kept", "v0"))
	}
	versions, err := filepath.Glob("testdata/kept/*")
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	for _, version := range versions {
		t.Run(filepath.Base(version), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			log := &lines{}
			s.log = slog.New(slog.NewTextHandler(log, nil))
			require.NoError(t, os.CopyFS(s.dir, os.DirFS(version)))
			s.url = "http://127.0.0.1:1/nobody"
			s.start()
			st := s.until("runs on with no source", func(st reconciler.Status) bool { return st.Settled && s.cluster.has("ConfigMap/text") })
			require.Equal(t, "store", st.Site)
			require.Equal(t, "base", st.Verdicts[0].Layer)
			require.Equal(t, "owner@example.com", st.Confirmed.Signer)
			require.False(t, log.has("not readable")())
			inv, err := reconciler.ReadInventory(s.dir)
			require.NoError(t, err)
			require.Equal(t, []reconciler.Object{{Version: "v1", Kind: "ConfigMap", Namespace: "default", Name: "text"}}, inv.Layers["base"])
		})
	}
}

// keepFiles makes the files of today's agent.
func keepFiles(t *testing.T, dir string) {
	t.Helper()
	s := newStage(t)
	first := s.begin(map[string]string{"base": ", timeout: 1s|text", "alone": "|other"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "ConfigMap/worse" })
	s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text worse", "alone": "|other"}))
	s.until("rolls back", fails(reconciler.PhaseConfirm, "layer base stays"))
	s.end()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range keptFiles {
		if data, err := os.ReadFile(filepath.Join(s.dir, name)); err == nil {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		}
	}
}
