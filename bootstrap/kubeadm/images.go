package kubeadm

import (
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
		r + "kube-proxy:" + c.Version, etcdImage(c), dnsImage(c), PauseImage(c),
	}
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

// PauseImage is the reference of the image of the pods' sandboxes.
func PauseImage(c Cluster) string { return c.Repository + "/pause:" + tagsOf(c.Version).pause }

func etcdImage(c Cluster) string { return c.Repository + "/etcd:" + tagsOf(c.Version).etcd }
