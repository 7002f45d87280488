package gitsource_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// split is a fleet whose history parts after fork: alice signed one side, which
// the fleet's own URL shows, and somebody else the other.
type split struct {
	*fleet
	bob   *gitsourcetest.Key
	other string // bare repository, at fork at first
	fork  string
}

func newSplit(t *testing.T) *split {
	t.Helper()
	s := &split{fleet: newFleet(t), bob: gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")}
	s.fork = s.commit(map[string]string{s.alice.File(): s.alice.Public() + s.bob.Public()})
	s.other = filepath.Join(t.TempDir(), "other")
	s.Git("clone", "-q", "--bare", s.Dir, s.other)
	return s
}

// part commits on the other side; nobody signs if by is nil.
func (s *split) part(by *gitsourcetest.Key) string {
	s.Git("checkout", "-q", "-B", "other", s.fork)
	commit := s.Commit(gitsourcetest.Commit{By: by, Files: map[string]string{"other": "1"}})
	s.Git("checkout", "-q", "main")
	s.Git("push", "-q", "-f", s.other, "other:main")
	return commit
}

// offer makes options offer the other side in one of the ways there are.
func (s *split) offer(t *testing.T, o *gitsource.Options, how string) {
	t.Helper()
	dir := t.TempDir()
	switch how {
	case "remote":
		o.Sources = append(o.Sources, gitsource.Source{URL: gitsourcetest.Serve(t, s.other)})
	case "bundle":
		o.BundleDirs = []string{dir}
		require.NoError(t, gitsourceBundle(s, filepath.Join(dir, "other.bundle")))
	case "static mirror":
		_, err := gitsource.PublishMirror(context.Background(), dir, s.other, "main")
		require.NoError(t, err)
		o.Sources = append(o.Sources, gitsource.Source{URL: gitsourcetest.ServeHandler(t, http.FileServer(http.Dir(dir))), Mirror: true})
	}
}

func gitsourceBundle(s *split, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return gitsource.CreateBundle(context.Background(), file, s.other, "main", "")
}

func ways() []string { return []string{"remote", "bundle", "static mirror"} }

// alarmed verifies, and expects one alarm.
func alarmed(t *testing.T, r *gitsource.Repository) (gitsource.Revision, *gitsource.Diverged) {
	t.Helper()
	rev, err := r.Verify(context.Background())
	require.ErrorIs(t, err, gitsource.ErrDiverged)
	list := gitsource.Alarms(err)
	require.Len(t, list, 1)
	require.NotEmpty(t, list[0].Hint())
	return rev, list[0]
}

func TestASignedHistoryThatLeavesTheFloorIsAnAlarm(t *testing.T) {
	t.Parallel()
	for _, how := range ways() {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newSplit(t)
			o := s.options(t)
			r := open(t, o)
			ours := s.commit(map[string]string{"a": "1"})
			require.Equal(t, ours, poll(t, r).Commit())
			require.NoError(t, r.Close())
			theirs := s.part(s.bob)
			s.offer(t, &o, how)
			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			for restart := range 2 {
				r := open(t, o)
				require.NoError(t, r.Fetch(context.Background()))
				for range 3 {
					rev, d := alarmed(t, r)
					require.Equal(t, ours, rev.Commit())
					require.Equal(t, s.fork, d.Fork)
					require.Equal(t, ours, d.Ours.Commit)
					require.Equal(t, "alice@example.com", d.Ours.Signer.Name)
					require.Equal(t, theirs, d.Other.Commit)
					require.Equal(t, "bob@example.com", d.Other.Signer.Name)
					for _, part := range []string{ours[:12] + " signed by alice", theirs[:12] + " signed by bob", s.fork[:12]} {
						require.Contains(t, d.Error(), part)
					}
					require.NoError(t, r.Fetch(context.Background()))
				}
				require.Equal(t, restart+1, strings.Count(log.String(), "level=ERROR"), "once a start")
				newer := s.commit(map[string]string{"a": "after " + ours})
				require.NoError(t, r.Fetch(context.Background()))
				rev, _ := alarmed(t, r)
				require.Equal(t, newer, rev.Commit(), "it holds up nothing")
				ours = newer
				require.NoError(t, r.Close())
			}
		})
	}
}

func TestAnUnsignedHistoryThatLeavesTheFloorIsNoAlarm(t *testing.T) {
	t.Parallel()
	for name, signs := range map[string]bool{"unsigned": false, "by a stranger": true} {
		for _, how := range ways() {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				s := newSplit(t)
				o := s.options(t)
				require.Equal(t, s.fork, poll(t, open(t, o)).Commit())
				var by *gitsourcetest.Key
				if signs {
					by = gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
				}
				s.part(by)
				o = s.options(t)
				s.offer(t, &o, how)
				slices.Reverse(o.Sources)
				r := open(t, o)
				ours := s.commit(map[string]string{"a": "1"})
				for range 2 {
					require.NoError(t, r.Fetch(context.Background()))
					rev, err := r.Verify(context.Background())
					require.Equal(t, ours, rev.Commit(), "who has no key holds up nothing")
					require.Error(t, err)
					require.Empty(t, gitsource.Alarms(err))
				}
			})
		}
	}
}

func TestOfTwoSignedHistoriesAHostTakesNeither(t *testing.T) {
	t.Parallel()
	for _, how := range ways() {
		for _, reversed := range []bool{false, true} {
			name := how
			if reversed {
				name += " first"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSplit(t)
				o := s.options(t)
				r := open(t, o)
				require.Equal(t, s.fork, poll(t, r).Commit())
				require.NoError(t, r.Close())
				s.part(s.bob)
				s.offer(t, &o, how)
				if reversed {
					slices.Reverse(o.Sources)
				}
				ours := s.commit(map[string]string{"a": "1"})
				r = open(t, o)
				require.NoError(t, r.Fetch(context.Background()))
				rev, d := alarmed(t, r)
				require.Equal(t, s.fork, rev.Commit())
				require.Equal(t, s.fork, d.Fork)
				require.NoError(t, r.Close())

				r = open(t, o)
				rev, _ = alarmed(t, r)
				require.Equal(t, s.fork, rev.Commit(), "after a restart, before anybody is asked")
				require.NoError(t, r.Fetch(context.Background()))
				rev, _ = alarmed(t, r)
				require.Equal(t, s.fork, rev.Commit())
				require.NoError(t, r.Close())

				o.Sources, o.BundleDirs = s.options(t).Sources, nil
				r = open(t, o)
				require.Equal(t, ours, poll(t, r).Commit(), "the other one is not a source any more")
				require.NoError(t, r.Close())
				require.Equal(t, ours, poll(t, open(t, o)).Commit())
			})
		}
	}
}

func TestASourceThatAnswersFirstAfterARestartIsNotBelievedAlone(t *testing.T) {
	t.Parallel()
	s := newSplit(t)
	target, err := url.Parse(gitsourcetest.Serve(t, s.other))
	require.NoError(t, err)
	var down atomic.Bool
	backend := httputil.NewSingleHostReverseProxy(target)
	o := s.options(t)
	o.Anchor = anchorOf(t, s.alice, s.bob)
	o.Sources = append(o.Sources, gitsource.Source{URL: gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		req.URL.Path = strings.TrimPrefix(req.URL.Path, "/x")
		backend.ServeHTTP(w, req)
	})) + "/x"})
	s.part(s.bob)
	ours := s.commit(map[string]string{"a": "1"})
	r := open(t, o)
	require.NoError(t, r.Fetch(context.Background()))
	rev, _ := alarmed(t, r)
	require.Equal(t, s.fork, rev.Commit(), "first contact, at what both hold")
	require.NoError(t, r.Close())
	down.Store(true)
	r = open(t, o)
	require.Error(t, r.Fetch(context.Background()))
	rev, _ = alarmed(t, r)
	require.Equal(t, s.fork, rev.Commit())
	down.Store(false)
	s.Git("push", "-q", "-f", s.other, "main:main")
	require.Equal(t, ours, poll(t, r).Commit(), "healed: both show the same")
	require.NoError(t, r.Close())
	require.Equal(t, ours, poll(t, open(t, o)).Commit())
}

func TestFirstContactWithTwoSignedHistories(t *testing.T) {
	t.Parallel()
	for _, how := range ways() {
		t.Run("with a common commit, "+how, func(t *testing.T) {
			t.Parallel()
			s := newSplit(t)
			s.part(s.bob)
			s.commit(map[string]string{"a": "1"})
			o := s.options(t)
			o.Anchor = anchorOf(t, s.alice, s.bob)
			s.offer(t, &o, how)
			r := open(t, o)
			require.NoError(t, r.Fetch(context.Background()))
			for range 2 {
				rev, d := alarmed(t, r)
				require.Equal(t, s.fork, rev.Commit())
				require.Equal(t, s.fork, d.Fork)
			}
		})
		t.Run("with nothing in common, "+how, func(t *testing.T) {
			t.Parallel()
			s := newSplit(t)
			s.Git("checkout", "-q", "--orphan", "alone")
			s.Commit(gitsourcetest.Commit{By: s.bob})
			s.Git("push", "-q", "-f", s.other, "alone:main")
			s.Git("checkout", "-q", "main")
			o := s.options(t)
			o.Anchor = anchorOf(t, s.alice, s.bob)
			s.offer(t, &o, how)
			r := open(t, o)
			require.NoError(t, r.Fetch(context.Background()))
			rev, d := alarmed(t, r)
			require.True(t, rev.IsZero())
			require.Empty(t, d.Fork)
			require.NoError(t, r.Close())
			rev, _ = alarmed(t, open(t, o))
			require.True(t, rev.IsZero(), "nor after a restart, before anybody is asked")
		})
	}
}
