package gitsource_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// fleet is a repository signed by alice, whose key it holds.
type fleet struct {
	*gitsourcetest.Repo
	alice *gitsourcetest.Key
	url   string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	return newFleetOf(t, gitsourcetest.SharedSSHKey(t, "alice@example.com"))
}

func newFleetOf(t *testing.T, key *gitsourcetest.Key) *fleet {
	t.Helper()
	f := &fleet{Repo: gitsourcetest.NewRepo(t), alice: key}
	f.Commit(gitsourcetest.Commit{Message: "first", By: key, Files: map[string]string{
		key.File(): key.Public(), "fleet.yaml": "kind: Fleet\n", "sites/a/site.yaml": "kind: Site\n",
	}})
	f.url = gitsourcetest.Serve(t, f.Dir)
	return f
}

func (f *fleet) commit(files map[string]string) string {
	return f.Commit(gitsourcetest.Commit{By: f.alice, Files: files})
}

func anchorOf(t *testing.T, keys ...*gitsourcetest.Key) *trust.Keyring {
	t.Helper()
	files := make(map[string][]byte)
	for _, key := range keys {
		files[filepath.Base(key.File())] = append(files[filepath.Base(key.File())], key.Public()...)
	}
	k, err := trust.ParseKeyring(files)
	require.NoError(t, err)
	return k
}

func (f *fleet) options(t *testing.T) gitsource.Options {
	return gitsource.Options{Dir: filepath.Join(t.TempDir(), "state"), Sources: []gitsource.Source{{URL: f.url}}, Anchor: anchorOf(t, f.alice)}
}

func open(t *testing.T, o gitsource.Options) *gitsource.Repository {
	t.Helper()
	r, err := gitsource.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// poll fetches and verifies; both must succeed.
func poll(t *testing.T, r *gitsource.Repository) gitsource.Revision {
	t.Helper()
	require.NoError(t, r.Fetch(context.Background()))
	rev, err := r.Verify(context.Background())
	require.NoError(t, err)
	return rev
}

// pollRefused fetches, and expects that one candidate is refused for a reason.
func pollRefused(t *testing.T, r *gitsource.Repository, reason error) (gitsource.Revision, *gitsource.Refused) {
	t.Helper()
	require.NoError(t, r.Fetch(context.Background()))
	rev, err := r.Verify(context.Background())
	require.ErrorIs(t, err, reason)
	refused := new(gitsource.Refused)
	require.True(t, errors.As(err, &refused))
	return rev, refused
}

func TestFirstContactAndFollowing(t *testing.T) {
	t.Parallel()
	pgp := func(algorithm string) *gitsourcetest.Key {
		return gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "alice@example.com", Algorithm: algorithm})
	}
	ssh := func(algorithm string) *gitsourcetest.Key {
		return gitsourcetest.NewSSHKey(t, "alice@example.com", algorithm)
	}
	for name, key := range map[string]*gitsourcetest.Key{
		"OpenPGP RSA-3072": pgp("rsa3072"), "OpenPGP ed25519": pgp("ed25519"),
		"SSH ed25519": ssh("ed25519"), "SSH ecdsa": ssh("ecdsa"), "SSH rsa": ssh("rsa-3072"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleetOf(t, key)
			r := open(t, f.options(t))
			_, found, err := r.Floor()
			require.NoError(t, err)
			require.False(t, found)

			rev := poll(t, r)
			require.Equal(t, f.Head(), rev.Commit())
			require.Equal(t, f.Head()[:12], rev.Short())
			require.Equal(t, "alice@example.com", rev.Signer().Name)
			require.Equal(t, key.Fingerprint, rev.Signer().Key)

			f.commit(map[string]string{"a": "1"})
			f.commit(map[string]string{"a": "2"})
			rev = poll(t, r)
			require.Equal(t, f.Head(), rev.Commit())
			data, err := fs.ReadFile(rev.FS(), "a")
			require.NoError(t, err)
			require.Equal(t, "2", string(data))
			require.Equal(t, rev.Commit(), poll(t, r).Commit(), "nothing new")
		})
	}
}

func TestFirstContactRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		build func(t *testing.T, f *fleet)
		want  error
	}{
		{"an unsigned tip", func(t *testing.T, f *fleet) { f.Commit(gitsourcetest.Commit{}) }, trust.ErrUnsigned},
		{"a stranger's tip", func(t *testing.T, f *fleet) {
			f.Commit(gitsourcetest.Commit{By: gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519")})
		}, trust.ErrUnknownSigner},
		{"a fleet that signs itself", func(t *testing.T, f *fleet) {
			eve := gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519")
			f.Commit(gitsourcetest.Commit{By: eve, Files: map[string]string{"trust/allowed_signers": eve.Public()}})
		}, trust.ErrUnknownSigner},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			good := f.Head()
			tt.build(t, f)
			r := open(t, f.options(t))
			rev, refused := pollRefused(t, r, tt.want)
			require.True(t, rev.IsZero())
			require.Equal(t, f.Head(), refused.Commit)
			_, found, err := r.Floor()
			require.NoError(t, err)
			require.False(t, found)

			f.Git("reset", "-q", "--hard", good)
			require.Equal(t, good, poll(t, r).Commit())
		})
	}
}

func TestWithoutKeysInTheFleetTheAnchorVouches(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := open(t, f.options(t))
	poll(t, r)
	f.Commit(gitsourcetest.Commit{By: f.alice, Remove: []string{"trust"}})
	poll(t, r)
	f.commit(map[string]string{"a": "1"})
	require.Equal(t, f.Head(), poll(t, r).Commit())
}

func TestMergesAreJudgedByTheirFirstParent(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := open(t, f.options(t))
	poll(t, r)
	f.Git("checkout", "-q", "-b", "topic")
	f.Commit(gitsourcetest.Commit{Files: map[string]string{"topic": "unsigned, but not on the line"}})
	f.Git("checkout", "-q", "main")
	f.commit(map[string]string{"main": "1"})
	f.Git("merge", "-q", "--no-commit", "--no-ff", "topic")
	merge := f.CommitIndex(gitsourcetest.Commit{By: f.alice})
	require.Equal(t, merge, poll(t, r).Commit())
}
