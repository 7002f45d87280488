package gitsource_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

const twoOwners = `apiVersion: holdfast.dev/v1alpha1
kind: TrustPolicy
spec:
  mode: commit
  people:
    alice: [alice@example.com, alice@home.example.com]
  groups:
    owners: [alice, bob@example.com, carol@example.com]
    ops: [dave@example.com]
  rules:
  - {paths: ["sites/**"], groups: [ops, owners]}
  - {paths: ["**"], groups: [owners], threshold: 2}
`

// team is a fleet that asks for two owners.
type team struct {
	*fleet
	home, bob, carol, dave *gitsourcetest.Key // home is alice's other key
	stranger               *gitsourcetest.Key
}

func newTeam(t *testing.T) *team {
	t.Helper()
	return newTeamWith(t, twoOwners)
}

func newTeamWith(t *testing.T, policy string) *team {
	t.Helper()
	key := func(email string) *gitsourcetest.Key { return gitsourcetest.SharedSSHKey(t, email) }
	g := &team{
		fleet: newFleet(t), home: key("alice@home.example.com"), bob: key("bob@example.com"), carol: key("carol@example.com"),
		dave: key("dave@example.com"), stranger: key("stranger@example.com"),
	}
	g.commit(map[string]string{
		"trust/policy.yaml":     policy,
		"trust/allowed_signers": g.alice.Public() + g.home.Public() + g.bob.Public() + g.carol.Public() + g.dave.Public(),
	})
	return g
}

// change is signed by alice alone, who may not make it alone.
func (g *team) change() string {
	return g.commit(map[string]string{"profiles/shop": "changed"})
}

func (g *team) approve(by *gitsourcetest.Key, on string) {
	g.Tag(gitsourcetest.Tag{Name: "approve/" + on[:8] + "/" + by.Email, On: on, By: by})
}

// Long, because it is one table.
func TestApprovals(t *testing.T) {
	t.Parallel()
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		// build makes a change that the policy asks two owners for.
		build func(t *testing.T, g *team)
		want  error // nil: accepted
	}{
		{"nobody else", func(_ *testing.T, g *team) { g.change() }, trust.ErrTooFew},
		{"a second owner", func(_ *testing.T, g *team) { g.approve(g.bob, g.change()) }, nil},
		{"a second owner with OpenPGP", func(t *testing.T, g *team) {
			pgp := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "bob@example.com", Algorithm: "ed25519"})
			g.approve(g.bob, g.commit(map[string]string{pgp.File(): pgp.Public()}))
			g.approve(pgp, g.change())
		}, nil},
		{"two owners of an unsigned commit", func(_ *testing.T, g *team) {
			c := g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/shop": "changed"}})
			g.approve(g.bob, c)
			g.approve(g.carol, c)
		}, nil},
		{"two owners of a stranger's commit", func(_ *testing.T, g *team) {
			c := g.Commit(gitsourcetest.Commit{By: g.stranger, Files: map[string]string{"profiles/shop": "changed"}})
			g.approve(g.bob, c)
			g.approve(g.carol, c)
		}, nil},
		{"one of two, of an unsigned commit", func(_ *testing.T, g *team) {
			g.approve(g.bob, g.Commit(gitsourcetest.Commit{Files: map[string]string{"profiles/shop": "changed"}}))
		}, trust.ErrTooFew},
		{"the same person with the same key", func(_ *testing.T, g *team) { g.approve(g.alice, g.change()) }, trust.ErrTooFew},
		{"the same person with another key", func(_ *testing.T, g *team) { g.approve(g.home, g.change()) }, trust.ErrTooFew},
		{"somebody of another group", func(_ *testing.T, g *team) { g.approve(g.dave, g.change()) }, trust.ErrTooFew},
		{"a stranger", func(_ *testing.T, g *team) { g.approve(g.stranger, g.change()) }, trust.ErrTooFew},
		{"a stranger with an owner's name", func(t *testing.T, g *team) {
			g.approve(gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519"), g.change())
		}, trust.ErrTooFew},
		{"an unsigned tag", func(_ *testing.T, g *team) {
			g.change()
			g.Tag(gitsourcetest.Tag{Name: "approve/bob"})
		}, trust.ErrTooFew},
		{"a tag that is no approval", func(_ *testing.T, g *team) {
			g.change()
			g.Tag(gitsourcetest.Tag{Name: "reviewed/bob", By: g.bob})
		}, trust.ErrTooFew},
		{"another commit", func(_ *testing.T, g *team) {
			g.approve(g.bob, g.Head())
			g.change()
		}, trust.ErrTooFew},
		{"another commit with the same tree", func(_ *testing.T, g *team) {
			c := g.change()
			g.Git("commit", "-q", "--amend", "-m", "the same, otherwise")
			g.approve(g.bob, g.Head())
			g.Git("reset", "-q", "--hard", c)
			g.Git("checkout", "-q", "--detach")
			g.Git("checkout", "-q", "main")
		}, nil}, // its tree and its parent are what bob saw
		{"a lightweight tag on an approved commit's name", func(_ *testing.T, g *team) {
			g.approve(g.bob, g.Head())
			g.Git("tag", "-f", "approve/x", g.change())
		}, trust.ErrTooFew},
		{"a nested tag", func(_ *testing.T, g *team) {
			g.change()
			g.Tag(gitsourcetest.Tag{Name: "inner"})
			g.Tag(gitsourcetest.Tag{Name: "approve/bob", On: "inner", By: g.bob})
		}, trust.ErrTooFew},
		{"a tag of a tree", func(_ *testing.T, g *team) {
			g.change()
			g.Tag(gitsourcetest.Tag{Name: "approve/bob", On: "HEAD^{tree}", By: g.bob})
		}, trust.ErrTooFew},
		{"another tag renamed to an approval", func(_ *testing.T, g *team) {
			g.change()
			g.Tag(gitsourcetest.Tag{Name: "looked-at", By: g.bob})
			g.Git("update-ref", "refs/tags/approve/bob", g.Git("rev-parse", "refs/tags/looked-at"))
		}, trust.ErrTooFew},
		{"an approval moved to another commit", func(_ *testing.T, g *team) {
			g.approve(g.bob, g.Head())
			raw := g.Git("cat-file", "tag", g.Git("rev-parse", "approve/"+g.Head()[:8]+"/"+g.bob.Email))
			before := g.Head()
			forged := strings.Replace(raw, before, g.change(), 1)
			file := filepath.Join(g.Dir, "..", "tag")
			require.NoError(t, os.WriteFile(file, []byte(forged+"\n"), 0o600))
			g.Git("update-ref", "refs/tags/approve/"+before[:8]+"/"+g.bob.Email, g.Git("hash-object", "-w", "-t", "tag", file))
		}, trust.ErrTooFew},
		{"a signature of another namespace", func(t *testing.T, g *team) {
			forge(t, g, "approve/bob", g.change(), func(payload []byte) []byte { return g.bob.Sign(payload, "file") })
		}, trust.ErrTooFew},
		{"two signatures, of which the last counts", func(t *testing.T, g *team) {
			forge(t, g, "approve/bob", g.change(), func(payload []byte) []byte {
				return append(g.bob.Sign(payload, "git"), g.stranger.Sign(payload, "git")...)
			})
		}, trust.ErrTooFew},
		{"an expired key", func(t *testing.T, g *team) {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "bob@example.com", Algorithm: "ed25519", Created: old, Lifetime: 24 * time.Hour})
			bob.SignAt(old.Add(time.Hour))
			g.approve(g.bob, g.commit(map[string]string{bob.File(): bob.Public()}))
			c := g.change()
			g.Tag(gitsourcetest.Tag{Name: "approve/bob", On: c, By: bob, At: old.Add(time.Hour)})
		}, trust.ErrTooFew},
		{"a key that is revoked in the parent", func(t *testing.T, g *team) {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "bob@example.com", Algorithm: "ed25519"})
			g.approve(g.bob, g.commit(map[string]string{bob.File(): bob.Public()}))
			bob.RevokePublic()
			g.approve(g.bob, g.commit(map[string]string{bob.File(): bob.Public()}))
			g.approve(bob, g.change())
		}, trust.ErrTooFew},
		{"a key that the commit itself brings", func(_ *testing.T, g *team) {
			keys := g.alice.Public() + g.bob.Public() + g.carol.Public() + g.dave.Public()
			c := g.commit(map[string]string{"trust/allowed_signers": keys + strings.Replace(g.stranger.Public(), "stranger@", "bob@", 1)})
			g.approve(g.stranger, c)
		}, trust.ErrTooFew},
		{"a policy that widens itself", func(_ *testing.T, g *team) {
			g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{
				"trust/policy.yaml": strings.Replace(twoOwners, "owners: [alice", "owners: [dave@example.com, alice", 1)}})
		}, trust.ErrForbiddenPath},
		{"a policy that lowers its own threshold", func(_ *testing.T, g *team) {
			g.commit(map[string]string{"trust/policy.yaml": strings.Replace(twoOwners, ", threshold: 2", "", 1)})
		}, trust.ErrTooFew},
		{"a path of one and a path of two", func(_ *testing.T, g *team) {
			g.commit(map[string]string{"sites/x": "1", "profiles/x": "1"})
		}, trust.ErrTooFew},
		{"a path of one", func(_ *testing.T, g *team) {
			g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}})
		}, nil},
		{"an empty commit of somebody known", func(_ *testing.T, g *team) { g.Commit(gitsourcetest.Commit{By: g.dave}) }, nil},
		{"an empty commit of a stranger", func(_ *testing.T, g *team) { g.Commit(gitsourcetest.Commit{By: g.stranger}) }, trust.ErrUnknownSigner},
		{"an empty commit of nobody", func(_ *testing.T, g *team) { g.Commit(gitsourcetest.Commit{}) }, trust.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeam(t)
			r := open(t, g.options(t))
			poll(t, r)
			tt.build(t, g)
			requireAudit(t, g, tt.want)
			if tt.want == nil {
				require.Equal(t, g.Head(), poll(t, r).Commit())
				return
			}
			rev, refused := pollRefused(t, r, tt.want)
			require.Equal(t, g.Head(), refused.Commit)
			require.Equal(t, g.Git("rev-parse", "HEAD^"), rev.Commit())
		})
	}
}

// requireAudit expects that headquarters says of the line up to HEAD what hosts say.
func requireAudit(t *testing.T, g *team, want error) {
	t.Helper()
	audit, err := gitsource.OpenAudit(g.Dir, nil)
	require.NoError(t, err)
	verdicts, err := audit.Log("HEAD", 4)
	require.NoError(t, err)
	for _, v := range verdicts {
		if !v.Accepted {
			require.ErrorIs(t, v.Err, want)
			return
		}
	}
	require.NoError(t, want, "all is accepted at headquarters")
}

// forge makes a tag whose signature is not what git would put there.
func forge(t *testing.T, g *team, name, on string, sign func(payload []byte) []byte) {
	t.Helper()
	payload := []byte("object " + on + "\ntype commit\ntag " + name + "\ntagger T <t@example.com> " + g.Git("log", "-1", "--format=%ct") + " +0000\n\nok\n")
	file := filepath.Join(t.TempDir(), "tag")
	require.NoError(t, os.WriteFile(file, append(payload, sign(payload)...), 0o600))
	g.Git("update-ref", "refs/tags/"+name, g.Git("hash-object", "-w", "-t", "tag", file))
}

func TestLateApprovalsHeal(t *testing.T) {
	t.Parallel()
	g := newTeam(t)
	r := open(t, g.options(t))
	poll(t, r)
	c := g.change()
	g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}})
	for range 2 {
		_, refused := pollRefused(t, r, trust.ErrTooFew)
		require.Contains(t, refused.Hint(), "holdfast approve "+c[:12]+" ")
	}
	g.approve(g.bob, c)
	require.Equal(t, g.Head(), poll(t, r).Commit())
}

func TestALateApprovalHealsFromAnotherSource(t *testing.T) {
	t.Parallel()
	g := newTeam(t)
	o := g.options(t)
	dir := t.TempDir()
	o.BundleDirs = []string{dir}
	mirror := filepath.Join(t.TempDir(), "mirror")
	g.Git("clone", "-q", "--bare", g.Dir, mirror)
	o.Sources = []gitsource.Source{{URL: gitsourcetest.Serve(t, mirror)}}
	r := open(t, o)
	poll(t, r)
	c := g.change()
	g.Git("push", "-q", mirror, "main")
	pollRefused(t, r, trust.ErrTooFew)

	g.approve(g.bob, c)
	g.Bundle(filepath.Join(dir, "x.bundle"), "main", "refs/tags/approve/"+c[:8]+"/"+g.bob.Email)
	require.Equal(t, c, poll(t, r).Commit(), "git's own bundle brings the tag of a commit that is there")
}

func TestOurBundlesCarryApprovals(t *testing.T) {
	t.Parallel()
	g := newTeam(t)
	o, dir := stick(t, g.fleet)
	write := func() {
		file, err := os.Create(filepath.Join(dir, "x.bundle"))
		require.NoError(t, err)
		require.NoError(t, gitsource.CreateBundle(context.Background(), file, g.Dir, "main", ""))
		require.NoError(t, file.Close())
	}
	g.Tag(gitsourcetest.Tag{Name: "unsigned"})
	write()
	r := open(t, o)
	poll(t, r)
	c := g.change()
	write()
	pollRefused(t, r, trust.ErrTooFew)
	g.approve(g.bob, c)
	write()
	require.Equal(t, c, poll(t, r).Commit())
	info, err := gitsource.InspectBundle(filepath.Join(dir, "x.bundle"))
	require.NoError(t, err)
	require.Len(t, info.Refs, 2, "the branch and the signed tag")
	g.Git("bundle", "verify", "-q", filepath.Join(dir, "x.bundle"))
	_, signer, err := gitsource.VerifyBundle(context.Background(), filepath.Join(dir, "x.bundle"), anchorOf(t, g.alice))
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", signer.Name)
}
