package k3s

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

var update = flag.Bool("update", false, "write the golden files")

// TestFiles shows what is written, and holds it against the documentation.
func TestFiles(t *testing.T) {
	t.Parallel()
	for _, f := range []Family{K3s, RKE2} {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			table, err := documented.Load(f.Name)
			require.NoError(t, err)
			dir := t.TempDir()
			cfg := solo.Wanted{Dir: dir, Program: "/opt/bin/" + f.Name, Host: "store-042-a", Site: solo.Site{Members: site}, Disable: map[string][]string{"k3s": {"traefik", "servicelb"}, "rke2": {"rke2-metrics-server", "ingress-controller"}}[f.Name],
				Cluster: solo.Cluster{PodCIDR: "10.42.0.0/16", ServiceCIDR: "10.43.0.0/16", APIPort: 6443},
				Registries: containerd.Registries{
					Mirrors: map[string][]string{"docker.io": {"https://mirror.example.com/v2/docker", "https://registry-1.docker.io"}},
					Logins:  map[string]containerd.Login{"mirror.example.com": {Username: "fleet", Password: `p"\`}},
				}}
			require.NoError(t, makeTokens(cfg))
			files := f.files(cfg, "10.0.0.42", "")
			written(t, table, "", "key", files, dir)
			require.Contains(t, files, f.data+"/agent/etc/containerd/config-v3.toml.d/holdfast.toml")
			cfg.Host = "store-042-c"
			next := filepath.Join(f.etc(), "config.yaml")
			written(t, table, "next-", "key", map[string]string{next: f.files(cfg, "10.0.0.44", "10.0.0.42")[next]}, dir)
			cfg.Host, cfg.Worker = "store-042-b", true
			written(t, table, "agent-", "agent key", f.files(cfg, "10.0.0.43", "10.0.0.42"), dir)
			kind := f.Kind(dir)
			for _, words := range [][]string{kind.Snapshot("holdfast-backup", ""), kind.Forget("holdfast-backup-store-042-a-1764166800"), kind.Restore("/snapshot")} {
				_, err = table.Command(words)
				require.NoError(t, err, "%q", words)
			}
			require.NoError(t, table.Check("path", kind.Lock, ""))
			require.NoError(t, table.Check("path", kind.Snapshots+"/holdfast-backup-store-042-a-1764166800", ""))
			if list := kind.List("/opt/bin/" + f.Name); list[0] == "/opt/bin/"+f.Name {
				_, err = table.Command(list[1:])
			} else {
				err = table.Check("path", list[0], "")
			}
			require.NoError(t, err)
			require.NoError(t, table.Check("path", kind.Kubeconfig, ""))
			require.NoError(t, errors.Join(table.Check("path", f.tokenOf("token"), ""), table.Check("path", f.tokenOf("agent-token"), "")))
			require.NoError(t, table.Check("path", kind.Kubelet, ""))
			require.NoError(t, table.Check("path", kind.Images+"/"+kind.Once, ""))
			require.NoError(t, table.Check("path", kind.Images+"/holdfast-layers.tar", ""))
		})
	}
}

// site has a server and an agent.
var site = []peers.Member{
	{Name: "store-042-a", Role: fleet.ControlPlane, Network: fleet.Network{Address: "10.0.0.42"}},
	{Name: "store-042-b", Role: fleet.Worker, Network: fleet.Network{Address: "10.0.0.43"}},
}

// written holds files against their golden ones and the documentation.
func written(t *testing.T, table *documented.Table, role, keys string, files map[string]string, dir string) {
	t.Helper()
	for path, text := range files {
		var err error
		switch filepath.Base(path) {
		case "config.yaml":
			_, err = table.YAML(keys, []byte(text))
		case "registries.yaml":
			_, err = table.YAML("registry", []byte(text))
		case "holdfast.toml":
			require.Equal(t, containerd.DropIn, text)
			require.NoError(t, table.Check("path", path, ""))
			continue
		default:
			err = table.Unit(text)
		}
		require.NoError(t, err)
		name := strings.ReplaceAll(strings.TrimPrefix(path, "/etc/"), "/", "-")
		if !strings.HasSuffix(path, ".service") {
			require.NoError(t, table.Check("path", path, ""))
			name = role + name
		}
		golden(t, name, strings.ReplaceAll(text, dir+"/", "DIR/"))
	}
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

func TestTheTokenIsMadeOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "k3s", "token")
	require.NoError(t, ensureToken(file))
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, strings.TrimSpace(string(first)), 64)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, ensureToken(file))
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, first, again)
}

func TestKeysAreOnDiskAtOnce(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"/etc/rancher/node"}, RKE2.Kind(t.TempDir()).Synced(true), "an agent has none of the server's folders")
	require.Contains(t, RKE2.Kind(t.TempDir()).Synced(false), "/var/lib/rancher/rke2/server/tls")
}

func TestTheResolverIsTheTenthOfTheServices(t *testing.T) {
	t.Parallel()
	require.Equal(t, "10.43.0.10", resolver("10.43.0.0/16"))
	require.Equal(t, "172.20.8.10", resolver("172.20.8.0/22"))
}
