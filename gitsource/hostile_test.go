package gitsource_test

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

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
					case strings.Contains(restart, "damaged"):
						damagePacks(t, o.Dir)
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

	o.Remotes = []string{"http://127.0.0.1:1/gone"}
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
	r = open(t, o)
	_, found, err = r.Floor()
	require.ErrorContains(t, err, "is not in the mirror")
	require.True(t, found)
	kept, err = r.Verify(context.Background())
	require.ErrorContains(t, err, "is not in the mirror")
	require.True(t, kept.IsZero())
}

func TestADamagedFloorIsNoFirstContact(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty": "", "cut": "{\"commit\":", "another sum": "{}\nsha256:00\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			o := f.options(t)
			r := open(t, o)
			poll(t, r)
			require.NoError(t, r.Close())
			require.NoError(t, os.WriteFile(filepath.Join(o.Dir, "floor"), []byte(content), 0o600))
			r = open(t, o)
			_, found, err := r.Floor()
			require.ErrorContains(t, err, "state file is damaged")
			require.True(t, found)
			rev, err := r.Verify(context.Background())
			require.ErrorContains(t, err, "state file is damaged")
			require.True(t, rev.IsZero())
		})
	}
}

func TestOneBadRemoteDoesNotHideAnother(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	garbage := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		w.Write([]byte("001e# service=git-upload-pack\n0000ffffgarbage"))
	}))
	empty := gitsourcetest.NewRepo(t)
	other := gitsourcetest.NewRepo(t)
	other.Commit(gitsourcetest.Commit{})
	other.Git("branch", "-m", "trunk")
	o := f.options(t)
	o.Remotes = []string{
		"http://user:secret@127.0.0.1:1/refused", garbage + "/x", gitsourcetest.Serve(t, empty.Dir), gitsourcetest.Serve(t, other.Dir), f.url,
	}
	r := open(t, o)
	err := r.Fetch(context.Background())
	for _, want := range []string{"fetch http://127.0.0.1:1/refused: ", "fetch " + garbage, "the repository is empty", "it has no branch main"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "secret")
	rev, err := r.Verify(context.Background())
	require.NoError(t, err)
	require.Equal(t, f.Head(), rev.Commit())
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, remote := range []string{"file:///srv/fleet", "/srv/fleet", "git@example.com:fleet", "ssh://example.com/fleet", "git://example.com/x", "ext::sh -c id", "http://", "https://u:secret@"} {
		o := f.options(t)
		o.Remotes = []string{remote}
		_, err := gitsource.Open(o)
		require.Error(t, err, remote)
		require.NotContains(t, err.Error(), "secret")
	}
	o := f.options(t)
	o.Anchor = nil
	_, err := gitsource.Open(o)
	require.ErrorContains(t, err, "anchor")

	o = f.options(t)
	open(t, o)
	_, err = gitsource.Open(o)
	require.ErrorContains(t, err, "another process has it open")
}

func TestARemoteMayNotSendTheHostToAFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.options(t)
	o.Remotes = []string{gitsourcetest.ServeHandler(t, http.RedirectHandler("file:///etc/passwd", http.StatusFound)) + "/x"}
	require.ErrorContains(t, open(t, o).Fetch(context.Background()), "unsupported")
}

func TestAPollWithNothingNewIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	target, err := url.Parse(f.url)
	require.NoError(t, err)
	target.Path = ""
	var requests atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(target)
	o := f.options(t)
	o.Remotes = []string{gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests.Add(1)
		proxy.ServeHTTP(w, req)
	})) + "/fleet"}
	r := open(t, o)
	poll(t, r)
	require.EqualValues(t, 2, requests.Swap(0), "the first contact")
	poll(t, r)
	require.EqualValues(t, 1, requests.Swap(0), "nothing new")
	f.Commit(gitsourcetest.Commit{})
	require.NoError(t, r.Fetch(context.Background()))
	_, err = r.Verify(context.Background())
	require.Error(t, err)
	require.EqualValues(t, 2, requests.Swap(0), "a bad commit")
	require.NoError(t, r.Fetch(context.Background()))
	require.EqualValues(t, 1, requests.Swap(0), "the same bad commit")
	f.Git("reset", "-q", "--hard", "HEAD^")
	f.Git("commit", "-q", "--amend", "--allow-empty", "-m", "rewritten")
	require.NoError(t, r.Fetch(context.Background()))
	require.EqualValues(t, 2, requests.Swap(0), "a rewritten history")
	require.NoError(t, r.Fetch(context.Background()))
	require.EqualValues(t, 1, requests.Swap(0), "the same rewritten history")
}

func TestTwoHonestRemotesAtDifferentCommits(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	lagging := filepath.Join(t.TempDir(), "lagging")
	f.Git("clone", "-q", "--bare", f.Dir, lagging)
	f.commit(map[string]string{"a": "2"})
	o := f.options(t)
	o.Remotes = []string{gitsourcetest.Serve(t, lagging), f.url}
	r := open(t, o)
	require.Equal(t, f.Head(), poll(t, r).Commit())
}
