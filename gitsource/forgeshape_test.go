package gitsource_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// shape is how a forge writes a commit: who it says made it, and which key signs.
type shape struct {
	author, committer string
	by                *gitsourcetest.Key // nil: unsigned
	blank             bool               // an empty line ends the signature
}

const (
	asker  = "Tess <7+tess@users.noreply.github.com>" // of the pull request
	merger = "Max <max@example.com>"                  // presses the button
)

// write makes a commit byte for byte, as forges do not run git commit; main is where it was.
func (s shape) write(t *testing.T, g *team, message, tree string, parents ...string) string {
	t.Helper()
	at := " " + g.Git("log", "-1", "--format=%ct", parents[0]) + " +0200\n"
	head := "tree " + tree + "\nparent " + strings.Join(parents, "\nparent ") + "\nauthor " + s.author + at + "committer " + s.committer + at
	raw := head + "\n" + message
	if s.by != nil {
		signature := strings.TrimSuffix(string(s.by.Sign([]byte(raw), "git")), "\n")
		if s.blank {
			signature += "\n"
		}
		raw = head + "gpgsig " + strings.ReplaceAll(signature, "\n", "\n ") + "\n\n" + message
	}
	return g.object(t, "commit", []byte(raw))
}

// rebased writes the commits of the topic anew on main.
func (s shape) rebased(t *testing.T, g *team, head string) []string {
	t.Helper()
	var made []string
	parent := g.Git("rev-parse", "main")
	for _, c := range strings.Fields(g.Git("rev-list", "--reverse", "main.."+head)) {
		tree := g.Git("merge-tree", "--write-tree", "main", c)
		parent = s.write(t, g, g.Git("log", "-1", "--format=%B", c)+"\n", tree, parent)
		made = append(made, parent)
	}
	return made
}

// Long, because it is one table: three forges, and each method that they have.
func TestEachForgeByEachMethod(t *testing.T) {
	t.Parallel()
	tree := func(g *team, c string) string { return g.Git("rev-parse", c+"^{tree}") }
	github := func(t *testing.T) shape {
		key := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "noreply@github.com", Algorithm: "rsa3072"})
		return shape{author: asker, committer: "GitHub <noreply@github.com>", by: key, blank: true}
	}
	plain := func(*testing.T) shape { return shape{author: asker, committer: merger} }
	ssh := func(t *testing.T) shape {
		return shape{author: merger, committer: "Gitea <gitea@fake.local>", by: gitsourcetest.NewSSHKey(t, "gitea@fake.local", "ed25519")}
	}
	merge := func(message string) landing {
		return func(t *testing.T, g *team, s shape, head string) (string, []string) {
			return s.write(t, g, message, tree(g, head), g.Git("rev-parse", "main"), head), nil
		}
	}
	squash := func(message string) landing {
		return func(t *testing.T, g *team, s shape, head string) (string, []string) {
			return s.write(t, g, message, tree(g, head), g.Git("rev-parse", "main")), nil
		}
	}
	rebase := func(t *testing.T, g *team, s shape, head string) (string, []string) {
		made := s.rebased(t, g, head)
		return made[len(made)-1], made
	}
	fastForward := func(_ *testing.T, g *team, _ shape, head string) (string, []string) {
		return head, strings.Fields(g.Git("rev-list", "--reverse", "main.."+head))
	}
	rebaseAndMerge := func(t *testing.T, g *team, s shape, head string) (string, []string) {
		g.Commit(gitsourcetest.Commit{By: g.dave, Files: map[string]string{"sites/x": "1"}}) // else there is nothing to rebase
		made := s.rebased(t, g, head)
		last := made[len(made)-1]
		return s.write(t, g, "Merge branch 'topic' into 'main'\n", tree(g, last), g.Git("rev-parse", "main"), last), []string{last}
	}
	for _, tt := range []struct {
		name  string
		shape func(*testing.T) shape
		land  landing
		want  error // until what the forge made is approved; nil: approvals of the head cover it
	}{
		{"GitHub, merge", github, merge("Merge pull request #1 from tess/topic\n\nChange the shop"), nil},
		{"GitHub, squash", github, squash("Change the shop (#1)\n\n* half\n\n* whole"), nil},
		{"GitHub, rebase", plain, rebase, trust.ErrUnsigned},
		{"GitLab, merge commit", plain, merge("Merge branch 'topic' into 'main'\n\nChange the shop\n\nSee merge request fleet/fleet!1"), nil},
		{"GitLab, squash with a merge commit", plain, func(t *testing.T, g *team, s shape, head string) (string, []string) {
			squashed, _ := squash("Change the shop\n")(t, g, s, head)
			return merge("Merge branch 'topic' into 'main'\n\nChange the shop\n\nSee merge request fleet/fleet!1")(t, g, s, squashed)
		}, nil},
		{"GitLab, squash and fast-forward", plain, squash("Change the shop\n"), nil},
		{"GitLab, rebase with a merge commit", plain, rebaseAndMerge, trust.ErrUnsigned},
		{"GitLab, fast-forward", plain, fastForward, trust.ErrUnsigned},
		{"Gitea, merge", ssh, merge("Merge pull request 'Change the shop' (#1) from topic into main\n\nReviewed-on: https://git.example.com/fleet/pulls/1\n"), nil},
		{"Gitea, merge, unsigned", plain, merge("Merge pull request 'Change the shop' (#1) from topic into main\n\nReviewed-on: https://git.example.com/fleet/pulls/1\n"), nil},
		{"Gitea, squash", ssh, squash("Change the shop (#1)\n\nReviewed-on: https://git.example.com/fleet/pulls/1\n"), nil},
		{"Gitea, rebase with a merge commit", plain, rebaseAndMerge, trust.ErrUnsigned},
		{"Gitea, rebase", ssh, rebase, trust.ErrUnknownSigner},
		{"Gitea, fast-forward", plain, fastForward, trust.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeam(t)
			r := open(t, g.options(t))
			poll(t, r)
			head := g.pull()
			g.approve(g.bob, head)
			g.approve(g.carol, head)
			tip, made := tt.land(t, g, tt.shape(t), head)
			g.Git("reset", "-q", "--hard", tip)
			if tt.want != nil {
				requireAudit(t, g, tt.want)
				pollRefused(t, r, tt.want)
				for _, c := range made {
					g.approve(g.bob, c)
					g.approve(g.carol, c)
				}
			}
			requireAudit(t, g, nil)
			require.Equal(t, tip, poll(t, r).Commit())
		})
	}
}

// landing puts a pull request on main; it returns the tip, and what must be approved
// if approvals of the head are not enough.
type landing func(t *testing.T, g *team, s shape, head string) (tip string, made []string)
