package k0s

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

var update = flag.Bool("update", false, "write the golden files")

// TestFiles shows what is written, and holds it against the documentation.
func TestFiles(t *testing.T) {
	t.Parallel()
	table, err := documented.Load("k0s")
	require.NoError(t, err)
	for path, text := range files(solo.Cluster{PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12", APIPort: 6443}, containerd.Registries{
		Mirrors: map[string][]string{"docker.io": {"https://mirror.example.com/v2/docker", "https://registry-1.docker.io"}},
		Logins:  map[string]containerd.Login{"mirror.example.com": {Username: "fleet", Password: `p"\`}},
	}, "10.0.0.42") {
		golden(t, strings.ReplaceAll(strings.TrimPrefix(path, "/etc/"), "/", "-"), text)
		require.NoError(t, table.Check("path", path, ""))
		if path == configFile {
			_, err = table.YAML("key", []byte(text))
			require.NoError(t, err)
		}
	}
}

// TestCommands holds what is called against the documentation.
func TestCommands(t *testing.T) {
	t.Parallel()
	table, err := documented.Load("k0s")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(backups(dir), 0o700))
	kind := kind(dir)
	for _, words := range [][]string{
		install(Config{Host: "store-042-a", Disable: []string{"helm", "autopilot"}}, "10.0.0.42"), install(Config{Host: "store-042-a"}, "10.0.0.42"),
		kind.Snapshot("holdfast-before-v1.36.4-k0s.0", backups(dir)), kind.Restore("/backup.tar.gz"), kind.List("/opt/bin/k0s")[1:], kind.Reset,
	} {
		_, err := table.Command(words)
		require.NoError(t, err, "%q", words)
	}
	_, err = table.Command(install(Config{Host: "store-042-a", Disable: []string{"kube-scheduler"}}, "10.0.0.42"))
	require.ErrorContains(t, err, `"kube-scheduler" is not one of`)
	_, err = table.Command(install(Config{Host: "store-042-a --fail-swap-on"}, "10.0.0.42"))
	require.ErrorContains(t, err, "--fail-swap-on is not one of those that are used")
	require.NoError(t, table.Check("path", kind.Kubeconfig, ""))
	require.NoError(t, table.Check("path", kind.Images+"/holdfast-layers.tar", ""))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}
