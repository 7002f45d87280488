package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// TestNoServerOutlivesItsReview ends a review while its server starts, and once it runs.
func TestNoServerOutlivesItsReview(t *testing.T) {
	t.Parallel()
	programs, err := embeddedtest.Programs()
	require.NoError(t, err)
	repo := gitsourcetest.NewRepo(t)
	require.NoError(t, os.CopyFS(repo.Dir, os.DirFS("../../fleet-example")))
	repo.Commit(gitsourcetest.Commit{})
	repo.Write("sites/emea/store-043/addons/shop/page.txt", "changed")
	repo.Commit(gitsourcetest.Commit{})
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
		at     string // file in the server's folder that tells when
	}{
		{"Ctrl-C while it starts", syscall.SIGINT, "etc/node.json"},
		{"Ctrl-C once it runs", syscall.SIGINT, "run/applied"},
		{"a kill while it starts", syscall.SIGKILL, "run/etcd.pid"},
		{"a kill once it runs", syscall.SIGKILL, "run/applied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			cmd := exec.Command("holdfast", "diff", "HEAD~1..HEAD", "--fleet", repo.Dir, "--server", "--server-programs", programs)
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			var said bytes.Buffer
			cmd.Stderr = &said
			require.NoError(t, cmd.Start())
			found := func() bool {
				files, _ := filepath.Glob(filepath.Join(tmp, "holdfast-server-*", tt.at))
				return len(files) > 0
			}
			require.Eventually(t, found, 2*time.Minute, 5*time.Millisecond, &said)
			require.NoError(t, cmd.Process.Signal(tt.signal))
			require.Error(t, cmd.Wait())
			require.Eventually(t, func() bool {
				left, err := os.ReadDir(tmp)
				return err == nil && len(left) == 0 && len(processesOf(tmp)) == 0
			}, 2*time.Minute, 20*time.Millisecond)
		})
	}
}

// processesOf lists the folders in /proc of processes whose command lines name
// what is in a folder.
func processesOf(dir string) (list []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(dir+"/")) {
			list = append(list, filepath.Dir(file))
		}
	}
	return list
}
