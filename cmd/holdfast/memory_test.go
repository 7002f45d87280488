package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet/fleettest"
)

// TestMemoryGrowsLittleWithEachSite renders fleets with nothing kept of before: what was
// rendered of one site must not stay for the next. make bench has the figures.
func TestMemoryGrowsLittleWithEachSite(t *testing.T) {
	t.Parallel()
	peak := func(sites int) (megabytes float64) {
		dir := filepath.Join(t.TempDir(), "fleet")
		require.NoError(t, fleettest.Fleet{Sites: sites}.Write(dir))
		cmd := exec.Command("holdfast", "lint", dir)
		cmd.Env = append(os.Environ(), cacheVariable+"=off", "GOGC=20") // so that the peak is what is kept, and little garbage
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		require.True(t, ok)
		return float64(usage.Maxrss) / 1024
	}
	const few, many = 300, 2400
	little, much := peak(few), peak(many)
	t.Logf("%d sites: %.0f MB, %d sites: %.0f MB", few, little, many, much)
	require.Less(t, (much-little)/(many-few), 0.05, "MB for each site more: ten thousand are to fit into a gigabyte, with their garbage")
}
