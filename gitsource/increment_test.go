package gitsource_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// longFile changes a little from commit to commit, so that git packs deltas.
func longFile(n int) map[string]string {
	return map[string]string{"sites/a/site.yaml": strings.Repeat("a line that stays\n", 200) + fmt.Sprintln(n), "n": fmt.Sprint(n)}
}

// onStick is a host that has read a base bundle of a fleet from the folder dir.
func onStick(t *testing.T) (f *fleet, o gitsource.Options, dir string, r *gitsource.Repository) {
	t.Helper()
	f = newFleet(t)
	f.commit(longFile(0))
	o, dir = stick(t, f)
	f.Bundle(filepath.Join(dir, "m.bundle"))
	r = open(t, o)
	require.Equal(t, f.Head(), poll(t, r).Commit())
	return f, o, dir, r
}

// Long, because it is one table.
func TestIncrementsAreFollowed(t *testing.T) {
	t.Parallel()
	byGit := func(options ...string) func(*testing.T, *fleet, string, string) {
		return func(_ *testing.T, f *fleet, path, since string) {
			args := append([]string{"bundle", "create", "-q"}, options...)
			f.Git(append(args, path, since+"..main")...)
		}
	}
	for _, tt := range []struct {
		name  string
		write func(t *testing.T, f *fleet, path, since string)
	}{
		{"by git, version 2", byGit("--version=2")},
		{"by git, version 3", byGit("--version=3")},
		{"by holdfast", func(t *testing.T, f *fleet, path, since string) {
			var data bytes.Buffer
			require.NoError(t, gitsource.CreateBundle(context.Background(), &data, f.Dir, "main", since))
			require.NoError(t, os.WriteFile(path, data.Bytes(), 0o600))
			f.Git("bundle", "verify", "-q", path)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, o, dir, r := onStick(t)
			// Named so that each comes before the one that it needs.
			for n := 1; n <= 4; n++ {
				since := f.Head()
				f.commit(longFile(n))
				f.commit(longFile(10 * n))
				tt.write(t, f, filepath.Join(dir, fmt.Sprintf("%d.bundle", 9-n)), since)
			}
			require.Equal(t, f.Head(), poll(t, r).Commit(), "all of them at once, in the order that they need")
			require.Equal(t, f.Head(), poll(t, r).Commit(), "no news")
			require.NoError(t, r.Close())
			wholeByGit(t, o.Dir)

			fresh, _ := stick(t, f)
			fresh.BundleDirs = []string{dir}
			require.Equal(t, f.Head(), poll(t, open(t, fresh)).Commit(), "on a host that has nothing")
		})
	}
}

// wholeByGit asks git whether the mirror is whole and needs nothing else.
func wholeByGit(t *testing.T, dir string) {
	t.Helper()
	repo := gitsourcetest.NewRepo(t)
	repo.Git("--git-dir", filepath.Join(dir, "mirror"), "fsck", "--full", "--strict", "--no-dangling")
}

func TestAnIncrementWaitsForWhatItNeeds(t *testing.T) {
	t.Parallel()
	f, _, dir, r := onStick(t)
	floor := f.Head()
	f.commit(longFile(1))
	middle := f.Head()
	between := filepath.Join(t.TempDir(), "between")
	f.Bundle(between, floor+"..main")
	f.commit(longFile(2))
	f.Bundle(filepath.Join(dir, "last.bundle"), middle+"..main")

	for range 2 {
		require.ErrorContains(t, r.Fetch(context.Background()), "missing prerequisite "+middle)
	}
	rev, err := r.Verify(context.Background())
	require.NoError(t, err)
	require.Equal(t, floor, rev.Commit())

	data, err := os.ReadFile(between)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "z.bundle"), data, 0o600))
	require.Equal(t, f.Head(), poll(t, r).Commit())
}

func TestAnIncrementThatIsBadLeavesNothing(t *testing.T) {
	t.Parallel()
	f, o, dir, r := onStick(t)
	floor := f.Head()
	f.commit(longFile(1))
	path := filepath.Join(dir, "next.bundle")
	f.Bundle(path, floor+"..main")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	packs := func() int {
		found, err := filepath.Glob(filepath.Join(o.Dir, "mirror", "objects", "pack", "*"))
		require.NoError(t, err)
		return len(found)
	}
	before := packs()
	for cut := len(whole) - 1; cut > 0; cut -= 37 {
		require.NoError(t, os.WriteFile(path, whole[:cut], 0o600))
		require.Error(t, r.Fetch(context.Background()), "cut at %d", cut)
		left, err := filepath.Glob(filepath.Join(o.Dir, "staging-*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
	require.Equal(t, before, packs())
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	require.Equal(t, f.Head(), poll(t, r).Commit())
}

func TestIncrementsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first := f.Head()
	f.commit(longFile(0))
	f.Git("checkout", "-q", "-b", "side", first)
	f.commit(longFile(1))
	side := f.Head()
	for _, tt := range []struct{ name, since, want string }{
		{"since a commit that is not there", "0123456789012345678901234567890123456789", "it has no commit 0123"},
		{"since the tip", "main", "there is nothing new since main"},
		{"since a commit of another branch", side, "is not on the way to its tip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			require.ErrorContains(t, gitsource.CreateBundle(context.Background(), &out, f.Dir, "main", tt.since), tt.want)
			require.Zero(t, out.Len())
		})
	}
}
