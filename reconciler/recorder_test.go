package reconciler

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
)

// TestStatusIsWrittenMoreSeldomOnASlowDisk counts the writes of ten seconds in which
// the status changes every millisecond, by the clock of the test's bubble.
func TestStatusIsWrittenMoreSeldomOnASlowDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		write time.Duration // takes so long
		want  time.Duration // between the beginnings of two
	}{
		{"a fast disk is written to at an interval", 0, writeInterval},
		{"a slow one for a share of the time", 50 * time.Millisecond, 550 * time.Millisecond},
		{"one that crawls still once in a while", 3 * time.Second, 3*time.Second + writeSeldom},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				most := int(10*time.Second/tt.want) + 2 // one is at the beginning, one at the end
				writes := changesWritten(t, dir, tt.write)
				require.LessOrEqual(t, writes, most)
				require.GreaterOrEqual(t, writes, most-1)
			})
		})
	}
}

// changesWritten tells how many times the status is written in ten seconds to a disk
// that takes so long for it, and that the last of it is written at the end.
func changesWritten(t *testing.T, dir string, takes time.Duration) int {
	writes := 0
	rec := newRecorder(dir, Status{}, slog.New(slog.DiscardHandler))
	rec.disk = durable.Disk{Before: func(c durable.Change) error {
		if c.Op == durable.Rename {
			writes++
			time.Sleep(takes)
		}
		return nil
	}}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); rec.run(ctx) }()
	for n := 0; ctx.Err() == nil; n++ {
		rec.update(func(s *Status, _ time.Time) { s.Host = strconv.Itoa(n) })
		time.Sleep(time.Millisecond)
	}
	<-done
	last, err := ReadStatus(dir)
	require.NoError(t, err)
	require.Equal(t, rec.snapshot().Host, last.Host)
	return writes
}
