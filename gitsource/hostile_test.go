package gitsource_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// Long, because it is one table.
func TestNeverBackwards(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		attack func(f *fleet, first string)
		want   error
	}{
		{"a branch that was set back", func(f *fleet, first string) { f.Git("reset", "-q", "--hard", first) }, gitsource.ErrOlder},
		{"a rewritten history", func(f *fleet, first string) {
			f.Git("reset", "-q", "--hard", first)
			f.commit(map[string]string{"a": "another 2"})
			f.commit(map[string]string{"a": "another 3"})
		}, gitsource.ErrRewritten},
		{"an unrelated history", func(f *fleet, _ string) {
			f.Git("checkout", "-q", "--orphan", "other")
			f.commit(map[string]string{"a": "other"})
			f.Git("branch", "-f", "main", "HEAD")
		}, gitsource.ErrRewritten},
		{"a floor that is only a second parent", func(f *fleet, first string) {
			floor := f.Head()
			f.Git("reset", "-q", "--hard", first)
			f.commit(map[string]string{"b": "1"})
			f.Git("merge", "-q", "--no-commit", "--no-ff", floor)
			f.CommitIndex(gitsourcetest.Commit{By: f.alice})
		}, gitsource.ErrRewritten},
	} {
		for _, restart := range []string{"in one run", "after a restart", "after a restart without the mirror", "after a restart with a damaged mirror"} {
			t.Run(tt.name+", "+restart, func(t *testing.T) {
				t.Parallel()
				f := newFleet(t)
				first := f.Head()
				o := f.options(t)
				r := open(t, o)
				poll(t, r)
				f.commit(map[string]string{"a": "2"})
				f.commit(map[string]string{"a": "3"})
				floor := poll(t, r).Commit()
				tt.attack(f, first)
				whole := true
				if restart != "in one run" {
					require.NoError(t, r.Close())
					whole = !strings.Contains(restart, "mirror")
					switch {
					case strings.Contains(restart, "without"):
						require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "mirror")))
						require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "copy")))
					case strings.Contains(restart, "damaged"):
						damagePacks(t, o.Dir)
						require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "copy")))
					}
					r = open(t, o)
				}
				want := tt.want
				if !whole {
					want = gitsource.ErrRewritten // older cannot be told from rewritten without the floor
				}
				rev, _ := pollRefused(t, r, want)
				if whole {
					require.Equal(t, floor, rev.Commit())
				} else if !rev.IsZero() {
					require.Equal(t, floor, rev.Commit())
				}
				require.NoError(t, r.Close())
				kept, err := os.ReadFile(filepath.Join(o.Dir, "floor"))
				require.NoError(t, err)
				require.Contains(t, string(kept), floor, "the floor stays")
			})
		}
	}
}

func damagePacks(t *testing.T, dir string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(dir, "mirror", "objects", "pack", "*.pack"))
	require.NoError(t, err)
	require.NotEmpty(t, packs)
	for _, pack := range packs {
		require.NoError(t, os.Truncate(pack, 0))
	}
}

// Long, because it is one table.
func TestDamageHeals(t *testing.T) {
	t.Parallel()
	mirror := func(dir, pattern string) []string {
		found, _ := filepath.Glob(filepath.Join(dir, "mirror", pattern))
		return found
	}
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
	}{
		{"no mirror", func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, "mirror"))) }},
		{"empty packs", damagePacks},
		{"empty indexes", func(t *testing.T, dir string) {
			for _, file := range mirror(dir, "objects/pack/*.idx") {
				require.NoError(t, os.Truncate(file, 0))
			}
		}},
		{"no indexes", func(t *testing.T, dir string) {
			for _, file := range mirror(dir, "objects/pack/*.idx") {
				require.NoError(t, os.Remove(file))
			}
		}},
		{"a flipped byte in the middle of each pack", func(t *testing.T, dir string) {
			for _, file := range mirror(dir, "objects/pack/*.pack") {
				data, err := os.ReadFile(file)
				require.NoError(t, err)
				data[len(data)/2] ^= 0xff
				require.NoError(t, os.Chmod(file, 0o600))
				require.NoError(t, os.WriteFile(file, data, 0o600))
			}
		}},
		{"empty refs", func(t *testing.T, dir string) {
			for _, file := range mirror(dir, "refs/holdfast/*/*") {
				require.NoError(t, os.Truncate(file, 0))
			}
		}},
		{"an empty HEAD and config", func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, "mirror", "HEAD"), 0))
			require.NoError(t, os.Truncate(filepath.Join(dir, "mirror", "config"), 0))
		}},
		{"leftovers of an interrupted fetch", func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "staging-1", "objects"), 0o700))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			o := f.options(t)
			r := open(t, o)
			poll(t, r)
			f.commit(map[string]string{"a": "2"})
			poll(t, r)
			require.NoError(t, r.Close())
			tt.damage(t, o.Dir)
			f.commit(map[string]string{"a": "3"})
			r = open(t, o)
			rev := poll(t, r)
			require.Equal(t, f.Head(), rev.Commit())
			require.NoError(t, fs.WalkDir(rev.FS(), ".", func(string, fs.DirEntry, error) error { return nil }))
			left, err := filepath.Glob(filepath.Join(o.Dir, "staging-*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestOfflineStart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.options(t)
	r := open(t, o)
	rev := poll(t, r)
	require.NoError(t, r.Close())

	o.Sources = []gitsource.Source{{URL: "http://127.0.0.1:1/gone"}}
	r = open(t, o)
	kept, found, err := r.Floor()
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, rev.Commit(), kept.Commit())
	require.Equal(t, rev.Signer(), kept.Signer())
	require.Equal(t, rev.Time(), kept.Time())
	data, err := fs.ReadFile(kept.FS(), "fleet.yaml")
	require.NoError(t, err)
	require.Equal(t, "kind: Fleet\n", string(data))

	require.ErrorContains(t, r.Fetch(context.Background()), "fetch http://127.0.0.1:1/gone")
	kept, err = r.Verify(context.Background())
	require.NoError(t, err)
	require.Equal(t, rev.Commit(), kept.Commit())

	require.NoError(t, r.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "mirror")))
	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "copy")))
	r = open(t, o)
	_, found, err = r.Floor()
	require.ErrorContains(t, err, "is not in the mirror")
	require.True(t, found)
	kept, err = r.Verify(context.Background())
	require.ErrorContains(t, err, "is not in the mirror")
	require.True(t, kept.IsZero())
}

// What was restored is what the host had earlier: all of its data, or all but the
// second copy of the floor, which is kept elsewhere.
func TestARestoredDisk(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		name := "all but the second copy of the floor"
		if whole {
			name = "all of it"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			first := f.Head()
			o := f.options(t)
			o.Second = t.TempDir()
			second := filepath.Join(o.Second, "floor.second")
			r := open(t, o)
			old := f.commit(map[string]string{"a": "2"})
			poll(t, r)
			require.NoError(t, r.Close())
			backup := t.TempDir()
			require.NoError(t, os.CopyFS(backup, os.DirFS(o.Dir)))
			oldSecond, err := os.ReadFile(second)
			require.NoError(t, err)
			f.commit(map[string]string{"a": "3"})
			r = open(t, o)
			newest := poll(t, r).Commit()
			require.NoError(t, r.Close())

			require.NoError(t, os.RemoveAll(o.Dir))
			require.NoError(t, os.CopyFS(o.Dir, os.DirFS(backup)))
			floor := newest
			if whole {
				require.NoError(t, os.WriteFile(second, oldSecond, 0o600))
				floor = old
			}
			f.Git("reset", "-q", "--hard", first)
			r = open(t, o)
			require.NoError(t, r.Fetch(t.Context()))
			rev, err := r.Verify(t.Context())
			require.Error(t, err, "never before the floor that is left")
			require.Contains(t, []string{"", floor}, rev.Commit())
			for _, path := range []string{filepath.Join(o.Dir, "floor"), second} {
				kept, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Contains(t, string(kept), floor)
			}
			f.Git("reset", "-q", "--hard", newest)
			require.Equal(t, newest, poll(t, r).Commit(), "forward again")
		})
	}
}
