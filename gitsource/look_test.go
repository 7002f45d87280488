package gitsource_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

// What a host accepted is read beside its agent, and who changed what last.
func TestLookingAtWhatWasAccepted(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.options(t)
	_, err := gitsource.Look(gitsource.Options{Dir: o.Dir, Second: o.Second})
	require.ErrorIs(t, err, gitsource.ErrNothing)
	first := f.Head()
	second := f.commit(map[string]string{"fleet.yaml": "kind: Fleet\n# changed\n"})
	r := open(t, o)
	require.NoError(t, r.Fetch(t.Context()))
	_, err = r.Verify(t.Context())
	require.NoError(t, err)

	look, err := gitsource.Look(gitsource.Options{Dir: o.Dir, Second: o.Second})
	require.NoError(t, err, "while another has it open")
	defer look.Close()
	rev, there, err := look.Floor()
	require.NoError(t, err)
	require.True(t, there)
	require.Equal(t, second, rev.Commit())
	require.Equal(t, "alice@example.com", rev.Signer().Name)
	changes, err := look.LastChanges(rev, []string{"fleet.yaml", "sites/a/site.yaml", "nowhere.yaml"})
	require.NoError(t, err)
	require.Len(t, changes, 2)
	require.Equal(t, []string{"fleet.yaml", second, "alice@example.com"}, []string{changes[0].File, changes[0].Commit, changes[0].Signer})
	require.Equal(t, []string{"sites/a/site.yaml", first, "first"}, []string{changes[1].File, changes[1].Commit, changes[1].Subject})
	require.NotEmpty(t, changes[0].Author)
	before, err := look.Accepted(first)
	require.NoError(t, err)
	changes, err = look.LastChanges(before, []string{"fleet.yaml"})
	require.NoError(t, err)
	require.Equal(t, first, changes[0].Commit)
}

func TestTheRefusalOfOneSourceIsFoundAmongOthers(t *testing.T) {
	t.Parallel()
	reason := errors.New("not signed")
	err := errors.Join(errors.New("other"), fmt.Errorf("verify: %w", errors.Join(&gitsource.Refused{Source: "a", Reason: reason}, &gitsource.Refused{Source: "b"})))
	require.ErrorIs(t, gitsource.RefusalOf(err, "a"), reason)
	require.NoError(t, gitsource.RefusalOf(err, "c"))
	require.NoError(t, gitsource.RefusalOf(nil, "a"))
}

// A bundle that was brought stays until it is forgotten, whatever lies in the folders.
func TestABundleIsTakenFromAnywhere(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.options(t)
	o.Sources, o.BundleDirs = nil, []string{t.TempDir()}
	r := open(t, o)
	path := t.TempDir() + "/brought"
	f.Git("bundle", "create", "-q", path, "main")
	commit, err := r.Take(t.Context(), path)
	require.NoError(t, err)
	require.Equal(t, f.Head(), commit)
	require.NoError(t, r.Fetch(t.Context()), "the folders are looked through")
	rev, err := r.Verify(t.Context())
	require.NoError(t, err)
	require.Equal(t, f.Head(), rev.Commit())
	r.Forget(path)
	_, err = r.Take(t.Context(), path+"nowhere")
	require.Error(t, err)
}
