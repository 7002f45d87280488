package kubeadm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/durable"
)

const (
	socket    = "/run/containerd/containerd.sock"
	criSocket = "unix://" + socket
	unitDir   = "/etc/systemd/system/"
	pkiDir    = "/etc/kubernetes/pki"
)

func (n *node) runtime() containerd.Runtime {
	return containerd.Runtime{Client: filepath.Join(n.Bin, "ctr"), Socket: socket, Record: "/var/lib/containerd/holdfast-imports.json"}
}

// runtimeFiles are what containerd runs by, path → content.
func (n *node) runtimeFiles() map[string]string {
	return map[string]string{
		"/etc/containerd/config.toml":                    n.containerdConfig(),
		"/etc/containerd/registries/_default/hosts.toml": noRegistry,
		"/etc/sysctl.d/60-holdfast.conf":                 "# Pods are behind this host, and it forwards to them.\nnet.ipv4.ip_forward = 1\n",
		unitDir + "containerd.service":                   n.containerdUnit(),
	}
}

func (n *node) kubeletFiles() map[string]string {
	return map[string]string{unitDir + "kubelet.service": n.kubeletUnitFile()}
}

// upToDate tells whether every file is as it should be and every image is there.
func (n *node) upToDate() bool {
	for _, files := range []map[string]string{n.runtimeFiles(), n.kubeletFiles()} {
		for path, want := range files {
			if have, err := os.ReadFile(path); err != nil || string(have) != want {
				return false
			}
		}
	}
	return n.runtime().Has(n.Images) && exists(networkFile)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// write writes the files that differ, and says which.
func write(files map[string]string) (changed []string, err error) {
	for path, want := range files {
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(have, []byte(want)) {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := durable.WriteFile(path, []byte(want), 0o644); err != nil {
			return nil, err
		}
		changed = append(changed, path)
	}
	return changed, nil
}

// runtimeRuns brings containerd up, with the images that pods will need.
func (n *node) runtimeRuns(ctx context.Context) error {
	changed, err := write(n.runtimeFiles())
	if err != nil {
		return err
	}
	verb := "start"
	if len(changed) > 0 {
		verb = "restart"
		if err := errors.Join(systemctl(ctx, "daemon-reload"), systemctl(ctx, "restart", "systemd-sysctl.service")); err != nil {
			return err
		}
	}
	if err := errors.Join(systemctl(ctx, "enable", "containerd.service"), systemctl(ctx, verb, "containerd.service")); err != nil {
		return err
	}
	if err := n.await(ctx, n.runtime().Answers); err != nil {
		return err
	}
	count, err := n.runtime().Import(ctx, n.Archive, n.Images)
	if err == nil && count > 0 {
		n.log.Info("images imported", "count", count)
	}
	return err
}

// kubeletUnit lets systemd know the kubelet; kubeadm init starts it.
func (n *node) kubeletUnit(ctx context.Context) error {
	changed, err := write(n.kubeletFiles())
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		err = systemctl(ctx, "daemon-reload")
	}
	return errors.Join(err, systemctl(ctx, "enable", "kubelet.service"))
}

// kubeletRuns brings the kubelet of a node that was made before up.
func (n *node) kubeletRuns(ctx context.Context) error {
	changed, err := write(n.kubeletFiles())
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		return systemctl(ctx, "start", "kubelet.service")
	}
	return errors.Join(systemctl(ctx, "daemon-reload"), systemctl(ctx, "restart", "kubelet.service"))
}

func (n *node) containerdUnit() string {
	return fmt.Sprintf(`# Written by Holdfast.
[Unit]
Description=containerd
Documentation=https://containerd.io
After=network.target

[Service]
Type=notify
Environment=PATH=%[1]s:%[2]s
ExecStart=%[1]s/containerd --config=/etc/containerd/config.toml
Delegate=yes
# Containers outlive it.
KillMode=process
Restart=always
RestartSec=2
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
`, n.Bin, path)
}

// kubeletUnitFile follows https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/kubelet-integration/.
func (n *node) kubeletUnitFile() string {
	return fmt.Sprintf(`# Written by Holdfast.
[Unit]
Description=kubelet
Documentation=https://kubernetes.io/docs/
Wants=containerd.service
After=containerd.service
StartLimitIntervalSec=0

[Service]
Environment=PATH=%[1]s:%[2]s
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=%[1]s/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
`, n.Bin, path)
}
