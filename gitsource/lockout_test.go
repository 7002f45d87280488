package gitsource_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

func TestARecoverySignerMendsTrustAndNothingElse(t *testing.T) {
	t.Parallel()
	g := newTeam(t)
	safe := gitsourcetest.NewSSHKey(t, "safe@example.com", "ed25519")
	o := g.options(t)
	o.Recovery = anchorOf(t, safe)
	r := open(t, o)
	good := poll(t, r).Commit()

	g.Commit(gitsourcetest.Commit{By: safe, Files: map[string]string{"sites/x": "1"}})
	pollRefused(t, r, trust.ErrForbiddenPath)
	g.Git("reset", "-q", "--hard", good)
	g.Commit(gitsourcetest.Commit{By: safe, Files: map[string]string{"trust/allowed_signers": g.stranger.Public()}})
	require.NoError(t, r.Fetch(context.Background()))
	_, err := r.Verify(context.Background())
	require.ErrorContains(t, err, "nobody could change", "nor may it lock everybody out")
	g.Git("reset", "-q", "--hard", good)

	erin := gitsourcetest.NewSSHKey(t, "erin@example.com", "ed25519")
	mended := g.Commit(gitsourcetest.Commit{By: safe, Files: map[string]string{
		"trust/allowed_signers": erin.Public(),
		"trust/policy.yaml":     strings.NewReplacer("alice, bob@example.com, carol@example.com", "erin@example.com", ", threshold: 2", "").Replace(twoOwners),
	}})
	rev := poll(t, r)
	require.Equal(t, mended, rev.Commit())
	require.True(t, rev.Signer().Recovery)
	g.Commit(gitsourcetest.Commit{By: erin, Files: map[string]string{"profiles/shop": "mended"}})
	require.Equal(t, g.Head(), poll(t, r).Commit())
}

func TestARecoverySignerOfAFleetWithoutAPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path string
		approves   bool
		want       error
	}{
		{"changes trust", "trust/README.md", false, nil},
		{"changes nothing else", "sites/x", false, trust.ErrForbiddenPath},
		{"approves trust as the head of a pull request", "trust/README.md", true, nil},
		{"approves nothing else", "sites/x", true, trust.ErrForbiddenPath},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			safe := gitsourcetest.NewSSHKey(t, "safe@example.com", "ed25519")
			o := f.options(t)
			o.Recovery = anchorOf(t, safe)
			r := open(t, o)
			good := poll(t, r).Commit()
			by := safe
			if tt.approves {
				by = nil
			}
			f.Commit(gitsourcetest.Commit{By: by, Files: map[string]string{tt.path: "1"}})
			if tt.approves {
				f.Tag(gitsourcetest.Tag{Name: "approve/safe", By: safe})
				f.Git("commit", "-q", "--amend", "-m", "as a forge does")
			}
			rev, err := fetchAndVerify(r)
			if tt.want == nil {
				require.NoError(t, err)
				require.Equal(t, f.Head(), rev.Commit())
				return
			}
			require.ErrorIs(t, err, tt.want)
			require.Equal(t, good, rev.Commit())
		})
	}
}

func fetchAndVerify(r *gitsource.Repository) (gitsource.Revision, error) {
	if err := r.Fetch(context.Background()); err != nil {
		return gitsource.Revision{}, err
	}
	return r.Verify(context.Background())
}

func TestLockOutsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, policy string
		keys         func(g *team) string
		want         string
	}{
		{"a group that has lost its only key", strings.Replace(twoOwners, "[ops, owners]", "[ops]", 1), func(g *team) string { return g.alice.Public() + g.bob.Public() }, "no member of ops has a key"},
		{"fewer people than a threshold", twoOwners, func(g *team) string { return g.alice.Public() + g.home.Public() + g.dave.Public() }, "2 of owners are needed, only 1 have a key"},
		{"keys that have expired", twoOwners, func(g *team) string {
			return g.alice.Public() + g.dave.Public() + g.bob.AllowedSigner(`valid-before="20200101Z"`)
		}, "2 of owners are needed, only 1 have a key"},
		{"no rule for the policy", strings.Replace(twoOwners, `"**"`, `"profiles/**"`, 1), func(g *team) string { return g.alice.Public() + g.bob.Public() + g.dave.Public() }, "no rule matches trust/policy.yaml"},
		{"more than there are", strings.Replace(twoOwners, "threshold: 2", "threshold: 4", 1), func(g *team) string { return g.alice.Public() + g.bob.Public() + g.dave.Public() }, "threshold 4 of 3 people can never be met"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeam(t)
			r := open(t, g.options(t))
			good := poll(t, r)
			g.approve(g.bob, g.commit(map[string]string{"trust/allowed_signers": tt.keys(g), "trust/policy.yaml": tt.policy}))
			rev, err := fetchAndVerify(r)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, good.Commit(), rev.Commit())
		})
	}
}

func TestAFirstRevisionMustLeaveSomebodyInCharge(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	good := f.Head()
	f.commit(map[string]string{"trust/policy.yaml": strings.Replace(policy, "alice@", "olga@", 1)})
	r := open(t, f.options(t))
	rev, err := fetchAndVerify(r)
	require.ErrorContains(t, err, "has a key that is good")
	require.True(t, rev.IsZero())
	f.Git("reset", "-q", "--hard", good)
	require.Equal(t, good, poll(t, r).Commit())
}

// A link is its target's name in Git: here one that reads like a key.
func TestTrustIsMadeOfRegularFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, path, want string }{
		{"a link for the folder", "trust", "trust: is not a folder"},
		{"a link for a file of keys", "trust/allowed_signers", "trust/allowed_signers: is not a regular file"},
		{"a link for a policy", "trust/policy.yaml", "trust/policy.yaml: is not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			r := open(t, f.options(t))
			good := poll(t, r).Commit()
			path := filepath.Join(f.Dir, tt.path)
			require.NoError(t, os.RemoveAll(path))
			require.NoError(t, os.Symlink(strings.TrimSpace(f.alice.Public()), path))
			f.commit(nil)
			_, err := fetchAndVerify(r)
			require.ErrorContains(t, err, tt.want)
			rev, _, err := r.Floor()
			require.NoError(t, err)
			require.Equal(t, good, rev.Commit())
		})
	}
}
