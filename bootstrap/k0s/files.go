package k0s

import (
	"fmt"

	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
)

// files are the configuration, path → content. A pull fails at once: images come
// by digest, before the pods that need them.
func files(c solo.Cluster, address string) map[string]string {
	return map[string]string{
		configFile: config(c, address),
		"/etc/k0s/containerd.d/holdfast.toml": `# Written by Holdfast.
version = 3

[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/k0s/containerd.d/certs.d"
`,
		"/etc/k0s/containerd.d/certs.d/_default/hosts.toml": `server = "http://127.0.0.1:1"
`,
	}
}

// config is the configuration file. Images are not collected by the kubelet:
// what the next pods need may be there before them.
func config(c solo.Cluster, address string) string {
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
    serviceCIDR: %[4]s
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
`, address, c.APIPort, c.PodCIDR, c.ServiceCIDR)
}
