package kubeadm

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
)

var update = flag.Bool("update", false, "write the golden files")

func testNode(t *testing.T) *node {
	t.Helper()
	return newNode(Config{
		Dir: t.TempDir(), Bin: "/opt/bin", Host: "store-042-a",
		Cluster: Cluster{Version: "v1.36.3", Repository: "registry.example.com/k8s", PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16", APIPort: 6443},
	})
}

// TestConfiguration shows kubeadm's configuration for the two kinds of machines.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]machine{"cgroup-v2": {cgroupV2: true, adjusts: true}, "cgroup-v1-in-a-container": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name+".yaml", testNode(t).config(m, "10.0.0.42"))
		})
	}
}

// TestConfigurationOfJoining shows that of hosts which join in either role.
func TestConfigurationOfJoining(t *testing.T) {
	t.Parallel()
	for name, worker := range map[string]bool{"join-worker": true, "join-control-plane": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			n.Dir, n.Worker = "/var/lib/holdfast/kubeadm", worker
			golden(t, name+".yaml", n.joinConfig(machine{cgroupV2: true}, "10.0.0.42", "/etc/kubernetes/admin.conf"))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestImagesAreThoseOfTheVersion(t *testing.T) {
	t.Parallel()
	c := Cluster{Version: "v1.36.3", Repository: "r"}
	require.Equal(t, []string{
		"r/kube-apiserver:v1.36.3", "r/kube-controller-manager:v1.36.3", "r/kube-scheduler:v1.36.3", "r/kube-proxy:v1.36.3",
		"r/etcd:3.6.8-0", "r/coredns:v1.14.2", "r/pause:3.10.2",
	}, Images(c))
	require.Equal(t, []string{"r/kube-proxy:v1.36.3", "r/coredns:v1.14.2", "r/pause:3.10.2"}, WorkerImages(c))
	server, worker := newNode(Config{Cluster: c}), newNode(Config{Cluster: c, Worker: true})
	require.NotContains(t, server.firstImages(), "r/coredns:v1.14.2", "it waits for a network")
	require.Len(t, server.firstImages(), 6)
	require.Equal(t, []string{"r/kube-proxy:v1.36.3", "r/pause:3.10.2"}, worker.firstImages())
	require.Equal(t, []string{"v1.35", "v1.36"}, Minors())
}

// What is locked is what kubeadm will ask for, wherever the images are said to be.
func TestImagesAreThoseThatKubeadmAsksFor(t *testing.T) {
	t.Parallel()
	programs, err := embeddedtest.Programs()
	require.NoError(t, err)
	kubeadm := filepath.Join(t.TempDir(), "kubeadm")
	require.NoError(t, os.Symlink(filepath.Join(programs, "kube"), kubeadm))
	for _, repository := range []string{"registry.example.com/kubernetes", "registry.k8s.io", "registry.k8s.io/mirror"} {
		t.Run(repository, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			n.Cluster.Repository = repository
			config := filepath.Join(t.TempDir(), "kubeadm.yaml")
			require.NoError(t, os.WriteFile(config, []byte(n.config(machine{cgroupV2: true}, "10.0.0.42")), 0o600))
			out, err := exec.CommandContext(t.Context(), kubeadm, "config", "images", "list", "--config", config).Output()
			require.NoError(t, err)
			require.ElementsMatch(t, strings.Fields(string(out)), Images(n.Cluster))
		})
	}
}

// TestRecord follows a cluster from nothing to ready, and what may happen to it.
func TestRecord(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	rec, err := n.readRecord()
	require.NoError(t, err)
	require.Empty(t, rec)

	require.NoError(t, n.writeRecord(record{Step: stepInit, Cluster: n.Cluster}))
	rec, err = n.readRecord()
	require.NoError(t, err)
	require.NoError(t, n.mayChange(rec), "an attempt that was cut off may become anything")

	require.NoError(t, n.writeRecord(record{Step: stepReady, Cluster: n.Cluster}))
	rec, err = n.readRecord()
	require.NoError(t, err)
	require.NoError(t, n.mayChange(rec))

	other := testNode(t)
	other.Cluster.PodCIDR = "10.9.0.0/24"
	require.ErrorContains(t, other.mayChange(rec), "networks, port and image repository of a cluster cannot change")
	other.Cluster = n.Cluster
	other.Cluster.Version = "v1.35.1"
	require.NoError(t, other.mayChange(rec), "versions are another matter")
}

func TestADamagedRecordIsNoLicence(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	for _, text := range []string{"", "{", `{"step":"removed"}`, "null"} {
		require.NoError(t, os.WriteFile(n.recordFile(), []byte(text), 0o600))
		_, err := n.readRecord()
		require.ErrorContains(t, err, "is damaged", "%q", text)
	}
}

func TestCapabilitiesOfTheMachine(t *testing.T) {
	t.Parallel()
	require.Equal(t, uint64(0x1ffffffffff), bounded("Name:\tsystemd\nCapBnd:\t000001ffffffffff\nCapAmb:\t0\n"))
	require.Zero(t, bounded("Name:\tsystemd\n"))
}
