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
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

var update = flag.Bool("update", false, "write the golden files")

// TestFiles shows what is written, and holds it against the documentation.
func TestFiles(t *testing.T) {
	t.Parallel()
	table, err := documented.Load("k0s")
	require.NoError(t, err)
	want := solo.Wanted{
		Cluster: solo.Cluster{PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12", APIPort: 6443},
		Registries: containerd.Registries{
			Mirrors: map[string][]string{"docker.io": {"https://mirror.example.com/v2/docker", "https://registry-1.docker.io"}},
			Logins:  map[string]containerd.Login{"mirror.example.com": {Username: "fleet", Password: `p"\`}},
		},
	}
	written := files(want, "10.0.0.42")
	for path, text := range written {
		golden(t, strings.ReplaceAll(strings.TrimPrefix(path, "/etc/"), "/", "-"), text)
		require.NoError(t, table.Check("path", path, ""))
	}
	_, err = table.YAML("key", []byte(written[configFile]))
	require.NoError(t, err)
	require.Contains(t, written, "/etc/k0s/containerd.d/holdfast-disk.toml")

	several := want
	several.Members = []peers.Member{{Name: "store-042-a", Role: fleet.ControlPlane}, {Name: "store-042-b", Role: fleet.ControlPlane}}
	next := files(several, "10.0.0.43")[configFile]
	golden(t, "next-k0s-k0s.yaml", next)
	_, err = table.YAML("key", []byte(next))
	require.NoError(t, err)

	want.Worker = true
	delete(written, configFile)
	require.Equal(t, written, files(want, "10.0.0.43"), "a worker reads no configuration but that of containerd")
}

// TestCommands holds what is called against the documentation.
func TestCommands(t *testing.T) {
	t.Parallel()
	table, err := documented.Load("k0s")
	require.NoError(t, err)
	dir := t.TempDir()
	kind := Program{}.Kind(dir)
	worker := solo.Wanted{Dir: dir, Host: "store-042-b", Worker: true}
	_, err = table.Command(install(worker, "10.0.0.43", "10.0.0.42"))
	require.ErrorContains(t, err, "no such file", "it was given no token")
	require.NoError(t, os.WriteFile(filepath.Join(dir, solo.TokenFile), []byte("H4sI"), 0o600))
	server := solo.Wanted{Dir: dir, Host: "store-042-c"}
	for _, words := range [][]string{
		install(solo.Wanted{Host: "store-042-a", Disable: []string{"helm", "autopilot"}}, "10.0.0.42", ""), install(solo.Wanted{Host: "store-042-a"}, "10.0.0.42", ""),
		install(server, "10.0.0.44", "10.0.0.42"), install(worker, "10.0.0.43", "10.0.0.42"), newToken(true), newToken(false), kind.Etcd.Members, kind.Etcd.Leave("10.0.0.43"), kind.Kubectl("/opt/bin/k0s", kind.Kubelet, "get", "node")[3:],
		kind.Snapshot("holdfast-backup", dir), kind.Restore("/backup.tar.gz"), kind.List("/opt/bin/k0s")[1:], kind.Reset,
	} {
		_, err := table.Command(words)
		require.NoError(t, err, "%q", words)
	}
	_, err = table.Command(install(solo.Wanted{Host: "store-042-a", Disable: []string{"kube-scheduler"}}, "10.0.0.42", ""))
	require.ErrorContains(t, err, `"kube-scheduler" is not one of`)
	_, err = table.Command(install(solo.Wanted{Host: "store-042-a --fail-swap-on"}, "10.0.0.42", ""))
	require.ErrorContains(t, err, "--fail-swap-on is not one of those that are used")
	for _, path := range []string{kind.Kubeconfig, kind.Kubelet, kind.Images + "/holdfast-layers.tar", system.UnitDir + kind.Unit + ".service", system.UnitDir + kind.Agent + ".service"} {
		require.NoError(t, table.Check("path", path, ""))
	}
}

// TestWhoKubectlAsks: the program reads the environment before any flag.
func TestWhoKubectlAsks(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"/usr/bin/env", "KUBECONFIG=/var/lib/k0s/kubelet.conf", "/opt/bin/k0s", "kubectl", "get", "node"},
		kubectl("/opt/bin/k0s", "/var/lib/k0s/kubelet.conf", "get", "node"))
}

// TestATokenIsWhatIsPrinted: warnings are not part of it, and a failure says why.
func TestATokenIsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	program := func(script string) string {
		file := filepath.Join(t.TempDir(), "k0s")
		require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755))
		return file
	}
	token, err := admit(t.Context(), program("echo a warning >&2; echo \"$@\""), true)
	require.NoError(t, err)
	require.Equal(t, "token create --role=worker --expiry=1h", string(token[solo.TokenFile]))
	token, err = admit(t.Context(), program("echo \"$@\""), false)
	require.NoError(t, err)
	require.Equal(t, "token create --role=controller --expiry=1h", string(token[solo.TokenFile]))
	_, err = admit(t.Context(), program("echo is the server running? >&2; exit 1"), true)
	require.ErrorContains(t, err, "token create --role=worker --expiry=1h: exit status 1: is the server running?")
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
