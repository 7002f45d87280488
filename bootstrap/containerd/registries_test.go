package containerd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegistriesThatNothingIsDeclaredOfAnswerNobody(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{"/d/_default/hosts.toml": "# Written by Holdfast.\nserver = \"http://127.0.0.1:1\"\ncapabilities = [\"pull\", \"resolve\"]\n"}, Registries{}.Hosts("/d"))
	require.Equal(t, "[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/d\"\n", Registries{}.Config("/d"))
}

func TestMirrorsAreAskedInTheirOrderAndTheRegistryIsNot(t *testing.T) {
	t.Parallel()
	files := Registries{Mirrors: map[string][]string{"docker.io": {"https://a.example.com/v2/docker", "http://10.0.0.1:5000", "https://c.example.com"}, "*": {"https://a.example.com"}}}.Hosts("/d")
	require.Equal(t, `# Written by Holdfast.
server = "https://c.example.com"
capabilities = ["pull", "resolve"]

[host."https://a.example.com/v2/docker"]
capabilities = ["pull", "resolve"]
override_path = true

[host."http://10.0.0.1:5000"]
capabilities = ["pull", "resolve"]
`, files["/d/docker.io/hosts.toml"])
	require.Contains(t, files["/d/_default/hosts.toml"], "https://a.example.com", "every other has a mirror, too")
	require.Len(t, files, 2)
}

func TestWhatOthersWroteOfRegistriesStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(registry, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, registry), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, registry, "hosts.toml"), []byte(text), 0o600))
	}
	put("docker.io", written)
	put("quay.io", written)
	put("ghcr.io", "server = \"https://example.com\"\n")
	r := Registries{Mirrors: map[string][]string{"docker.io": {"https://a"}}}
	require.True(t, r.Stale(dir))
	require.NoError(t, r.Forget(dir))
	require.False(t, r.Stale(dir))
	require.FileExists(t, filepath.Join(dir, "docker.io", "hosts.toml"))
	require.FileExists(t, filepath.Join(dir, "ghcr.io", "hosts.toml"))
	require.NoDirExists(t, filepath.Join(dir, "quay.io"))
}
