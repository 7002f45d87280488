package bootstrap_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/content"
)

const powerCutImage = "holdfast.dev/test/node:v1"

// TestImagesOutliveAPowerCut: containerd never takes an image for whole that is not. It knows
// on disk what it unpacked before the files are there, if it does not wait for those.
func TestImagesOutliveAPowerCut(t *testing.T) {
	dir := shortDir(t)
	if !inNamespaces(t, dir, "TestImagesOutliveAPowerCut") {
		return
	}
	dir = os.Getenv(insideVariable)
	bin, err := embeddedtest.Programs()
	require.NoError(t, err)
	store, err := content.Open(filepath.Join(dir, "content"))
	require.NoError(t, err)
	digest, err := store.AddProgram(powerCutImage, bin+"/node")
	require.NoError(t, err)
	images := map[string]string{powerCutImage: digest}
	var archive bytes.Buffer
	require.NoError(t, store.WriteArchive(&archive, images))

	t.Run("of this program", func(t *testing.T) {
		outlivesAPowerCut(t, filepath.Join(dir, "own"), "", func(runtime containerd.Runtime) {
			_, err := runtime.Import(t.Context(), store, images)
			require.NoError(t, err)
			sent, err := os.ReadFile(filepath.Join(dir, "own", "sent"))
			require.NoError(t, err)
			require.Less(t, len(sent), 1<<20, "the program itself is placed, not sent")
		})
	})
	t.Run("of a distribution", func(t *testing.T) {
		outlivesAPowerCut(t, filepath.Join(dir, "its"), containerd.DropIn, func(runtime containerd.Runtime) {
			ctr := exec.Command(runtime.Client, "--address="+runtime.Socket, "--namespace=k8s.io", "images", "import", "--local", "-")
			ctr.Stdin = bytes.NewReader(archive.Bytes())
			out, err := ctr.CombinedOutput()
			require.NoError(t, err, string(out))
		})
	})
}

// outlivesAPowerCut imports, and does so again with what the disk had the moment that the
// client of containerd was done.
func outlivesAPowerCut(t *testing.T, dir, dropIn string, imported func(containerd.Runtime)) {
	require.NoError(t, os.Mkdir(dir, 0o755))
	bin, err := embeddedtest.Programs()
	require.NoError(t, err)
	disk, cut, ctr := filepath.Join(dir, "disk"), filepath.Join(dir, "cut"), filepath.Join(dir, "ctr")
	run(t, "truncate", "--size=256M", disk)
	run(t, "mkfs.ext4", "-q", disk)
	require.NoError(t, os.WriteFile(ctr, fmt.Appendf(nil, "#!/bin/bash\nset -eo pipefail\n"+
		"case \"$*\" in *' images import '*) tee %[4]s | %[1]s/ctr \"$@\";; *) %[1]s/ctr \"$@\";; esac\ncp %[2]s %[3]s\n", bin, disk, cut, filepath.Join(dir, "sent")), 0o700))

	runtime, stop := startContainerd(t, dir, disk, dropIn)
	runtime.Client = ctr
	imported(runtime)
	stop()

	runtime, stop = startContainerd(t, dir, cut, dropIn)
	defer stop()
	require.NoFileExists(t, runtime.Record)
	imported(runtime)
	seen := filepath.Join(dir, "seen")
	require.NoError(t, os.Mkdir(seen, 0o755))
	run(t, bin+"/ctr", "--address="+runtime.Socket, "--namespace=k8s.io", "images", "mount", powerCutImage, seen)
	want, err := os.ReadFile(bin + "/node")
	require.NoError(t, err)
	have, err := os.ReadFile(seen + "/node")
	require.NoError(t, err)
	run(t, "umount", seen)
	require.Equal(t, len(want), len(have), "bytes of the program")
	require.True(t, bytes.Equal(want, have), "the program is damaged")
}

// startContainerd runs one that has its data on a disk, until it is stopped.
func startContainerd(t *testing.T, dir, disk, dropIn string) (runtime containerd.Runtime, stop func()) {
	t.Helper()
	bin, err := embeddedtest.Programs()
	require.NoError(t, err)
	root, more := filepath.Join(dir, "root"), filepath.Join(dir, "more.toml")
	require.NoError(t, os.MkdirAll(root, 0o755))
	run(t, "mount", "-o", "loop", disk, root)
	config := containerd.Config{
		Root: root + "/containerd", State: dir + "/run/containerd", Socket: dir + "/run/containerd.sock",
		Programs: bin, Networks: dir + "/net", Hosts: dir + "/hosts", Pause: "holdfast.dev/pause@sha256:0", Guest: true,
	}
	text := config.Text()
	if dropIn != "" {
		require.NoError(t, os.WriteFile(more, []byte(dropIn), 0o600))
		text = fmt.Sprintf("imports = [%q]\n", more) + text
	}
	file := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	cmd := exec.Command(bin+"/containerd", "--config="+file, "--log-level=error")
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	stop = func() {
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		run(t, "umount", root)
	}
	runtime = containerd.Runtime{Client: bin + "/ctr", Socket: config.Socket, Record: root + "/containerd/holdfast-imports.json"}
	require.Eventually(t, func() bool { return runtime.Answers(t.Context()) == nil }, 30*time.Second, 50*time.Millisecond)
	return runtime, stop
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, string(out))
}
