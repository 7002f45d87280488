package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheUnitIsOneForSystemd lets systemd read the unit. That it runs is for a host
// with systemd to show.
func TestTheUnitIsOneForSystemd(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../packaging/holdfast.service")
	require.NoError(t, err)
	unit := filepath.Join(t.TempDir(), "holdfast.service")
	runnable := strings.ReplaceAll(string(text), "/usr/local/bin/holdfast", "/bin/true") // it must be there
	require.NoError(t, os.WriteFile(unit, []byte(runnable), 0o600))
	said, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.Empty(t, string(said), "a warning about a setting")
	said, err = exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=30", unit).CombinedOutput()
	require.NoError(t, err, "it has more authority than it should:\n%s", said)
}
