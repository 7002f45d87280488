package kubeadm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

const (
	socket    = "/run/containerd/containerd.sock"
	criSocket = "unix://" + socket
	pkiDir    = "/etc/kubernetes/pki"

	registryHosts = "/etc/containerd/registries"
)

func (n *node) runtime() containerd.Runtime {
	return containerd.Runtime{Client: filepath.Join(n.Bin, "ctr"), Socket: socket, Record: "/var/lib/containerd/holdfast-imports.json"}
}

// runtimeFiles are what containerd runs by, path → content.
func (n *node) runtimeFiles() map[string]string {
	files := n.Registries.Hosts(registryHosts)
	files["/etc/containerd/config.toml"] = n.containerdConfig().Text()
	files["/etc/sysctl.d/60-holdfast.conf"] = "# Pods are behind this host, and it forwards to them.\nnet.ipv4.ip_forward = 1\n"
	files[system.UnitDir+"containerd.service"] = n.containerdUnit()
	return files
}

func (n *node) kubeletFiles() map[string]string {
	return map[string]string{system.UnitDir + "kubelet.service": n.kubeletUnitFile()}
}

// upToDate tells whether every file is as it should be and every image is there.
func (n *node) upToDate() bool {
	return system.Holds(n.runtimeFiles()) && system.Holds(n.kubeletFiles()) && n.runtime().Has(n.Images) && system.Exists(system.UnitDir+networkUnit) && system.Exists(networkFile) &&
		(!n.Worker || system.Exists(system.UnitDir+relayUnit)) && len(n.unsettled()) == 0 && !n.Registries.Stale(registryHosts)
}

// unsettled lists what settle has not finished.
func (n *node) unsettled() []string {
	marks, _ := filepath.Glob(filepath.Join(n.Dir, "*.changed")) // the pattern is well-formed
	return marks
}

// settle writes files, path → content, and then does what makes those count that
// differed. Where that was cut off in between, it is done the next time.
func (n *node) settle(name string, files map[string]string, count func() error) error {
	mark := filepath.Join(n.Dir, name+".changed")
	if !system.Holds(files) {
		if err := os.MkdirAll(n.Dir, 0o700); err != nil {
			return err
		}
		if err := durable.WriteFile(mark, nil, 0o600); err != nil {
			return err
		}
		if _, err := system.Write(files); err != nil {
			return err
		}
	}
	if !system.Exists(mark) {
		return nil
	}
	if err := count(); err != nil {
		return err
	}
	return os.Remove(mark)
}

// renewed has systemd heed what changed of a unit, and follow orders then.
func renewed(ctx context.Context, unit string, orders ...string) error {
	if err := system.Reload(ctx, unit); err != nil {
		return err
	}
	return inTurn(ctx, orders...)
}

// inTurn gives orders to systemd until one fails.
func inTurn(ctx context.Context, orders ...string) error {
	for _, order := range orders {
		if err := system.Systemctl(ctx, strings.Fields(order)...); err != nil {
			return err
		}
	}
	return nil
}

// runtimeRuns brings containerd up, with the images that pods will need.
func (n *node) runtimeRuns(ctx context.Context) error {
	if err := n.containerdRuns(ctx); err != nil {
		return err
	}
	return n.importImages(ctx)
}

func (n *node) containerdRuns(ctx context.Context) error {
	err := n.settle("runtime", n.runtimeFiles(), func() error {
		return renewed(ctx, "containerd.service", "restart systemd-sysctl.service containerd.service")
	})
	if err == nil {
		err = n.Registries.Forget(registryHosts) // containerd reads them at each pull
	}
	if err == nil {
		err = system.Enable("containerd.service")
	}
	if err == nil && n.runtime().Answers(ctx) != nil {
		err = inTurn(ctx, "start containerd.service")
	}
	if err != nil {
		return err
	}
	return n.await(ctx, n.runtime().Answers)
}

// kubeletUnit lets systemd know the kubelet, which kubeadm starts.
func (n *node) kubeletUnit(ctx context.Context) error {
	files := n.kubeletFiles()
	files[kubeletHold] = heldBy(kubeletLock)
	if err := n.settle("kubelet", files, func() error { return renewed(ctx, "kubelet.service") }); err != nil {
		return err
	}
	return system.Enable("kubelet.service")
}

// kubeletRuns brings the kubelet of a node that was made before up.
func (n *node) kubeletRuns(ctx context.Context) error {
	if err := n.settle("kubelet", n.kubeletFiles(), func() error { return renewed(ctx, "kubelet.service", "restart kubelet.service") }); err != nil {
		return err
	}
	return inTurn(ctx, "start kubelet.service")
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
`, n.Bin, system.Path)
}

// kubeletUnitFile follows https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/kubelet-integration/.
// The node's name is the fleet's, whatever the machine is called, and its address the
// one that it has: kubeadm writes both down once, and they may change.
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
ExecStart=%[1]s/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS --hostname-override=%[3]s --node-ip=%[4]s
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
`, n.Bin, system.Path, n.Host, n.address)
}
