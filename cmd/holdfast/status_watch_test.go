package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// heard is what a command writes while it runs.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

func (h *heard) until(t *testing.T, what string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(h.String(), what) }, time.Minute, 5*time.Millisecond, "waiting for %q", what)
}

func writeStatus(t *testing.T, dir string, st reconciler.Status) {
	t.Helper()
	data, err := json.Marshal(st)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), data, 0o600))
	require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, reconciler.StatusFile)))
}

func TestWatchingSaysWhatChangesAndNothingTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st := reconciler.Status{Agent: reconciler.AgentStatus{PID: os.Getpid()}, Phase: reconciler.PhaseApply,
		Layers: []reconciler.LayerStatus{{Name: "shop", State: reconciler.LayerWaiting, Troubles: []reconciler.Trouble{
			{Object: reconciler.Object{Kind: "Deployment", Namespace: "shop", Name: "web"}, State: "InProgress", Why: "0 of 2 ready"}}}}}
	writeStatus(t, dir, st)
	ctx, stop := context.WithCancel(t.Context())
	var lines, documents heard
	var watchers sync.WaitGroup
	watchers.Go(func() { require.NoError(t, watchStatus(ctx, &lines, statusOptions{dataDir: dir, output: "text"})) })
	watchers.Go(func() { require.NoError(t, watchStatus(ctx, &documents, statusOptions{dataDir: dir, output: "json"})) })
	lines.until(t, "layer shop waiting: Deployment shop/web is InProgress: 0 of 2 ready\n")
	require.NotContains(t, lines.String(), noFailure)
	documents.until(t, `"condition":"working"`)

	st.Layers = []reconciler.LayerStatus{{Name: "shop", State: reconciler.LayerReady}}
	st.Failures = []reconciler.Failure{{Phase: reconciler.PhaseVerify, Message: "not signed"}}
	writeStatus(t, dir, st)
	lines.until(t, "verify     fails: not signed\n")
	documents.until(t, `"condition":"failing"`)
	st.Failures, st.Settled = nil, true
	writeStatus(t, dir, st)
	lines.until(t, "verify     "+noFailure+"\n")
	documents.until(t, `"condition":"healthy"`)
	stop()
	watchers.Wait()
	require.Equal(t, 1, strings.Count(lines.String(), "layer shop ready"))
	require.Equal(t, 3, strings.Count(documents.String(), "\n"), "a document a change")
}

func TestAPageHasNoMoreLinesThanTheTerminal(t *testing.T) {
	t.Parallel()
	s := &sheet{screen: screen{rows: 4, columns: 30}, tree: branchesOf(func(string) string { return "C.UTF-8" })}
	s.row("├─ ", "│  ", "one two three four five six seven eight")
	require.Equal(t, "├─ one two three four five six\n│  seven eight\n", s.String())
	require.Equal(t, 3, width(s.paint(red, "abc")), "colours take no room")
}

func TestTimesAreSaidInTwoUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 400 * time.Millisecond: "0s", 59 * time.Second: "59s", time.Minute: "1m", 61 * time.Second: "1m1s",
		time.Hour: "1h", 3*time.Hour + 12*time.Minute + 9*time.Second: "3h12m", 47 * time.Hour: "47h", 49 * time.Hour: "2d",
	} {
		require.Equal(t, want, span(d))
	}
}
