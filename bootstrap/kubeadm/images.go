package kubeadm

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// tags are those of the images that are not of Kubernetes' own version, by its
// minor version, as "kubeadm config images list" prints them
// (cmd/kubeadm/app/constants/constants.go of that version).
type tags struct{ etcd, coredns, pause string }

var versions = map[string]tags{
	"v1.35": {etcd: "3.6.6-0", coredns: "v1.13.1", pause: "3.10.1"},
	"v1.36": {etcd: "3.6.8-0", coredns: "v1.14.2", pause: "3.10.2"},
}

func tagsOf(version string) tags { return versions[minor(version)] }

func minor(version string) string {
	if i := strings.LastIndexByte(version, '.'); i > 0 {
		return version[:i]
	}
	return version
}

// Minors lists the minor versions that this package knows, like v1.36.
func Minors() []string { return slices.Sorted(maps.Keys(versions)) }

// Images lists the references of a control-plane node's images.
func Images(c Cluster) []string {
	r := c.Repository + "/"
	return []string{
		r + "kube-apiserver:" + c.Version, r + "kube-controller-manager:" + c.Version, r + "kube-scheduler:" + c.Version,
		proxyImage(c), etcdImage(c), dnsImage(c), PauseImage(c),
	}
}

// WorkerImages are those that a worker needs of them.
func WorkerImages(c Cluster) []string { return []string{proxyImage(c), dnsImage(c), PauseImage(c)} }

// firstImages are those of pods that do not wait until the node has a network for pods.
func (n *node) firstImages() []string {
	all := Images(n.Cluster)
	if n.Worker {
		all = WorkerImages(n.Cluster)
	}
	return slices.DeleteFunc(all, func(ref string) bool { return ref == dnsImage(n.Cluster) })
}

// dnsImage has a folder of its own in the repository that Kubernetes is released to, and there alone, as kubeadm has it
// (cmd/kubeadm/app/images/images.go).
func dnsImage(c Cluster) string {
	repository := c.Repository
	if repository == "registry.k8s.io" {
		repository += "/coredns"
	}
	return repository + "/coredns:" + tagsOf(c.Version).coredns
}

func proxyImage(c Cluster) string { return c.Repository + "/kube-proxy:" + c.Version }

// PauseImage is the reference of the image of the pods' sandboxes.
func PauseImage(c Cluster) string { return c.Repository + "/pause:" + tagsOf(c.Version).pause }

func etcdImage(c Cluster) string { return c.Repository + "/etcd:" + tagsOf(c.Version).etcd }

// importImages gives containerd the images that it lacks.
func (n *node) importImages(ctx context.Context) error {
	count, err := n.runtime().Import(ctx, n.Archive, n.Images)
	if err == nil && count > 0 {
		n.log.Info("images imported", "count", count)
	}
	return err
}

// importFirst gives it those that kubeadm's pods need at once.
func (n *node) importFirst(ctx context.Context) error {
	first := map[string]string{}
	for _, ref := range n.firstImages() {
		first[ref] = n.Images[ref]
	}
	_, err := n.runtime().Import(ctx, n.Archive, first)
	return err
}
