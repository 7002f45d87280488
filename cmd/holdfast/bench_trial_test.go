package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
)

// trials compares again, and tries one rendering and then ten of them on API servers.
func trials(b *testing.B, program, dir, cache string) {
	b.Helper()
	programs, err := embeddedtest.Programs()
	require.NoError(b, err)
	tmp := b.TempDir()
	b.Setenv("TMPDIR", tmp)
	peak := watchMemory(b, tmp)
	for _, limit := range []int{1, 10} {
		took, _ := diffProcess(b, program, dir, cache, "--server", "--server-programs", programs, "--server-limit", strconv.Itoa(limit))
		b.ReportMetric(took.Seconds(), fmt.Sprintf("s/diff-server-%d", limit))
	}
	b.ReportMetric(peak(), "diff-server-rss-MB")
}

// watchMemory looks at the resident memory of the processes whose command lines
// name what is in a folder, until it is asked for the most that they had together.
func watchMemory(b *testing.B, dir string) (peak func() float64) {
	b.Helper()
	most, stop, done := 0.0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				most = max(most, memoryOf(dir))
			}
		}
	}()
	return func() float64 {
		close(stop)
		<-done
		require.Positive(b, most)
		return most
	}
}

func memoryOf(dir string) (mb float64) {
	for _, process := range processesOf(dir) {
		var total, resident int
		statm, _ := os.ReadFile(filepath.Join(process, "statm")) // it may have ended
		if _, err := fmt.Sscan(string(statm), &total, &resident); err == nil {
			mb += float64(resident*os.Getpagesize()) / (1 << 20)
		}
	}
	return mb
}
