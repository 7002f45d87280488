package gitsource

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/require"
)

func TestAPackIndexIsReadAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgSign=false"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "first")
	git("repack", "-adq")

	counting := &countingReads{Filesystem: osfs.New(filepath.Join(dir, ".git"))}
	storage := newStorage(counting, nil)
	defer storage.Close()
	found := 0
	commits, err := storage.IterEncodedObjects(plumbing.CommitObject)
	require.NoError(t, err)
	require.NoError(t, commits.ForEach(func(plumbing.EncodedObject) error { found++; return nil }))
	require.Equal(t, 1, found)
	require.Positive(t, counting.reads)
	require.Less(t, counting.reads, 5, "a few reads are enough for an index of a kilobyte")
}

// countingReads counts how often pack indexes are read.
type countingReads struct {
	billy.Filesystem
	reads int
}

func (c *countingReads) Open(name string) (billy.File, error) {
	f, err := c.Filesystem.Open(name)
	if err != nil || filepath.Ext(name) != ".idx" {
		return f, err
	}
	return &countedFile{f, c}, nil
}

type countedFile struct {
	billy.File
	of *countingReads
}

func (f *countedFile) Read(p []byte) (int, error) {
	f.of.reads++
	return f.File.Read(p)
}
