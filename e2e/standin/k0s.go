package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// k0s stands in for k0s.
type k0s struct{ table *documented.Table }

const (
	k0sData = "/var/lib/k0s"
	k0sUnit = "/etc/systemd/system/k0scontroller.service"
)

func (k k0s) commands() map[string]func(context.Context, documented.Command) error {
	return map[string]func(context.Context, documented.Command) error{
		"version": k.printVersion, "install controller": k.install, "controller": k.controller, "backup": k.backup, "restore": k.restore, "reset": k.reset,
		"ctr --namespace k8s.io --address /run/k0s/containerd.sock images list": func(context.Context, documented.Command) error {
			return become(programs+"/ctr", os.Args[2:]...)
		},
		"kubectl": func(_ context.Context, cmd documented.Command) error {
			return become(programs+"/kube", append([]string{"kubectl", "--kubeconfig=" + k0sData + "/pki/admin.conf"}, cmd.Rest...)...)
		},
	}
}

func (k0s) printVersion(context.Context, documented.Command) error {
	v, err := version()
	if err == nil {
		_, err = fmt.Println(v)
	}
	return err
}

// install writes the unit, of this program.
func (k k0s) install(ctx context.Context, cmd documented.Command) error {
	if _, force := cmd.Flags["--force"]; !force {
		if _, err := os.Stat(k0sUnit); err == nil {
			return errors.New("k0s: Init already exists: " + k0sUnit)
		}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	line := program + " controller"
	for _, word := range os.Args[3:] {
		if word != "--force" {
			line += fmt.Sprintf(" %q", word)
		}
	}
	unit := fmt.Sprintf(`[Service]
ExecStart=%s
Restart=always
RestartSec=2
Delegate=yes
KillMode=process
TimeoutStartSec=0

[Install]
WantedBy=multi-user.target
`, line)
	if err := os.WriteFile(k0sUnit, []byte(unit), 0o644); err != nil {
		return err
	}
	return exec.CommandContext(ctx, "systemctl", "enable", filepath.Base(k0sUnit)).Run()
}

// controller runs the cluster until it is told to end.
func (k k0s) controller(ctx context.Context, cmd documented.Command) error {
	config, err := os.ReadFile(cmd.Flags["--config"])
	if err != nil {
		return err
	}
	s, err := k.table.YAML("key", config)
	if err := errors.Join(err, k.places()); err != nil {
		return err
	}
	l := layout{dir: k0sData + "/standin", bin: k0sData + "/bin", run: "/run/k0s", kubelet: k0sData + "/kubelet"}
	if err := errors.Join(l.make(), folders(k0sData+"/containerd", k0sData+"/images", k0sData+"/pki")); err != nil {
		return err
	}
	pods, err := firstNode(s.First("spec.network.podCIDR"))
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(s.First("spec.api.port"))
	if err != nil {
		return err
	}
	c := cluster{images: k0sData + "/images", check: k.places, cfg: embedded.Config{
		Dir: l.dir, Bin: l.bin, Host: nodeName(cmd.Flags["--kubelet-extra-args"]), PodCIDR: pods, ServiceCIDR: s.First("spec.network.serviceCIDR"),
		APIPort: port, Bridge: "kube-bridge", Pause: "registry.k8s.io/pause:3.10", Lifeline: true, Log: slog.Default(),
	}}
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := writeKubeconfig(l.dir, k0sData+"/pki/admin.conf"); err != nil {
		return err
	}
	return c.serve(ctx)
}

// nodeName is the one among the flags of the kubelet, or the machine's.
func nodeName(flags string) string {
	for word := range strings.FieldsSeq(flags) {
		if name, ok := strings.CutPrefix(word, "--hostname-override="); ok {
			return name
		}
	}
	name, _ := os.Hostname()
	return name
}

// places refuses files where only documented ones are read.
func (k k0s) places() error {
	var errs []error
	for _, pattern := range []string{"/etc/k0s/*", "/etc/k0s/containerd.d/*", "/etc/k0s/containerd.d/*/*/*", k0sData + "/images/*"} {
		found, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, file := range found {
			if info, err := os.Stat(file); err == nil && !info.IsDir() {
				errs = append(errs, k.table.Check("path", file, ""))
			}
		}
	}
	return errors.Join(errs...)
}

// reset removes service and data, once nothing runs.
func (k0s) reset(ctx context.Context, _ documented.Command) error {
	unit := filepath.Base(k0sUnit)
	if running(ctx, unit) {
		return errors.New("k0s: k0s seems to be running, please stop k0s before reset")
	}
	if err := embedded.Reset(ctx, k0sData+"/standin"); err != nil {
		return err
	}
	_ = exec.CommandContext(ctx, "systemctl", "disable", unit).Run()
	entries, err := filepath.Glob(k0sData + "/*")
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(entry))
	}
	return errors.Join(err, os.RemoveAll("/run/k0s"), os.Remove(k0sUnit))
}
