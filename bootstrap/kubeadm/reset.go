package kubeadm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

// Stop ends the kubelet, all pods and containerd, and keeps the data.
func Stop(ctx context.Context, dir string) error {
	n, _, err := made(dir)
	if n == nil {
		return err
	}
	if err := system.Systemctl(ctx, "stop", "kubelet.service"); err != nil {
		return err
	}
	if err := n.endPods(ctx); err != nil {
		return err
	}
	return system.Systemctl(ctx, "stop", "containerd.service")
}

// made returns the node whose record is in dir, with the record, or nil where there is none.
func made(dir string) (*node, record, error) {
	n := newNode(Config{Dir: dir})
	rec, err := n.readRecord()
	if err != nil || rec.Step == "" {
		return nil, rec, err
	}
	n.Bin, n.Cluster, n.Worker = rec.Bin, rec.Cluster, rec.Worker
	return n, rec, nil
}

// endPods kills the tasks of all containers.
func (n *node) endPods(ctx context.Context) error {
	tasks, err := n.ctr(ctx, "tasks", "list", "--quiet")
	if err != nil {
		return err
	}
	for _, task := range strings.Fields(string(tasks)) {
		_, _ = n.ctr(ctx, "tasks", "kill", "--all", "--signal=SIGKILL", task) // it may have ended by itself
	}
	return nil
}

// Reset takes the node apart and removes what Ensure made on the host, data included.
func Reset(ctx context.Context, dir string) error {
	n, _, err := made(dir)
	if err != nil || n == nil && !waits(dir) {
		return err
	}
	if n == nil {
		n = newNode(Config{Dir: dir})
	} else if err := n.kubeadm(ctx, "reset", "reset", "--force", "--cri-socket="+criSocket); err != nil {
		return err
	}
	var errs []error
	for _, unit := range []string{"kubelet.service", "containerd.service", networkUnit, relayUnit} {
		if system.Exists(system.UnitDir + unit) {
			errs = append(errs, system.Systemctl(ctx, "disable", "--now", unit))
		}
	}
	_, err = system.Run(ctx, "holdfast-kubeadm-network", nil, "sh", "-c", "nft delete table ip holdfast; nft delete table ip kube-proxy; nft delete table ip6 kube-proxy; ip link delete cni0; ip route flush proto 84; true")
	errs = append(errs, err)
	for _, files := range []map[string]string{n.runtimeFiles(), n.kubeletFiles(), n.linkFiles("", nil), {networkFile: "", system.UnitDir + relayUnit: ""}} {
		for path := range files {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	for _, dir := range []string{"/etc/containerd", "/etc/kubernetes", "/var/lib/etcd", "/var/lib/kubelet", "/var/lib/cni", "/var/lib/containerd"} {
		errs = append(errs, system.Empty(dir))
	}
	errs = append(errs, system.Systemctl(ctx, "daemon-reload"))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return n.erase(durable.Disk{})
}

// waits tells whether a host is no node yet, but has the containerd of one: it waits for
// the others of its site.
func waits(dir string) bool {
	unit, err := os.ReadFile(system.UnitDir + "containerd.service")
	return err == nil && strings.Contains(string(unit), filepath.Clean(dir)+"/")
}

// erase removes what is kept of the node. Its record goes first: a reset that is cut
// off in here is done, while one that has lost its programs could never be done again.
func (n *node) erase(disk durable.Disk) error {
	if err := disk.RemoveAll(n.recordFile()); err != nil {
		return err
	}
	if err := disk.SyncDir(n.Dir); err != nil {
		return err
	}
	return disk.RemoveAll(n.Dir)
}
