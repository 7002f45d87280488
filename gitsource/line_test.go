package gitsource_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

func TestARevisionTellsWhatWasSaidSinceAnother(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first := f.Head()
	at := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	second := f.Commit(gitsourcetest.Commit{By: f.alice, At: at, Message: "remove the shop\n\nAllow-Prune: Namespace shop"})
	f.Git("checkout", "-q", "-b", "side")
	side := f.Commit(gitsourcetest.Commit{Message: "unsigned\n\nAllow-Prune: Namespace bank"})
	f.Git("checkout", "-q", "main")
	third := f.commit(map[string]string{"main": "1"})
	f.Git("merge", "-q", "--no-commit", "--no-ff", "side")
	merge := f.CommitIndex(gitsourcetest.Commit{By: f.alice, Message: "merge"})

	rev := poll(t, open(t, f.options(t)))
	require.Equal(t, merge, rev.Commit())
	said, err := rev.Since(first)
	require.NoError(t, err)
	require.Len(t, said, 3, "the side branch is not on the first-parent line")
	require.Equal(t, []string{merge, third, second}, []string{said[0].Commit, said[1].Commit, said[2].Commit})
	require.Equal(t, gitsource.Message{Commit: second, Time: at, Text: "remove the shop\n\nAllow-Prune: Namespace shop\n"}, said[2])

	none, err := rev.Since(merge)
	require.NoError(t, err)
	require.Empty(t, none)
	for name, stranger := range map[string]string{"a side branch": side, "an unknown one": "0123456789012345678901234567890123456789"} {
		_, err = rev.Since(stranger)
		require.ErrorIs(t, err, gitsource.ErrNotOnLine, name)
	}
	_, err = gitsource.Revision{}.Since(first)
	require.ErrorIs(t, err, gitsource.ErrNotOnLine)
}
