package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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

const k0sData = "/var/lib/k0s"

// k0sUnits are those that it installs, by what they run.
var k0sUnits = map[string]string{
	"controller": "/etc/systemd/system/k0scontroller.service",
	"worker":     "/etc/systemd/system/k0sworker.service",
}

// k0sLayout has what a cluster leaves lie where the real one leaves it.
var k0sLayout = layout{dir: k0sData + "/standin", bin: k0sData + "/bin", run: "/run/k0s", kubelet: k0sData + "/kubelet"}

func (k k0s) commands() map[string]func(context.Context, documented.Command) error {
	return map[string]func(context.Context, documented.Command) error{
		"version": k.printVersion, "install controller": k.install, "controller": k.controller,
		"install worker": k.install, "worker": k.worker, "token create": k.createToken, "etcd member-list": k.members, "etcd leave": k.leave, "backup": k.backup, "restore": k.restore, "reset": k.reset,
		"ctr --namespace k8s.io --address /run/k0s/containerd.sock images list": func(context.Context, documented.Command) error {
			return become(programs+"/ctr", os.Args[2:]...)
		},
		"kubectl": func(_ context.Context, cmd documented.Command) error {
			if os.Getenv("KUBECONFIG") == "" {
				const admin = k0sData + "/pki/admin.conf"
				if _, err := os.ReadFile(admin); err != nil {
					return fmt.Errorf("k0s: cannot read admin kubeconfig at %s, is the server running? %w", admin, err)
				}
				if err := os.Setenv("KUBECONFIG", admin); err != nil {
					return err
				}
			}
			return become(programs+"/kube", append([]string{"kubectl"}, cmd.Rest...)...)
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
	role := strings.TrimPrefix(cmd.Name, "install ")
	if _, force := cmd.Flags["--force"]; !force {
		if _, err := os.Stat(k0sUnits[role]); err == nil {
			return errors.New("k0s: Init already exists: " + k0sUnits[role])
		}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	line := program + " " + role
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
	if err := os.WriteFile(k0sUnits[role], []byte(unit), 0o644); err != nil {
		return err
	}
	return exec.CommandContext(ctx, "systemctl", "enable", filepath.Base(k0sUnits[role])).Run()
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
	if err := errors.Join(k0sLayout.make(), folders(k0sData+"/containerd", k0sData+"/images", k0sData+"/pki")); err != nil {
		return err
	}
	pods, err := podsOf(s.First("spec.network.podCIDR"), s.First("spec.api.address"))
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(s.First("spec.api.port"))
	if err != nil {
		return err
	}
	c := k.cluster(cmd)
	ctx, err = whileMember(ctx, c.cfg.Dir)
	if err != nil {
		return err
	}
	c.cfg.Address = s.First("spec.api.address")
	if c.cfg.Member, err = k.member(ctx, cmd.Flags["--token-file"], c.cfg); err != nil {
		return err
	}
	c.cfg.APIPort, c.cfg.PodCIDR, c.cfg.ServiceCIDR = port, pods, s.First("spec.network.serviceCIDR")
	nodes := newRoster(c.cfg.Dir, s.First("spec.network.podCIDR"), c.cfg.Address)
	_ = nodes.lead(ctx) // done again once the others are seen
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := errors.Join(writeKubeconfig(c.cfg.Dir, k0sData+"/pki/admin.conf"),
		link(map[string]string{k0sData + "/kubelet.conf": filepath.Join(c.cfg.Dir, "kubeconfig", "kubelet.json")})); err != nil {
		return err
	}
	if err := k.welcome(ctx, s, c.cfg, nodes); err != nil {
		return err
	}
	err = c.serve(ctx)
	if errors.Is(context.Cause(ctx), errRemoved) {
		return errRemoved
	}
	return err
}

// welcome lets workers and controllers join from now on.
func (k0s) welcome(ctx context.Context, s documented.Settings, cfg embedded.Config, nodes roster) error {
	a, err := openAPI(cfg.Dir, "admin", fmt.Sprintf("https://127.0.0.1:%d", cfg.APIPort))
	if err != nil {
		return err
	}
	keeper, err := newKeeper(cfg, a, k0sLabels)
	if err != nil {
		return err
	}
	if err := keeper.etcd.settle(ctx, embedded.PeerURL(cfg.Address)); err != nil {
		return err
	}
	go follow(ctx, a, nodes.note, keeper.keep)
	r, err := newReception(cfg, s.First("spec.network.podCIDR"), bearsToken)
	if err != nil {
		return err
	}
	r.balanced = s.First("spec.network.nodeLocalLoadBalancing.enabled") == "true"
	return errors.Join(forward(ctx, net.JoinHostPort(cfg.Address, forwards), to(a.address())),
		r.listen(ctx, strconv.Itoa(cfg.APIPort), r.proxy(a.url)), r.listen(ctx, k0sJoins, nil))
}

// cluster is what a controller and a worker have in common.
func (k k0s) cluster(cmd documented.Command) *cluster {
	return &cluster{images: k0sData + "/images", check: k.places, cfg: embedded.Config{
		Dir: k0sLayout.dir, Bin: k0sLayout.bin, Host: kubeletFlag(cmd, "--hostname-override"),
		Bridge: "kube-bridge", Pause: "registry.k8s.io/pause:3.10", Lifeline: true, Log: slog.Default(),
	}}
}

// kubeletFlag is the value of one among the flags of the kubelet.
func kubeletFlag(cmd documented.Command, flag string) string {
	for word := range strings.FieldsSeq(cmd.Flags["--kubelet-extra-args"]) {
		if value, ok := strings.CutPrefix(word, flag+"="); ok {
			return value
		}
	}
	return ""
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
	for _, file := range k0sUnits {
		if running(ctx, filepath.Base(file)) {
			return errors.New("k0s: k0s seems to be running, please stop k0s before reset")
		}
	}
	if err := embedded.Reset(ctx, k0sLayout.dir); err != nil {
		return err
	}
	var errs []error
	for _, file := range k0sUnits {
		if _, err := os.Stat(file); err == nil {
			errs = append(errs, exec.CommandContext(ctx, "systemctl", "disable", filepath.Base(file)).Run(), os.Remove(file))
		}
	}
	entries, err := filepath.Glob(k0sData + "/*")
	for _, entry := range entries {
		errs = append(errs, os.RemoveAll(entry))
	}
	return errors.Join(append(errs, err, os.RemoveAll("/run/k0s"))...)
}
