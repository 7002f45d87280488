package gitsource_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

var releases = strings.Replace(twoOwners, "mode: commit", "mode: releases", 1)

// newReleased is a team whose first release, v1, is signed by two.
func newReleased(t *testing.T) *team {
	t.Helper()
	g := newTeamWith(t, releases)
	g.release("v1", g.alice, g.bob)
	return g
}

// release tags HEAD: the first signs the release, the others approve it.
func (g *team) release(name string, by ...*gitsourcetest.Key) {
	g.Tag(gitsourcetest.Tag{Name: name, By: by[0]})
	for _, key := range by[1:] {
		g.Tag(gitsourcetest.Tag{Name: "approve/" + name + "/" + key.Email, By: key})
	}
}

// Long, because it is one table.
func TestReleases(t *testing.T) {
	t.Parallel()
	shop := map[string]string{"profiles/shop": "changed"}
	for _, tt := range []struct {
		name string
		// build returns the commit that must be reached; empty: where it was.
		build func(t *testing.T, g *team) string
		want  error // nil: nothing is refused
	}{
		{"commits without a tag wait", func(_ *testing.T, g *team) string {
			g.commit(shop)
			return ""
		}, nil},
		{"a release by two takes unsigned commits along", func(_ *testing.T, g *team) string {
			g.Commit(gitsourcetest.Commit{Files: shop})
			g.Commit(gitsourcetest.Commit{Files: map[string]string{"fleet.yaml": "changed"}})
			g.release("v2", g.alice, g.carol)
			c := g.Head()
			g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/later": "1"}})
			return c
		}, nil},
		{"a release of sites alone needs one", func(_ *testing.T, g *team) string {
			g.Commit(gitsourcetest.Commit{Files: map[string]string{"sites/x": "1"}})
			g.release("v2", g.dave)
			return g.Head()
		}, nil},
		{"two tags that release one commit add up", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.alice)
			g.release("v2.0", g.bob)
			return g.Head()
		}, nil},
		{"one of two", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.alice)
			return ""
		}, trust.ErrTooFew},
		{"the signer of the commit is no signer of the release", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.bob)
			return ""
		}, trust.ErrTooFew},
		{"the same person twice", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.alice, g.home)
			return ""
		}, trust.ErrTooFew},
		{"an approval of the commit is none of the release", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.alice)
			g.approve(g.bob, g.Head())
			return ""
		}, trust.ErrTooFew},
		{"an approval of another release of the same commit", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.alice)
			g.Tag(gitsourcetest.Tag{Name: "approve/v3/bob", By: g.bob})
			return ""
		}, trust.ErrTooFew},
		{"approvals of what only a stranger released", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.stranger, g.alice, g.bob)
			return ""
		}, trust.ErrUnknownSigner},
		{"an unsigned tag", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.Tag(gitsourcetest.Tag{Name: "v2"})
			return ""
		}, trust.ErrUnsigned},
		{"a signer without a right to one path", func(_ *testing.T, g *team) string {
			g.Commit(gitsourcetest.Commit{Files: map[string]string{"sites/x": "1", "profiles/shop": "1"}})
			g.release("v2", g.dave)
			return ""
		}, trust.ErrForbiddenPath},
		{"a tag of another pattern", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("test-2", g.alice, g.bob)
			return ""
		}, nil},
		{"a release renamed", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.Tag(gitsourcetest.Tag{Name: "looked-at", By: g.alice})
			g.Git("update-ref", "refs/tags/v2", g.Git("rev-parse", "refs/tags/looked-at"))
			return ""
		}, nil},
		{"an old release moved by name alone", func(_ *testing.T, g *team) string {
			g.Git("tag", "-f", "v1", g.commit(shop))
			return ""
		}, nil},
		{"a release beside the line", func(_ *testing.T, g *team) string {
			g.Git("checkout", "-q", "-b", "other")
			g.commit(shop)
			g.release("v2", g.alice, g.bob)
			g.Git("checkout", "-q", "main")
			return ""
		}, nil},
		{"a bad release does not hide a good one after it", func(_ *testing.T, g *team) string {
			g.commit(shop)
			g.release("v2", g.alice)
			g.commit(map[string]string{"profiles/more": "1"})
			g.release("v3", g.alice, g.bob)
			return g.Head()
		}, nil},
		{"nor one before it", func(_ *testing.T, g *team) string {
			c := g.commit(shop)
			g.release("v2", g.alice, g.bob)
			g.commit(map[string]string{"profiles/more": "1"})
			g.release("v3", g.stranger)
			return c
		}, trust.ErrUnknownSigner},
		{"each release is judged by the one before it", func(_ *testing.T, g *team) string {
			g.commit(map[string]string{"trust/allowed_signers": g.alice.Public() + g.carol.Public() + g.dave.Public()})
			g.release("v2", g.alice, g.bob)
			c := g.Head()
			g.commit(shop)
			g.release("v3", g.alice, g.bob)
			return c
		}, trust.ErrTooFew},
		{"a release may go back to judging commits", func(_ *testing.T, g *team) string {
			g.commit(map[string]string{"trust/policy.yaml": twoOwners})
			g.release("v2", g.alice, g.bob)
			g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}})
			return g.Head()
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newReleased(t)
			r := open(t, g.options(t))
			want := poll(t, r).Commit()
			require.Equal(t, g.Head(), want)
			if c := tt.build(t, g); c != "" {
				want = c
			}
			rev, err := fetchAndVerify(r)
			require.Equal(t, want, rev.Commit())
			if tt.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tt.want)
			}
			again, err := fetchAndVerify(r)
			require.Equal(t, want, again.Commit())
			require.Equal(t, tt.want != nil, err != nil, "%v", err)
		})
	}
}

func TestFirstContactInReleasesMode(t *testing.T) {
	t.Parallel()
	g := newTeamWith(t, releases)
	r := open(t, g.options(t))
	_, err := fetchAndVerify(r)
	require.ErrorContains(t, err, "no signed tag has released a revision yet")
	g.release("v1", g.stranger)
	pollRefused(t, r, trust.ErrUnknownSigner)
	g.release("v1", g.alice)
	c := g.Head()
	g.commit(map[string]string{"profiles/later": "1"})
	require.Equal(t, c, poll(t, r).Commit(), "a key of the anchor released it")
	require.NoError(t, r.Close())

	path := filepath.Join(t.TempDir(), "x.bundle")
	g.Bundle(path, "main", "refs/tags/v1")
	_, signer, err := gitsource.VerifyBundle(context.Background(), path, anchorOf(t, g.alice))
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", signer.Name)
}

func TestCommitsThatWaitForAReleaseAreCounted(t *testing.T) {
	t.Parallel()
	g := newReleased(t)
	r := open(t, g.options(t))
	require.Zero(t, poll(t, r).Unreleased())
	for n := range 2 {
		g.commit(map[string]string{"profiles/shop": fmt.Sprint(n)})
		require.Equal(t, n+1, poll(t, r).Unreleased())
	}
	require.Equal(t, 2, poll(t, r).Unreleased(), "also if nothing is new")
	g.release("v2", g.alice)
	require.Zero(t, first(pollRefused(t, r, trust.ErrTooFew)).Unreleased(), "they wait for something else, which is said")
	g.commit(map[string]string{"profiles/later": "1"})
	g.Tag(gitsourcetest.Tag{Name: "approve/v2/bob", On: g.Git("rev-parse", "v2^{commit}"), By: g.bob})
	require.Equal(t, 1, poll(t, r).Unreleased())
	require.Equal(t, 1, poll(t, r).Unreleased())
}

func first(rev gitsource.Revision, _ *gitsource.Refused) gitsource.Revision { return rev }

func TestAMovedReleaseDoesNotTakeAHostBack(t *testing.T) {
	t.Parallel()
	g := newReleased(t)
	first := g.Head()
	r := open(t, g.options(t))
	poll(t, r)
	c := g.commit(map[string]string{"profiles/shop": "1"})
	g.release("v2", g.alice, g.bob)
	require.Equal(t, c, poll(t, r).Commit())
	g.Tag(gitsourcetest.Tag{Name: "v2", On: first, By: g.alice})
	g.Tag(gitsourcetest.Tag{Name: "approve/v2/bob@example.com", On: first, By: g.bob})
	require.Equal(t, c, poll(t, r).Commit())
	require.NoError(t, r.Close())
	r = open(t, g.options(t))
	require.Equal(t, first, poll(t, r).Commit(), "only a host without a floor could be shown the old one")
}

func TestALateApprovalHealsARelease(t *testing.T) {
	t.Parallel()
	g := newReleased(t)
	r := open(t, g.options(t))
	poll(t, r)
	c := g.commit(map[string]string{"profiles/shop": "1"})
	g.release("v2", g.alice)
	_, refused := pollRefused(t, r, trust.ErrTooFew)
	require.Contains(t, refused.Hint(), "holdfast approve v2 ", "an approval of the commit would not count")
	g.Tag(gitsourcetest.Tag{Name: "approve/v2/bob", By: g.bob})
	require.Equal(t, c, poll(t, r).Commit())
}

func TestTwoReleasesThatPartAreAnAlarm(t *testing.T) {
	t.Parallel()
	g := newReleased(t)
	other := filepath.Join(t.TempDir(), "other")
	o := g.options(t)
	r := open(t, o)
	fork := g.Head()
	require.Equal(t, fork, poll(t, r).Commit())
	require.NoError(t, r.Close())
	g.Git("checkout", "-q", "-b", "side")
	g.Commit(gitsourcetest.Commit{Files: map[string]string{"sites/y": "1"}})
	g.release("v2", g.dave)
	g.Git("clone", "-q", "--bare", g.Dir, other)
	g.Git("--git-dir="+other, "branch", "-f", "main", "side")
	g.Git("checkout", "-q", "main")
	g.Commit(gitsourcetest.Commit{Files: map[string]string{"sites/x": "1"}})
	ours := g.Head()
	g.release("v3", g.dave)
	both := o
	both.Sources = append([]gitsource.Source{{URL: gitsourcetest.Serve(t, other)}}, o.Sources...)
	r = open(t, both)
	require.NoError(t, r.Fetch(context.Background()))
	rev, _ := alarmed(t, r)
	require.Equal(t, fork, rev.Commit())
	require.NoError(t, r.Close())
	r = open(t, o)
	require.Equal(t, ours, poll(t, r).Commit())
	require.NoError(t, r.Close())
	r = open(t, both)
	require.NoError(t, r.Fetch(context.Background()))
	rev, d := alarmed(t, r)
	require.Equal(t, ours, rev.Commit())
	require.Equal(t, fork, d.Fork)
}
