//go:build e2e

package e2e_test

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// kit is a distribution that stories are played with.
type kit struct {
	name     string                    // type of the Distribution
	versions []string                  // those that headquarters has content of, the oldest first
	bad      string                    // one whose program does not run
	spec     string                    // more lines of the Distribution
	add      func(*headquarters) error // puts its content on the disks of new hosts

	vars map[string]string // what stories call its things
}

var kubeadmKit = kit{
	name: "kubeadm", versions: []string{version}, spec: "  imageRepository: " + repository + "\n", add: addKubeadm,
	vars: map[string]string{
		"UNIT": "kubelet", "INSTALLED": "/etc/systemd/system/containerd.service", "RESTORING": "/etc/kubernetes/pki/ca.crt", "DATASTORE": "/var/lib/etcd",
		"BEGUN": "/etc/kubernetes/manifests/kube-apiserver.yaml", "MARK": "kubeadm.k8s.io",
		"KUBECTL": "$(ls /var/lib/holdfast/kubeadm/bin/*/kubectl | head -n 1) --kubeconfig=/etc/kubernetes/admin.conf", "ENDS": "/etc/kubernetes/admin.conf",
		"LEAVES": "/etc/kubernetes/* /var/lib/etcd/* /var/lib/containerd/* /var/lib/kubelet/* /etc/systemd/system/kubelet.service /etc/systemd/system/containerd.service",
	},
}

// upgradeKit has the version before, too: stories that speak of $NEXT begin at it.
func upgradeKit() kit {
	k := kubeadmKit
	k.versions = []string{previous, version}
	return k
}

// setenv tells a story what the kit calls things.
func (k kit) setenv(env *testscript.Env) {
	env.Setenv("KIND", k.name)
	env.Setenv("VERSION", k.versions[0])
	env.Setenv("BAD", k.bad)
	env.Setenv("NEXT", k.versions[len(k.versions)-1])
	for name, value := range k.vars {
		env.Setenv(name, value)
	}
}

// condition knows [upgrades]: whether there is a version to go to.
func (k kit) condition(name string) (bool, error) {
	return name == "upgrades" && len(k.versions) > 1, nil
}

// addKubeadm makes the programs and images of the kit's versions of kubeadm's Kubernetes.
func addKubeadm(hq *headquarters) error {
	for _, version := range hq.kit.versions {
		dir := filepath.Join(hq.dir, version)
		archive := filepath.Join(dir, "images.tar")
		if err := errors.Join(os.Mkdir(dir, 0o755), writeImages(archive, version, hq.build, hq.tree)); err != nil {
			return err
		}
		files := []string{"holdfast.dev/kubeadm/programs:" + version}
		for _, name := range []string{"kubeadm", "kubelet", "kubectl"} {
			if err := os.Symlink(filepath.Join(hq.build, releases[version].kube), filepath.Join(dir, name)); err != nil {
				return err
			}
			files = append(files, filepath.Join(dir, name))
		}
		for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "bridge", "host-local", "loopback", "portmap"} {
			files = append(files, filepath.Join(hq.build, "embedded", name))
		}
		if err := errors.Join(hq.addContent(files...), hq.addContent("--archive", archive), os.Remove(archive)); err != nil {
			return err
		}
	}
	return nil
}
