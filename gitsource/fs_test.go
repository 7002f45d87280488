package gitsource_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

func TestRevisionIsAFileSystem(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit(map[string]string{"a/b/c": "deep", "a.txt": "1", "a-b": "sorted otherwise by Git", "empty": ""})
	rev := poll(t, open(t, f.options(t)))
	require.NoError(t, fstest.TestFS(rev.FS(), "a/b/c", "a.txt", "a-b", "empty", "fleet.yaml", "trust/allowed_signers"))

	_, err := fs.ReadFile(rev.FS(), "none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fs.ReadFile(rev.FS(), "a.txt/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fs.ReadFile(rev.FS(), "../etc/passwd")
	require.ErrorIs(t, err, fs.ErrInvalid)

	zero := gitsource.Revision{}
	require.True(t, zero.IsZero())
	_, err = zero.FS().Open("fleet.yaml")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestRevisionNamesWhatIsNotAllowed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	require.NoError(t, os.Mkdir(filepath.Join(f.Dir, "links"), 0o755))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(f.Dir, "links", "evil")))
	f.Git("add", "-A")
	f.Git("update-index", "--add", "--cacheinfo", "160000,"+f.Head()+",modules/evil")
	f.CommitIndex(gitsourcetest.Commit{By: f.alice})
	f.Git("checkout", "-q", "-f", "HEAD")
	deep := strings.Repeat("d/", 100) + "x"
	f.commit(map[string]string{"large": strings.Repeat("x", 4<<20+1), deep: "x"})
	rev := poll(t, open(t, f.options(t)))

	for _, tt := range []struct {
		name string
		read func(fs.FS) error
		want string
	}{
		{"reading a link", func(f fs.FS) error { _, err := fs.ReadFile(f, "links/evil"); return err }, "read links/evil: symbolic links are not allowed in a fleet"},
		{"listing a link", func(f fs.FS) error { _, err := fs.ReadDir(f, "links"); return err }, "readdir links/evil: symbolic links are not allowed in a fleet"},
		{"asking for a link", func(f fs.FS) error { _, err := fs.Stat(f, "links/evil"); return err }, "stat links/evil: symbolic links are not allowed in a fleet"},
		{"going through a link", func(f fs.FS) error { _, err := f.Open("links/evil/x"); return err }, "open links/evil: symbolic links are not allowed in a fleet"},
		{"listing a submodule", func(f fs.FS) error { _, err := fs.ReadDir(f, "modules"); return err }, "readdir modules/evil: submodules are not allowed in a fleet"},
		{"a large file", func(f fs.FS) error { _, err := fs.ReadFile(f, "large"); return err }, "read large: file of 4194305 bytes, at most 4194304 are allowed"},
		{"opening a large file", func(f fs.FS) error { _, err := f.Open("large"); return err }, "read large: file of 4194305 bytes, at most 4194304 are allowed"},
		{"a deep path", func(f fs.FS) error { _, err := fs.ReadFile(f, deep); return err }, "deeper than 64 folders"},
		{"walking down", func(f fs.FS) error {
			return fs.WalkDir(f, "d", func(_ string, _ fs.DirEntry, err error) error { return err })
		}, "deeper than 64 folders"},
	} {
		t.Run(tt.name, func(t *testing.T) { require.ErrorContains(t, tt.read(rev.FS()), tt.want) })
	}
}

// A clone before its first "git gc" has a file for every object.
func TestAskingForSizesLeavesNoFileOpen(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit(map[string]string{"a.txt": "1"})
	audit, err := gitsource.OpenAudit(f.Dir, nil)
	require.NoError(t, err)
	tree, err := audit.Tree(f.Head())
	require.NoError(t, err)
	for range 100 {
		info, err := fs.Stat(tree, "a.txt")
		require.NoError(t, err)
		require.EqualValues(t, 1, info.Size())
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, fd := range open {
		name, _ := os.Readlink(fd) // gone, if another test closed it
		require.NotContains(t, name, f.Dir)
	}
}
