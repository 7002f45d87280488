package embeddedtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const childVariable = "HOLDFAST_TEST_CHILD"

// TestNothingOutlivesTheTests runs this test again in a process that ends without stopping its control plane.
func TestNothingOutlivesTheTests(t *testing.T) {
	t.Parallel()
	if os.Getenv(childVariable) != "" {
		kubeconfig, _, err := StartMain()
		require.NoError(t, err)
		_, _ = os.Stdout.WriteString("kubeconfig=" + kubeconfig + "\n")
		os.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesTheTests$")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	_, rest, ok := strings.Cut(string(out), "kubeconfig=")
	require.True(t, ok, string(out))
	path, _, _ := strings.Cut(rest, "\n")
	dir := filepath.Dir(filepath.Dir(path))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.Eventually(t, func() bool { return !named(dir) }, 60*time.Second, 50*time.Millisecond)
}

// named tells whether a process has the directory in its command line.
func named(dir string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(dir+"/")) {
			return true
		}
	}
	return false
}
