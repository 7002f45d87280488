package bootstrap

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProgramsOfPodsThatRunStay: also where an agent that is confined, as by its unit,
// may not look into processes that are allowed more than it is.
func TestProgramsOfPodsThatRunStay(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("HOLDFAST_CONFINED"); dir != "" {
		require.NoError(t, removeOthers(dir, "new"))
		return
	}
	dir := t.TempDir()
	for _, version := range []string{"older", "old", "new"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o755))
	}
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	data, err := os.ReadFile(sleep)
	require.NoError(t, err)
	shim := filepath.Join(dir, "old/shim")
	require.NoError(t, os.WriteFile(shim, data, 0o755))
	pod := exec.Command(shim, "infinity")
	require.NoError(t, pod.Start())
	end := func() { _, _ = pod.Process.Kill(), pod.Wait() }
	t.Cleanup(end)

	words := []string{os.Args[0], "-test.run=^TestProgramsOfPodsThatRunStay$"}
	if os.Getuid() == 0 {
		words = append([]string{"setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"}, words...)
	}
	confined := exec.Command(words[0], words[1:]...)
	confined.Env = append(os.Environ(), "HOLDFAST_CONFINED="+dir)
	out, err := confined.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoDirExists(t, filepath.Join(dir, "older"))
	require.FileExists(t, shim)

	end()
	require.NoError(t, removeOthers(dir, "new"))
	require.NoDirExists(t, filepath.Join(dir, "old"))
	require.DirExists(t, filepath.Join(dir, "new"))
}
