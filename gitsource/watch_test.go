package gitsource_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

func watched(t *testing.T, dirs ...string) <-chan struct{} {
	t.Helper()
	f := newFleet(t)
	o := f.options(t)
	o.BundleDirs = dirs
	r, err := gitsource.Open(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	changed, err := r.Watch(ctx)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		for range changed {
		}
		require.NoError(t, r.Close())
	})
	return changed
}

func fires(t *testing.T, changed <-chan struct{}, why string) {
	t.Helper()
	select {
	case _, ok := <-changed:
		require.True(t, ok, why)
	case <-time.After(time.Minute):
		require.Fail(t, "nothing was seen", why)
	}
}

func TestWatchSeesFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	changed := watched(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.bundle"), []byte("x"), 0o600))
	fires(t, changed, "a new file")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.bundle"), []byte("xy"), 0o600))
	fires(t, changed, "a file that changed")
	require.NoError(t, os.Remove(filepath.Join(dir, "a.bundle")))
	fires(t, changed, "a file that went away")
}

func TestWatchSeesFoldersThatAppear(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "media", "stick", "holdfast")
	changed := watched(t, dir)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	fires(t, changed, "the folder")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.bundle"), []byte("x"), 0o600))
	fires(t, changed, "a file in it")
	require.NoError(t, os.RemoveAll(filepath.Join(root, "media")))
	fires(t, changed, "the folder going away")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	fires(t, changed, "the folder coming back")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.bundle"), []byte("x"), 0o600))
	fires(t, changed, "a file in the new folder")
}

// Not parallel with others that watch: every mount wakes every watcher.
func TestWatchSeesMounts(t *testing.T) {
	dir := t.TempDir()
	changed := watched(t, dir)
	out, err := exec.Command("mount", "-t", "tmpfs", "none", dir).CombinedOutput()
	require.NoError(t, err, "this test needs root: %s", out)
	mounted := true
	t.Cleanup(func() {
		if mounted {
			exec.Command("umount", dir).Run()
		}
	})
	fires(t, changed, "the mount")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.bundle"), []byte("x"), 0o600))
	fires(t, changed, "a file on what was mounted")
	out, err = exec.Command("umount", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	mounted = false
	fires(t, changed, "the unmount")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.bundle"), []byte("x"), 0o600))
	fires(t, changed, "a file below")
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := open(t, f.options(t))
	ctx, cancel := context.WithCancel(context.Background())
	changed, err := r.Watch(ctx)
	require.NoError(t, err)
	cancel()
	_, ok := <-changed
	require.False(t, ok)
}
