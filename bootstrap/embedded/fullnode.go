package embedded

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
)

// nodeIP is the node's address. That of the pods' bridge is there even where there
// is no other network.
func (n *node) nodeIP() string { return cmp.Or(n.Address, n.gateway()) }

// gateway is the address of the pods' bridge.
func (n *node) gateway() string {
	ip, _, _ := strings.Cut(n.address, "/")
	return ip
}

// bridge is the interface that pods are behind.
func (n *node) bridge() string { return cmp.Or(n.Bridge, bridgeOf(n.Dir)) }

func (n *node) containerdSocket() string { return n.path("run", "containerd.sock") }

func (n *node) containerd() process {
	config := n.path("etc", "containerd.toml")
	return process{
		Name: "containerd", Args: []string{n.Bin + "/containerd", "--config=" + config},
		Env:   []string{"PATH=" + n.Bin + ":" + os.Getenv("PATH")},
		Ready: &probe{Socket: n.containerdSocket()}, StopSeconds: 10, files: []string{config},
	}
}

func (n *node) kubelet() process {
	config := n.path("etc", "kubelet.yaml")
	return process{
		Name: "kubelet",
		Args: n.kube("kubelet", "--config="+config, "--kubeconfig="+n.kubeconfig("kubelet"), "--hostname-override="+n.Host,
			"--node-ip="+n.nodeIP(), "--root-dir="+n.path("data", "kubelet")),
		StopSeconds: 10, files: []string{config, n.kubeconfig("kubelet"), n.pki("kubelet-serving.pem"), n.pki("ca.crt")},
	}
}

func (n *node) proxy() process {
	config := n.path("etc", "proxy.yaml")
	return process{
		Name: "kube-proxy", Args: n.kube("kube-proxy", "--config="+config),
		StopSeconds: 5, files: []string{config, n.kubeconfig("proxy")},
	}
}

func (n *node) addNodeFiles(files map[string]string) {
	files["kubelet.yaml"] = n.kubeletConfig()
	files["proxy.yaml"] = n.proxyConfig()
	config := n.containerdConfig()
	files["containerd.toml"] = config.Text()
	for path, text := range config.Registries.Hosts("registries") {
		files[path] = text
	}
	files["cni/10-holdfast.conflist"] = n.networkConfig()
}

// kubeletConfig follows https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/.
// Images are never collected: what the next pods need may be there before them.
func (n *node) kubeletConfig() string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
port: %[2]d
healthzBindAddress: 127.0.0.1
healthzPort: %[3]d
tlsCertFile: %[4]s/pki/kubelet-serving.pem
tlsPrivateKeyFile: %[4]s/pki/kubelet-serving.pem
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[4]s/pki/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /%[5]s
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
containerRuntimeEndpoint: unix://%[6]s
podLogsDir: %[4]s/log/pods
volumePluginDir: %[4]s/data/kubelet/volume-plugins
clusterDomain: cluster.local
enforceNodeAllocatable: [pods]
evictionHard: {memory.available: 50Mi, nodefs.available: 2%%, nodefs.inodesFree: 1%%, imagefs.available: 2%%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
makeIPTablesUtilChains: false
nodeStatusUpdateFrequency: 10s
`, n.nodeIP(), n.ports.Kubelet, n.ports.KubeletHealth, n.Dir, cgroupOf(n.Dir), n.containerdSocket())
}

// proxyConfig follows https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/.
// Limits of connection tracking belong to the machine, so they are left alone.
func (n *node) proxyConfig() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %s}
hostnameOverride: %s
mode: nftables
clusterCIDR: %s
healthzBindAddress: 127.0.0.1:%d
metricsBindAddress: 127.0.0.1:%d
oomScoreAdj: 0
nftables: {minSyncPeriod: 200ms, syncPeriod: 60s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, n.kubeconfig("proxy"), n.Host, n.PodCIDR, n.ports.ProxyHealth, n.ports.ProxyMetrics)
}

func (n *node) containerdConfig() containerd.Config {
	return containerd.Config{
		Root: n.path("data", "containerd"), State: n.path("run", "containerd"), Socket: n.containerdSocket(), Programs: n.Bin,
		Networks: n.path("etc", "cni"), Hosts: n.path("etc", "registries"), Pause: n.Pause, Guest: true,
	}
}

// networkConfig follows the CNI specification 1.0.0 and the plugins' own pages at https://www.cni.dev/plugins/current/.
func (n *node) networkConfig() string {
	type object = map[string]any
	data, err := json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       cgroupOf(n.Dir),
		"plugins": []object{
			{
				"type": "bridge", "bridge": n.bridge(), "isGateway": true, "hairpinMode": true,
				"ipMasq": true, "ipMasqBackend": "nftables",
				"ipam": object{
					"type": "host-local", "dataDir": n.path("data", "cni"),
					"ranges": [][]object{{{"subnet": n.PodCIDR, "gateway": n.gateway()}}},
					"routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "backend": "nftables", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		panic(err) // plain strings and booleans
	}
	return string(data) + "\n"
}
