package k3s

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Family is one of the distributions that are k3s, or made of it.
type Family struct {
	Name string // of the program
	unit string // of a server; that of an agent is NAME-agent
	port int    // where servers let others join, if that is not the API's
	data string // folder of its state
	list string // command that prints the names of the images that there are
	kube string // its kubectl

	agentType  string   // of an agent's unit
	own        []string // lines of the configuration that the others do not have
	first      string   // and one of the server that makes the cluster
	unitOwn    []string // and of the unit
	interfaces []string // of the network that it makes
	leaves     []string // folders that only its uninstallation removes
}

// K3s keeps its datastore in etcd from the start: only so can it be kept by its own command, and be shared later.
var K3s = Family{
	Name: "k3s", unit: "k3s", data: "/var/lib/rancher/k3s",
	list:      "PROGRAM ctr images list -q",
	kube:      "PROGRAM kubectl",
	agentType: "exec",
	own:       []string{"https-listen-port: PORT"}, first: "cluster-init: true",
	interfaces: []string{"flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6", "kube-ipvs0"},
	leaves:     []string{"/run/flannel"},
}

// RKE2 runs its control plane in pods, and its parts bring names of their own.
var RKE2 = Family{
	Name: "rke2", unit: "rke2-server", port: 9345, data: "/var/lib/rancher/rke2",
	list: "/var/lib/rancher/rke2/bin/ctr --address /run/k3s/containerd/containerd.sock --namespace k8s.io images list -q",
	kube: "/var/lib/rancher/rke2/bin/kubectl", agentType: "notify",
	unitOwn: []string{
		`ExecStopPost=-/bin/sh -c "systemd-cgls /system.slice/%n | grep -Eo '[0-9]+ (containerd|kubelet)' | awk '{print $1}' | xargs -r kill"`,
	},
	interfaces: []string{
		"flannel.1", "flannel.4096", "flannel-v6.1", "flannel-v6.4096", "flannel-wg", "flannel-wg-v6", "vxlan.calico", "vxlan-v6.calico",
		"cilium_vxlan", "cilium_net", "cilium_wg0", "kube-ipvs0", "nodelocaldns",
	},
	leaves: []string{"/etc/cni", "/opt/cni/bin", "/var/log/pods", "/var/log/containers", "/var/log/calico"},
}

// Minors lists the minor versions that the configuration here was written for.
func (Family) Minors() []string { return []string{"v1.35", "v1.36"} }

// supervisor is the port where servers let others join.
func (f Family) supervisor(api int) int {
	if f.port != 0 {
		return f.port
	}
	return api
}

// kubectl is a command of the distribution's own one, as who a kubeconfig says.
func (f Family) kubectl(program, kubeconfig string, words ...string) []string {
	own := strings.Fields(strings.ReplaceAll(f.kube, "PROGRAM", program))
	return append(append(own, "--kubeconfig="+kubeconfig), words...)
}

// admit is what others join with: the program writes tokens in the secure format, by
// which the server is known, too.
func (f Family) admit(dir string, worker bool) (peers.Material, error) {
	if worker {
		token, err := os.ReadFile(f.tokenOf("agent-token"))
		return peers.Material{tokenFile: token}, err
	}
	token, err := os.ReadFile(f.tokenOf("token"))
	agents, failed := os.ReadFile(filepath.Join(dir, agentTokenFile))
	return peers.Material{tokenFile: token, agentTokenFile: agents}, errors.Join(err, failed)
}

// tokenOf is where a server writes what others join with.
func (f Family) tokenOf(name string) string { return f.data + "/server/" + name }

func (f Family) etc() string { return "/etc/rancher/" + f.Name }

// Kind is what the family calls its things.
func (f Family) Kind(dir string) solo.Kind {
	return solo.Kind{
		Name: f.Name, Unit: f.unit, Agent: f.Name + "-agent", Kubeconfig: filepath.Join(f.etc(), f.Name+".yaml"), Kubelet: f.data + "/agent/kubelet.kubeconfig",
		Kubectl: f.kubectl, Shared: []string{agentTokenFile},
		Admit:  func(_ context.Context, _ string, worker bool) (peers.Material, error) { return f.admit(dir, worker) },
		Synced: f.synced,
		Images: f.data + "/agent/images", Once: ".cache.json", Record: f.data + "/agent/containerd/holdfast-imports.json",
		List:      func(program string) []string { return strings.Fields(strings.ReplaceAll(f.list, "PROGRAM", program)) },
		Snapshot:  func(name, _ string) []string { return []string{"etcd-snapshot", "save", "--name", name} },
		Snapshots: f.data + "/server/db/snapshots",
		Forget:    func(file string) []string { return []string{"etcd-snapshot", "delete", file} },
		Restore: func(file string) []string {
			return []string{"server", "--cluster-reset", "--cluster-reset-restore-path=" + file}
		},
		Lock:   f.data + "/server/db/reset-flag",
		Keeps:  []string{tokenFile},
		Shims:  f.data + "/data/[^/]*/bin/containerd-shim",
		Mounts: []string{"/run/k3s", "/var/lib/kubelet/pods", "/var/lib/kubelet/plugins"},
		// This, and Leaves, is what k3s-killall.sh, rke2-killall.sh and the scripts that uninstall are documented to remove.
		Interfaces: append([]string{"cni0"}, f.interfaces...),
		Parts:      f.parts(),
		Leaves:     append([]string{f.etc(), "/etc/rancher/node", "/run/k3s", f.data, "/var/lib/kubelet", "/var/lib/cni"}, f.leaves...),
	}
}

// synced are the folders of what a node is known by, and of the authorities that a server is
// given when it joins, see https://docs.k3s.io/cli/certificate: with files that a power cut left empty it would not start.
func (f Family) synced(worker bool) []string {
	const node = "/etc/rancher/node"
	if worker {
		return []string{node}
	}
	return []string{node, f.data + "/server/tls", f.data + "/server/cred"}
}

// parts are the pods of RKE2's control plane.
func (f Family) parts() (files []string) {
	for _, part := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "cloud-controller-manager", "kube-scheduler", "kube-proxy"} {
		files = append(files, f.data+"/agent/pod-manifests/"+part+".yaml")
	}
	return files
}
