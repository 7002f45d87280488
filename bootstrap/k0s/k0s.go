// Package k0s makes a host a cluster of k0s, as https://docs.k0sproject.io has it
// for hosts without a network: the program, which installs its own unit, its
// configuration file, and its images as a bundle. Nothing is pulled. Other hosts of
// the site join it as controllers and as workers.
//
// What is written here was checked against that documentation, see
// e2e/standin/documented, and not against the program.
package k0s

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/peers"
)

const (
	data       = "/var/lib/k0s"
	configFile = "/etc/k0s/k0s.yaml"
)

// tokenLife is how long a host may take to join with what it was given. One that has
// not joined then is given another.
const tokenLife = "1h"

// Program is k0s.
type Program struct{}

// Minors lists the minor versions that the configuration here was written for.
func (Program) Minors() []string { return []string{"v1.35", "v1.36"} }

// Ensure makes the host a cluster, or one of its workers, as wanted: see [solo.Ensure].
func (p Program) Ensure(ctx context.Context, want solo.Wanted) error {
	if err := want.Registries.Forget(registryHosts); err != nil { // containerd reads them at each pull
		return err
	}
	return solo.Ensure(ctx, solo.Config{
		Kind: p.Kind(want.Dir), Wanted: want,
		Files:   func(address, _ string) map[string]string { return files(want, address) },
		Install: func(address, through string) []string { return install(want, address, through) },
	})
}

// Kind is what k0s calls its things.
func (Program) Kind(dir string) solo.Kind {
	return solo.Kind{
		Name: "k0s", Unit: "k0scontroller", Agent: "k0sworker", Kubeconfig: data + "/pki/admin.conf", Kubelet: data + "/kubelet.conf",
		Kubectl: kubectl, Admit: admit,
		Etcd: &solo.Etcd{
			Members: []string{"etcd", "member-list"},
			Leave:   func(address string) []string { return []string{"etcd", "leave", "--peer-address=" + address} },
		},
		Images: data + "/images", Record: data + "/containerd/holdfast-imports.json",
		List: func(program string) []string {
			return []string{program, "ctr", "--namespace", "k8s.io", "--address", "/run/k0s/containerd.sock", "images", "list", "-q"}
		},
		Snapshot: func(_, folder string) []string { return []string{"backup", "--save-path=" + folder} }, // it names the file by the time
		Restore: func(file string) []string { // the configuration that it had stays aside: the fleet says how it is now
			return []string{"restore", "--config-out=" + filepath.Join(dir, "restored.yaml"), file}
		},
		Afresh:     true,
		Shims:      data + "/bin/containerd-shim",
		Mounts:     []string{"/run/k0s", data + "/kubelet/pods", data + "/kubelet/plugins"},
		Interfaces: []string{"kube-bridge"},
		Reset:      []string{"reset"},
		Leaves:     []string{"/etc/k0s", "/run/k0s", data},
	}
}

// kubectl says who asks in the environment: without, the program wants the
// administrator's kubeconfig, which a worker does not have, and looks at no flag first.
func kubectl(program, kubeconfig string, words ...string) []string {
	return append([]string{"/usr/bin/env", "KUBECONFIG=" + kubeconfig, program, "kubectl"}, words...)
}

// admit has the program make a token that makes a worker, or a controller.
func admit(ctx context.Context, program string, worker bool) (peers.Material, error) {
	token, err := solo.Output(ctx, append([]string{program}, newToken(worker)...))
	if err != nil {
		return nil, err
	}
	return peers.Material{solo.TokenFile: []byte(strings.TrimSpace(token))}, nil
}

func newToken(worker bool) []string {
	role := "controller"
	if worker {
		role = "worker"
	}
	return []string{"token", "create", "--role=" + role, "--expiry=" + tokenLife}
}

// install are the words that make the unit: a controller that also works, and joins
// that of another host unless it is the first, or a worker.
func install(want solo.Wanted, address, through string) []string {
	node := "--kubelet-extra-args=--hostname-override=" + want.Host + " --node-ip=" + address
	if want.Worker {
		return []string{"install", "worker", "--force", tokenFlag(want), node}
	}
	words := []string{"install", "controller", "--force", "--enable-worker", "--no-taints", "--config=" + configFile, node}
	if through != "" {
		words = append(words, tokenFlag(want))
	}
	if len(want.Disable) > 0 {
		words = append(words, "--disable-components="+strings.Join(want.Disable, ","))
	}
	return words
}

func tokenFlag(want solo.Wanted) string {
	return "--token-file=" + filepath.Join(want.Dir, solo.TokenFile)
}
