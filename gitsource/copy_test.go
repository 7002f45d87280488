package gitsource

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// host is a repository that follows a signed one.
type host struct {
	*gitsourcetest.Repo
	key     *gitsourcetest.Key
	options Options
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{Repo: gitsourcetest.NewRepo(t), key: gitsourcetest.NewSSHKey(t, "alice@example.com", "ed25519")}
	anchor, err := trust.ParseKeyring(map[string][]byte{"allowed_signers": []byte(h.key.Public())})
	require.NoError(t, err)
	h.next(0)
	h.options = Options{Dir: t.TempDir(), Sources: []Source{{URL: gitsourcetest.Serve(t, h.Dir)}}, Anchor: anchor}
	return h
}

func (h *host) next(n int) {
	h.Commit(gitsourcetest.Commit{By: h.key, Files: map[string]string{"n": fmt.Sprint(n), fmt.Sprintf("dir/%d", n): "x"}})
}

func (h *host) open(t *testing.T) *Repository {
	t.Helper()
	r, err := Open(h.options)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func follow(t *testing.T, r *Repository) Revision {
	t.Helper()
	require.NoError(t, r.Fetch(context.Background()))
	rev, err := r.Verify(context.Background())
	require.NoError(t, err)
	return rev
}

func readAll(t *testing.T, rev Revision) {
	t.Helper()
	require.NoError(t, fs.WalkDir(rev.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = fs.ReadFile(rev.FS(), path)
		}
		return err
	}))
}

// Long, because it is one table.
func TestAMirrorIsRebuiltFromItsCopy(t *testing.T) {
	t.Parallel()
	each := func(t *testing.T, dir, pattern string, damage func(path string) error) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, found)
		for _, path := range found {
			require.NoError(t, damage(path))
		}
	}
	flip := func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 0xff
		return os.WriteFile(path, data, 0o600)
	}
	empty := func(path string) error { return os.Truncate(path, 0) }
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		lost   bool // until there is a source again
	}{
		{"no mirror", func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, "mirror"))) }, false},
		{"empty packs", func(t *testing.T, dir string) { each(t, dir, "mirror/objects/pack/*.pack", empty) }, false},
		{"flipped bytes", func(t *testing.T, dir string) { each(t, dir, "mirror/objects/pack/*.pack", flip) }, false},
		{"no indexes", func(t *testing.T, dir string) { each(t, dir, "mirror/objects/pack/*.idx", os.Remove) }, false},
		{"a damaged copy of a whole mirror", func(t *testing.T, dir string) { each(t, dir, "copy/*", flip) }, false},
		{"both damaged", func(t *testing.T, dir string) {
			each(t, dir, "mirror/objects/pack/*.pack", empty)
			each(t, dir, "copy/*.pack", flip)
		}, true},
		{"both gone", func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "mirror")))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "copy")))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			r := h.open(t)
			for n := range 3 {
				h.next(n + 1)
				follow(t, r)
			}
			floor := h.Head()
			require.NoError(t, r.Close())
			tt.damage(t, h.options.Dir)

			offline := h.options
			offline.Sources = nil
			alone, err := Open(offline)
			require.NoError(t, err)
			rev, found, err := alone.Floor()
			require.True(t, found)
			if tt.lost {
				require.ErrorContains(t, err, "is not in the mirror")
			} else {
				require.NoError(t, err)
				require.Equal(t, floor, rev.Commit())
				readAll(t, rev)
			}
			require.NoError(t, alone.Close())

			h.next(9)
			r = h.open(t)
			rev = follow(t, r)
			require.Equal(t, h.Head(), rev.Commit())
			readAll(t, rev)
			h.Git("--git-dir", filepath.Join(h.options.Dir, "mirror"), "fsck", "--full", "--no-dangling")
		})
	}
}

func TestGrowthIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		stick bool
	}{{"by fresh clones from a remote", false}, {"by packing anew what increments on a stick brought", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			stick := t.TempDir()
			if tt.stick {
				h.options.Sources, h.options.BundleDirs = nil, []string{stick}
			}
			r := h.open(t)
			r.grown = growth{packs: 4, bytes: 1 << 20}
			var before Revision
			most, since := 0, ""
			for n := range 20 {
				h.next(n)
				h.Bundle(filepath.Join(stick, "next.bundle"), since+"main")
				since = h.Head() + ".."
				rev := follow(t, r)
				require.Equal(t, h.Head(), rev.Commit())
				readAll(t, rev)
				if n > 0 {
					readAll(t, before)
				}
				before = rev
				for _, pattern := range []string{"mirror/objects/pack/*.pack", "copy/*.pack"} {
					found, err := filepath.Glob(filepath.Join(h.options.Dir, pattern))
					require.NoError(t, err)
					most = max(most, len(found))
				}
				left, err := filepath.Glob(filepath.Join(h.options.Dir, "staging-*"))
				require.NoError(t, err)
				require.Empty(t, left)
			}
			require.Equal(t, 5, most)
			require.NoError(t, r.Close())
			h.Git("--git-dir", filepath.Join(h.options.Dir, "mirror"), "fsck", "--full", "--no-dangling")
			rev, _, err := h.open(t).Floor()
			require.NoError(t, err)
			readAll(t, rev)
		})
	}
}
