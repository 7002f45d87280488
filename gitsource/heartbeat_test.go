package gitsource_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// Long, because it is one table.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	beat := func(f *fleet, by *gitsourcetest.Key, on string) {
		f.Tag(gitsourcetest.Tag{Name: gitsource.HeartbeatTag, On: on, By: by, At: at})
	}
	for _, tt := range []struct {
		name  string
		beat  func(t *testing.T, f *fleet, first string)
		heard bool
	}{
		{"of the tip", func(_ *testing.T, f *fleet, _ string) { beat(f, f.alice, "main") }, true},
		{"of a commit before it", func(_ *testing.T, f *fleet, first string) { beat(f, f.alice, first) }, true},
		{"moved", func(_ *testing.T, f *fleet, first string) {
			f.Tag(gitsourcetest.Tag{Name: gitsource.HeartbeatTag, On: first, By: f.alice, At: at.Add(-time.Hour)})
			beat(f, f.alice, "main")
		}, true},
		{"none", func(*testing.T, *fleet, string) {}, false},
		{"not signed", func(_ *testing.T, f *fleet, _ string) { beat(f, nil, "main") }, false},
		{"of a stranger", func(t *testing.T, f *fleet, _ string) {
			beat(f, gitsourcetest.NewSSHKey(t, "eve@example.com", "ed25519"), "main")
		}, false},
		{"of another name", func(_ *testing.T, f *fleet, _ string) {
			f.Tag(gitsourcetest.Tag{Name: "alive", On: "main", By: f.alice, At: at})
			f.Git("update-ref", "refs/tags/"+gitsource.HeartbeatTag, "refs/tags/alive")
		}, false},
		{"of a tag that is none", func(_ *testing.T, f *fleet, _ string) {
			f.Tag(gitsourcetest.Tag{Name: "alive", On: "main", By: f.alice, At: at})
		}, false},
		{"of a commit that the branch does not lead to", func(_ *testing.T, f *fleet, _ string) {
			tip := f.Head()
			held := f.commit(map[string]string{"a": "held back"})
			beat(f, f.alice, held)
			f.Git("reset", "-q", "--hard", tip)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			first := f.Head()
			f.commit(map[string]string{"a": "2"})
			o := f.options(t)
			r := open(t, o)
			require.Zero(t, poll(t, r).Heartbeat())
			tt.beat(t, f, first)
			rev := poll(t, r)
			require.Equal(t, f.Head(), rev.Commit())
			if tt.heard {
				require.Equal(t, at, rev.Heartbeat().UTC())
				require.Equal(t, at, poll(t, r).Heartbeat().UTC())
			} else {
				require.Zero(t, rev.Heartbeat())
			}
		})
	}
}

func TestTheNewestHeartbeatCounts(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	at := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	beat := func() string {
		f.Tag(gitsourcetest.Tag{Name: gitsource.HeartbeatTag, On: "main", By: f.alice, At: at})
		return f.Git("rev-parse", gitsource.HeartbeatTag)
	}
	o, dir := stick(t, f)
	older := beat()
	f.Bundle(filepath.Join(dir, "older.bundle"), "main", "refs/tags/"+gitsource.HeartbeatTag)
	for newer := older; newer >= older; newer = beat() { // so that the newer one is looked at first
		at = at.Add(time.Second)
	}
	f.Bundle(filepath.Join(dir, "newer.bundle"), "main", "refs/tags/"+gitsource.HeartbeatTag)
	require.Equal(t, at, poll(t, open(t, o)).Heartbeat().UTC())
}
