package gitsource_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

func TestPins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// build makes the tag v1 after a commit whose file a is "old", and returns what is pinned.
		build func(t *testing.T, g *team, old string) string
		want  string // in the error; empty: it is found
	}{
		{"a signed tag of a commit on the line", func(_ *testing.T, g *team, old string) string {
			g.Tag(gitsourcetest.Tag{Name: "v1", On: old, By: g.bob})
			return old
		}, ""},
		{"by a key that has gone since", func(_ *testing.T, g *team, old string) string {
			g.Tag(gitsourcetest.Tag{Name: "v1", On: old, By: g.dave})
			g.Commit(gitsourcetest.Commit{By: g.alice, Files: map[string]string{"trust/allowed_signers": g.alice.Public() + g.bob.Public() + g.carol.Public()}})
			return old
		}, ""},
		{"by a key that came since", func(_ *testing.T, g *team, old string) string {
			g.Tag(gitsourcetest.Tag{Name: "v1", On: old, By: g.stranger})
			g.Commit(gitsourcetest.Commit{By: g.alice, Files: map[string]string{
				"trust/allowed_signers": g.alice.Public() + g.bob.Public() + g.carol.Public() + g.dave.Public() + g.stranger.Public()}})
			return old
		}, ""},
		{"by a stranger", func(_ *testing.T, g *team, old string) string {
			g.Tag(gitsourcetest.Tag{Name: "v1", On: old, By: g.stranger})
			return old
		}, "tag v1: "},
		{"an unsigned tag", func(_ *testing.T, g *team, old string) string {
			g.Tag(gitsourcetest.Tag{Name: "v1", On: old})
			return old
		}, "tag v1"},
		{"a tag without a tag object", func(_ *testing.T, g *team, old string) string {
			g.Git("tag", "v1", old)
			return old
		}, "no signed tag v1 names commit"},
		{"a tag of another commit", func(_ *testing.T, g *team, old string) string {
			g.Tag(gitsourcetest.Tag{Name: "v1", By: g.alice})
			return old
		}, "no signed tag v1 names commit"},
		{"a tag under another name", func(_ *testing.T, g *team, old string) string {
			g.Tag(gitsourcetest.Tag{Name: "v0", On: old, By: g.alice})
			g.Git("update-ref", "refs/tags/v1", g.Git("rev-parse", "refs/tags/v0"))
			return old
		}, "no signed tag v1 names commit"},
		{"a commit that was merged, not on the line", func(_ *testing.T, g *team, old string) string {
			g.Git("checkout", "-q", "-b", "topic", old)
			side := g.Commit(gitsourcetest.Commit{By: g.alice, Files: map[string]string{"topic": "x"}})
			g.Git("checkout", "-q", "main")
			g.Git("merge", "-q", "--no-ff", "--no-commit", "topic")
			g.CommitIndex(gitsourcetest.Commit{By: g.alice})
			g.Tag(gitsourcetest.Tag{Name: "v1", On: side, By: g.alice})
			return side
		}, "is not on the line of the revision"},
		{"a commit that is nowhere", func(_ *testing.T, g *team, _ string) string {
			return "0123456789012345678901234567890123456789"
		}, "is not on the line of the revision"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newTeamWith(t, everyKey)
			old := g.commit(map[string]string{"a": "old"})
			g.commit(map[string]string{"a": "new"})
			pinned := tt.build(t, g, old)
			o := g.options(t)
			r := open(t, o)
			rev := poll(t, r)
			require.Equal(t, g.Head(), rev.Commit())
			audit, err := gitsource.OpenAudit(g.Dir, nil)
			require.NoError(t, err)
			ours, err := audit.Pins("HEAD")
			require.NoError(t, err)
			for who, pins := range map[string]*gitsource.Pins{"host": r.Pins(rev), "headquarters": ours} {
				fsys, err := pins.At("v1", pinned)
				if tt.want != "" {
					require.ErrorContains(t, err, tt.want, who)
					continue
				}
				require.NoError(t, err, who)
				data, err := fs.ReadFile(fsys, "a")
				require.NoError(t, err)
				require.Equal(t, "old", string(data), who)
			}
		})
	}
}

// everyKey lets anybody in trust/ change anything.
const everyKey = `apiVersion: holdfast.dev/v1alpha1
kind: TrustPolicy
spec:
  mode: commit
  groups: {all: [alice@example.com, bob@example.com, carol@example.com, dave@example.com]}
  rules: [{paths: ["**"], groups: [all]}]
`

func TestAPinIsFoundAgainWithoutANetwork(t *testing.T) {
	t.Parallel()
	g := newTeamWith(t, everyKey)
	old := g.commit(map[string]string{"a": "old"})
	g.Tag(gitsourcetest.Tag{Name: "v1", By: g.bob})
	g.commit(map[string]string{"a": "new"})
	o := g.options(t)
	r := open(t, o)
	_, err := r.Pins(poll(t, r)).At("v1", old)
	require.NoError(t, err)
	require.NoError(t, r.Close())

	o.Sources = nil
	r = open(t, o)
	rev, found, err := r.Floor()
	require.NoError(t, err)
	require.True(t, found)
	fsys, err := r.Pins(rev).At("v1", old)
	require.NoError(t, err)
	data, err := fs.ReadFile(fsys, "a")
	require.NoError(t, err)
	require.Equal(t, "old", string(data))

	kept, err := filepath.Glob(filepath.Join(o.Dir, "pins", "*"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	raw, err := os.ReadFile(kept[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(kept[0], append([]byte(nil), raw[:len(raw)-40]...), 0o600))
	_, err = r.Pins(rev).At("v1", old)
	require.Error(t, err, "what was kept is judged like what comes from a source")
}
