package bootstrap

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/preflight"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

const (
	megabyte = 1 << 20
	headroom = 1024 * megabyte // for a datastore, logs, and what the kubelet keeps free
	unpacked = 3               // how much room an image takes, packed and unpacked, for a byte of content
)

// room is what each type of distribution needs of a control-plane host, as its
// documentation has it, with a tenth off memory for what the machine itself takes of it.
var room = map[string]struct {
	cpus     int
	memory   int64  // megabytes
	data     string // folder of what it runs
	programs []string
}{
	// https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/; the numbers are kubeadm's own check
	fleet.Kubeadm: {2, 1700, "/var/lib/containerd", []string{"mount", "umount", "losetup", "cp", "ip", "nft"}},
	// https://docs.k3s.io/installation/requirements
	fleet.K3s: {1, 460, "/var/lib/rancher", []string{"mount", "umount", "ip"}},
	// https://docs.rke2.io/install/requirements
	fleet.RKE2: {2, 3600, "/var/lib/rancher", []string{"mount", "umount", "ip"}},
	// https://docs.k0sproject.io/stable/system-requirements
	fleet.K0s: {1, 900, "/var/lib/k0s", []string{"mount", "umount", "ip"}},
}

const workerMemory = 460 // megabytes

// Preflight looks at the machine that a request is for, before anything on it is
// changed. The request need not be whole: what it does not say is not looked at.
func Preflight(ctx context.Context, req Request) ([]preflight.Check, error) {
	needs, err := machineNeeds(req)
	if err != nil {
		return nil, err
	}
	return preflight.Run(ctx, needs), nil
}

// fit refuses a machine that cannot become a node, with all that keeps it from that.
func fit(ctx context.Context, req Request) error {
	if isNode(req) {
		return nil
	}
	checks, err := Preflight(ctx, req)
	if err := errors.Join(err, context.Cause(ctx)); err != nil { // a look that was cut off says nothing of the machine
		return err
	}
	return preflight.Refuse(checks)
}

// isNode tells whether a driver began to make a node of the machine.
func isNode(req Request) bool { return system.Exists(filepath.Join(req.Dir, "record.json")) }

func machineNeeds(req Request) (preflight.Needs, error) {
	kind, self := room[req.Distribution.Type], req.self()
	n := preflight.Needs{
		CPUs: kind.cpus, Memory: kind.memory * megabyte, Programs: kind.programs, Room: map[string]int64{kind.data: headroom},
		Host: req.Host, Data: filepath.Dir(req.Dir), IsNode: isNode(req), Ports: portsOf(req.Distribution, self.Role == fleet.Worker),
	}
	if self.Role == fleet.Worker {
		n.CPUs, n.Memory = 1, workerMemory*megabyte
	}
	if req.Distribution.Type == fleet.Kubeadm {
		n.Runtime, n.Nftables = "/run/containerd/containerd.sock", true
	}
	for _, m := range req.Members {
		if m.Name != req.Host {
			n.Others = append(n.Others, m.Name)
		}
	}
	if req.Store == nil || n.IsNode {
		return n, nil
	}
	size, err := contentSize(req)
	n.Room[kind.data] += unpacked * size
	n.Room[req.Dir] = size
	return n, err
}

// contentSize is how much content the node is made of, in bytes.
func contentSize(req Request) (size int64, err error) {
	wanted := map[string]bool{}
	for _, digests := range []map[string]string{req.Content, req.Images} {
		for _, digest := range digests {
			wanted[digest] = true
		}
	}
	entries, err := req.Store.List()
	for _, e := range entries {
		if wanted[e.Digest] {
			size += e.Size
			delete(wanted, e.Digest)
		}
	}
	return size, err
}

// portsOf are those that a node listens on, by the documentation that room cites.
func portsOf(d fleet.Distribution, worker bool) []preflight.Port {
	ports := []preflight.Port{{Number: d.APIPort, For: "the API server"}, {Number: 10250, For: "the kubelet"}}
	if worker {
		return ports
	}
	ports = append(ports, preflight.Port{Number: 2379, For: "etcd"}, preflight.Port{Number: 2380, For: "etcd"},
		preflight.Port{Number: 10257, For: "the controller manager"}, preflight.Port{Number: 10259, For: "the scheduler"})
	switch d.Type {
	case fleet.RKE2:
		ports = append(ports, preflight.Port{Number: 9345, For: "RKE2's supervisor"})
	case fleet.K0s:
		ports = append(ports, preflight.Port{Number: 9443, For: "k0s' own API"})
	}
	return ports
}
