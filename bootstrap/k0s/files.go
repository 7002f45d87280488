package k0s

import (
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
)

// registryHosts is the folder of registry hosts.
const registryHosts = "/etc/k0s/containerd.d/certs.d"

// files are the configuration, path → content. A worker has its own from the controller, but for containerd's.
func files(want solo.Wanted, address string) map[string]string {
	files := want.Registries.Hosts(registryHosts)
	files["/etc/k0s/containerd.d/holdfast.toml"] = "# Written by Holdfast.\nversion = 3\n\n" + want.Registries.Config(registryHosts)
	files["/etc/k0s/containerd.d/holdfast-disk.toml"] = containerd.DropIn // k0s imports it as it is, for it says nothing of the CRI
	if !want.Worker {
		files[configFile] = config(want.Cluster, address, len(want.Hosts().Servers()) > 0 || isBalanced())
	}
	return files
}

// balancing has each worker reach whichever controller answers:
// https://docs.k0sproject.io/stable/nllb/
const balancing = `
    nodeLocalLoadBalancing:
      enabled: true
      type: EnvoyProxy`

// isBalanced tells whether there were several controllers once: it stays, for workers
// know of it only when they start.
func isBalanced() bool {
	data, err := os.ReadFile(configFile)
	return err == nil && strings.Contains(string(data), balancing)
}

// config is the configuration file. Images are not collected by the kubelet:
// what the next pods need may be there before them.
func config(c solo.Cluster, address string, balanced bool) string {
	network := ""
	if balanced {
		network = balancing
	}
	return fmt.Sprintf(`# Written by Holdfast.
apiVersion: k0s.k0sproject.io/v1beta1
kind: ClusterConfig
metadata:
  name: k0s
spec:
  api:
    address: %[1]s
    port: %[2]d
  images:
    default_pull_policy: Never
  network:
    podCIDR: %[3]s
    serviceCIDR: %[4]s%[5]s
  storage:
    type: etcd
    etcd:
      peerAddress: %[1]s
  telemetry:
    enabled: false
  workerProfiles:
  - name: default
    values:
      imageGCHighThresholdPercent: 100
      imageGCLowThresholdPercent: 99
`, address, c.APIPort, c.PodCIDR, c.ServiceCIDR, network)
}
