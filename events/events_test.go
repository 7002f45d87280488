package events

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func event(what string) Event { return Event{At: noon, What: what} }

func whats(t *testing.T, dir string) []string {
	t.Helper()
	list, err := Read(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range list {
		out = append(out, e.What)
	}
	return out
}

func TestWhatTheAgentLogsIsAnEvent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Read(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	l := Open(dir)
	var shown strings.Builder
	log := slog.New(l.Handler(slog.NewTextHandler(&shown, nil)))
	log.With("layer", "shop").WithGroup("g").Warn("layer rolled back", "why", errors.New("0 of 2 ready"), "took", time.Second, "none", "", slog.Group("to", "digest", "sha256:a"))
	log.Debug("nobody asks")
	log.Info("source being read", Progress, "34 MB")
	log.Info("agent stopped")
	require.NoError(t, l.Close())
	list, err := Read(dir)
	require.NoError(t, err)
	require.Len(t, list, 2, "neither details nor progress are events")
	require.Equal(t, "layer rolled back", list[0].What)
	require.True(t, list[0].Warning)
	require.Equal(t, map[string]string{"layer": "shop", "g.why": "0 of 2 ready", "g.took": "1s", "g.to.digest": "sha256:a"}, list[0].Facts)
	require.WithinDuration(t, time.Now(), list[0].At, time.Hour)
	require.False(t, list[1].Warning)
	require.Contains(t, shown.String(), `msg="layer rolled back" layer=shop g.why="0 of 2 ready"`, "and is logged as before")
	require.Contains(t, shown.String(), "progress")
	require.NotContains(t, shown.String(), "nobody")
}

func TestEventsSurviveRestartsAndPowerCuts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for n := range 3 {
		l := Open(dir)
		require.NoError(t, l.Append(event(fmt.Sprint("run ", n))))
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.Append(event("too late")), os.ErrClosed)
		file, err := os.OpenFile(filepath.Join(dir, newerFile), os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = file.WriteString(`{"at":"2026-11-23T12:00:00Z","what":"torn by a po`)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	require.Equal(t, []string{"run 0", "run 1", "run 2"}, whats(t, dir), "a torn line takes no other with it")
}

func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := Open(dir)
	l.size = 4 << 10
	for n := range 1000 {
		require.NoError(t, l.Append(event(fmt.Sprint(n))))
	}
	require.NoError(t, l.Close())
	for _, name := range []string{newerFile, olderFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), l.size)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
	list := whats(t, dir)
	require.Greater(t, len(list), 50)
	for n, what := range list {
		require.Equal(t, fmt.Sprint(1000-len(list)+n), what, "the newest are there, in their order")
	}
}

func TestAnEventIsBounded(t *testing.T) {
	t.Parallel()
	big := event("big")
	big.Facts = map[string]string{"why": strings.Repeat("ä", 1<<20), "short": "kept"}
	for n := range 20 {
		big.Facts[fmt.Sprint("more ", n)] = strings.Repeat("<", 5000)
	}
	line, err := big.line()
	require.NoError(t, err)
	require.LessOrEqual(t, len(line), maxLine)
	back, ok := parse(line)
	require.True(t, ok)
	require.Equal(t, "kept", back.Facts["short"])
	require.True(t, strings.HasSuffix(back.Facts["why"], "ä…"))
	for n := range 5000 {
		big.Facts[fmt.Sprint("too many ", n)] = ""
	}
	_, err = big.line()
	require.Error(t, err)
}

// A disk that takes nothing loses events, and no more than those.
func TestADiskThatIsFullIsWrittenToAgainOnceItIsNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := Open(dir)
	full := false
	l.disk = durable.Disk{Before: func(c durable.Change) error {
		if full && c.Op == durable.Write {
			return errors.New("no space left on device")
		}
		return nil
	}}
	require.NoError(t, l.Append(event("before")))
	full = true
	require.ErrorContains(t, l.Append(event("lost")), "write event: no space left")
	full = false
	require.NoError(t, l.Append(event("after")))
	require.NoError(t, l.Close())
	require.Equal(t, []string{"before", "after"}, whats(t, dir))
}

func TestFollowersSeeEachEventOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := Open(dir)
	require.NoError(t, before.Append(event("0")))
	require.NoError(t, before.Close())
	l := Open(dir)
	l.size = 100 << 10
	seen := make(chan string, 10_000)
	var follower sync.WaitGroup
	follower.Go(func() {
		require.NoError(t, Follow(t.Context(), dir, func(e Event) bool {
			seen <- e.What
			return e.What != "end"
		}))
	})
	next := func() string {
		select {
		case what := <-seen:
			return what
		case <-time.After(time.Minute):
			t.Fatal("an event was not seen")
			return ""
		}
	}
	require.Equal(t, "0", next())
	for n := 1; n < 3000; n++ { // the file is replaced once
		require.NoError(t, l.Append(event(fmt.Sprint(n))))
		if n%500 == 0 {
			for m := n - 499; m <= n; m++ {
				require.Equal(t, fmt.Sprint(m), next())
			}
		}
	}
	require.NoError(t, l.Append(event("end")))
	follower.Wait()
	require.NoError(t, l.Close())
	_, err := os.Stat(filepath.Join(dir, olderFile))
	require.NoError(t, err)
}

func TestFollowingBeginsBeforeAnythingHappened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan Event, 1)
	var follower sync.WaitGroup
	follower.Go(func() { require.NoError(t, Follow(ctx, dir, func(e Event) bool { seen <- e; return true })) })
	l := Open(dir)
	require.NoError(t, l.Append(event("first")))
	select {
	case e := <-seen:
		require.Equal(t, event("first"), e)
	case <-time.After(time.Minute):
		t.Fatal("it was not seen")
	}
	cancel()
	follower.Wait()
	require.NoError(t, l.Close())
}

func TestReadersTakeNoMoreThanALogHas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, newerFile), make([]byte, 4*fileSize), 0o600))
	data, err := readFile(filepath.Join(dir, newerFile))
	require.NoError(t, err)
	require.Len(t, data, fileSize+maxLine)
	list, err := Read(dir)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, os.Remove(filepath.Join(dir, newerFile)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, newerFile), 0o700))
	_, err = Read(dir)
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, Open(dir).Append(event("x")), newerFile)
}

// FuzzEvents reads whatever a disk may hold: nothing of it is taken for an event
// that could not have been written.
func FuzzEvents(f *testing.F) {
	entries, err := os.ReadDir("testdata/fuzz/FuzzEvents")
	require.NoError(f, err)
	require.NotEmpty(f, entries, "the corpus is checked in")
	f.Fuzz(func(t *testing.T, data []byte) {
		before := 0
		parseAll(data, func(e Event) bool {
			require.NotEmpty(t, e.What)
			require.False(t, e.At.IsZero())
			line, err := e.line()
			if err == nil {
				_, ok := parse(line)
				require.True(t, ok, "%q", line)
			}
			before++
			return true
		})
		whole := append([]byte(`{"at":"2026-11-23T12:00:00Z","what":"before"}`+"\n"), data...)
		whole = append(whole, "\n"+`{"at":"2026-11-23T12:00:00Z","what":"after"}`+"\n"...)
		var list []Event
		parseAll(whole, func(e Event) bool { list = append(list, e); return true })
		require.Equal(t, before+2, len(list))
		require.Equal(t, []string{"before", "after"}, []string{list[0].What, list[len(list)-1].What}, "what is torn takes no other with it")
	})
}
