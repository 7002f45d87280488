package gitsource_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// pull makes a pull request of two commits that nobody signed, on its branch, and
// returns its head; the working tree is on main again.
func (g *team) pull() string {
	g.Git("checkout", "-q", "-b", "topic")
	g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/shop": "half"}})
	head := g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/shop": "whole"}})
	g.Git("checkout", "-q", "main")
	return head
}

// merge makes a merge commit as a forge does: its own committer, and its own key or none.
func (g *team) merge(by *gitsourcetest.Key) {
	g.Git("merge", "-q", "--no-commit", "--no-ff", "topic")
	g.CommitIndex(gitsourcetest.Commit{Message: "Merge pull request #1", By: by})
}

func (g *team) squash(by *gitsourcetest.Key) {
	g.Git("merge", "-q", "--squash", "topic")
	g.CommitIndex(gitsourcetest.Commit{Message: "Change the shop (#1)", By: by})
}

func TestPullRequestsAreJudgedBeforeTheyAreMerged(t *testing.T) {
	t.Parallel()
	g := newTeam(t)
	base, head := g.Head(), g.pull()
	check := func() gitsource.Verdict {
		audit, err := gitsource.OpenAudit(g.Dir, nil)
		require.NoError(t, err)
		v, err := audit.Merged("main", head)
		require.NoError(t, err)
		return v
	}
	v := check()
	require.False(t, v.Accepted)
	require.Equal(t, base, v.Base)
	require.Equal(t, []trust.Need{{
		Paths: []string{"profiles/shop"}, Patterns: []string{"**"}, Groups: []string{"owners"},
		Members: []string{"alice", "bob@example.com", "carol@example.com"}, Threshold: 2, Approved: []string{},
	}}, v.Needs)
	g.approve(g.bob, head)
	v = check()
	require.ErrorIs(t, v.Err, trust.ErrTooFew)
	require.Equal(t, []string{"alice", "carol@example.com"}, v.Needs[0].Undecided())
	g.approve(g.home, head)
	require.True(t, check().Accepted)

	g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}})
	v = check()
	require.False(t, v.Accepted)
	require.ErrorContains(t, v.Err, "does not build on the branch")
	require.Len(t, v.Needs, 1, "what changed on main meanwhile is not the request's")
}

// What a forge, or somebody behind it, may do beside what its methods make; long, because it is one table.
func TestForges(t *testing.T) {
	t.Parallel()
	both := func(g *team, on string) {
		g.approve(g.bob, on)
		g.approve(g.carol, on)
	}
	for _, tt := range []struct {
		name  string
		build func(t *testing.T, g *team)
		want  error
	}{
		{"a fast-forward of which only the head is approved", func(_ *testing.T, g *team) {
			both(g, g.pull())
			g.Git("merge", "-q", "--ff-only", "topic")
		}, trust.ErrUnsigned},
		{"an approval before main moved on: not what was approved", func(_ *testing.T, g *team) {
			both(g, g.pull())
			g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}})
			g.merge(nil)
		}, trust.ErrUnsigned},
		{"main moved on and was merged into the topic", func(_ *testing.T, g *team) {
			g.pull()
			g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}})
			g.Git("checkout", "-q", "topic")
			g.Git("merge", "-q", "--no-edit", "main")
			both(g, g.Head())
			g.Git("checkout", "-q", "main")
			g.merge(nil)
		}, nil},
		{"one approval of two", func(_ *testing.T, g *team) {
			g.approve(g.bob, g.pull())
			g.merge(nil)
		}, trust.ErrTooFew},
		{"one approval, and the merge is signed by another owner", func(_ *testing.T, g *team) {
			g.approve(g.bob, g.pull())
			g.merge(g.alice)
		}, nil},
		{"an evil merge: more than the head", func(_ *testing.T, g *team) {
			both(g, g.pull())
			g.Git("merge", "-q", "--no-commit", "--no-ff", "topic")
			g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/evil": "1"}})
		}, trust.ErrUnsigned},
		{"an octopus: the head and something else", func(_ *testing.T, g *team) {
			both(g, g.pull())
			g.Git("checkout", "-q", "-b", "other")
			g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/evil": "1"}})
			g.Git("checkout", "-q", "main")
			g.Git("-c", "commit.gpgSign=false", "merge", "-q", "--no-ff", "-m", "octopus", "topic", "other")
		}, trust.ErrUnsigned},
		{"the head's tree on another parent: it undoes what came between", func(_ *testing.T, g *team) {
			head := g.pull()
			both(g, head)
			g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}})
			g.Git("rm", "-q", "sites/x")
			g.Git("checkout", "-q", head, "--", ".")
			g.CommitIndex(gitsourcetest.Commit{})
		}, trust.ErrUnsigned},
		{"approvals of a head with the right tree that builds on nothing here", func(_ *testing.T, g *team) {
			head := g.pull()
			g.Git("checkout", "-q", "--orphan", "orphan", head)
			both(g, g.CommitIndex(gitsourcetest.Commit{}))
			g.Git("checkout", "-q", "main")
			g.merge(nil)
		}, trust.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeam(t)
			r := open(t, g.options(t))
			good := poll(t, r)
			tt.build(t, g)
			requireAudit(t, g, tt.want)
			if tt.want == nil {
				require.Equal(t, g.Head(), poll(t, r).Commit())
				return
			}
			rev, _ := pollRefused(t, r, tt.want)
			require.NotEqual(t, g.Head(), rev.Commit())
			g.Git("merge-base", "--is-ancestor", good.Commit(), rev.Commit())
		})
	}
}

func TestFirstContactWithAMergedPullRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		build func(g *team, head string)
		want  error
	}{
		{"approved by a key of the anchor", func(g *team, head string) {
			g.approve(g.alice, head)
			g.merge(nil)
		}, nil},
		{"approved, and signed by the forge", func(g *team, head string) {
			g.approve(g.alice, head)
			g.squash(g.stranger)
		}, nil},
		{"approved by others alone", func(g *team, head string) {
			g.approve(g.bob, head)
			g.merge(nil)
		}, trust.ErrUnsigned},
		{"an evil merge", func(g *team, head string) {
			g.approve(g.alice, head)
			g.Git("merge", "-q", "--no-commit", "--no-ff", "topic")
			g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/evil": "1"}})
		}, trust.ErrUnsigned},
		{"an empty commit on what alice signed", func(g *team, _ string) {
			g.approve(g.alice, g.Head())
			g.Commit(gitsourcetest.Commit{})
		}, trust.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeam(t)
			tt.build(g, g.pull())
			r := open(t, g.options(t))
			path := filepath.Join(t.TempDir(), "x.bundle")
			var out bytes.Buffer
			require.NoError(t, gitsource.CreateBundle(t.Context(), &out, g.Dir, "main", ""))
			require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
			_, signer, err := gitsource.VerifyBundle(t.Context(), path, anchorOf(t, g.alice))
			require.ErrorIs(t, err, tt.want)
			if tt.want == nil {
				require.Equal(t, "alice@example.com", signer.Name)
				require.Equal(t, g.Head(), poll(t, r).Commit())
				return
			}
			rev, _ := pollRefused(t, r, tt.want)
			require.True(t, rev.IsZero())
		})
	}
}
