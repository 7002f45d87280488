package gitsource_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

func remove(path string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, path))) }
}

func replace(path, content string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600))
	}
}

func both(first, second func(t *testing.T, dir string)) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { first(t, dir); second(t, dir) }
}

// Long, because it is one table.
func TestTheFloorIsKeptTwice(t *testing.T) {
	t.Parallel()
	const torn = "{\"commit\":"
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string // error; empty if the floor survives
	}{
		{"the first lost", remove("state/floor"), ""},
		{"the second lost", remove("second/floor.second"), ""},
		{"the first empty", replace("state/floor", ""), ""},
		{"the second torn", replace("second/floor.second", torn), ""},
		{"the first with another sum", replace("state/floor", "{}\nsha256:00\n"), ""},
		{"the first edited", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "state/floor")
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, regexp.MustCompile(`"commit":"[0-9a-f]*"`).ReplaceAll(data, []byte(`"commit":"`+strings.Repeat("0", 40)+`"`)), 0o600))
		}, ""},
		{"the first lost and no mirror", both(remove("state/floor"), func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "state", "mirror")))
		}), ""},
		{"all of the state lost but the second", func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "state")))
		}, ""},
		{"both lost", both(remove("state/floor"), remove("second/floor.second")), "both copies of the floor are lost"},
		{"both torn", both(replace("state/floor", torn), replace("second/floor.second", "")), "copy of the floor is damaged"},
		{"one lost, the other torn", both(remove("state/floor"), replace("second/floor.second", torn)), "copy of the floor is damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			first := f.Head()
			o, dir := f.options(t), t.TempDir()
			o.Dir, o.Second = filepath.Join(dir, "state"), filepath.Join(dir, "second")
			require.NoError(t, os.Mkdir(o.Second, 0o700))
			r := open(t, o)
			poll(t, r)
			f.commit(map[string]string{"a": "2"})
			floor := poll(t, r).Commit()
			require.NoError(t, r.Close())
			tt.damage(t, dir)
			f.Git("reset", "-q", "--hard", first)
			f.commit(map[string]string{"a": "another 2"})

			for range 2 { // the second time, what was written again counts
				r = open(t, o)
				fetched := r.Fetch(context.Background())
				rev, err := r.Verify(context.Background())
				if tt.want == "" {
					require.NoError(t, fetched)
					require.ErrorIs(t, err, gitsource.ErrRewritten)
				} else {
					require.ErrorContains(t, fetched, tt.want, "nor is anything stored")
					require.ErrorContains(t, err, tt.want)
					var h interface{ Hint() string }
					require.ErrorAs(t, err, &h)
					require.Contains(t, h.Hint(), "holdfast trust reset --to COMMIT")
					require.True(t, rev.IsZero())
				}
				require.NoError(t, r.Close())
			}
			for _, path := range []string{"state/floor", "second/floor.second"} {
				kept, err := os.ReadFile(filepath.Join(dir, path))
				if tt.want == "" {
					require.NoError(t, err)
					require.Contains(t, string(kept), floor, path)
				} else if err == nil {
					require.NotContains(t, string(kept), f.Head())
				}
			}
		})
	}
}

func TestTheNewerCopyOfTheFloorCounts(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"floor", "floor.second"} {
		t.Run("an old "+old, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			o := f.options(t)
			r := open(t, o)
			poll(t, r)
			path := filepath.Join(o.Dir, old)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			f.commit(map[string]string{"a": "2"})
			floor := poll(t, r).Commit()
			require.NoError(t, r.Close())
			require.NoError(t, os.WriteFile(path, before, 0o600))
			rev, _, err := open(t, o).Floor()
			require.NoError(t, err)
			require.Equal(t, floor, rev.Commit())
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Contains(t, string(after), floor, "written again")
		})
	}
}

// Long, because it is one table.
func TestResetIsTheOnlyWayBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		build  func(t *testing.T, f *fleet, first string) (to string) // may push what follows
		damage func(t *testing.T, dir string)
		want   error // of the next Verify
	}{
		{name: "to an older commit", build: func(_ *testing.T, f *fleet, first string) string {
			f.Git("reset", "-q", "--hard", first)
			return first
		}},
		{name: "to a rewritten history that was not seen yet", build: func(_ *testing.T, f *fleet, first string) string {
			f.Git("reset", "-q", "--hard", first)
			f.commit(map[string]string{"a": "other 2"})
			return f.Head()
		}},
		{name: "with both copies of the floor lost", build: func(_ *testing.T, f *fleet, _ string) string { return f.Head() },
			damage: both(remove("floor"), remove("floor.second"))},
		{name: "with both copies of the floor torn", build: func(_ *testing.T, f *fleet, _ string) string { return f.Head() },
			damage: both(replace("floor", "x"), replace("floor.second", ""))},
		{name: "not to what nobody signed", build: func(_ *testing.T, f *fleet, _ string) string {
			return f.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "unsigned"}})
		}, want: trust.ErrUnsigned},
		{name: "not to what a stranger signed", build: func(t *testing.T, f *fleet, _ string) string {
			return f.Commit(gitsourcetest.Commit{By: gitsourcetest.NewSSHKey(t, "eve@example.com", "ed25519")})
		}, want: trust.ErrUnknownSigner},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			first := f.Head()
			o := f.options(t)
			r := open(t, o)
			poll(t, r)
			f.commit(map[string]string{"a": "2"})
			floor := poll(t, r).Commit()
			to := tt.build(t, f, first)
			_, err := gitsource.Reset(o, to)
			require.ErrorIs(t, err, gitsource.ErrInUse)
			require.NoError(t, r.Close())
			if tt.damage != nil {
				tt.damage(t, o.Dir)
			}
			from, err := gitsource.Reset(o, to)
			require.NoError(t, err)
			if tt.damage == nil {
				require.Equal(t, floor, from)
			}

			r = open(t, o)
			require.NoError(t, r.Fetch(context.Background()))
			rev, err := r.Verify(context.Background())
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
				require.True(t, rev.IsZero())
				return
			}
			require.NoError(t, err)
			require.Equal(t, to, rev.Commit())
			require.NotNil(t, rev.Override())
			require.Equal(t, from, rev.Override().From)
			require.NoError(t, r.Close())
			r = open(t, o)
			require.NotNil(t, poll(t, r).Override(), "also after a restart")
			f.commit(map[string]string{"a": "3"})
			require.Nil(t, poll(t, r).Override(), "until a newer revision supersedes it")
			require.Equal(t, f.Head(), poll(t, r).Commit())
		})
	}
}

func TestResetNeedsAWholeName(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.options(t)
	poll(t, open(t, o))
	for _, name := range []string{"", "main", f.Head()[:12], strings.ToUpper(f.Head())} {
		_, err := gitsource.Reset(o, name)
		require.ErrorContains(t, err, "is not the name of an object")
	}
}
