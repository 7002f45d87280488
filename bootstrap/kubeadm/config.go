package kubeadm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/durable"
)

// machine is what the configuration depends on besides the fleet.
type machine struct {
	cgroupV2 bool // systemd then owns the tree, and the kubelet asks it for cgroups
	adjusts  bool // whether units may lower their OOM score: containers that are hosts may not
}

func thisMachine() machine {
	var fs unix.Statfs_t
	status, _ := os.ReadFile("/proc/1/status")
	return machine{
		cgroupV2: unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC,
		adjusts:  bounded(string(status))&(1<<unix.CAP_SYS_RESOURCE) != 0,
	}
}

// bounded reads the set of capabilities that no process of the machine exceeds, see proc(5).
func bounded(status string) (set uint64) {
	for line := range strings.Lines(status) {
		if _, err := fmt.Sscanf(line, "CapBnd:\t%x", &set); err == nil {
			return set
		}
	}
	return 0
}

func (n *node) containerdConfig() containerd.Config {
	return containerd.Config{
		Root: "/var/lib/containerd", State: "/run/containerd", Socket: socket, Programs: n.Bin, Networks: "/etc/cni/net.d",
		Hosts: registryHosts, Registries: n.Registries, Pause: n.Pause, SystemdCgroup: thisMachine().cgroupV2,
	}
}

func (n *node) writeConfig(address string) (path string, err error) {
	return n.keep("kubeadm.yaml", n.config(thisMachine(), address))
}

// keep writes a file for kubeadm to read.
func (n *node) keep(name, text string) (path string, err error) {
	path = filepath.Join(n.Dir, name)
	return path, durable.WriteFile(path, []byte(text), 0o600)
}

// config is kubeadm's, see https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/,
// with the kubelet's and kube-proxy's. Images are not collected by the kubelet: what the next pods need may be there before them.
// Each node finds the API on its own loopback, so the cluster's endpoint need not change when hosts come and go.
// Tags of images are left to kubeadm, whose defaults go up with it.
// Pods are evicted for what is left of a disk, not for a share of it: a site goes on until it is really full.
func (n *node) config(m machine, address string) string {
	c := n.Cluster
	return fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
%[1]slocalAPIEndpoint:
  advertiseAddress: %[2]s
  bindPort: %[3]d
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: holdfast
kubernetesVersion: %[4]s
imageRepository: %[5]s
controlPlaneEndpoint: 127.0.0.1:%[3]d
networking:
  podSubnet: %[6]s
  serviceSubnet: %[7]s
  dnsDomain: cluster.local
dns:
  imageRepository: %[5]s
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: %[8]s
oomScoreAdj: %[9]d
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 500Mi, nodefs.inodesFree: 1%%, imagefs.available: 500Mi}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %[6]s
oomScoreAdj: %[9]d
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, n.registration(m), address, c.APIPort, c.Version, c.Repository, c.PodCIDR, c.ServiceCIDR, m.cgroupDriver(), m.oomScore())
}

// registration is how the node introduces itself. kubeadm refuses version 1 of
// cgroups unless told to skip all of that check.
func (n *node) registration(m machine) string {
	skip := "SystemVerification"
	if m.cgroupV2 {
		skip = ""
	}
	return fmt.Sprintf(`nodeRegistration:
  name: %s
  criSocket: %s
  imagePullPolicy: Never
  taints: []
  ignorePreflightErrors: [%s]
`, n.Host, criSocket, skip)
}

// etcdTime is how long a new member of etcd has to catch up, within its turn to join: on
// a slow disk kubeadm's own two minutes are too few, and all is then done again.
const etcdTime = joinTime - time.Minute

// joinConfig is kubeadm's for a host that joins a cluster, which it finds, and is
// let in by, through the kubeconfig. The cluster's kubelets are configured alike
// but for what depends on the machine.
func (n *node) joinConfig(m machine, address, kubeconfig string) string {
	control := ""
	if !n.Worker {
		control = fmt.Sprintf("controlPlane:\n  localAPIEndpoint: {advertiseAddress: %s, bindPort: %d}\ntimeouts: {etcdAPICall: %s}\n", address, n.Cluster.APIPort, etcdTime)
	}
	return fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
%sdiscovery:
  file: {kubeConfigPath: %s}
patches: {directory: %s}
%s`, n.registration(m), kubeconfig, n.patchDir(), control)
}

func (n *node) patchDir() string { return filepath.Join(n.Dir, "patches") }

// patches are what this machine changes of the cluster's kubelet configuration, path → content.
func (n *node) patches(m machine) map[string]string {
	return map[string]string{filepath.Join(n.patchDir(), "kubeletconfiguration+merge.yaml"): fmt.Sprintf("cgroupDriver: %s\noomScoreAdj: %d\n", m.cgroupDriver(), m.oomScore())}
}

func (m machine) cgroupDriver() string {
	if m.cgroupV2 {
		return "systemd"
	}
	return "cgroupfs"
}

func (m machine) oomScore() int {
	if m.adjusts {
		return -999
	}
	return 0
}
