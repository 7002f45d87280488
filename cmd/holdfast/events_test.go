package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/events"
)

func TestFollowingEventsShowsWhatWasAskedForAndWhatComes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := events.Open(dir)
	at := time.Now().Add(-time.Hour)
	note := func(what string) { require.NoError(t, log.Append(events.Event{At: at, What: what})) }
	for _, what := range []string{"first", "second", "third"} {
		note(what)
	}
	ctx, stop := context.WithCancel(t.Context())
	var shown heard
	var follower sync.WaitGroup
	follower.Go(func() {
		require.NoError(t, runEvents(ctx, &shown, eventsOptions{dataDir: dir, output: "text", number: 2, follow: true}))
	})
	shown.until(t, "third")
	at = at.Add(-24 * time.Hour) // the clock was wrong
	note("fourth")
	shown.until(t, "fourth")
	stop()
	follower.Wait()
	require.NotContains(t, shown.String(), "first")
	require.Contains(t, shown.String(), "second")
	require.NoError(t, log.Close())
}
