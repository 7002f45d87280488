package reconciler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Long, because it is one table.
func TestAFleetIsStaleByClockOrByUptime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	beat := noon.Add(-time.Hour)
	type look struct {
		revision  string
		heartbeat time.Time
		clock     time.Duration // after noon
		ran       time.Duration
		restart   bool // before it
		stale     string
	}
	for _, tt := range []struct {
		name  string
		looks []look
	}{
		{"nothing was ever heard", []look{{clock: 90 * day, ran: 90 * day}}},
		{"a quiet fleet within its limit", []look{{revision: "a"}, {revision: "a", clock: 29 * day, ran: 29 * day}}},
		{"a frozen source, by the clock", []look{{revision: "a"}, {revision: "a", clock: 31 * day, ran: time.Hour, stale: "31d by the clock"}}},
		{"a frozen source, with a clock that stands", []look{{revision: "a"}, {revision: "a", ran: 31 * day, stale: "31d that the agent has run"}}},
		{"a frozen source, with a clock that was set back", []look{{revision: "a"}, {revision: "a", clock: -400 * day, ran: 31 * day, stale: "31d that the agent has run"}}},
		{"a frozen source, over restarts with a dead clock", []look{
			{revision: "a"},
			{revision: "a", ran: 16 * day},
			{revision: "a", restart: true},
			{revision: "a", ran: 15 * day, stale: "31d that the agent has run"},
		}},
		{"a frozen source, after being off", []look{{revision: "a"}, {revision: "a", clock: 31 * day, restart: true, stale: "31d by the clock"}}},
		{"a new revision ends it", []look{
			{revision: "a"},
			{revision: "a", clock: 31 * day, ran: 31 * day, stale: "31d by the clock"},
			{revision: "b", clock: 31 * day, ran: 31 * day},
			{revision: "b", clock: 61 * day, ran: 61 * day},
			{revision: "b", clock: 62 * day, ran: 62 * day, stale: "31d"},
		}},
		{"a heartbeat ends it", []look{
			{revision: "a"},
			{revision: "a", clock: 31 * day, stale: "31d by the clock"},
			{revision: "a", heartbeat: beat, clock: 31 * day},
		}},
		{"the same heartbeat again is no news", []look{
			{revision: "a", heartbeat: beat},
			{revision: "a", heartbeat: beat, clock: 31 * day, restart: true, stale: "31d by the clock"},
			{revision: "a", heartbeat: beat.Add(-time.Minute), clock: 31 * day, stale: "31d by the clock"},
		}},
		{"no source at all is no news", []look{{revision: "a"}, {clock: 31 * day, stale: "31d by the clock"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f, err := openFreshness(dir)
			require.NoError(t, err)
			require.NoError(t, f.limit(30*day))
			for _, l := range tt.looks {
				if l.restart {
					f, err = openFreshness(dir)
					require.NoError(t, err)
				}
				stale, err := f.look(heard{l.revision, l.heartbeat, noon.Add(l.clock), l.ran})
				require.NoError(t, err)
				if l.stale == "" {
					require.Nil(t, stale)
					continue
				}
				require.NotNil(t, stale)
				require.Contains(t, stale.Why, l.stale)
				require.Equal(t, "30d", stale.Limit)
			}
		})
	}
}
