package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet/fleettest"
)

// digestsWith starts a process that digests a fleet, and keeps what it finds out in cache.
func digestsWith(fleet, cache string) *exec.Cmd {
	cmd := exec.Command("holdfast", "render", "--digests", "--fleet", fleet)
	cmd.Env = append(os.Environ(), cacheVariable+"="+cache)
	return cmd
}

func digestsOf(t *testing.T, fleet, cache string) string {
	t.Helper()
	cmd := digestsWith(fleet, cache)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

// Processes that share the folder, are killed while they work, and have it taken
// away from under them, all say what one says that keeps nothing.
func TestTheCacheMayBeSharedKilledAndDeleted(t *testing.T) {
	t.Parallel()
	fleet, cache := filepath.Join(t.TempDir(), "fleet"), filepath.Join(t.TempDir(), "cache")
	require.NoError(t, fleettest.Fleet{Sites: 40}.Write(fleet))
	want := digestsOf(t, fleet, "off")
	require.Contains(t, want, "site-00013")

	began := time.Now()
	require.Equal(t, want, digestsOf(t, fleet, cache))
	whole := time.Since(began)
	require.Equal(t, want, digestsOf(t, fleet, cache), "from what was kept")
	kept, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.NotEmpty(t, kept)

	for round := range 4 {
		if round%2 == 0 {
			require.NoError(t, os.RemoveAll(cache))
		}
		var others sync.WaitGroup
		for n := range 3 {
			others.Go(func() {
				cmd := digestsWith(fleet, cache)
				if n == 0 { // at another moment of its work each time
					require.NoError(t, cmd.Start())
					kill := time.AfterFunc(whole*time.Duration(round+1)/5, func() { _ = cmd.Process.Kill() })
					_ = cmd.Wait()
					kill.Stop()
					return
				}
				if out, err := cmd.Output(); err != nil || string(out) != want {
					t.Errorf("%v: %d bytes instead of %d", err, len(out), len(want))
				}
			})
		}
		finished := make(chan struct{})
		go func() { others.Wait(); close(finished) }()
		for round == 3 {
			_ = os.RemoveAll(cache) // may meet what is being written
			select {
			case <-finished:
				round = 0
			case <-time.After(whole / 50):
			}
		}
		<-finished
		require.Equal(t, want, digestsOf(t, fleet, cache), "from what the killed ones left")
	}
}
