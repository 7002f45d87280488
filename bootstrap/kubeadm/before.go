package kubeadm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/durable"
)

// before is where a copy lies of what kubeadm changes on the host.
func (n *node) before() string { return filepath.Join(n.Dir, "before-upgrade") }

// What kubeadm upgrade changes on a host, where it is there.
var (
	manifests = []string{
		etcKubernetes + "/manifests/etcd.yaml", etcKubernetes + "/manifests/kube-apiserver.yaml",
		etcKubernetes + "/manifests/kube-controller-manager.yaml", etcKubernetes + "/manifests/kube-scheduler.yaml",
	}
	kubeletConfigs = []string{
		kubeletConf, "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/instance-config.yaml", "/var/lib/kubelet/kubeadm-flags.env",
	}
)

func upgradedFiles() []string { return slices.Concat(manifests, kubeletConfigs) }

// keepFiles copies files to a folder of their own.
func keepFiles(dir string, files []string) error {
	var disk durable.Disk
	if err := errors.Join(disk.RemoveAll(dir), disk.MkdirAll(dir), disk.SyncDir(filepath.Dir(dir))); err != nil {
		return err
	}
	for _, file := range files {
		if err := carry(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return err
		}
	}
	return nil
}

// putBack copies files from the folder to where they were.
func putBack(dir string, files []string) error {
	for _, file := range files {
		if err := carry(filepath.Join(dir, filepath.Base(file)), file); err != nil {
			return err
		}
	}
	return nil
}

// undo puts files back that differ, after stop has ended the kubelet and what it runs. A
// kubelet that has not heard from the API server since it started, as after a power cut,
// does not end a static pod whose manifest is replaced, and starts no other in its place:
// it waits for the API server, which waits for it.
func undo(dir string, files []string, stop func() error) error {
	if unchanged(dir, files) {
		return nil
	}
	if err := stop(); err != nil {
		return err
	}
	return putBack(dir, files)
}

// unchanged tells whether files are as the folder has them.
func unchanged(dir string, files []string) bool {
	for _, file := range files {
		a, err := os.ReadFile(file)
		b, err2 := os.ReadFile(filepath.Join(dir, filepath.Base(file)))
		if (err == nil) != (err2 == nil) || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// carry makes a file what the other is: if that is not there, neither is it.
func carry(from, to string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return durable.Disk{}.RemoveAll(to)
	}
	if err != nil {
		return err
	}
	return durable.WriteFile(to, data, 0o600)
}
